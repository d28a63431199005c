//! Where things are: the workspace and the products under its `target/`.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask stands in the workspace")
        .to_path_buf()
}

/// The workspace's own `target/`, wherever cargo is told to build.
pub fn target() -> PathBuf {
    root().join("target")
}

/// Tools built for this workspace only.
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// Kernels, root disk and runs of the test VM.
pub fn vm() -> PathBuf {
    target().join("vm")
}

/// The compiled kernel programs, as `enforcer`'s build script finds them.
pub fn bpf_object() -> PathBuf {
    target().join("bpf/enforcer-ebpf")
}

/// The files of the guest's side.
pub fn guest() -> PathBuf {
    root().join("xtask/guest")
}

//! Finds the kernel programs that the binary carries. They are built for another target by another
//! toolchain, so this script only says how when they are not there.

use std::{
    env,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo::rerun-if-env-changed=ENFORCER_BPF_OBJECT");
    let object = env::var_os("ENFORCER_BPF_OBJECT").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../target/bpf/enforcer-ebpf"
            ))
        },
        PathBuf::from,
    );
    println!("cargo::rerun-if-changed={}", object.display());
    println!("{}", found(&object));
}

/// What cargo is told: where they are, or how they come to be there.
pub fn found(object: &Path) -> String {
    match object.canonicalize() {
        Ok(path) => format!("cargo::rustc-env=ENFORCER_BPF_OBJECT={}", path.display()),
        Err(error) => format!(
            "cargo::error=the kernel programs are not built ({}: {error}); run `cargo xtask build`",
            object.display()
        ),
    }
}

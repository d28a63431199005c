//! The build script, as far as a whole build is too slow for a test: a first `cargo build` has no kernel programs to embed.
#![forbid(unsafe_code)]

#[path = "../build.rs"]
#[expect(dead_code, reason = "its `main` is cargo's to run")]
mod script;

use std::path::Path;

#[test]
fn a_build_without_the_kernel_programs_fails_with_the_one_line_that_names_the_command() {
    let missing = Path::new("/nowhere/enforcer-ebpf");
    assert_eq!(
        script::found(missing),
        "cargo::error=the kernel programs are not built (/nowhere/enforcer-ebpf: No such file or directory \
         (os error 2)); run `cargo xtask build`"
    );
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let told = script::found(&there);
    assert!(
        told.starts_with("cargo::rustc-env=ENFORCER_BPF_OBJECT=/"),
        "{told}"
    );
}

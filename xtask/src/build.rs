//! `build`: the kernel programs, then the `enforcer` binary that embeds them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::arch::HOST;
use crate::command::run;
use crate::stamp::write_if_changed;
use crate::{cargo, setup, workspace};

/// Arguments of `build`.
#[derive(Args)]
pub struct Arguments {
    /// Build `enforcer` with optimizations; the kernel programs always are
    #[arg(long)]
    release: bool,
    /// Build the kernel programs only
    #[arg(long)]
    kernel_only: bool,
}

/// Builds and says where the outcome is.
pub fn run_verb(arguments: &Arguments) -> Result<ExitCode> {
    kernel_programs()?;
    let built = if arguments.kernel_only {
        workspace::bpf_object()
    } else {
        enforcer(arguments.release)?
    };
    println!("build: {}", built.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds everything; the answer is the `enforcer` binary.
pub fn product(release: bool) -> Result<PathBuf> {
    kernel_programs()?;
    enforcer(release)
}

/// Builds the kernel programs to where `enforcer`'s build script looks. An unchanged object keeps its time, so that
/// `enforcer` is not built again for it.
pub fn kernel_programs() -> Result<()> {
    let toolchain = setup::toolchain()?;
    let mut cargo = toolchain.machine.kernel_cargo(&toolchain.linker);
    run(in_kernel_crate(&mut cargo))?;
    let object = kernel_build()
        .join(HOST.bpf_triple)
        .join("release/enforcer-ebpf");
    let contents =
        fs::read(&object).with_context(|| format!("no kernel programs in {}", object.display()))?;
    write_if_changed(&workspace::bpf_object(), &contents).map(drop)
}

/// The command that looks at the kernel programs with clippy; a warning is an error.
pub fn kernel_clippy() -> Result<Command> {
    let toolchain = setup::toolchain()?;
    let mut cargo = toolchain.machine.kernel_clippy(&toolchain.linker)?;
    in_kernel_crate(&mut cargo).args(["--", "-D", "warnings"]);
    Ok(cargo)
}

fn in_kernel_crate(cargo: &mut Command) -> &mut Command {
    cargo
        .current_dir(workspace::root().join("enforcer-ebpf"))
        .env("CARGO_TARGET_DIR", kernel_build())
}

fn kernel_build() -> PathBuf {
    workspace::target().join("bpf/build")
}

fn enforcer(release: bool) -> Result<PathBuf> {
    let mut cargo = cargo::host();
    cargo.args(["build", "--package", "enforcer", "--bin", "enforcer"]);
    if release {
        cargo.arg("--release");
    }
    let built = cargo::executables(&mut cargo)?;
    let binary = built.into_iter().find(|program| program.name == "enforcer");
    Ok(binary.context("cargo built no enforcer binary")?.path)
}

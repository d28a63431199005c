//! Which of the two kinds of machine this is, by where its compiler for kernel programs comes from.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::arch::HOST;
use crate::cargo::{foreign, host};
use crate::command::{exists, output, run_quietly};
use crate::stamp::{Product, remove};
use crate::{apt, workspace};

/// Debian's Rust for browsers: newer than its own `rustc`, and with `core` prebuilt for BPF.
const DEBIAN_PACKAGES: &[&str] = &[
    "build-essential",
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    "llvm-22-dev",
    "libpolly-22-dev",
];
/// Needed by a suite of `test` alone.
const DEBIAN_CLIPPY: &str = "rust-web-clippy";
/// The LLVM of `rustc-web`, which bpf-linker must share. `LLVM_PREFIX` keeps it from finding another one.
const DEBIAN_LLVM: &str = "/usr/lib/llvm-22";
const DEBIAN_LINKER_FEATURE: &str = "llvm-22";
const LINKER_VERSION: &str = "0.13.0";

/// Where the compiler for kernel programs comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Debian's `rustc-web` with its prebuilt `core`.
    Debian,
    /// rustup's nightly with `rust-src`, which builds `core` itself.
    Rustup,
}

impl Machine {
    /// Finds out the kind; installs what is missing where this is possible, else fails with the commands to type.
    pub fn detect() -> Result<Self> {
        let debian = apt::is_here();
        if debian && apt::missing(DEBIAN_PACKAGES)?.is_empty() {
            return Ok(Self::Debian);
        }
        if nightly_has_source() {
            return Ok(Self::Rustup);
        }
        if debian && offered()? {
            install(DEBIAN_PACKAGES)?;
            return Ok(Self::Debian);
        }
        bail!(
            "no compiler for kernel programs here. Type this, then try again:\n  \
             rustup toolchain install nightly --component rust-src --component clippy"
        )
    }

    /// Makes sure of bpf-linker; the answer is the directory it is in, and whether it was built now.
    pub fn ensure_linker(self) -> Result<(PathBuf, bool)> {
        if self == Self::Rustup && exists("bpf-linker") {
            return Ok((PathBuf::new(), false));
        }
        let inputs =
            format!("bpf-linker {LINKER_VERSION} for {self:?} with {DEBIAN_LINKER_FEATURE}");
        let product = Product::new(workspace::tools().join("bpf-linker"), inputs);
        let built = product.ensure(|root| self.build_linker(root))?;
        Ok((product.path().join("bin"), built))
    }

    fn build_linker(self, root: &Path) -> Result<()> {
        eprintln!("setup: building bpf-linker {LINKER_VERSION} (about a minute)");
        let build = workspace::tools().join("build");
        let mut cargo = match self {
            Self::Debian => host(),
            Self::Rustup => nightly("cargo"),
        };
        cargo.args([
            "install",
            "bpf-linker",
            "--version",
            LINKER_VERSION,
            "--locked",
            "--quiet",
        ]);
        if self == Self::Debian {
            cargo.args(["--no-default-features", "--features", DEBIAN_LINKER_FEATURE]);
            cargo.env("LLVM_PREFIX", DEBIAN_LLVM);
        }
        cargo
            .arg("--root")
            .arg(root)
            .env("CARGO_TARGET_DIR", &build);
        run_quietly(&mut cargo)?;
        remove(&build)
    }

    /// The command that builds the kernel programs in release form, short of its directories.
    pub fn kernel_cargo(self, linker: &Path) -> Command {
        self.kernel_command(linker, "build")
    }

    /// The same that looks at them with clippy instead; `-- LINTS` may follow. Installs clippy where this is possible.
    pub fn kernel_clippy(self, linker: &Path) -> Result<Command> {
        if self == Self::Debian {
            install(&[DEBIAN_CLIPPY])?;
        }
        Ok(self.kernel_command(linker, "clippy"))
    }

    fn kernel_command(self, linker: &Path, verb: &str) -> Command {
        let mut cargo = match self {
            Self::Debian => debian(verb),
            Self::Rustup => nightly("cargo"),
        };
        let path = std::env::var("PATH").unwrap_or_default();
        cargo.env("PATH", format!("{}:{path}", linker.display()));
        cargo.env("RUSTFLAGS", rust_flags());
        cargo.args([verb, "--release", "--locked", "--target", HOST.bpf_triple]);
        if self == Self::Rustup {
            cargo.args(["-Z", "build-std=core"]);
        }
        cargo
    }
}

/// Debian's cargo. It would look for clippy among the programs of rustup first, which have another compiler.
fn debian(verb: &str) -> Command {
    const CARGO: &str = "/usr/bin/cargo";
    let mut cargo = match verb {
        "clippy" => foreign("/usr/bin/cargo-clippy"),
        _ => foreign(CARGO),
    };
    // Stable by name, but the BPF target's linker arguments want unstable features.
    cargo
        .env("CARGO", CARGO)
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1");
    cargo
}

/// Debug information and `--btf` give the object the types that the loader relocates against.
fn rust_flags() -> String {
    format!(
        r#"-C debuginfo=2 -C link-arg=--btf --cfg=bpf_target_arch="{}""#,
        HOST.bpf_target
    )
}

fn nightly(program: &str) -> Command {
    let mut command = foreign("rustup");
    command.args(["run", "nightly", program]);
    command
}

fn nightly_has_source() -> bool {
    exists("rustup")
        && output(nightly("rustc").args(["--print", "sysroot"])).is_ok_and(|sysroot| {
            Path::new(sysroot.trim())
                .join("lib/rustlib/src/rust/library/core")
                .is_dir()
        })
}

fn offered() -> Result<bool> {
    if apt::offers("rustc-web")? {
        return Ok(true);
    }
    if !apt::may_install() {
        return Ok(false);
    }
    apt::update()?;
    apt::offers("rustc-web")
}

/// Installs what of `packages` is missing, or fails with the command that would; says whether there was anything to do.
pub fn install(packages: &[&str]) -> Result<bool> {
    let missing = apt::missing(packages)?;
    if missing.is_empty() {
        return Ok(false);
    }
    if !apt::may_install() {
        bail!(
            "packages are missing and only root can install them. Type this, then try again:\n  \
             sudo apt-get update && sudo apt-get install --no-install-recommends {}",
            missing.join(" ")
        );
    }
    apt::install(&missing)?;
    Ok(true)
}

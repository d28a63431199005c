//! The root disk of the test VM: a Debian 12 with systemd and with all that tests and the demonstration call.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::{command, run_quietly};
use crate::stamp::Product;
use crate::{apt, workspace};

const RELEASE: &str = "bookworm";
const PACKAGES: &[&str] = &[
    "attr",
    "bash",
    "ca-certificates",
    "curl",
    "dbus",
    "e2fsprogs",
    "gcc",
    "git",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libc6-dev",
    "make",
    "netcat-openbsd",
    "nftables",
    "nodejs",
    "openssl",
    "procps",
    "python3",
    "socat",
    "strace",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tcpdump",
    "udev",
    "util-linux",
];
/// Sparse: the packages fill a quarter of it.
const SIZE: &str = "3G";

/// Makes sure of the root disk; says where it is and whether it was made now.
pub fn ensure() -> Result<(PathBuf, bool)> {
    let setup = fs::read_to_string(workspace::guest().join("image-setup"))?;
    let inputs = format!("{RELEASE} {SIZE} {}\n{setup}", PACKAGES.join(" "));
    let product = Product::new(workspace::vm().join("root.ext4"), inputs);
    let made = product.ensure(make)?;
    Ok((product.path().to_path_buf(), made))
}

fn make(disk: &Path) -> Result<()> {
    eprintln!("setup: making the test VM's root disk (about a minute)");
    // Whoever mmdebstrap lets the disk be written by, root or the root of a user namespace, can write this.
    fs::write(disk, "")?;
    fs::set_permissions(disk, fs::Permissions::from_mode(0o666))?;
    let hook = workspace::guest().join("image-setup");
    let mut bootstrap = command("mmdebstrap");
    bootstrap.args(["--quiet", "--format=null", "--variant=minbase"]);
    bootstrap.arg(format!("--include={}", PACKAGES.join(",")));
    bootstrap.arg(format!("--customize-hook={}", hook.display()));
    bootstrap
        .args([RELEASE, "/dev/null"])
        .args(apt::debian_sources(RELEASE)?);
    bootstrap.env("IMAGE", disk).env("IMAGE_SIZE", SIZE);
    run_quietly(&mut bootstrap)
}

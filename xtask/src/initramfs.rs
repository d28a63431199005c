//! The first file system of the test VM: busybox, the modules on the way to the root disk and the shares, and `/init`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::command::{command, output, run_quietly};
use crate::kernel::{Kernel, Series};
use crate::stamp::{Product, remove};
use crate::workspace;

/// What must be loaded before the root's own modprobe is there. `crc32c_generic` is ext4's, which asks for it by
/// algorithm and so does not list it.
const WANTED: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "9pnet_virtio",
    "9p",
    "crc32c_generic",
    "ext4",
];

const INIT: &str = include_str!("../guest/initramfs-init");

/// Makes sure of the initramfs for `kernel`; says where it is and whether it was made now.
pub fn ensure(series: Series, kernel: &Kernel) -> Result<(PathBuf, bool)> {
    let inputs = format!("{}\n{}\n{INIT}", kernel.release(), WANTED.join(" "));
    let product = Product::new(
        workspace::vm().join(format!("initramfs-{series}.cpio")),
        inputs,
    );
    let made = product.ensure(|archive| {
        let tree = archive.with_extension("tree");
        remove(&tree)?;
        fill(&tree, kernel)?;
        pack(&tree, archive)?;
        remove(&tree)
    })?;
    Ok((product.path().to_path_buf(), made))
}

fn fill(tree: &Path, kernel: &Kernel) -> Result<()> {
    for directory in ["bin", "dev", "modules", "proc", "root", "sys"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    let busybox = ["/usr/bin/busybox", "/bin/busybox"]
        .iter()
        .find(|path| Path::new(path).exists());
    fs::copy(
        busybox.context("no busybox here")?,
        tree.join("bin/busybox"),
    )?;
    let init = tree.join("init");
    fs::write(&init, INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;

    let modules = kernel.modules().join(kernel.release());
    let order = load_order(
        WANTED,
        &fs::read_to_string(modules.join("modules.dep"))?,
        &fs::read_to_string(modules.join("modules.builtin"))?,
    )?;
    let mut names = String::new();
    for module in order {
        let name = file_name(&module).trim_end_matches(".xz").to_owned();
        add_module(&modules.join(&module), &tree.join("modules").join(&name))?;
        names += &format!("{name}\n");
    }
    Ok(fs::write(tree.join("modules/order"), names)?)
}

/// Copies a module, unpacked: busybox loads them as they are.
fn add_module(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)?;
    if from.extension().is_some_and(|extension| extension == "xz") {
        let packed = to.with_extension("ko.xz");
        fs::rename(to, &packed)?;
        run_quietly(command("xz").arg("--decompress").arg(&packed))?;
    }
    Ok(())
}

fn pack(tree: &Path, archive: &Path) -> Result<()> {
    let script = r#"find . -print0 | cpio --null --create --format=newc --owner=0:0 --quiet >"$1""#;
    output(
        command("sh")
            .args(["-euc", script, "sh"])
            .arg(archive)
            .current_dir(tree),
    )
    .map(drop)
}

/// The files to load for `wanted`, each after those it needs. Lines of `modules.dep` read `file: need need ...` with
/// the needs of the needs to the right. What is built into the kernel needs no file.
fn load_order(wanted: &[&str], dependencies: &str, built_in: &str) -> Result<Vec<String>> {
    let mut order: Vec<String> = Vec::new();
    for module in wanted {
        let line = dependencies
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(file, _)| is_module(file, module));
        let Some((file, needs)) = line else {
            ensure!(
                built_in.lines().any(|file| is_module(file, module)),
                "the kernel has no module {module}"
            );
            continue;
        };
        for file in needs.split_whitespace().rev().chain([file]) {
            if !order.iter().any(|present| present == file) {
                order.push(file.to_owned());
            }
        }
    }
    Ok(order)
}

fn is_module(file: &str, module: &str) -> bool {
    let stem = file_name(file).split(".ko").next().unwrap_or_default();
    stem.replace('-', "_") == module.replace('-', "_")
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str = "\
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
";

    #[test]
    fn a_module_comes_after_all_that_it_needs_and_only_once() {
        let order = load_order(&["virtio_blk", "virtio", "ext4"], DEPENDENCIES, "").unwrap();
        let order: Vec<_> = order.iter().map(|file| file_name(file)).collect();
        let expected = [
            "virtio_ring.ko",
            "virtio.ko",
            "virtio_blk.ko",
            "jbd2.ko.xz",
            "mbcache.ko.xz",
            "crc16.ko.xz",
            "ext4.ko.xz",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn a_built_in_module_needs_no_file_and_an_unknown_one_is_an_error() {
        let built_in = "kernel/drivers/char/virtio-console.ko\n";
        assert!(
            load_order(&["virtio_console"], DEPENDENCIES, built_in)
                .unwrap()
                .is_empty()
        );
        assert!(
            load_order(&["9p"], DEPENDENCIES, built_in)
                .unwrap_err()
                .to_string()
                .contains("9p")
        );
    }
}

//! `setup`: what building and testing stand on, each piece made once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::arch::HOST;
use crate::kernel::{Kernel, Series};
use crate::machine::{Machine, install};
use crate::{apt, initramfs, rootfs, workspace};

/// What the test VM is made with and run by, beside the emulator.
const VM_PACKAGES: &[&str] = &[
    "busybox-static",
    "cpio",
    "e2fsprogs",
    "kmod",
    "mmdebstrap",
    "uidmap", // for mmdebstrap, when it is not run by root
    "util-linux",
    "xz-utils",
    HOST.qemu_package,
];

/// Arguments of `setup`.
#[derive(Args)]
pub struct Arguments {
    /// Fetch the newest kernels of both series again
    #[arg(long)]
    renew_kernels: bool,
}

/// Sets up everything and says in one line what was done.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let toolchain = toolchain()?;
    let mut done = Vec::new();
    if toolchain.built_linker {
        done.push("bpf-linker".to_owned());
    }
    let lock = lock()?;
    vm_packages()?;
    if arguments.renew_kernels && apt::may_install() {
        apt::update()?; // the newest that the lists know of is not the newest
    }
    for series in Series::ALL {
        let (kernel, fetched) = Kernel::ensure(series, arguments.renew_kernels)?;
        if fetched {
            done.push(format!("Linux {}", kernel.release()));
        }
    }
    drop(lock);
    for series in Series::ALL {
        done.extend(guest(series)?.made);
    }
    let kind = match toolchain.machine {
        Machine::Debian => "Debian's rustc-web",
        Machine::Rustup => "rustup's nightly",
    };
    match done.as_slice() {
        [] => println!("setup: all was in place (compiler of kernel programs: {kind})"),
        done => println!(
            "setup: made {} (compiler of kernel programs: {kind})",
            done.join(", ")
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// What builds kernel programs.
pub struct Toolchain {
    /// The kind of machine.
    pub machine: Machine,
    /// The directory of bpf-linker; empty when it is on `PATH`.
    pub linker: PathBuf,
    built_linker: bool,
}

/// Makes sure that kernel programs can be built.
pub fn toolchain() -> Result<Toolchain> {
    let _lock = lock()?;
    let machine = Machine::detect()?;
    let (linker, built_linker) = machine.ensure_linker()?;
    Ok(Toolchain {
        machine,
        linker,
        built_linker,
    })
}

/// What a VM of one kernel series boots from.
pub struct Guest {
    /// The kernel.
    pub kernel: Kernel,
    /// Its first file system.
    pub initramfs: PathBuf,
    /// The root disk, the same for every series.
    pub root_disk: PathBuf,
    made: Vec<String>,
}

/// Makes sure that a VM of this series can be booted.
pub fn guest(series: Series) -> Result<Guest> {
    let _lock = lock()?;
    vm_packages()?;
    let mut made = Vec::new();
    let (kernel, fetched) = Kernel::ensure(series, false)?;
    if fetched {
        made.push(format!("Linux {}", kernel.release()));
    }
    let (initramfs, packed) = initramfs::ensure(series, &kernel)?;
    if packed {
        made.push(format!("the initramfs of {series}"));
    }
    let (root_disk, filled) = rootfs::ensure()?;
    if filled {
        made.push("the root disk".to_owned());
    }
    Ok(Guest {
        kernel,
        initramfs,
        root_disk,
        made,
    })
}

fn vm_packages() -> Result<()> {
    if !apt::is_here() {
        bail!(
            "the test VM is made of Debian's packages by apt and mmdebstrap, which this machine does not have"
        );
    }
    install(VM_PACKAGES).map(drop)
}

/// Held while products are looked at and made: several verbs may run at once. Not to be taken twice.
pub fn lock() -> Result<File> {
    lock_in(&workspace::target())
}

fn lock_in(directory: &Path) -> Result<File> {
    let path = directory.join("setup.lock");
    fs::create_dir_all(directory)?;
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::scratch::Scratch;
    use crate::stamp::Product;

    /// Where the run that is killed works.
    const DIRECTORY: &str = "XTASK_TEST_DIRECTORY";

    fn product(directory: &Path) -> Product {
        Product::new(directory.join("kernel"), "one")
    }

    #[test]
    #[ignore = "the next test starts it, and kills it half-way"]
    fn half_way() {
        let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
            return;
        };
        let _lock = lock_in(&directory).unwrap();
        let made = product(&directory).ensure(|partial| {
            fs::create_dir(partial)?;
            fs::write(partial.join("half"), "")?;
            loop {
                std::thread::park();
            }
        });
        unreachable!("{made:?}");
    }

    #[test]
    fn a_set_up_that_was_killed_half_way_is_done_anew_by_the_next_one() {
        let scratch = Scratch::new();
        let directory = scratch.path();
        let mut killed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "setup::tests::half_way", "--ignored"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (half, patience) = (
            directory.join("kernel.partial/half"),
            Duration::from_secs(60),
        );
        let began = Instant::now();
        while !half.exists() {
            assert!(began.elapsed() < patience && killed.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(5));
        }
        let lock = File::open(directory.join("setup.lock")).unwrap();
        assert!(lock.try_lock().is_err(), "two would make it at once");
        killed.kill().unwrap();
        killed.wait().unwrap();

        let _lock = lock_in(directory).unwrap();
        let product = product(directory);
        assert!(!product.is_current() && !product.path().exists());
        assert!(
            product
                .ensure(|partial| Ok(fs::create_dir(partial)?))
                .unwrap()
        );
        assert!(product.is_current() && !product.path().join("half").exists());
        assert!(!half.exists());
    }
}

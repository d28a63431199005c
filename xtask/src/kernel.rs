//! The kernels of the test VM: the newest of each series from Debian's packages, unpacked and not installed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::arch::HOST;
use crate::command::{command, run_quietly};
use crate::stamp::{Product, remove};
use crate::{apt, workspace};

/// A series of kernels that the product is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Series {
    /// Debian 12's own, the oldest supported.
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12's backport.
    #[value(name = "6.12")]
    V6_12,
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        })
    }
}

impl Series {
    /// All of them, oldest first.
    pub const ALL: [Self; 2] = [Self::V6_1, Self::V6_12];

    /// What stands before and after the number that Debian counts up in the package's name.
    fn name_parts(self) -> (&'static str, &'static str) {
        match self {
            Self::V6_1 => ("linux-image-6.1.0-", "-"),
            Self::V6_12 => ("linux-image-6.12.", "+deb12-"),
        }
    }

    /// The number that Debian counts up, when `package` is a kernel image of this series for `architecture`.
    fn number(self, package: &str, architecture: &str) -> Option<u32> {
        let (before, after) = self.name_parts();
        let rest = package.strip_prefix(before)?;
        let (number, rest) = rest.split_once(after)?;
        let flavour = rest.strip_suffix("-unsigned").unwrap_or(rest);
        if flavour == architecture {
            number.parse().ok()
        } else {
            None
        }
    }
}

/// The newest kernel package of the series, the signed one where both are offered.
fn newest<'a>(packages: &'a [String], series: Series, architecture: &str) -> Option<&'a str> {
    packages
        .iter()
        .filter_map(|package| {
            let number = series.number(package, architecture)?;
            Some((number, !package.ends_with("-unsigned"), package.as_str()))
        })
        .max()
        .map(|(_, _, package)| package)
}

/// An unpacked kernel.
pub struct Kernel {
    directory: PathBuf,
    release: String,
}

impl Kernel {
    /// Makes sure that a kernel of the series is there; says whether it was fetched now. One that is there stays until
    /// `renew`, also when Debian has a newer one by now.
    pub fn ensure(series: Series, renew: bool) -> Result<(Self, bool)> {
        let product = Product::new(
            workspace::vm().join(format!("kernel-{series}")),
            format!("kernel {series}, layout 1"),
        );
        if renew {
            remove(product.path())?;
        }
        let made = product.ensure(|partial| unpack(series, partial))?;
        Ok((Self::at(product.path())?, made))
    }

    fn at(directory: &Path) -> Result<Self> {
        let modules = directory.join("lib/modules");
        let release = fs::read_dir(&modules)
            .with_context(|| format!("no modules in {}", modules.display()))?
            .next()
            .context("the kernel package holds no modules")??;
        Ok(Self {
            directory: directory.to_path_buf(),
            release: release.file_name().to_string_lossy().into_owned(),
        })
    }

    /// What `uname -r` says in it.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The file that the emulator boots.
    pub fn image(&self) -> PathBuf {
        self.directory
            .join(format!("boot/{}-{}", HOST.kernel_file, self.release))
    }

    /// The directory that belongs at `/lib/modules`.
    pub fn modules(&self) -> PathBuf {
        self.directory.join("lib/modules")
    }
}

fn unpack(series: Series, directory: &Path) -> Result<()> {
    let fetch = || {
        let package = resolve(series)?;
        eprintln!("setup: fetching {package} (70 to 110 MB)");
        apt::download(&package, &workspace::vm().join("dl"))
    };
    let archive = match fetch() {
        Ok(archive) => archive,
        // Debian keeps the newest of a series: with old lists, the name is that of a file that is gone.
        Err(_) if apt::may_install() => apt::update().and_then(|()| fetch())?,
        Err(error) => return Err(error),
    };
    unpack_archive(&archive, directory)?;
    let kernel = Kernel::at(directory)?;
    run_quietly(
        command("depmod")
            .arg("-b")
            .arg(directory)
            .arg(&kernel.release),
    )
}

fn unpack_archive(archive: &Path, directory: &Path) -> Result<()> {
    let unpacked = run_quietly(command("dpkg-deb").arg("-x").arg(archive).arg(directory));
    if unpacked.is_err() {
        // A damaged file of the right name and size would be taken for whole again.
        remove(archive)?;
    }
    unpacked
}

fn resolve(series: Series) -> Result<String> {
    let (before, _) = series.name_parts();
    let pattern = format!("^{}", before.replace('.', "\\."));
    let offered = apt::names(&pattern)?;
    if let Some(package) = newest(&offered, series, HOST.debian) {
        return Ok(package.to_owned());
    }
    if apt::may_install() {
        apt::update()?;
    }
    let offered = apt::names(&pattern)?;
    match newest(&offered, series, HOST.debian) {
        Some(package) => Ok(package.to_owned()),
        None => bail!(
            "apt offers no Linux {series} image. It is in Debian 12's bookworm and bookworm-security; \
             with these in /etc/apt/sources.list, type: sudo apt-get update"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn pick(series: Series, offered: &[&str]) -> Option<String> {
        let offered: Vec<_> = offered
            .iter()
            .map(|package| (*package).to_owned())
            .collect();
        newest(&offered, series, "amd64").map(str::to_owned)
    }

    #[test]
    fn the_newest_is_the_greatest_number_not_the_last_in_the_alphabet() {
        let offered = [
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-47-amd64",
        ];
        assert_eq!(
            pick(Series::V6_1, &offered).unwrap(),
            "linux-image-6.1.0-56-amd64"
        );
        let offered = [
            "linux-image-6.12.100+deb12-amd64",
            "linux-image-6.12.99+deb12-amd64",
        ];
        assert_eq!(
            pick(Series::V6_12, &offered).unwrap(),
            "linux-image-6.12.100+deb12-amd64"
        );
    }

    #[test]
    fn an_unsigned_image_serves_where_it_is_the_newest_and_not_where_a_signed_one_is_as_new() {
        let offered = [
            "linux-image-6.12.115+deb12-amd64",
            "linux-image-6.12.117+deb12-amd64-unsigned",
        ];
        assert_eq!(pick(Series::V6_12, &offered).unwrap(), offered[1]);
        let offered = [
            "linux-image-6.12.117+deb12-amd64-unsigned",
            "linux-image-6.12.117+deb12-amd64",
        ];
        assert_eq!(pick(Series::V6_12, &offered).unwrap(), offered[1]);
    }

    #[test]
    fn other_packages_of_the_same_family_are_not_kernels_to_boot() {
        let offered = [
            "linux-image-6.1.0-60-amd64-dbg",
            "linux-image-6.1.0-60-rt-amd64",
            "linux-image-6.1.0-60-cloud-amd64",
            "linux-image-6.1.0-60-arm64",
            "linux-image-6.12.60+deb12-cloud-amd64-unsigned",
            "linux-image-6.12.60+deb13-amd64",
        ];
        assert_eq!(pick(Series::V6_1, &offered), None);
        assert_eq!(pick(Series::V6_12, &offered), None);
    }

    #[test]
    fn a_damaged_archive_is_thrown_away_and_the_next_run_unpacks_a_whole_one() {
        let scratch = Scratch::new();
        let archive = scratch.package("some-kernel", "lib/modules/6.1.0/modules.dep");
        let whole = fs::read(&archive).unwrap();
        // Of its full size, so that apt takes it for what it was to fetch.
        let mut damaged = whole.clone();
        let half = damaged.len() / 2;
        damaged[half..].fill(0);
        fs::write(&archive, damaged).unwrap();
        let product = Product::new(scratch.path().join("kernel"), "one");
        let unpack = |partial: &Path| unpack_archive(&archive, partial);
        assert!(product.ensure(unpack).is_err() && !product.is_current());
        assert!(!archive.exists(), "it would be unpacked again and again");

        fs::write(&archive, whole).unwrap(); // fetched again
        assert!(product.ensure(unpack).unwrap());
        assert_eq!(Kernel::at(product.path()).unwrap().release(), "6.1.0");
    }

    #[test]
    fn one_series_is_not_taken_for_another() {
        assert_eq!(
            pick(Series::V6_1, &["linux-image-6.12.117+deb12-amd64"]),
            None
        );
        assert_eq!(pick(Series::V6_12, &["linux-image-6.1.0-56-amd64"]), None);
    }
}

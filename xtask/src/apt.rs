//! Debian's packages: what is installed, what is offered, installing and fetching.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::command::{command, exists, output, run_quietly};

/// Whether this machine is kept by apt.
pub fn is_here() -> bool {
    exists("apt-get") && exists("dpkg-query")
}

/// Those of `packages` that are not installed.
pub fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let listed = command("dpkg-query")
        .args(["-W", "-f=${Package} ${db:Status-Status}\n"])
        .args(packages)
        .stderr(Stdio::null())
        .output()
        .context("cannot start dpkg-query")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(packages
        .iter()
        .copied()
        .filter(|package| !is_installed(&listed, package))
        .collect())
}

fn is_installed(listed: &str, package: &str) -> bool {
    listed
        .lines()
        .any(|line| line.split_once(' ') == Some((package, "installed")))
}

/// Whether apt offers `package`.
pub fn offers(package: &str) -> Result<bool> {
    Ok(
        !output(command("apt-cache").args(["search", "--names-only", &format!("^{package}$")]))?
            .trim()
            .is_empty(),
    )
}

/// The names of the packages that match `pattern`, an extended regular expression.
pub fn names(pattern: &str) -> Result<Vec<String>> {
    let found = output(command("apt-cache").args(["search", "--names-only", pattern]))?;
    Ok(found
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}

/// Whether this process may install packages.
pub fn may_install() -> bool {
    // std does not tell the effective user; the kernel does.
    fs::read_to_string("/proc/self/status").is_ok_and(|status| effective_user(&status) == Some("0"))
}

fn effective_user(status: &str) -> Option<&str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .nth(1)
}

/// Renews the lists of what apt offers.
pub fn update() -> Result<()> {
    eprintln!("setup: renewing apt's package lists");
    run_quietly(command("apt-get").args(["-q", "update"]))
}

/// Installs `packages`, with the lists renewed first when they are not there or too old for it.
pub fn install(packages: &[&str]) -> Result<()> {
    eprintln!(
        "setup: installing {} (apt, a minute or two)",
        packages.join(" ")
    );
    let install = || {
        run_quietly(
            command("apt-get")
                .args([
                    "-q",
                    "-y",
                    "--no-install-recommends",
                    "-o",
                    "DPkg::Lock::Timeout=300",
                    "install",
                ])
                .args(packages)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    install().or_else(|_| update().and_then(|()| install()))
}

/// Fetches `package` into `directory` without installing it. What is there already and whole is kept, what is there
/// in part is completed.
pub fn download(package: &str, directory: &Path) -> Result<PathBuf> {
    download_by(command("apt-get"), package, directory)
}

fn download_by(mut apt: Command, package: &str, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory)?;
    run_quietly(
        apt.args(["-q", "-o", "APT::Sandbox::User=root", "download", package])
            .current_dir(directory),
    )?;
    let mut files: Vec<_> = fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_archive_of(path, package))
        .collect();
    files.sort_by_key(|path| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()
    });
    match files.pop() {
        Some(newest) => Ok(newest),
        None => bail!(
            "apt-get download {package} left no file in {}",
            directory.display()
        ),
    }
}

fn is_archive_of(path: &Path, package: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".deb")
        .is_some_and(|name| name.split('_').next() == Some(package))
}

/// The `deb` lines of Debian's own archives that this machine uses for `release`, or the public one where it uses none.
pub fn debian_sources(release: &str) -> Result<Vec<String>> {
    let format = "$(ORIGIN)|$(CREATED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)";
    let targets = output(command("apt-get").args(["indextargets", "--format", format]))?;
    Ok(sources_from(&targets, release))
}

fn sources_from(targets: &str, release: &str) -> Vec<String> {
    const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let mut sources = Vec::new();
    for target in targets.lines() {
        let &[origin, created_by, uri, suite, component] =
            target.split('|').collect::<Vec<_>>().as_slice()
        else {
            continue;
        };
        let of_release = suite == release
            || suite
                .strip_prefix(release)
                .is_some_and(|rest| rest.starts_with('-'));
        let line = format!("deb [signed-by={KEYS}] {uri} {suite} {component}");
        if origin == "Debian" && created_by == "Packages" && of_release && !sources.contains(&line)
        {
            sources.push(line);
        }
    }
    if sources.is_empty() {
        sources.push(format!(
            "deb [signed-by={KEYS}] http://deb.debian.org/debian {release} main"
        ));
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// apt, knowing of one archive alone, which lies in this folder.
    fn apt_of(archive: &Path) -> Command {
        let mut apt = command("apt-get");
        for (option, value) in [
            ("Dir::State", archive.join("state")),
            ("Dir::Cache", archive.join("cache")),
            ("Dir::Etc::sourcelist", archive.join("sources.list")),
            ("Dir::Etc::sourceparts", PathBuf::from("/dev/null")),
        ] {
            apt.arg("-o").arg(format!("{option}={}", value.display()));
        }
        apt
    }

    #[test]
    fn a_package_that_was_fetched_in_part_is_completed_and_a_whole_one_kept() {
        let scratch = Scratch::new();
        let archive = scratch.path();
        let package = scratch.package("some-package", "usr/share/some-file");
        let whole = fs::read(&package).unwrap();
        let digest = output(command("sha256sum").arg(&package)).unwrap();
        let index = format!(
            "Package: some-package\nVersion: 1\nArchitecture: all\nFilename: ./some-package_1_all.deb\n\
             Size: {}\nSHA256: {}\n",
            whole.len(),
            digest.split(' ').next().unwrap()
        );
        fs::write(archive.join("Packages"), index).unwrap();
        let source = format!("deb [trusted=yes] file:{} ./\n", archive.display());
        fs::write(archive.join("sources.list"), source).unwrap();
        for folder in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(archive.join(folder)).unwrap();
        }
        let mut update = apt_of(archive);
        run_quietly(update.args(["-q", "-o", "APT::Sandbox::User=root", "update"])).unwrap();

        let fetched = archive.join("dl");
        fs::create_dir(&fetched).unwrap();
        let there = fetched.join("some-package_1_all.deb");
        for part in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
            fs::write(&there, &whole[..part]).unwrap();
            let file = download_by(apt_of(archive), "some-package", &fetched).unwrap();
            assert_eq!(file, there);
            assert_eq!(fs::read(&there).unwrap(), whole, "from {part} bytes");
        }
    }

    #[test]
    fn only_a_wholly_installed_package_counts() {
        let listed = "cpio installed\nkmod config-files\nbusybox-static half-installed\n";
        assert!(is_installed(listed, "cpio"));
        assert!(!is_installed(listed, "kmod") && !is_installed(listed, "busybox-static"));
        assert!(!is_installed(listed, "cpi"));
    }

    #[test]
    fn the_second_of_the_four_users_is_the_effective_one() {
        assert_eq!(
            effective_user("Name:\tx\nUid:\t1000\t0\t1000\t1000\nGid:\t5\n"),
            Some("0")
        );
    }

    #[test]
    fn the_guest_is_made_from_debians_archives_of_its_release_only() {
        let targets = "\
Debian|Packages|http://mirror/debian/|bookworm|main
Debian|Contents|http://mirror/debian/|bookworm|main
Debian|Packages|http://mirror/debian-security/|bookworm-security|main
Debian|Packages|http://mirror/debian/|trixie|main
Elsewhere|Packages|http://else/|bookworm|main
";
        let suites: Vec<_> = sources_from(targets, "bookworm")
            .iter()
            .map(|line| line.split(' ').skip(2).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            suites,
            [
                "http://mirror/debian/ bookworm main",
                "http://mirror/debian-security/ bookworm-security main"
            ]
        );
        assert_eq!(sources_from("", "bookworm").len(), 1, "the public archive");
    }

    #[test]
    fn an_archive_is_matched_by_its_whole_package_name() {
        let path = Path::new("dl/linux-image-6.1.0-56-amd64_6.1.192-2_amd64.deb");
        assert!(is_archive_of(path, "linux-image-6.1.0-56-amd64"));
        assert!(!is_archive_of(path, "linux-image-6.1.0-5"));
        assert!(!is_archive_of(Path::new("x.deb.FAILED"), "x"));
    }
}

//! The host's files, and what they say of it.
#![forbid(unsafe_code)]

use std::{fs, sync::OnceLock};

use super::{Check, CheckState, Refused};

/// Oldest kernel that is enforced on: major, minor.
pub const OLDEST_KERNEL: (u32, u32) = (6, 1);
/// Where bpffs belongs.
pub const BPFFS: &str = "/sys/fs/bpf";

/// The files that tell of the host, as read; `None` = not there or not readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `/proc/sys/kernel/osrelease`.
    pub release: Option<String>,
    /// `/sys/kernel/security/lsm`: the active security modules, in order.
    pub lsm: Option<String>,
    /// `/proc/cmdline`.
    pub cmdline: Option<String>,
    /// `/sys/kernel/security/lockdown`.
    pub lockdown: Option<String>,
    /// `/sys/kernel/btf/vmlinux` can be opened.
    pub btf: bool,
    /// `/proc/self/mounts`.
    pub mounts: Option<String>,
    /// `/proc/self/status`.
    pub status: Option<String>,
}

impl Host {
    /// Reads the files of this host.
    #[must_use]
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).ok();
        Self {
            release: text("/proc/sys/kernel/osrelease"),
            lsm: text("/sys/kernel/security/lsm"),
            cmdline: text("/proc/cmdline"),
            lockdown: text("/sys/kernel/security/lockdown"),
            btf: fs::File::open("/sys/kernel/btf/vmlinux").is_ok(),
            mounts: text("/proc/self/mounts"),
            status: text("/proc/self/status"),
        }
    }

    /// Every check, in the order in which they build on one another.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        vec![
            self.kernel(),
            self.security_modules(),
            self.type_information(),
            self.lockdown(),
            self.privileges(),
            self.bpffs(),
        ]
    }

    /// Fails unless every check holds, bpffs aside: the daemon mounts that itself.
    ///
    /// # Errors
    /// [`Refused`], with the checks that failed.
    pub fn can_enforce(&self) -> Result<(), Refused> {
        let stands = |check: &Check| check.state == CheckState::Failed && check.name != BPFFS_CHECK;
        let checks: Vec<Check> = self.checks().into_iter().filter(stands).collect();
        if checks.is_empty() {
            Ok(())
        } else {
            Err(Refused { checks })
        }
    }

    /// The kernel's version: major, minor.
    #[must_use]
    pub fn version(&self) -> Option<(u32, u32)> {
        version(self.release.as_deref()?.trim())
    }

    fn kernel(&self) -> Check {
        const NAME: &str = "kernel";
        let (major, minor) = OLDEST_KERNEL;
        let fix = format!("boot Linux {major}.{minor} or newer");
        let Some(release) = self.release.as_deref().map(str::trim) else {
            return Check::failed(NAME, "the kernel's version is not readable", "mount /proc");
        };
        match version(release) {
            Some(found) if found >= OLDEST_KERNEL => Check::ok(NAME, format!("Linux {release}")),
            Some(_) => Check::failed(NAME, format!("Linux {release} is too old"), fix),
            None => Check::failed(
                NAME,
                format!("`{release}` is no version that is known"),
                fix,
            ),
        }
    }

    fn security_modules(&self) -> Check {
        const NAME: &str = "lsm";
        let Some(active) = self.lsm.as_deref().map(str::trim) else {
            return Check::failed(
                NAME,
                "the list of security modules (/sys/kernel/security/lsm) is not readable",
                "mount -t securityfs securityfs /sys/kernel/security",
            );
        };
        if modules(active).any(|module| module == "bpf") {
            return Check::ok(NAME, format!("active: {active}"));
        }
        let asked = self.cmdline.as_deref().and_then(asked_modules);
        if asked.is_some_and(|list| modules(list).any(|module| module == "bpf")) {
            return Check::failed(
                NAME,
                format!("the kernel was asked for `bpf` and does not have it; active: {active}"),
                "boot a kernel that is built with CONFIG_BPF_LSM=y",
            );
        }
        Check::failed(
            NAME,
            format!("`bpf` is not among the active security modules: {active}"),
            lsm_fix(active, asked),
        )
    }

    fn type_information(&self) -> Check {
        const NAME: &str = "btf";
        if self.btf {
            return Check::ok(NAME, "/sys/kernel/btf/vmlinux");
        }
        Check::failed(
            NAME,
            "the kernel does not describe its types: /sys/kernel/btf/vmlinux cannot be opened",
            "boot a kernel that is built with CONFIG_DEBUG_INFO_BTF=y",
        )
    }

    fn lockdown(&self) -> Check {
        const NAME: &str = "lockdown";
        match self.lockdown.as_deref().map(str::trim) {
            // LOCKDOWN_BPF_READ_KERNEL is refused at this level, and with it every kernel read.
            Some(modes) if modes.contains("[confidentiality]") => Check::failed(
                NAME,
                "the kernel is locked down for confidentiality: programs may not read kernel memory",
                "boot with `lockdown=integrity`, or without `lockdown=`",
            ),
            Some(modes) => Check::ok(NAME, modes),
            None => Check::ok(NAME, "not built in"),
        }
    }

    fn privileges(&self) -> Check {
        const NAME: &str = "privileges";
        const FIX: &str = "run as root: systemctl start enforcer";
        let Some(held) = self.status.as_deref().and_then(effective_capabilities) else {
            return Check::failed(
                NAME,
                "the capabilities of this process are not readable",
                "mount /proc",
            );
        };
        let missing: Vec<&str> = NEEDED_CAPABILITIES
            .iter()
            .filter(|(bit, _)| held & (1 << bit) == 0)
            .map(|&(_, name)| name)
            .collect();
        if missing.is_empty() {
            return Check::ok(NAME, "this process may load programs");
        }
        Check::failed(
            NAME,
            format!("this process lacks {}", missing.join(", ")),
            FIX,
        )
    }

    fn bpffs(&self) -> Check {
        let mounted = self.mounts.as_deref().is_some_and(|mounts| {
            mounts.lines().any(|line| {
                let mut fields = line.split(' ').skip(1);
                fields.next() == Some(BPFFS) && fields.next() == Some("bpf")
            })
        });
        if mounted {
            return Check::ok(BPFFS_CHECK, BPFFS);
        }
        Check::failed(
            BPFFS_CHECK,
            format!("no bpf file system at {BPFFS}; the daemon mounts it when it starts"),
            format!("mount -t bpf bpf {BPFFS}"),
        )
    }
}

const BPFFS_CHECK: &str = "bpffs";

/// Capabilities without which the daemon cannot work, by bit of `linux/capability.h`.
const NEEDED_CAPABILITIES: [(u32, &str); 3] =
    [(21, "CAP_SYS_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

/// Whether this kernel runs a security program even while the same processor is in another one.
///
/// Kernels without that skip a program when the task that runs it was preempted by one that calls the
/// same hook: that call would not be judged at all. It came with "bpf: Remove prog->active check for
/// bpf_lsm and bpf_iter" (6.2), which 6.1.54 has too.
#[must_use]
pub fn reentry() -> Check {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let found = *FOUND.get_or_init(|| {
        fs::read_to_string("/proc/kallsyms").is_ok_and(|symbols| has_symbol(&symbols, REENTRANT))
    });
    if found {
        return Check::ok(REENTRY_CHECK, format!("the kernel has {REENTRANT}"));
    }
    Check::failed(
        REENTRY_CHECK,
        format!("/proc/kallsyms shows no {REENTRANT}: under load this kernel may skip a program"),
        "boot a newer kernel of the same series",
    )
}

const REENTRY_CHECK: &str = "reentry";
const REENTRANT: &str = "__bpf_prog_enter_recur";

fn has_symbol(symbols: &str, wanted: &str) -> bool {
    symbols
        .lines()
        .any(|line| line.split_whitespace().nth(2) == Some(wanted))
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn modules(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|module| !module.is_empty())
}

/// Value of `lsm=` on the kernel command line; the last one counts, as in the kernel.
fn asked_modules(cmdline: &str) -> Option<&str> {
    cmdline
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("lsm="))
        .next_back()
}

/// The parameter that adds `bpf` and drops nothing: what was asked for, then what is active beside.
fn lsm_fix(active: &str, asked: Option<&str>) -> String {
    let mut wanted: Vec<&str> = asked.into_iter().flat_map(modules).collect();
    for module in modules(active) {
        if !wanted.contains(&module) {
            wanted.push(module);
        }
    }
    wanted.push("bpf");
    let how = if asked.is_some() {
        "change the kernel command line's `lsm=` to"
    } else {
        "add to the kernel command line"
    };
    format!(
        "{how} `lsm={}` (GRUB: GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub) and reboot",
        wanted.join(",")
    )
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn able() -> Host {
        Host {
            release: Some("6.1.0-56-amd64\n".into()),
            lsm: Some("lockdown,capability,landlock,yama,bpf\n".into()),
            cmdline: Some("quiet lsm=lockdown,capability,landlock,yama,bpf\n".into()),
            lockdown: Some("[none] integrity confidentiality\n".into()),
            btf: true,
            mounts: Some("proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw,mode=700 0 0\n".into()),
            status: Some("Name:\tenforcer\nCapEff:\t000001ffffffffff\n".into()),
        }
    }

    #[test]
    fn an_able_host_passes_every_check() {
        assert!(
            able()
                .checks()
                .iter()
                .all(|check| check.state == CheckState::Ok),
            "{:?}",
            able().checks()
        );
        assert_eq!(able().can_enforce(), Ok(()));
    }

    #[test]
    fn the_fix_keeps_every_module_and_adds_bpf() {
        for (active, cmdline, state, fix) in [
            ("lockdown,capability,yama,bpf", "", CheckState::Ok, None),
            (
                "capability",
                "quiet",
                CheckState::Failed,
                Some("add to the kernel command line `lsm=capability,bpf` ("),
            ),
            (
                "lockdown,capability,yama,apparmor",
                "",
                CheckState::Failed,
                Some("`lsm=lockdown,capability,yama,apparmor,bpf`"),
            ),
            (
                "capability,yama,apparmor",
                "lsm=selinux lsm=yama,tomoyo",
                CheckState::Failed,
                Some(
                    "change the kernel command line's `lsm=` to `lsm=yama,tomoyo,capability,apparmor,bpf`",
                ),
            ),
            (
                "capability",
                "ro lsm=capability,bpf",
                CheckState::Failed,
                Some("CONFIG_BPF_LSM=y"),
            ),
            (
                "capability,bpfilter",
                "",
                CheckState::Failed,
                Some("`lsm=capability,bpfilter,bpf`"),
            ),
        ] {
            let host = Host {
                lsm: Some(active.into()),
                cmdline: Some(cmdline.into()),
                ..able()
            };
            let check = host.security_modules();
            assert_eq!(check.state, state, "{active}");
            assert_eq!(check.fix.is_some(), fix.is_some(), "{active}");
            let found = check.fix.unwrap_or_default();
            assert!(found.contains(fix.unwrap_or_default()), "{active}: {found}");
        }
    }

    #[test]
    fn each_lack_fails_its_own_check_and_no_other() {
        let cases: [(&str, Host); 7] = [
            (
                "kernel",
                Host {
                    release: Some("5.15.0-generic".into()),
                    ..able()
                },
            ),
            (
                "kernel",
                Host {
                    release: Some("nonsense".into()),
                    ..able()
                },
            ),
            (
                "lsm",
                Host {
                    lsm: None,
                    ..able()
                },
            ),
            (
                "btf",
                Host {
                    btf: false,
                    ..able()
                },
            ),
            (
                "lockdown",
                Host {
                    lockdown: Some("none integrity [confidentiality]".into()),
                    ..able()
                },
            ),
            (
                "privileges",
                Host {
                    status: Some("CapEff:\t0000000000000000".into()),
                    ..able()
                },
            ),
            (
                "bpffs",
                Host {
                    mounts: Some("bpf /mnt bpf rw 0 0".into()),
                    ..able()
                },
            ),
        ];
        for (name, host) in cases {
            let failed: Vec<Check> = host
                .checks()
                .into_iter()
                .filter(|check| check.state == CheckState::Failed)
                .collect();
            assert_eq!(
                failed
                    .iter()
                    .map(|check| check.name.as_str())
                    .collect::<Vec<_>>(),
                [name]
            );
            assert!(failed[0].fix.is_some(), "{name} names no fix");
        }
    }

    #[test]
    fn only_bpffs_can_be_put_right_by_the_daemon() {
        assert_eq!(
            Host {
                mounts: None,
                ..able()
            }
            .can_enforce(),
            Ok(())
        );
        let refused = Host {
            btf: false,
            ..able()
        }
        .can_enforce()
        .expect_err("no BTF");
        assert_eq!(refused.checks.len(), 1);
        assert!(refused.to_string().contains("btf"));
    }

    #[test]
    fn a_symbol_is_found_by_its_whole_name() {
        let symbols = "0 T __bpf_prog_enter\n0 T __bpf_prog_enter_recur\n0 t x [mod]\n";
        assert!(has_symbol(symbols, "__bpf_prog_enter_recur"));
        assert!(!has_symbol(symbols, "__bpf_prog_enter_re"));
        assert!(!has_symbol("", "x"));
    }

    #[test]
    fn versions_compare_as_numbers() {
        for (release, expected) in [
            ("6.12.115+deb12-amd64", Some((6, 12))),
            ("6.1", Some((6, 1))),
            ("10.0-rc1", Some((10, 0))),
            ("x", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
    }
}

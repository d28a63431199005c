//! Which suites there are. All that `cargo xtask test` runs stands in these tables.

use crate::kernel::Series;
use crate::vm::{Arguments, DEFAULT_LSM};

/// A suite on the build machine: one command.
pub struct HostSuite {
    /// Its name, in the summary and on the command line.
    pub name: &'static str,
    /// What is run.
    pub command: HostCommand,
    /// A check of the text, which has no tests to count: it passes or fails as one.
    pub is_check: bool,
}

/// What a suite on the build machine runs.
pub enum HostCommand {
    /// Cargo, told this.
    Cargo(&'static [&'static str]),
    /// Clippy, of the toolchain for kernel programs.
    KernelClippy,
}

/// On the build machine, in this order.
pub const HOST: &[HostSuite] = &[
    HostSuite {
        name: "format",
        command: HostCommand::Cargo(&["fmt", "--all", "--check"]),
        is_check: true,
    },
    HostSuite {
        name: "format-kernel",
        command: HostCommand::Cargo(&[
            "fmt",
            "--manifest-path",
            "enforcer-ebpf/Cargo.toml",
            "--",
            "--check",
        ]),
        is_check: true,
    },
    HostSuite {
        name: "clippy",
        command: HostCommand::Cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
        is_check: true,
    },
    HostSuite {
        name: "clippy-kernel",
        command: HostCommand::KernelClippy,
        is_check: true,
    },
    HostSuite {
        name: "common",
        command: HostCommand::Cargo(&[
            "test",
            "--locked",
            "-p",
            "enforcer-common",
            "--all-features",
        ]),
        is_check: false,
    },
    HostSuite {
        name: "policy",
        command: HostCommand::Cargo(&["test", "--locked", "-p", "enforcer-policy"]),
        is_check: false,
    },
    HostSuite {
        name: "evidence",
        command: HostCommand::Cargo(&["test", "--locked", "-p", "enforcer-evidence"]),
        is_check: false,
    },
    HostSuite {
        name: "sinks",
        command: HostCommand::Cargo(&["test", "--locked", "-p", "enforcer-sinks"]),
        is_check: false,
    },
    HostSuite {
        name: "forms",
        command: HostCommand::Cargo(&["test", "--locked", "-p", "enforcer-forms"]),
        is_check: false,
    },
    HostSuite {
        name: "report",
        command: HostCommand::Cargo(&["test", "--locked", "-p", "enforcer-report"]),
        is_check: false,
    },
    HostSuite {
        name: "enforcer",
        command: HostCommand::Cargo(&["test", "--locked", "-p", "enforcer"]),
        is_check: false,
    },
    HostSuite {
        name: "xtask",
        command: HostCommand::Cargo(&["test", "--locked", "-p", "xtask"]),
        is_check: false,
    },
    // It boots VMs of its own, one after the other.
    HostSuite {
        name: "vm",
        command: HostCommand::Cargo(&[
            "test",
            "--locked",
            "-p",
            "xtask",
            "--test",
            "vm",
            "--",
            "--ignored",
            "--test-threads=1",
        ]),
        is_check: false,
    },
];

/// A way to boot the test VM, and the test programs of the package `enforcer-tests` that run in it one after the other.
pub struct Boot {
    /// Its name on the command line.
    pub name: &'static str,
    /// The files under `tests/tests/` that need this boot, without their extension. The boot without a list takes all
    /// that no other boot names.
    pub programs: &'static [&'static str],
    /// Security modules.
    pub lsm: &'static str,
    /// Whether the daemon runs before the tests do.
    pub daemon: bool,
    /// Whether /sys/fs/bpf is mounted.
    pub bpffs: bool,
    /// Whether systemd is process 1.
    pub systemd: bool,
    /// More of the kernel's command line.
    pub append: &'static [&'static str],
    /// Whether a daemon runs in it at some time, so that it leaves records.
    pub records: bool,
    /// Seconds for each program, and with `--long`.
    pub limits: (u64, u64),
}

/// In the test VM, in this order.
pub const BOOTS: &[Boot] = &[
    Boot {
        name: "enforce",
        programs: &[],
        lsm: DEFAULT_LSM,
        daemon: true,
        bpffs: true,
        systemd: false,
        append: &[],
        records: true,
        limits: (900, 3600),
    },
    // Programs that start daemons of their own, kill them and fill what they write to: minutes each.
    Boot {
        name: "faults",
        programs: &[
            "doctor",
            "faults",
            "chain",
            "prove_hole",
            "takeover",
            // Behind those that read the log: it leaves a long one.
            "audit",
            "uninstall",
        ],
        lsm: DEFAULT_LSM,
        daemon: false,
        bpffs: true,
        systemd: false,
        append: &[],
        records: true,
        limits: (1500, 3600),
    },
    // Programs that count generations and agents: nobody else may apply anything meanwhile.
    Boot {
        name: "policies",
        programs: &["bad_input", "capacity"],
        lsm: DEFAULT_LSM,
        daemon: true,
        bpffs: true,
        systemd: false,
        append: &[],
        records: true,
        limits: (900, 1200),
    },
    // Where tasks are preempted at any instruction of the kernel's, and what is full stays full for a while.
    Boot {
        name: "stress",
        programs: &["stress", "doubts"],
        lsm: DEFAULT_LSM,
        daemon: true,
        bpffs: true,
        systemd: false,
        append: &["preempt=full"],
        records: true,
        limits: (900, 3600),
    },
    // As it is installed, under systemd.
    Boot {
        name: "service",
        programs: &["service", "ready_policies"],
        lsm: DEFAULT_LSM,
        daemon: true,
        bpffs: true,
        systemd: true,
        append: &[],
        records: true,
        limits: (900, 1200),
    },
    Boot {
        name: "no-bpf-lsm",
        programs: &["no_bpf_lsm"],
        lsm: "lockdown,capability,landlock,yama",
        daemon: false,
        bpffs: true,
        systemd: false,
        append: &[],
        records: false,
        limits: (900, 1200),
    },
    Boot {
        name: "no-bpffs",
        programs: &["no_bpffs"],
        lsm: DEFAULT_LSM,
        daemon: false,
        bpffs: false,
        systemd: false,
        append: &[],
        records: true,
        limits: (900, 1200),
    },
];

impl Boot {
    /// The VM to boot on `kernel`.
    pub fn arguments(&self, kernel: Series) -> Arguments {
        Arguments {
            kernel,
            lsm: self.lsm.to_owned(),
            no_daemon: !self.daemon,
            no_bpffs: !self.bpffs,
            systemd: self.systemd,
            append: self.append.iter().map(|&more| more.to_owned()).collect(),
            ..Arguments::default()
        }
    }

    /// The limit for one program.
    pub fn limit(&self, long: bool) -> u64 {
        if long { self.limits.1 } else { self.limits.0 }
    }

    /// Those of all test programs that run in this boot.
    pub fn of<'a>(&self, all: &[&'a str]) -> Vec<&'a str> {
        let named_elsewhere =
            |program: &str| BOOTS.iter().any(|boot| boot.programs.contains(&program));
        if self.programs.is_empty() {
            let mine = all.iter().filter(|program| !named_elsewhere(program));
            return mine.copied().collect();
        }
        // In the order in which they are named.
        let there = |name: &&str| all.iter().find(|program| *program == name).copied();
        self.programs.iter().filter_map(there).collect()
    }
}

/// The programs that a boot names and that are not there: such a boot would test nothing, and say so nowhere.
pub fn unknown(all: &[&str]) -> Vec<&'static str> {
    BOOTS
        .iter()
        .flat_map(|boot| boot.programs)
        .filter(|program| !all.contains(program))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::DEMO;

    #[test]
    fn every_test_program_runs_in_exactly_one_boot() {
        let all = ["exec", "connect", "takeover", "no_bpf_lsm", "no_bpffs"];
        let booted: Vec<_> = BOOTS.iter().flat_map(|boot| boot.of(&all)).collect();
        assert_eq!(booted, all);
        assert_eq!(BOOTS[0].of(&all), ["exec", "connect"]);
    }

    #[test]
    fn a_boot_that_names_a_program_which_is_not_there_is_noticed() {
        let mut all: Vec<_> = BOOTS
            .iter()
            .flat_map(|boot| boot.programs)
            .copied()
            .collect();
        assert!(unknown(&all).is_empty());
        let gone = all.pop().expect("boots name programs");
        assert_eq!(unknown(&all), [gone]);
    }

    #[test]
    fn names_are_used_once() {
        let mut names: Vec<_> = HOST
            .iter()
            .map(|suite| suite.name)
            .chain(BOOTS.iter().map(|boot| boot.name))
            .chain([DEMO])
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

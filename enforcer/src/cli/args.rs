//! What can be typed.
#![forbid(unsafe_code)]

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::exit;
use crate::{
    config::{
        CONFIG_DIR, DaemonConfig, LOG_DIR, PIN_DIR, SHIP_CONFIG, SHIP_STATE_DIR, SOCKET, STATE_DIR,
    },
    prove::Part,
    record::Keep,
    ship::Places,
};

/// Environment variable that names the control socket when `--socket` does not.
pub const SOCKET_VARIABLE: &str = "ENFORCER_SOCKET";

/// Holds AI agents to their allowlists of binaries and destinations, in the kernel, before the action.
#[derive(Debug, Parser)]
#[command(name = "enforcer", version, after_help = exit::TABLE, max_term_width = 100)]
pub struct Cli {
    /// How data is written to stdout.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Control socket [default: $ENFORCER_SOCKET, else /run/enforcer/control.sock].
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The control socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let named = || {
            std::env::var_os(SOCKET_VARIABLE)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        self.socket
            .clone()
            .or_else(named)
            .unwrap_or_else(|| SOCKET.into())
    }
}

/// Form of the data on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Nouns, and verbs that need none.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground (systemd starts it so).
    Daemon(Daemon),
    /// Start a command as a session of an agent.
    Run(Run),
    /// Check, test and apply policies.
    #[command(subcommand)]
    Policy(Policy),
    /// Say what the daemon does now.
    Status,
    /// Look at sessions.
    #[command(subcommand)]
    Session(Session),
    /// Read the audit log.
    #[command(subcommand)]
    Log(Log),
    /// Send the audit log to the receivers of ship.toml (systemd starts it so).
    Ship(Ship),
    /// Say why an action was denied, and what would allow it.
    Why(Why),
    /// Report what agents did and were denied over a period, and what they are allowed and never use.
    Report(Report),
    /// Say what is and what is not enforced here, and how to put it right. Works without a daemon.
    Doctor(Doctor),
    /// Remove enforcement: detach every kernel program, on the record, and end the daemon.
    Uninstall(Uninstall),
    /// Try what must be denied; the daemon starts it to see whether the kernel denies.
    #[command(hide = true)]
    Canary {
        /// Where to knock, once inside.
        #[arg(long)]
        inside: Option<String>,
    },
    /// Attack, or be attacked; `doctor --prove` starts it.
    #[command(hide = true, subcommand)]
    Attack(Part),
    /// Write a completion script to stdout.
    Completions {
        /// Shell that it is for.
        shell: Shell,
    },
}

/// `enforcer daemon`
#[derive(Debug, Args)]
pub struct Daemon {
    /// Folder of the administrator's files; policies are the *.toml in its folder `policies`.
    #[arg(long, value_name = "DIR", default_value = CONFIG_DIR)]
    pub config_dir: PathBuf,
    /// Folder of what outlives a reboot.
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// Folder of the audit log.
    #[arg(long, value_name = "DIR", default_value = LOG_DIR)]
    pub log_dir: PathBuf,
    /// Folder of the pinned kernel objects, in a bpf file system.
    #[arg(long, value_name = "DIR", default_value = PIN_DIR)]
    pub pin_dir: PathBuf,
    /// Remove the oldest segments of the log, on record, while they are more than so many bytes together.
    #[arg(long, value_name = "BYTES")]
    pub keep_log_bytes: Option<u64>,
    /// Remove segments of the log, on record, that were written to last so many days ago.
    #[arg(long, value_name = "DAYS")]
    pub keep_log_days: Option<u32>,
}

impl Daemon {
    /// The daemon's configuration, with the control socket at `socket`.
    #[must_use]
    pub fn config(&self, socket: PathBuf) -> DaemonConfig {
        DaemonConfig {
            config_dir: self.config_dir.clone(),
            state_dir: self.state_dir.clone(),
            log_dir: self.log_dir.clone(),
            socket,
            pin_dir: self.pin_dir.clone(),
            keep: Keep {
                bytes: self.keep_log_bytes,
                age: self
                    .keep_log_days
                    .map(|days| Duration::from_hours(24 * u64::from(days))),
            },
        }
    }
}

/// `enforcer ship`
#[derive(Debug, Args)]
pub struct Ship {
    /// The receivers.
    #[arg(long, value_name = "FILE", default_value = SHIP_CONFIG)]
    pub config: PathBuf,
    /// Folder of the audit log.
    #[arg(long, value_name = "DIR", default_value = LOG_DIR)]
    pub log_dir: PathBuf,
    /// Folder of the cursors.
    #[arg(long, value_name = "DIR", default_value = SHIP_STATE_DIR)]
    pub state_dir: PathBuf,
    /// Only say what is wrong with the configuration, and with the files that it names.
    #[arg(long)]
    pub check: bool,
}

impl Ship {
    /// Where the shipper finds what.
    #[must_use]
    pub fn places(&self) -> Places {
        Places {
            config: self.config.clone(),
            log_dir: self.log_dir.clone(),
            state_dir: self.state_dir.clone(),
        }
    }
}

/// `enforcer run`
#[derive(Debug, Args)]
pub struct Run {
    /// Agent whose policy the command is held to.
    #[arg(long, value_name = "NAME")]
    pub agent: String,
    /// What the session is for, in words; stands on each of its records.
    #[arg(long, value_name = "TEXT")]
    pub task: Option<String>,
    /// Id of the task in the system that handed it out.
    #[arg(long, value_name = "ID")]
    pub task_id: Option<String>,
    /// Command and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `enforcer policy`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check policies against the files of this host. Needs no daemon.
    Check {
        /// Policy files, or folders whose *.toml are policies.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Take every path that a policy names as a file of root's, instead of looking at this
        /// host: for policies that are meant for other hosts.
        #[arg(long)]
        assume_files: bool,
    },
    /// Run the examples that stand in policies. Needs no daemon.
    Test {
        /// Policy files, or folders whose *.toml are policies.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Run them against the files of this host, with its links and digests, instead of the
        /// names alone.
        #[arg(long)]
        on_host: bool,
    },
    /// Show what applying would change.
    Plan(Change),
    /// Put policies in force, all of them or none.
    Apply(Change),
    /// List the policies in force.
    List,
    /// Show the text of an agent's policy in force.
    Show {
        /// The agent.
        agent: String,
    },
}

/// Policies to plan or apply.
#[derive(Debug, Args)]
pub struct Change {
    /// Policy files, or folders whose *.toml are policies.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Remove the agents that are in force and not among these policies.
    #[arg(long)]
    pub prune: bool,
    /// Refuse unless this generation is in force.
    #[arg(long, value_name = "N")]
    pub expected_generation: Option<u32>,
}

/// `enforcer session`
#[derive(Debug, Subcommand)]
pub enum Session {
    /// List the sessions that run.
    List,
    /// Show a session and the processes inside.
    Show {
        /// Id of the session: 16 hexadecimal digits.
        id: String,
    },
}

/// `enforcer log`
#[derive(Debug, Subcommand)]
pub enum Log {
    /// Show records.
    Show {
        /// Which records.
        #[command(flatten)]
        filter: Filter,
        /// At most this many, the latest.
        #[arg(long, value_name = "N")]
        tail: Option<u64>,
    },
    /// Show records as they are written.
    Follow {
        /// Which records.
        #[command(flatten)]
        filter: Filter,
        /// Begin with this many of the past.
        #[arg(long, value_name = "N", default_value_t = 0)]
        tail: u64,
    },
    /// Say whether the log is as it was written. Needs no daemon.
    Verify(Verify),
    /// Write a document by which one record can be shown to stand in the log, without the log. Needs no
    /// daemon.
    Prove(Prove),
    /// Check such a document. Needs no daemon and no log.
    Check(Check),
    /// Print the log's first verifier key, to be kept off this host. Needs no daemon.
    Key {
        /// Folder of the log.
        #[arg(long, value_name = "DIR", default_value = LOG_DIR)]
        dir: PathBuf,
    },
}

/// What is trusted, because it was kept where the host's root cannot change it.
#[derive(Clone, Debug, Default, Args)]
pub struct Trusted {
    /// Verifier key of epoch 1, or `N:KEY` of epoch N, as `log key` prints it; or a file that holds it.
    #[arg(long, value_name = "KEY")]
    pub key: Vec<String>,
    /// File of checkpoints that left the host: signed notes, or records as a sink has them.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
}

/// `enforcer log verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// Folder of the log, or of a copy.
    #[arg(long, value_name = "DIR", default_value = LOG_DIR)]
    pub dir: PathBuf,
    /// By what.
    #[command(flatten)]
    pub trusted: Trusted,
    /// Only segments with records since this time (2026-11-24T08:00:00Z), or age (15m, 2h, 7d).
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

/// `enforcer log prove`
#[derive(Debug, Args)]
pub struct Prove {
    /// `metadata.uid` of the record.
    #[arg(value_name = "EVENT")]
    pub event: String,
    /// Folder of the log, or of a copy.
    #[arg(long, value_name = "DIR", default_value = LOG_DIR)]
    pub dir: PathBuf,
}

/// `enforcer log check`
#[derive(Debug, Args)]
pub struct Check {
    /// What `log prove` wrote.
    #[arg(value_name = "FILE")]
    pub proof: PathBuf,
    /// By what.
    #[command(flatten)]
    pub trusted: Trusted,
}

/// Which records: all conditions that are given must hold.
#[derive(Clone, Debug, Default, Args)]
pub struct Filter {
    /// With this id: `metadata.uid`.
    #[arg(long, value_name = "ID")]
    pub event: Option<String>,
    /// Of this agent.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Of this session.
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Of this task, by its text or id.
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// With this verdict: allow, deny, would-deny.
    #[arg(long)]
    pub verdict: Option<String>,
    /// With this reason.
    #[arg(long)]
    pub reason: Option<String>,
    /// Decided by this rule.
    #[arg(long, value_name = "ID")]
    pub rule: Option<String>,
    /// Of this kind: exec, connect, send, unix...
    #[arg(long)]
    pub kind: Option<String>,
    /// About this executable, acting or run.
    #[arg(long, value_name = "PATH")]
    pub binary: Option<String>,
    /// To this address, or unix socket.
    #[arg(long, value_name = "ADDRESS")]
    pub destination: Option<String>,
    /// Not before this time (2026-11-24T08:00:00Z), or age (15m, 2h, 7d).
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this time, or age.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Where records and policies are read from: the daemon, or what it left.
#[derive(Clone, Debug, Default, Args)]
pub struct Evidence {
    /// Read the records of this folder, instead of asking the daemon.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Take these for the policies in force (files, or folders whose *.toml are policies), instead of
    /// asking the daemon.
    #[arg(long, value_name = "PATH")]
    pub policy: Vec<PathBuf>,
}

/// `enforcer why`
#[derive(Debug, Args)]
pub struct Why {
    /// `metadata.uid` of the record, or `last`: the latest denial.
    #[arg(default_value = "last", value_name = "EVENT")]
    pub event: String,
    /// With `last`: of this agent.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// With `last`: of this session.
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// From where.
    #[command(flatten)]
    pub evidence: Evidence,
}

/// `enforcer report`
#[derive(Debug, Args)]
pub struct Report {
    /// Begin of the period: a time (2026-11-24T08:00:00Z), or an age (12h, 30d).
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub since: String,
    /// End of the period; now, if it is not given.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Verify the log too, as `log verify` does: the daemon's, or that of --dir.
    #[arg(long)]
    pub verify: bool,
    /// By what.
    #[command(flatten)]
    pub trusted: Trusted,
    /// Write one HTML page, which needs nothing else, to this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// From where.
    #[command(flatten)]
    pub evidence: Evidence,
}

/// `enforcer uninstall`
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Why, in words; stands in the log.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// `enforcer doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Have the daemon run a canary now, instead of telling of the latest one. Needs the admin role.
    #[arg(long)]
    pub canary: bool,
    /// Try every known way round the allowlists, on this host and harming nothing: outside a session,
    /// where it must work, and inside one, where it must not. Needs root.
    #[arg(long, conflicts_with = "canary")]
    pub prove: bool,
    /// Only attacks whose name begins so: `n`, `x05`, `i10-kill`.
    #[arg(long, value_name = "NAME", requires = "prove")]
    pub only: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(words.split(' '))
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everything_after_the_dashes_is_the_command() {
        let cli =
            parse("enforcer run --agent ci --task t -- git --output x -- y").expect("good usage");
        let Command::Run(run) = cli.command else {
            panic!("run")
        };
        assert_eq!(run.command, ["git", "--output", "x", "--", "y"]);
        assert_eq!(
            (run.agent.as_str(), run.task.as_deref(), cli.output),
            ("ci", Some("t"), Format::Text)
        );
    }

    #[test]
    fn usage_that_is_refused() {
        for words in [
            "enforcer",
            "enforcer run -- true",
            "enforcer run --agent a true",
            "enforcer run --agent a --",
            "enforcer policy",
            "enforcer policy apply",
            "enforcer policy apply a.toml --expected-generation x",
            "enforcer session show",
            "enforcer log show --output yaml",
            "enforcer completions tcsh",
        ] {
            assert_eq!(parse(words).expect_err(words).exit_code(), 2, "{words}");
        }
    }

    #[test]
    fn global_options_stand_anywhere_before_the_command() {
        for words in [
            "enforcer --output json --socket /s status",
            "enforcer status --socket /s --output json",
        ] {
            let cli = parse(words).expect("good usage");
            assert_eq!(
                (cli.output, cli.socket()),
                (Format::Json, PathBuf::from("/s")),
                "{words}"
            );
        }
    }

    #[test]
    fn the_daemon_has_its_places() {
        let cli = parse("enforcer daemon --log-dir /l --socket /s").expect("good usage");
        let Command::Daemon(daemon) = &cli.command else {
            panic!("daemon")
        };
        let expected = DaemonConfig {
            log_dir: "/l".into(),
            socket: "/s".into(),
            ..DaemonConfig::default()
        };
        assert_eq!(daemon.config(cli.socket()), expected);
    }
}

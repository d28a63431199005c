//! Every way in which a command ends.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use crate::{
    control::{
        api::{ErrorCode, Problem},
        client::ClientError,
        listen::ListenError,
        sources::SourceError,
    },
    posture::Refused,
};

macro_rules! exits {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Exit status of the command line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Exit { $(#[doc = $text] $name = $number,)* }

        impl Exit {
            /// Every status, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }

        /// The statuses as `--help` tells them.
        pub const TABLE: &str = concat!("Exit status:\n", $("  ", $number, "  ", $text, "\n",)*);
    };
}

exits! {
    Ok = 0, "Done; for `doctor`: this host enforces.";
    Failure = 1, "Something else failed.";
    Usage = 2, "Wrong usage.";
    PolicyInvalid = 3, "A policy has errors, or one of its examples came out otherwise.";
    Unreachable = 4, "No daemon answers.";
    NotEnforcing = 5, "Nothing is enforced here, so nothing was started.";
    Denied = 6, "The caller has not the role, or is inside a session.";
    NotFound = 7, "No such agent, session or file.";
    Conflict = 8, "Another apply or another daemon is at it, or another generation is in force.";
    NotHeld = 9, "doctor --prove: an attack got through that is to be denied, or it is in doubt.";
    Uninstalled = 10, "daemon: enforcement was removed while it ran; it is not to be started again by itself.";
    Tampered = 11, "log: it was changed since it was written; a proof proves nothing.";
    Unverifiable = 12, "log verify: nothing is wrong, and what was asked cannot be answered.";
    CannotExecute = 126, "run: the command was not executed; the kernel's denial among the causes.";
    NoCommand = 127, "run: there is no such command.";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended without being done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Status to end with.
    pub exit: Exit,
    /// Findings to show before the message, rendered.
    pub findings: Vec<String>,
    /// What went wrong.
    pub message: String,
    /// What to do about it, each on its own line.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure without hint.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            findings: Vec::new(),
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What the daemon's end means.
    #[must_use]
    pub fn of_daemon(error: anyhow::Error) -> Self {
        let message = format!("{error:#}");
        if let Some(refused) = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Refused>())
        {
            let fixes = refused
                .checks
                .iter()
                .filter_map(|check| Some(format!("{}: {}", check.name, check.fix.as_ref()?)));
            return Self {
                hints: fixes.collect(),
                ..Self::new(Exit::NotEnforcing, message)
            };
        }
        match error
            .chain()
            .find_map(|cause| cause.downcast_ref::<ListenError>())
        {
            Some(ListenError::AnotherDaemon { .. }) => Self::new(Exit::Conflict, message)
                .hint("`enforcer status` asks the daemon that runs"),
            Some(ListenError::AnotherProgram { .. } | ListenError::NotASocket { .. }) => {
                Self::new(Exit::Conflict, message)
            }
            Some(ListenError::Io { .. }) | None => Self::new(Exit::Failure, message),
        }
    }

    /// Writes it to stderr and gives its status.
    pub fn tell(&self) -> Exit {
        for finding in &self.findings {
            eprintln!("{finding}\n");
        }
        eprintln!("error: {}", self.message);
        for hint in &self.hints {
            eprintln!("hint: {hint}");
        }
        self.exit
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::NoDaemon { .. } => {
                Self::new(Exit::Unreachable, message).hint("start it with `systemctl start enforcer`")
            }
            ClientError::InsideSession { .. } => {
                Self::new(Exit::Denied, message).hint("ask from outside the session, as its operator")
            }
            ClientError::Forbidden { .. } => Self::new(Exit::Denied, message)
                .hint("the socket is open to every user as the daemon makes it; look at the modes of its folder"),
            ClientError::Impostor { .. } => {
                Self::new(Exit::Unreachable, message).hint("is --socket or ENFORCER_SOCKET set by mistake?")
            }
            ClientError::Broken(_) | ClientError::TimedOut(_) => {
                Self::new(Exit::Unreachable, message).hint("`journalctl -u enforcer` may tell what it is at")
            }
            ClientError::NotUnderstood { .. } => {
                Self::new(Exit::Failure, message).hint("are the daemon and this program of one version?")
            }
            ClientError::Problem(problem) => (*problem).into(),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let exit = match problem.code {
            ErrorCode::PolicyInvalid => Exit::PolicyInvalid,
            ErrorCode::NotEnforcing => Exit::NotEnforcing,
            ErrorCode::InsideSession | ErrorCode::Denied => Exit::Denied,
            ErrorCode::NotFound => Exit::NotFound,
            ErrorCode::Conflict => Exit::Conflict,
            ErrorCode::BadRequest => Exit::Usage,
            ErrorCode::MethodNotAllowed
            | ErrorCode::TimedOut
            | ErrorCode::TooLarge
            | ErrorCode::Internal
            | ErrorCode::LimitReached => Exit::Failure,
        };
        Self {
            exit,
            findings: problem
                .diagnostics
                .into_iter()
                .map(|one| one.rendered)
                .collect(),
            message: problem.message,
            hints: problem.hint.into_iter().collect(),
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let missing = |source: &std::io::Error| source.kind() == std::io::ErrorKind::NotFound;
        let exit = match &error {
            SourceError::Read { source, .. } if missing(source) => Exit::NotFound,
            SourceError::Empty(_) => Exit::NotFound,
            SourceError::Read { .. } | SourceError::Name(_) => Exit::Failure,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failure, format!("cannot write to stdout: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;
    use crate::posture::Check;

    #[test]
    fn every_status_is_in_the_help() {
        for exit in Exit::ALL {
            assert!(
                TABLE.contains(&format!("\n  {}  ", *exit as u8)),
                "{exit:?}"
            );
        }
    }

    #[test]
    fn a_host_that_cannot_enforce_is_told_with_its_fixes() {
        let refused = Refused {
            checks: vec![Check::failed("lsm", "no bpf", "add `lsm=a,bpf`")],
        };
        let failure = Failure::of_daemon(anyhow::Error::new(refused).context("cannot start"));
        assert_eq!(failure.exit, Exit::NotEnforcing);
        assert_eq!(failure.hints, ["lsm: add `lsm=a,bpf`"]);
    }

    #[test]
    fn a_second_daemon_is_a_conflict() {
        let taken = || ListenError::AnotherDaemon {
            path: "/s".into(),
            pid: Some(7),
        };
        let error = Err::<(), _>(taken())
            .context("control socket")
            .expect_err("an error");
        let failure = Failure::of_daemon(error);
        assert_eq!(failure.exit, Exit::Conflict);
        assert!(failure.message.contains("(pid 7)"), "{}", failure.message);
    }

    #[test]
    fn each_problem_has_its_status() {
        for (code, exit) in [
            (ErrorCode::PolicyInvalid, Exit::PolicyInvalid),
            (ErrorCode::NotEnforcing, Exit::NotEnforcing),
            (ErrorCode::InsideSession, Exit::Denied),
            (ErrorCode::Denied, Exit::Denied),
            (ErrorCode::NotFound, Exit::NotFound),
            (ErrorCode::Conflict, Exit::Conflict),
            (ErrorCode::Internal, Exit::Failure),
        ] {
            assert_eq!(
                Failure::from(Problem::new(code, "x")).exit,
                exit,
                "{code:?}"
            );
        }
    }
}

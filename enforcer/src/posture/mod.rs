//! What can be known of a host's ability to enforce before any program is loaded.
//!
//! The daemon asks at start and `enforcer doctor` asks without a daemon, by the same functions. They
//! can only say no: that a host enforces is known after the kernel denied a canary, never from
//! these files.
#![forbid(unsafe_code)]

mod host;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use host::{BPFFS, Host, OLDEST_KERNEL, reentry};

/// Outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// It holds.
    Ok,
    /// A known way round that this host leaves open; enforcement goes on.
    Open,
    /// It does not hold: nothing is enforced, or it is in doubt.
    Failed,
}

impl CheckState {
    /// Name in JSON and command output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Open => "open",
            Self::Failed => "failed",
        }
    }
}

/// One row of the posture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable name.
    pub name: String,
    /// How it came out.
    pub state: CheckState,
    /// What was found.
    pub detail: String,
    /// What to do, exactly; absent when there is nothing to do.
    pub fix: Option<String>,
}

impl Check {
    /// A check that holds.
    #[must_use]
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, CheckState::Ok, detail, None)
    }

    /// A way round that stays open.
    #[must_use]
    pub fn open(name: &str, detail: impl Into<String>, fix: Option<String>) -> Self {
        Self::new(name, CheckState::Open, detail, fix)
    }

    /// A check that does not hold.
    #[must_use]
    pub fn failed(name: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(name, CheckState::Failed, detail, Some(fix.into()))
    }

    fn new(name: &str, state: CheckState, detail: impl Into<String>, fix: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            state,
            detail: detail.into(),
            fix,
        }
    }
}

/// This host cannot enforce: the checks that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The failed checks, each with its fix.
    pub checks: Vec<Check>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this host cannot enforce")?;
        for check in &self.checks {
            write!(f, "; {}: {}", check.name, check.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

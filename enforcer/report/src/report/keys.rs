//! What is counted of an agent: the keys of its lists.

use serde::Serialize;

use super::capped::{Moment, Tally};

/// A rule, by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleKey {
    /// Its id.
    pub rule: String,
}

/// A reason, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReasonKey {
    /// Its name.
    pub reason: String,
}

/// An executable that was run, or was to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExecutableKey {
    /// Its path, else its identity.
    pub executable: String,
}

/// A destination, an address to listen on, or a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationKey {
    /// `reach`, `listen` or `unix`.
    pub way: String,
    /// `tcp:192.0.2.1:443`, or the socket's name.
    pub destination: String,
}

/// Denials that are one to a reader: the same executable, the same object, the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DenialKey {
    /// `deny` or `would-deny`.
    pub verdict: String,
    /// What was tried: a kind of event.
    pub what: String,
    /// The executable that acted; empty when it is the launcher's image or not known.
    pub executable: String,
    /// What was acted on.
    pub object: String,
    /// Why.
    pub reason: String,
    /// The rule that denied, where one did; else empty.
    pub rule: String,
}

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Its id.
    pub session: String,
    /// What it was started for.
    pub task: Option<String>,
    /// The task's id in the system that it came from.
    pub task_id: Option<String>,
    /// Who started it.
    pub user: Option<String>,
    /// When, if that is in the period.
    pub started: Option<Moment>,
    /// When its last process ended, if that is in the period.
    pub ended: Option<Moment>,
    /// Its decisions.
    #[serde(flatten)]
    pub tally: Tally,
}

/// What came of keys that were too many to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Beyond {
    /// Decisions about executables that are not among those listed.
    pub executables: Tally,
    /// Decisions about destinations that are not among those listed.
    pub destinations: Tally,
    /// Decisions by rules that are not among those listed.
    pub rules: Tally,
    /// Decisions for reasons that are not among those listed.
    pub reasons: Tally,
    /// Denials and would-be denials that are not among those listed.
    pub denials: Tally,
    /// Decisions in sessions that are not among those listed.
    pub sessions: Tally,
}

impl Beyond {
    /// Whether every list is whole.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

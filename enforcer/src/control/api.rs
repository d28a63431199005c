//! Version 1 of the control interface: every type that goes over the socket.
//!
//! | request | body | answer | needs |
//! |---|---|---|---|
//! | `GET /v1/status` | | [`Status`] | viewer |
//! | `GET /v1/posture` | | [`Posture`] | viewer |
//! | `POST /v1/posture/canary` | | [`Posture`] | admin |
//! | `GET /v1/sessions` | | list of [`Session`] | viewer |
//! | `GET /v1/sessions/{id}` | | [`SessionDetail`] | viewer |
//! | `POST /v1/sessions` | [`LaunchRequest`] | [`Launched`] | the agent's launch group, or admin |
//! | `GET /v1/policy` | | list of [`PolicyFacts`] | viewer |
//! | `GET /v1/policy/{agent}` | | [`PolicyDetail`] | viewer |
//! | `POST /v1/policy/plan` | [`PolicyRequest`] | [`PolicyOutcome`] | admin |
//! | `POST /v1/policy/apply` | [`PolicyRequest`] | [`PolicyOutcome`] | admin |
//! | `POST /v1/uninstall` | [`Removal`] | [`Removed`] | admin |
//! | `GET /v1/log?...` | [`LogQuery`] as query | records, one JSON object a line | viewer |
//!
//! Anything but a 200 carries a [`Problem`]. Times are RFC 3339 in UTC. A reader ignores fields
//! that it does not know; a request with an unknown field is refused.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use super::{
    lines::LogQuery,
    problem::{ErrorCode, Problem},
};
pub use crate::posture::{Check, CheckState};

/// Id of a session: 16 hexadecimal digits in text and JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(id) if digits => Ok(Self(id)),
            Ok(_) | Err(_) => Err(format!(
                "`{text}` is no session id: 16 hexadecimal digits expected"
            )),
        }
    }
}

impl TryFrom<String> for SessionId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.to_string()
    }
}

/// Whether the daemon holds agents to their policies now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Programs are attached and the kernel denied the canary.
    Enforcing,
    /// Not there yet: no session is started.
    Starting,
    /// This host cannot enforce, or the canary was not denied: no session is started.
    Refusing,
}

impl State {
    /// Name in JSON and command output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforcing => "enforcing",
            Self::Starting => "starting",
            Self::Refusing => "refusing",
        }
    }
}

/// The daemon at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether it enforces.
    pub state: State,
    /// Why it does not, when it does not.
    pub reason: Option<String>,
    /// Version of the daemon.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// When the daemon started.
    pub started: String,
    /// The kernel's boot id: sequence numbers and session ids are unique within it.
    pub boot_id: String,
    /// Policy generation in force; 0 = none yet.
    pub generation: u32,
    /// Policies (agents) in force.
    pub policies: u64,
    /// Sessions that run.
    pub sessions: u64,
    /// Tasks (threads) inside sessions.
    pub tasks: u64,
    /// The kernel's counters since boot, by name.
    pub counters: BTreeMap<String, u64>,
    /// Where records go, and how that is going.
    pub log: LogState,
    /// How many posture checks came out how.
    pub posture: PostureSummary,
    /// What the shipper wrote down last, where one runs or ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping: Option<enforcer_sinks::Status>,
}

/// The audit log's own condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// File that records are appended to now.
    pub path: String,
    /// Records written since the daemon started.
    pub records_written: u64,
    /// Gaps (each a record with an exact count of lost events) since the daemon started.
    pub gaps: u64,
    /// The latest failure to write, while it lasts.
    pub last_error: Option<String>,
}

/// Number of posture checks by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureSummary {
    /// Checks that hold.
    pub ok: u32,
    /// Known ways round that this host leaves open.
    pub open: u32,
    /// Checks that fail: enforcement is off or in doubt.
    pub failed: u32,
}

impl PostureSummary {
    /// Counts `checks`.
    #[must_use]
    pub fn of(checks: &[Check]) -> Self {
        let mut summary = Self::default();
        for check in checks {
            match check.state {
                CheckState::Ok => summary.ok += 1,
                CheckState::Open => summary.open += 1,
                CheckState::Failed => summary.failed += 1,
            }
        }
        summary
    }
}

/// What this host truly enforces now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    /// Programs are attached and the latest canary was denied by the kernel.
    pub enforcing: bool,
    /// The latest canary.
    pub canary: Canary,
    /// Every check, in the order in which they build on one another.
    pub checks: Vec<Check>,
}

/// A process of the daemon's own, put into a session that allows nothing, tried a denied action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The kernel denied it. False when none has run yet.
    pub passed: bool,
    /// When it ran; absent when none has.
    pub at: Option<String>,
    /// What was tried and what came of it.
    pub detail: String,
}

/// What a session was started for; stands on each of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Id in the system that handed the task out (a ticket).
    pub id: Option<String>,
    /// The task in words.
    pub text: Option<String>,
}

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Its process was told to come in, and has not executed its command yet.
    Pending,
    /// At least one task is inside.
    Running,
    /// Its last task ended.
    Ended,
}

impl SessionState {
    /// Name in JSON and command output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

/// One running instance of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its agent.
    pub agent: String,
    /// What it was started for.
    pub task: Option<Task>,
    /// Where it is in its life.
    pub state: SessionState,
    /// Process that was enrolled first.
    pub pid: u32,
    /// User that launched it.
    pub uid: u32,
    /// Command as the launcher claimed it.
    pub command: Vec<String>,
    /// When it was granted.
    pub started: String,
    /// Tasks (threads) inside.
    pub tasks: u64,
}

/// A session and who is inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDetail {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// Its processes, by pid.
    pub processes: Vec<Process>,
}

/// A process inside a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id in the first pid namespace.
    pub pid: u32,
    /// Its tasks (threads) that carry the label.
    pub tasks: u64,
    /// Path of its executable as `/proc` shows it now: for reading, not identity.
    pub executable: Option<String>,
}

/// "Make the process that asks the first of a session, at its next exec."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchRequest {
    /// Agent whose policy the session is held to.
    pub agent: String,
    /// What the session is for.
    #[serde(default)]
    pub task: Option<Task>,
    /// Command that will be executed, for the record: the kernel judges what is executed, not this.
    #[serde(default)]
    pub command: Vec<String>,
}

/// The session that the asking process enters at its next exec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launched {
    /// Id of the session.
    pub session: SessionId,
    /// Its agent.
    pub agent: String,
    /// Policy generation in force.
    pub generation: u32,
}

/// Removes enforcement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// Why, in words; stands in the log.
    pub reason: String,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Kernel programs that were attached.
    pub programs: usize,
    /// When, in UTC.
    pub at: String,
}

/// Policies to plan or apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRequest {
    /// One source an agent.
    pub policies: Vec<PolicySource>,
    /// Agents that are in force and not among `policies` are removed; otherwise they stay as they are.
    #[serde(default)]
    pub prune: bool,
    /// Refuse with `conflict` unless this is the generation in force.
    #[serde(default)]
    pub expected_generation: Option<u32>,
}

/// One policy file with everything that it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// Name in diagnostics: the path by which the sender knows the file.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Files that it includes, directly or not, each once.
    #[serde(default)]
    pub includes: Vec<IncludeSource>,
}

/// A file that a policy includes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncludeSource {
    /// The path of the including file's folder joined with the `include` path, without `.` and `..`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What a plan would change, or an apply changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyOutcome {
    /// Generation in force after an apply; for a plan, the one in force now.
    pub generation: u32,
    /// Agents of which something differs. Empty = nothing to do, and the generation stays.
    pub changes: Vec<AgentChange>,
    /// Lints and other remarks; none of them stops an apply.
    pub warnings: Vec<Diagnostic>,
}

/// How an agent's policy changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentChange {
    /// The agent.
    pub agent: String,
    /// Whether it comes, goes or stays.
    pub kind: ChangeKind,
    /// What differs, one readable line each.
    pub details: Vec<String>,
}

/// Kind of an [`AgentChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// The agent is new.
    Added,
    /// Its policy differs.
    Changed,
    /// The agent goes; its sessions are denied everything.
    Removed,
}

/// Facts of a policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFacts {
    /// The agent.
    pub agent: String,
    /// Who answers for it.
    pub owner: String,
    /// `enforce` or `monitor`.
    pub mode: String,
    /// Generation in which this text came into force.
    pub generation: u32,
    /// Its rules.
    pub rules: u64,
    /// Executables that its rules resolve to on this host.
    pub executables: u64,
    /// Destination entries in the kernel, after folding.
    pub destinations: u64,
    /// Unix peers in the kernel.
    pub unix_peers: u64,
    /// Sessions that are held to it now.
    pub sessions: u64,
}

/// A policy in force: its facts and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDetail {
    /// Facts.
    #[serde(flatten)]
    pub facts: PolicyFacts,
    /// Text as it was applied, with its includes.
    pub source: PolicySource,
}

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is accepted; look at this.
    Warning,
}

/// One finding about a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the lint, for warnings that have one.
    pub lint: Option<String>,
    /// Source it is in; empty when it is not about a place.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected there.
    pub expected: Option<String>,
    /// How to put it right.
    pub hint: Option<String>,
    /// All of this as text for a terminal, with the lines of the source.
    pub rendered: String,
}

//! What happened over a period: records in, one [`Report`] out.
//!
//! ```text
//! record -> Collector::add -> agent.rs   what each agent did, by rule, reason, executable, destination
//!                          -> watch.rs   which entries of the policies were used
//!                          -> events.rs  what the daemon told: policies, starts, losses
//!                          -> series.rs  decisions over time
//! Collector::finish -> Report -> summary.rs is anything wrong, in one sentence
//! ```

mod agent;
mod capped;
mod collect;
mod covers;
mod events;
mod keys;
mod series;
mod summary;
mod watch;
mod words;

use serde::Serialize;

pub use agent::AgentReport;
pub use capped::{Counted, LIMITS, Limits, Moment, Tally};
pub use collect::{Collector, Options, report};
pub use events::{DaemonChange, HostSeen, Latest, Loss, PolicyChange, Posture};
pub use keys::{Beyond, DenialKey, DestinationKey, ExecutableKey, ReasonKey, RuleKey, Session};
pub use series::{Bar, Timeline};
pub use summary::{Finding, Severity, Summary};
pub use watch::{Unused, UnusedRule};
pub use words::count;
pub(crate) use words::step;

/// What is known of the log's chain: the answer of `enforcer log verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// The answer.
    pub state: ChainState,
    /// What it says, in words.
    pub text: String,
}

/// Whether the log is as it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChainState {
    /// It is, as far as the checkpoints reach.
    Ok,
    /// Something was changed, removed or put in.
    Tampered,
    /// It cannot be told.
    Unverifiable,
    /// Nobody looked.
    #[default]
    Unchecked,
}

impl ChainState {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Tampered => "tampered",
            Self::Unverifiable => "unverifiable",
            Self::Unchecked => "unchecked",
        }
    }
}

/// The period of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Its begin, as asked for.
    pub since: Option<Moment>,
    /// Its end, as asked for; not in it.
    pub until: Option<Moment>,
    /// The earliest record in it.
    pub first_record: Option<Moment>,
    /// The latest record in it.
    pub last_record: Option<Moment>,
}

/// Numbers of the whole period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Records read.
    pub records: u64,
    /// Those outside the period, of which nothing else is told.
    pub outside_period: u64,
    /// Records of a kind that this version does not know.
    pub unknown_records: u64,
    /// Lines of the log that were no records, as the caller counted them.
    pub malformed_lines: u64,
    /// Decisions.
    #[serde(flatten)]
    pub decisions: Tally,
    /// Sessions that began.
    pub sessions_started: u64,
    /// Sessions that ended.
    pub sessions_ended: u64,
    /// Policies that came into force.
    pub policies_applied: u64,
    /// Policies that were taken out of force.
    pub policies_removed: u64,
    /// Policies that were refused.
    pub policies_rejected: u64,
    /// Starts of the daemon.
    pub daemon_starts: u64,
    /// Stops of the daemon.
    pub daemon_stops: u64,
    /// Removals of enforcement.
    pub daemon_removals: u64,
    /// Events of which there is no record: exact, as the records of losses say.
    pub events_lost: u64,
    /// Torn last lines that were set aside.
    pub torn_lines: u64,
}

/// A report. The names of the fields are those of the JSON form; `docs/report.md` tells them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Version of this form: 1. It changes only when a field is taken away or means something else.
    pub format: u32,
    /// When it was made, as the caller said.
    pub generated: Moment,
    /// Is anything wrong?
    pub summary: Summary,
    /// What it is about.
    pub period: Period,
    /// Numbers.
    pub totals: Totals,
    /// The hosts whose records these are, and the versions that wrote them.
    pub hosts: Vec<HostSeen>,
    /// What is enforced, as the latest start of each host's daemon said.
    pub posture: Vec<Posture>,
    /// The log's chain.
    pub chain: Chain,
    /// All decisions over time.
    pub timeline: Timeline,
    /// The agents, by name.
    pub agents: Vec<AgentReport>,
    /// Policies that were applied, removed or refused, and by whom.
    pub policy_changes: Latest<PolicyChange>,
    /// Starts, stops and removals of the daemon.
    pub daemon_changes: Latest<DaemonChange>,
    /// What was lost, where, and how much.
    pub losses: Latest<Loss>,
    /// The limits of what is listed one by one.
    pub limits: Limits,
}

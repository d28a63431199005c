//! What a verification says.

use serde::Serialize;

use super::finding::Finding;
use crate::payload::{Cause, SegmentRemoval, TornLine};

/// The verdict on a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that could be compared agrees. [`Report::limits`] says what could not.
    Ok,
    /// Something was changed: [`Report::findings`].
    Tampered,
    /// Nothing is wrong, and what was asked cannot be answered: [`Report::unverifiable`].
    Unverifiable,
}

/// What a verification says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// In one word.
    pub verdict: Verdict,
    /// What is wrong, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// Findings beyond those, which are not told.
    pub findings_omitted: u64,
    /// What keeps the log from being verified as asked.
    pub unverifiable: Vec<String>,
    /// What "ok" does not cover here.
    pub limits: Vec<String>,
    /// The log, as its records name it.
    pub origin: Option<String>,
    /// Leaf of the first line that was read.
    pub first_leaf: u64,
    /// Lines of the log up to the end: the next leaf.
    pub size: u64,
    /// Lines that were read.
    pub lines: u64,
    /// Earliest `time` of a record, in milliseconds since 1970.
    pub first_time_ms: Option<i64>,
    /// Latest `time` of a record, in milliseconds since 1970.
    pub last_time_ms: Option<i64>,
    /// Segments that were read.
    pub segments: Vec<SegmentSeen>,
    /// Epochs in force.
    pub epochs: Vec<EpochSeen>,
    /// Segments that records say were removed because they were old.
    pub removed: Vec<SegmentRemoval>,
    /// Torn lines that were set aside when the daemon started after a crash.
    pub torn: Vec<TornLine>,
    /// What follows the last whole line of the last segment: a line being written, or a crash's.
    pub torn_tail: Option<TornTail>,
    /// Lines that were not signed yet when a daemon died, and that the next one adopted.
    pub adopted: u64,
    /// Lines at the end that no note covers yet.
    pub unsigned_tail: u64,
    /// Notes in records that hold.
    pub checkpoints: u64,
    /// Notes kept off the host that agree with the log.
    pub off_host_agreed: u64,
    /// Notes kept off the host that are of lines which were not read.
    pub off_host_unread: u64,
    /// The newest note that holds, for proofs.
    pub newest: Option<Newest>,
}

/// A segment that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentSeen {
    /// Its number.
    pub segment: u64,
    /// Leaf of its first line.
    pub first_leaf: u64,
    /// Its whole lines.
    pub lines: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: crate::Hash,
}

/// An epoch that was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EpochSeen {
    /// Its number.
    pub epoch: u64,
    /// Its verifier key.
    pub vkey: String,
    /// Leaf of the record by which it was met: its own, or the opening of the first segment read.
    pub leaf: u64,
    /// Why it began; absent where its record was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Lines that it adopted.
    pub adopted: u64,
    /// Whether its key is one that was given, or that given ones lead to.
    pub vouched: bool,
}

/// The end of the last segment, where it is no whole line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TornTail {
    /// Number of the segment.
    pub segment: u64,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A note that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Newest {
    /// Lines that it covers.
    pub size: u64,
    /// Epoch whose key signed it.
    pub epoch: u64,
    /// That key.
    pub vkey: String,
    /// The note.
    pub note: String,
}

//! What stands in `unmapped` of the records that the log writes about itself.
//!
//! The records' OCSF envelope is made elsewhere. `metadata.event_code` says which payload a record
//! has; these codes are no others' to use.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::hash::Hash;

/// `metadata.event_code` of [`SegmentOpening`].
pub const SEGMENT: &str = "log-segment";
/// `metadata.event_code` of [`EpochOpening`].
pub const EPOCH: &str = "log-epoch";
/// `metadata.event_code` of [`CheckpointRecord`].
pub const CHECKPOINT: &str = "log-checkpoint";
/// `metadata.event_code` of [`SegmentRemoval`].
pub const REMOVED: &str = "log-segment-removed";
/// `metadata.event_code` of [`TornLine`].
pub const TORN: &str = "log-torn";

/// The first record of a segment: the log up to here, so that reading can begin here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentOpening {
    /// Number of the segment.
    pub segment: u64,
    /// Epoch in force.
    pub epoch: u64,
    /// Its verifier key.
    pub vkey: String,
    /// Leaves before this record.
    pub tree_size: u64,
    /// Roots of the perfect subtrees of these, largest first.
    pub tree_roots: Vec<Hash>,
    /// The epoch's checkpoint of these leaves.
    pub checkpoint: String,
    /// The segment before this one; absent in the log's first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former: Option<SegmentDigest>,
}

/// A whole segment, as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentDigest {
    /// Its number.
    pub segment: u64,
    /// SHA-256 of its bytes.
    pub sha256: Hash,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Why an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The daemon started.
    Start,
    /// The former epoch was old enough.
    Age,
}

/// The record by which an epoch begins. The first epoch has none: the log's first record is its
/// opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochOpening {
    /// Number of the epoch.
    pub epoch: u64,
    /// Its verifier key.
    pub vkey: String,
    /// Why it begins.
    pub cause: Cause,
    /// The former epoch's last checkpoint, which names this epoch's key, signed by both keys; by this
    /// epoch's alone when the former key was lost.
    pub transition: String,
    /// The note that was published last before: at a start, the `head` file as it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former_head: Option<String>,
    /// Lines that no note had covered when the daemon started: written, not yet signed when the one
    /// before it died.
    pub adopted: u64,
}

/// A checkpoint of what stands before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRecord {
    /// Epoch in force.
    pub epoch: u64,
    /// The note.
    pub checkpoint: String,
}

/// A segment that is removed, because it is old: written, and durable, before the file goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentRemoval {
    /// Its number.
    pub segment: u64,
    /// SHA-256 of its bytes.
    pub sha256: Hash,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its first leaf.
    pub first_leaf: u64,
    /// Its last leaf.
    pub last_leaf: u64,
}

impl SegmentRemoval {
    /// The removal of the segment that `first` opens and `next` follows: what the two files' first
    /// lines say is enough. `None` when they are not neighbours.
    #[must_use]
    pub fn new(first: &SegmentOpening, next: &SegmentOpening) -> Option<Self> {
        let former = next.former.as_ref()?;
        (former.segment == first.segment).then_some(())?;
        Some(Self {
            segment: former.segment,
            sha256: former.sha256,
            bytes: former.bytes,
            first_leaf: first.tree_size,
            last_leaf: next.tree_size.checked_sub(1)?,
        })
    }
}

/// A last line without its end that a crash left, as it was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornLine {
    /// Path of the segment that it stood in.
    pub segment: String,
    /// Path of the file that now holds it.
    pub set_aside: String,
    /// Where in the segment it began, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: Hash,
}

/// The payload of a record, for those that the log writes about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Payload {
    /// [`SEGMENT`].
    Segment(SegmentOpening),
    /// [`EPOCH`].
    Epoch(EpochOpening),
    /// [`CHECKPOINT`].
    Checkpoint(CheckpointRecord),
    /// [`REMOVED`].
    Removed(SegmentRemoval),
    /// [`TORN`].
    Torn(TornLine),
}

/// A record of the log about itself whose payload cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payload of a {code} record cannot be read: {why}")]
pub struct PayloadError {
    /// `metadata.event_code`.
    pub code: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Payload {
    /// `metadata.event_code` of its record.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Segment(_) => SEGMENT,
            Self::Epoch(_) => EPOCH,
            Self::Checkpoint(_) => CHECKPOINT,
            Self::Removed(_) => REMOVED,
            Self::Torn(_) => TORN,
        }
    }

    /// The members of its record's `unmapped`: these, and no others.
    #[must_use]
    pub fn unmapped(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            // Payloads are structs of text and numbers: they have no other form.
            Ok(_) | Err(_) => Map::new(),
        }
    }

    /// The payload of `record`; `None` for a record that is not about the log.
    ///
    /// # Errors
    /// When it should have one and has not.
    pub fn of(record: &Value) -> Result<Option<Self>, PayloadError> {
        let code = event_code(record);
        Ok(Some(match code {
            SEGMENT => Self::Segment(read(record, SEGMENT)?),
            EPOCH => Self::Epoch(read(record, EPOCH)?),
            CHECKPOINT => Self::Checkpoint(read(record, CHECKPOINT)?),
            REMOVED => Self::Removed(read(record, REMOVED)?),
            TORN => Self::Torn(read(record, TORN)?),
            _ => return Ok(None),
        }))
    }
}

/// `metadata.event_code`, or nothing.
pub(crate) fn event_code(record: &Value) -> &str {
    let metadata = record.get("metadata");
    metadata
        .and_then(|metadata| metadata.get("event_code")?.as_str())
        .unwrap_or_default()
}

fn read<T: DeserializeOwned>(record: &Value, code: &'static str) -> Result<T, PayloadError> {
    let payload = record.get("unmapped").cloned().unwrap_or_default();
    serde_json::from_value(payload).map_err(|error| {
        let why = error.to_string();
        PayloadError { code, why }
    })
}

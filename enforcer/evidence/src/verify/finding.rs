//! What a verifier finds: how the log was tampered with, and where.

use std::fmt;

use serde::Serialize;

/// How the log is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A line is no JSON object.
    Malformed,
    /// A record has no attestation of this log's form.
    Unlinked,
    /// A record is not what its fingerprint says.
    Fingerprint,
    /// A line is not spelled as the log writes it.
    Respelled,
    /// A record follows another one than it says.
    Chain,
    /// A record of another log.
    ForeignRecord,
    /// The payload of a record about the log cannot be read.
    Payload,
    /// A segment does not begin with its opening.
    OpeningMissing,
    /// A segment's opening elsewhere than at its beginning.
    OpeningMisplaced,
    /// A segment under another number than its own.
    SegmentNumber,
    /// The segment before is not the file that it was when this one was begun.
    FormerSegment,
    /// A segment other than the last ends in a torn line, or has no line.
    SegmentCut,
    /// Segments between two others are missing.
    Hole,
    /// Segments are missing before the first, and no record says that they were removed.
    RemovalMissing,
    /// What a record says of a removed segment is not true.
    RemovalMismatch,
    /// A signed note covers lines that are not there.
    LinesMissing,
    /// The lines are not those that were signed.
    Root,
    /// A note is older than one before it.
    Order,
    /// A note cannot be read.
    Note,
    /// A note of another log.
    ForeignNote,
    /// A note of another epoch than the one that it stands in.
    WrongEpoch,
    /// A note signed by the key of another epoch.
    WrongEpochKey,
    /// A note signed by no key of this log.
    ForeignKey,
    /// A signature that does not hold.
    Signature,
    /// An epoch with another number than the next.
    EpochNumber,
    /// An epoch with another key than the one that was vouched for.
    EpochKey,
    /// An epoch that the one before did not vouch for.
    Unvouched,
    /// There was no head when an epoch began, or it is none now.
    HeadMissing,
    /// The head is older than a note in the log.
    HeadRolledBack,
    /// Lines were adopted of which the record says another number.
    Adopted,
    /// A torn line was set aside elsewhere than where the log was gone on with.
    Torn,
    /// The notes that lead from one epoch's key to the next do not.
    Succession,
}

impl Code {
    /// Name in reports.
    #[must_use]
    pub fn name(self) -> String {
        // The one list of names is the one that serde derives.
        serde_json::to_value(self)
            .ok()
            .and_then(|name| name.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// Leaves of the log, first and last: where what was done was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Leaves {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How, for programs.
    pub code: Code,
    /// Number of the segment in which it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<u64>,
    /// Line of that segment, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Between which leaves the log was changed: as close as what is signed allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaves: Option<Leaves>,
    /// How, in words.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(segment) = self.segment {
            write!(f, "segment {segment}")?;
            if let Some(line) = self.line {
                write!(f, ", line {line}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.what)?;
        match self.leaves {
            Some(Leaves { first, last }) if first < last => {
                write!(f, " (leaves {first} to {last})")
            }
            Some(Leaves { first, .. }) => write!(f, " (leaf {first})"),
            None => Ok(()),
        }
    }
}

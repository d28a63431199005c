//! Verification of a log, line by line, in one pass.
//!
//! ```text
//! Trust -> Verifier -> segment(number, lines)... -> finish(head) -> Report
//!             lines.rs   each line: spelling, fingerprint, chain, leaf
//!             own.rs     records about the log: openings, checkpoints, removals
//!             epochs.rs  which key is in force, and who vouches for it
//!             notes.rs   each note: of this log, of this epoch, by this epoch's key, of these lines
//!             end.rs     the end: head, off-host checkpoints, what is missing
//!             conclude.rs   the verdict, and what it does not cover
//! ```
//!
//! After something was found, reading goes on from what the log says of itself, so that one change
//! is told once: from the next record's own fingerprint, and from the next segment's signed opening.

mod conclude;
mod end;
mod epochs;
mod finding;
mod lines;
mod notes;
mod own;
mod recent;
mod report;
mod trust;

use std::{collections::BTreeMap, io};

use sha2::Sha256;

pub use finding::{Code, Finding, Leaves};
pub use report::{EpochSeen, Newest, Report, SegmentSeen, TornTail, Verdict};
pub use trust::{Trust, TrustError};

use crate::{
    chain::Link,
    epoch::{Succession, follow},
    note::VerifierKey,
    payload::{SegmentDigest, SegmentRemoval, TornLine},
};
use recent::Recent;
use trust::Anchor;

/// Findings that are told one by one; the rest is counted.
const MAX_FINDINGS: usize = 1000;

/// Reads a log and judges it.
#[derive(Debug)]
pub struct Verifier {
    origin: Option<String>,
    /// Keys of epochs that were given, or that given ones lead to.
    keys: BTreeMap<u64, VerifierKey>,
    /// Whether keys were given at all.
    has_root: bool,
    /// Checkpoints that the log is held to, by size.
    anchors: Vec<Anchor>,
    /// How many of these are of a size that was passed.
    passed: usize,
    head: Option<String>,
    from: u64,
    /// What the next record has to say of the one before it.
    previous: Previous,
    tree: Recent,
    /// The tree as it was read up to the segment's opening, while the next line is read: at a start the
    /// opening comes before the record that tells of the head that was found.
    before_opening: Option<Recent>,
    /// Whether the tree's leaves are what was signed, as far as is known.
    tree_holds: bool,
    /// Whether it is known which leaf the next line is.
    is_located: bool,
    epoch: Option<Epoch>,
    /// Keys of the epochs as the log says them, right or wrong.
    seen: BTreeMap<u64, VerifierKey>,
    place: Place,
    current: Current,
    /// What the first opening says of the segment before it.
    before_first: Option<SegmentDigest>,
    /// Where the writer went on after its last start: segment and offset.
    went_on: Option<(u64, u64)>,
    out: Output,
}

/// What the next record has to say of the one before it.
#[derive(Debug)]
enum Previous {
    /// That there is none.
    None,
    /// Not known: that line could not be read, or is not there.
    Unknown,
    Link(Link),
}

/// The epoch in force.
#[derive(Clone, Debug)]
struct Epoch {
    number: u64,
    key: VerifierKey,
    /// Its beginning was found wrong already: what its key signs is not told again.
    distrusted: bool,
}

/// The line that is being read.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    segment: u64,
    line: u64,
    /// Offset of the line in its segment.
    offset: u64,
}

/// The segment that is being read.
#[derive(Debug, Default)]
struct Current {
    sha256: Sha256,
    bytes: u64,
}

/// What the report will hold.
#[derive(Debug, Default)]
struct Output {
    findings: Vec<Finding>,
    omitted: u64,
    segments: Vec<SegmentSeen>,
    epochs: Vec<EpochSeen>,
    /// With the place of the record.
    removed: Vec<(Place, SegmentRemoval)>,
    torn: Vec<TornLine>,
    torn_tail: Option<TornTail>,
    lines: u64,
    first_leaf: u64,
    times: Option<(i64, i64)>,
    checkpoints: u64,
    newest: Option<Newest>,
}

/// A segment could not be given to the verifier.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("log segment {segment}: {source}")]
    Read {
        /// Its number.
        segment: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Segments are given by number, each once.
    #[error(
        "log segment {segment} was given after segment {after}: give them in the order of their numbers"
    )]
    Order {
        /// Its number.
        segment: u64,
        /// Number of the one before it.
        after: u64,
    },
}

impl Verifier {
    /// A verifier that has read nothing yet.
    ///
    /// # Errors
    /// When a checkpoint cannot be read, or what is trusted is not of one log.
    pub fn new(trust: Trust) -> Result<Self, TrustError> {
        let mut anchors = trust.off_host()?;
        let origin = trust.origin(&anchors)?;
        let mut out = Output::default();
        let row = trust.transitions.iter().map(String::as_str);
        let succession = follow(&trust.keys, row).unwrap_or_else(|error| {
            out.findings.push(Finding {
                code: Code::Succession,
                segment: None,
                line: None,
                leaves: None,
                what: error.to_string(),
            });
            Succession {
                keys: trust.keys.clone(),
                ..Succession::default()
            }
        });
        anchors.extend(succession.notes.into_iter().map(Anchor::transition));
        anchors.sort_by_key(|anchor| anchor.signed.checkpoint.size);
        Ok(Self {
            origin,
            keys: succession.keys,
            has_root: !trust.keys.is_empty(),
            anchors,
            passed: 0,
            head: trust.head,
            from: trust.from.unwrap_or(1),
            previous: Previous::None,
            tree: Recent::default(),
            before_opening: None,
            tree_holds: true,
            is_located: true,
            epoch: None,
            seen: BTreeMap::new(),
            place: Place::default(),
            current: Current::default(),
            before_first: None,
            went_on: None,
            out,
        })
    }

    /// Adds a finding at the line that is being read.
    fn find(&mut self, code: Code, leaves: impl Into<Option<Leaves>>, what: impl Into<String>) {
        let Place { segment, line, .. } = self.place;
        self.find_at(
            code,
            (Some(segment), Some(line)),
            leaves.into(),
            what.into(),
        );
    }

    fn find_at(
        &mut self,
        code: Code,
        (segment, line): (Option<u64>, Option<u64>),
        leaves: Option<Leaves>,
        what: String,
    ) {
        if self.out.findings.len() < MAX_FINDINGS {
            let finding = Finding {
                code,
                segment,
                line,
                leaves,
                what,
            };
            self.out.findings.push(finding);
        } else {
            self.out.omitted += 1;
        }
    }

    /// The leaf that the line being read is, or will be.
    fn leaf(&self) -> u64 {
        self.tree.size()
    }

    /// The leaf of the line being read, as a place, where it is known.
    fn here(&self) -> Option<Leaves> {
        let leaf = self.leaf();
        self.is_located.then_some(Leaves {
            first: leaf,
            last: leaf,
        })
    }

    /// The lines that were not signed yet before `end`.
    fn since_base(&self, end: u64) -> Leaves {
        let first = self.tree.base();
        Leaves {
            first,
            last: end.saturating_sub(1).max(first),
        }
    }
}

/// Number of the segment from which to read so that every record since `since_ms` is read: the one
/// before the first that was opened later. `openings` are numbers of segments, ascending, and the
/// `time` of their first records; a segment whose time cannot be read is taken to be early.
#[must_use]
pub fn segment_since(openings: &[(u64, Option<i64>)], since_ms: i64) -> Option<u64> {
    let later = |(_, time): &(u64, Option<i64>)| time.is_some_and(|time| time > since_ms);
    let first_later = openings.iter().position(later).unwrap_or(openings.len());
    openings
        .get(first_later.saturating_sub(1))
        .map(|(number, _)| *number)
}

//! The writer's side: one [`Sealer`] for a log, which links records, grows the tree, and signs.
//!
//! ```text
//! start -> pending_key  -> durable as the key file to be
//!       -> sign         -> durable as the head file -> published
//!       -> begin, push..., write, fdatasync, commit         first the opening, or the epoch's record
//!       -> the key file takes the place of the old one
//! then  -> begin, push..., write, fdatasync, commit         a batch that failed is dropped: nothing
//!       -> sign -> durable as the head file -> published    happened
//! ```
//!
//! What is signed is durable, and what a record of the log quotes was published before: so the head
//! is never older than a note in the log.

mod batch;
mod resume;
mod schedule;
mod start;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use batch::{Batch, Committed, PushError};
pub use resume::{Resume, ResumeError, Resumed};
pub use schedule::Schedule;
pub use start::{Found, Start};

use crate::{
    chain::Link,
    epoch::{EpochKey, transition},
    hash::Hash,
    note::NoteError,
    payload::{Cause, CheckpointRecord, EpochOpening, SegmentDigest, SegmentOpening},
    tree::Tree,
};

/// What the next line depends on.
#[derive(Clone, Debug)]
struct State {
    tree: Tree,
    last: Option<Link>,
    segment: Segment,
}

/// The segment that is written to.
#[derive(Clone, Debug)]
struct Segment {
    number: u64,
    sha256: Sha256,
    bytes: u64,
    former: Option<SegmentDigest>,
}

impl Segment {
    fn empty(number: u64, former: Option<SegmentDigest>) -> Self {
        let sha256 = Sha256::new();
        Self {
            number,
            sha256,
            bytes: 0,
            former,
        }
    }

    fn digest(&self) -> SegmentDigest {
        let sha256 = Hash(self.sha256.clone().finalize().into());
        SegmentDigest {
            segment: self.number,
            sha256,
            bytes: self.bytes,
        }
    }
}

/// Whose key signs.
#[derive(Debug)]
enum Keys {
    /// One epoch is in force.
    InForce(EpochKey),
    /// The record of the next epoch is not durable yet.
    Changing {
        /// The key in force, or the number of its epoch when it was lost.
        former: Result<EpochKey, u64>,
        next: EpochKey,
        cause: Cause,
        /// The note that was published last before the change.
        former_head: Option<String>,
        adopted: u64,
    },
}

/// A signed note, to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The note.
    pub note: String,
    /// Lines that it covers.
    pub size: u64,
    epoch: u64,
    /// Whether it names a next key.
    transition: bool,
}

/// The writer's state. What it gives out is in order by construction; what is durable is the caller's
/// to say.
#[derive(Debug)]
pub struct Sealer {
    origin: String,
    durable: State,
    keys: Keys,
    /// Whether the first epoch's opening is not durable yet.
    unborn: bool,
    published: Option<Head>,
    lines: Vec<u8>,
}

/// A note that is wanted in a record was not published, or not after the last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the newest published note does not cover the log as it is: sign, publish, then record")]
pub struct NotPublished;

impl Sealer {
    /// Prepares the epoch that follows the one in force. While one is prepared already, nothing.
    ///
    /// # Errors
    /// Never, for an origin that a start took.
    pub fn begin_epoch(&mut self, random: &[u8; 32]) -> Result<(), NoteError> {
        if let Keys::InForce(key) = &self.keys
            && !self.unborn
        {
            let epoch = key.epoch() + 1;
            let next = EpochKey::generate(&self.origin, epoch, random)?;
            let former = Ok(key.clone());
            let former_head = self.published.as_ref().map(|head| head.note.clone());
            self.keys = Keys::Changing {
                former,
                next,
                cause: Cause::Age,
                former_head,
                adopted: 0,
            };
        }
        Ok(())
    }

    /// The text of the key file that has to be durable, beside the one in force, before the record of
    /// its epoch is written. `None` when no epoch is prepared.
    #[must_use]
    pub fn pending_key(&self) -> Option<Zeroizing<String>> {
        match &self.keys {
            Keys::Changing { next, .. } => Some(next.to_file()),
            Keys::InForce(key) => self.unborn.then(|| key.to_file()),
        }
    }

    /// Signs what is durable. While an epoch is prepared the note is the one that ends the former.
    #[must_use]
    pub fn sign(&self, time_ms: i64) -> Head {
        let tree = &self.durable.tree;
        let size = tree.size();
        match &self.keys {
            Keys::InForce(key) => {
                let note = key.checkpoint(tree, time_ms);
                Head {
                    note,
                    size,
                    epoch: key.epoch(),
                    transition: false,
                }
            }
            Keys::Changing { former, next, .. } => {
                let former = former.as_ref().map_err(|epoch| *epoch);
                let note = transition(former, next, tree, time_ms);
                Head {
                    note,
                    size,
                    epoch: next.epoch() - 1,
                    transition: true,
                }
            }
        }
    }

    /// Tells that this note now stands in the head file, durably.
    pub fn published(&mut self, head: Head) {
        self.published = Some(head);
    }

    /// The newest published note.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.published.as_ref()
    }

    /// Lines that are durable.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.durable.tree.size()
    }

    /// The epoch in force, and its verifier key; the key of the prepared one where the former was lost.
    #[must_use]
    pub fn epoch(&self) -> (u64, String) {
        match &self.keys {
            Keys::InForce(key)
            | Keys::Changing {
                former: Ok(key), ..
            } => (key.epoch(), key.verifier().to_string()),
            Keys::Changing {
                former: Err(epoch),
                next,
                ..
            } => (*epoch, next.verifier().to_string()),
        }
    }

    /// Whether the next batch has to begin with the record of [`Sealer::opening`].
    #[must_use]
    pub const fn needs_opening(&self) -> bool {
        self.durable.segment.bytes == 0
    }

    /// Tells that the file of the next segment was made: the number after this one's. A segment that
    /// nothing was written to yet stays the current one.
    pub fn next_segment(&mut self) {
        let segment = &mut self.durable.segment;
        if segment.bytes > 0 {
            *segment = Segment::empty(segment.number + 1, Some(segment.digest()));
        }
    }

    /// Number of the segment that is written to.
    #[must_use]
    pub const fn segment(&self) -> u64 {
        self.durable.segment.number
    }

    /// The payload of the segment's first record.
    ///
    /// # Errors
    /// When the newest published note is not of all that is durable.
    pub fn opening(&self) -> Result<SegmentOpening, NotPublished> {
        let head = self.current_head()?;
        let (epoch, vkey) = self.epoch();
        let State { tree, segment, .. } = &self.durable;
        Ok(SegmentOpening {
            segment: segment.number,
            epoch,
            vkey,
            tree_size: tree.size(),
            tree_roots: tree.roots().to_vec(),
            checkpoint: head.note.clone(),
            former: segment.former.clone(),
        })
    }

    /// The payload of the record that begins the prepared epoch; `None` when none is prepared.
    ///
    /// # Errors
    /// When the newest published note is not the one that ends the former epoch, of all that is
    /// durable.
    pub fn epoch_opening(&self) -> Result<Option<EpochOpening>, NotPublished> {
        let Keys::Changing {
            next,
            cause,
            former_head,
            adopted,
            ..
        } = &self.keys
        else {
            return Ok(None);
        };
        let head = self.current_head()?;
        if !head.transition || head.epoch + 1 != next.epoch() {
            return Err(NotPublished);
        }
        Ok(Some(EpochOpening {
            epoch: next.epoch(),
            vkey: next.verifier().to_string(),
            cause: *cause,
            transition: head.note.clone(),
            former_head: former_head.clone(),
            adopted: *adopted,
        }))
    }

    /// The payload of a checkpoint record, of the newest published note. `None` where that is none of
    /// the epoch in force.
    #[must_use]
    pub fn checkpoint(&self) -> Option<CheckpointRecord> {
        let head = self.published.as_ref()?;
        let Keys::InForce(key) = &self.keys else {
            return None;
        };
        (head.epoch == key.epoch()).then(|| CheckpointRecord {
            epoch: head.epoch,
            checkpoint: head.note.clone(),
        })
    }

    fn current_head(&self) -> Result<&Head, NotPublished> {
        let head = self.published.as_ref();
        head.filter(|head| head.size == self.size())
            .ok_or(NotPublished)
    }
}

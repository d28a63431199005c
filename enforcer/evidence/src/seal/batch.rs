//! Records that become durable together, or not at all.

use serde_json::Value;
use sha2::Digest;

use super::{Keys, Sealer, State};
use crate::{
    chain::{self, ChainError},
    payload::{self, event_code},
    tree::leaf_hash,
};

/// Records that are linked and not yet durable. Dropping it takes them back.
#[derive(Debug)]
pub struct Batch<'a> {
    sealer: &'a mut Sealer,
    next: State,
    begins_epoch: bool,
}

/// Why a record cannot be added. The batch is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// It cannot be linked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A segment begins with its opening, and with nothing else.
    #[error("the first record of segment {0} has to be its log-segment record")]
    OpeningExpected(u64),
    /// An opening within a segment.
    #[error("segment {0} is open already: a log-segment record is only its first")]
    OpeningUnexpected(u64),
    /// The record of an epoch that was not prepared, or was published as another.
    #[error("a log-epoch record that is not of the prepared epoch")]
    EpochUnexpected,
}

/// What a batch became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Lines of the log, these included.
    pub size: u64,
    /// An epoch began: the pending key file now has to take the place of the former one, which is
    /// destroyed by that.
    pub epoch_begun: bool,
}

impl Sealer {
    /// Begins a batch.
    pub fn begin(&mut self) -> Batch<'_> {
        self.lines.clear();
        let next = self.durable.clone();
        Batch {
            sealer: self,
            next,
            begins_epoch: false,
        }
    }
}

impl Batch<'_> {
    /// Links a record and adds its line.
    ///
    /// # Errors
    /// When the record cannot be linked, or does not belong here.
    pub fn push(&mut self, record: &Value) -> Result<(), PushError> {
        let begins_epoch = self.placed(record)?;
        let lines = &mut self.sealer.lines;
        let start = lines.len();
        let State {
            tree,
            last,
            segment,
        } = &mut self.next;
        let link = chain::append_record(lines, record, &self.sealer.origin, last.as_ref())?;
        let line = lines.get(start..).unwrap_or_default();
        tree.append(leaf_hash(line.strip_suffix(b"\n").unwrap_or(line)));
        segment.sha256.update(line);
        segment.bytes += line.len() as u64;
        *last = Some(link);
        self.begins_epoch |= begins_epoch;
        Ok(())
    }

    /// The lines, to be written in one piece.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.sealer.lines
    }

    /// Tells that the lines are durable.
    pub fn commit(self) -> Committed {
        let Self {
            sealer,
            next,
            begins_epoch,
        } = self;
        let born = sealer.unborn && next.tree.size() > 0;
        sealer.durable = next;
        sealer.unborn &= !born;
        if begins_epoch {
            sealer.change_epoch();
        }
        let size = sealer.size();
        Committed {
            size,
            epoch_begun: begins_epoch || born,
        }
    }

    /// Whether the record begins an epoch, once it is sure that it belongs here.
    fn placed(&self, record: &Value) -> Result<bool, PushError> {
        let segment = &self.next.segment;
        match event_code(record) {
            payload::SEGMENT if segment.bytes > 0 => {
                Err(PushError::OpeningUnexpected(segment.number))
            }
            payload::SEGMENT => Ok(false),
            _ if segment.bytes == 0 => Err(PushError::OpeningExpected(segment.number)),
            payload::EPOCH if self.begins_epoch || !self.sealer.is_prepared(record) => {
                Err(PushError::EpochUnexpected)
            }
            payload::EPOCH => Ok(true),
            _ => Ok(false),
        }
    }
}

impl Sealer {
    fn is_prepared(&self, record: &Value) -> bool {
        match &self.keys {
            Keys::InForce(_) => false,
            Keys::Changing { next, .. } => {
                record.pointer("/unmapped/vkey").and_then(Value::as_str)
                    == Some(next.verifier().to_string().as_str())
            }
        }
    }

    /// The prepared epoch is in force; the former key is wiped from memory.
    fn change_epoch(&mut self) {
        if let Keys::Changing { next, .. } = &self.keys {
            self.keys = Keys::InForce(next.clone());
        }
    }
}

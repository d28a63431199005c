//! Notes in records: each is held to this log, to its epoch, to that epoch's key, and to the lines.

use super::{Code, Epoch, Leaves, Newest, Verifier};
use crate::{
    checkpoint::Checkpoint,
    epoch::SignedCheckpoint,
    note::{Note, Signed, VerifierKey},
};

impl Verifier {
    /// Holds the note of a record to everything that it can be held to. What is found wrong is told.
    /// Gives the checkpoint when all of it holds, after making it the tree's base.
    pub(super) fn checkpoint(&mut self, what: &str, text: &str) -> Option<Checkpoint> {
        let SignedCheckpoint { checkpoint, note } = self.read_note(what, text)?;
        let epoch = self.epoch.clone()?;
        if checkpoint.epoch != epoch.number {
            let of = format!(
                "{what} is of epoch {}, and stands in epoch {}",
                checkpoint.epoch, epoch.number
            );
            self.find(Code::WrongEpoch, self.here(), of);
            return None;
        }
        if !self.is_signed(what, &note, &epoch) || !self.covers(what, &checkpoint, self.leaf()) {
            return None;
        }
        self.out.checkpoints += 1;
        self.hold_newest(&checkpoint, &epoch.key, text);
        Some(checkpoint)
    }

    /// A note that is a checkpoint of this log.
    pub(super) fn read_note(&mut self, what: &str, text: &str) -> Option<SignedCheckpoint> {
        let read = match SignedCheckpoint::parse(text) {
            Ok(read) => read,
            Err(error) => {
                self.find(
                    Code::Note,
                    self.here(),
                    format!("{what} cannot be read: {error}"),
                );
                return None;
            }
        };
        let found = &read.checkpoint.origin;
        match &self.origin {
            Some(origin) if origin != found => {
                let of = format!("{what} is of the log {found:?}, not of {origin:?}");
                self.find(Code::ForeignNote, self.here(), of);
                return None;
            }
            Some(_) => {}
            None => self.origin = Some(found.clone()),
        }
        Some(read)
    }

    /// Whether the epoch's own key signed the note: no other key of the log will do.
    pub(super) fn is_signed(&mut self, what: &str, note: &Note, epoch: &Epoch) -> bool {
        let Some((code, why)) = self.unsigned(note, epoch.number, &epoch.key) else {
            return true;
        };
        if !epoch.distrusted {
            self.find(code, self.here(), format!("{what} {why}"));
        }
        false
    }

    /// Why `key` of epoch `epoch` did not sign the note; `None` when it did.
    pub(super) fn unsigned(
        &self,
        note: &Note,
        epoch: u64,
        key: &VerifierKey,
    ) -> Option<(Code, String)> {
        match note.signed_by(key) {
            Signed::Valid => return None,
            Signed::Invalid => {
                let why = format!("has a signature of epoch {epoch} that does not hold");
                return Some((Code::Signature, why));
            }
            Signed::Absent => {}
        }
        let mut others = self.seen.iter().chain(&self.keys);
        let other = others.find(|(_, key)| note.signed_by(key) != Signed::Absent);
        Some(match other {
            Some((other, _)) => {
                let why = format!("is signed by the key of epoch {other}, not of epoch {epoch}");
                (Code::WrongEpochKey, why)
            }
            None => {
                let why = format!("is not signed by the key of epoch {epoch}");
                (Code::ForeignKey, why)
            }
        })
    }

    /// Whether the note is of the lines that are there, of which `end` may be covered. Makes it the
    /// tree's base when it is.
    pub(super) fn covers(&mut self, what: &str, checkpoint: &Checkpoint, end: u64) -> bool {
        let size = checkpoint.size;
        if !self.tree_holds {
            return false;
        }
        if size > end {
            let leaves = Leaves {
                first: self.tree.base(),
                last: size - 1,
            };
            let missing = format!(
                "{what} covers {size} lines, and stands after {end}: lines were taken away"
            );
            self.find(Code::LinesMissing, leaves, missing);
            self.tree_holds = false;
            return false;
        }
        if size < self.tree.base() {
            let older = format!(
                "{what} covers {size} lines, fewer than the note before it ({})",
                self.tree.base()
            );
            self.find(Code::Order, self.here(), older);
            return false;
        }
        match self.tree.tree_at(size) {
            Some(tree) if tree.root() == checkpoint.root => {
                self.tree.rebase(tree);
                true
            }
            Some(_) | None => {
                let other =
                    format!("the lines are not those that {what} of {size} lines was signed over");
                self.find(Code::Root, self.since_base(size), other);
                self.tree_holds = false;
                false
            }
        }
    }

    pub(super) fn hold_newest(&mut self, checkpoint: &Checkpoint, key: &VerifierKey, note: &str) {
        let size = checkpoint.size;
        if self
            .out
            .newest
            .as_ref()
            .is_none_or(|newest| newest.size <= size)
        {
            let (epoch, vkey, note) = (checkpoint.epoch, key.to_string(), note.to_owned());
            self.out.newest = Some(Newest {
                size,
                epoch,
                vkey,
                note,
            });
        }
    }
}

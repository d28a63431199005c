//! Epochs: which key is in force, and who vouches for it.

use super::{Code, Epoch, Leaves, Previous, Verifier, report::EpochSeen};
use crate::{
    checkpoint::Checkpoint,
    epoch::SignedCheckpoint,
    note::{Signed, VerifierKey},
    payload::{Cause, EpochOpening},
};

impl Verifier {
    /// The epoch that the segment says is in force.
    pub(super) fn opened_in(&mut self, number: u64, key: VerifierKey) {
        let before = self.epoch.take();
        let distrusted = match &before {
            None => self.meets(number, &key, None),
            Some(before) if before.number == number && before.key == key => before.distrusted,
            // Where epochs were not read it is another one.
            Some(before)
                if matches!(self.previous, Previous::Unknown) && number > before.number =>
            {
                self.meets(number, &key, None)
            }
            Some(before) => {
                if !before.distrusted {
                    let what = format!(
                        "the segment says that epoch {number} with the key {key} is in force, and it is epoch {} with the key {}",
                        before.number, before.key
                    );
                    self.find(Code::EpochKey, self.here(), what);
                }
                before.distrusted && self.keys.get(&number) != Some(&key)
            }
        };
        self.epoch = Some(Epoch {
            number,
            key: key.clone(),
            distrusted,
        });
        self.seen.entry(number).or_insert(key);
    }

    /// An epoch whose beginning is not in what was read. Gives whether it is to be distrusted.
    fn meets(&mut self, number: u64, key: &VerifierKey, opening: Option<&EpochOpening>) -> bool {
        if self.tree.size() == 0 && number != 1 {
            let what = format!("the log begins with epoch {number}, not with epoch 1");
            self.find(Code::EpochNumber, self.here(), what);
        }
        let vouched = self.is_vouched(number, key);
        self.note_epoch(number, key, opening, vouched == Some(true));
        vouched == Some(false)
    }

    /// Whether the key is the one that was given for the epoch; `None` when none was.
    fn is_vouched(&mut self, number: u64, key: &VerifierKey) -> Option<bool> {
        let given = self.keys.get(&number)?.clone();
        if given != *key {
            let what = format!(
                "epoch {number} has the key {key}, and the one that was kept for it is {given}"
            );
            self.find(Code::EpochKey, self.here(), what);
        }
        Some(given == *key)
    }

    fn note_epoch(
        &mut self,
        epoch: u64,
        key: &VerifierKey,
        opening: Option<&EpochOpening>,
        vouched: bool,
    ) {
        self.out.epochs.push(EpochSeen {
            epoch,
            vkey: key.to_string(),
            leaf: self.leaf(),
            cause: opening.map(|opening| opening.cause),
            adopted: opening.map_or(0, |opening| opening.adopted),
            vouched,
        });
    }

    /// The record by which an epoch begins.
    pub(super) fn epoch_opening(&mut self, opening: &EpochOpening) {
        let key: VerifierKey = match opening.vkey.parse() {
            Ok(key) => key,
            Err(error) => return self.find(Code::Payload, self.here(), format!("{error}")),
        };
        let Some(former) = self.epoch.clone() else {
            return; // the segment's opening could not be read, which is told
        };
        if opening.epoch != former.number + 1 {
            let what = format!("epoch {} follows epoch {}", opening.epoch, former.number);
            self.find(Code::EpochNumber, self.here(), what);
        }
        self.found_head(opening, &former);
        let handed_over = self.handed_over(opening, &key, &former);
        let given = self.is_vouched(opening.epoch, &key);
        let by_former = self.out.epochs.last().is_some_and(|epoch| epoch.vouched);
        let vouched = given.unwrap_or(handed_over && by_former);
        if given.is_none() && !handed_over && !former.distrusted {
            let what = format!(
                "epoch {} is not vouched for by the key of epoch {}",
                opening.epoch, former.number
            );
            self.find(Code::Unvouched, self.here(), what);
        }
        let distrusted = given.map_or(!handed_over, |given| !given);
        if distrusted {
            self.note_epoch(opening.epoch, &key, Some(opening), false);
        } else {
            self.note_epoch(opening.epoch, &key, Some(opening), vouched);
            if vouched {
                self.keys
                    .entry(opening.epoch)
                    .or_insert_with(|| key.clone());
            }
        }
        self.epoch = Some(Epoch {
            number: opening.epoch,
            key: key.clone(),
            distrusted,
        });
        self.seen.insert(opening.epoch, key);
        self.note_going_on(opening.cause);
    }

    /// Whether the former epoch's last note, signed by its key and the new one's, names the new key.
    fn handed_over(&mut self, opening: &EpochOpening, key: &VerifierKey, former: &Epoch) -> bool {
        let what = "the note that ends the former epoch";
        let Some(SignedCheckpoint { checkpoint, note }) = self.read_note(what, &opening.transition)
        else {
            return false;
        };
        if checkpoint.epoch != former.number || checkpoint.next.as_ref() != Some(key) {
            let other = format!(
                "{what} is not of epoch {}, or names another key than the record",
                former.number
            );
            self.find(Code::WrongEpoch, self.here(), other);
            return false;
        }
        if note.signed_by(key) != Signed::Valid {
            let unproven = format!(
                "{what} is not signed by the key of epoch {} that it names",
                opening.epoch
            );
            self.find(Code::Signature, self.here(), unproven);
            return false;
        }
        // A lost key leaves no signature at all: that is told as such, and may have been vouched for.
        let lost = note.signed_by(&former.key) == Signed::Absent;
        if lost {
            self.covers(what, &checkpoint, self.leaf());
            return false;
        }
        if !self.is_signed(what, &note, former) {
            return false;
        }
        self.count_adopted(opening, checkpoint.size);
        if self.covers(what, &checkpoint, self.leaf()) {
            self.out.checkpoints += 1;
            self.hold_newest(&checkpoint, &former.key, &opening.transition);
        }
        true
    }

    fn count_adopted(&mut self, opening: &EpochOpening, size: u64) {
        let head = opening.former_head.as_deref().map(SignedCheckpoint::parse);
        let (Cause::Start, Some(Ok(head))) = (opening.cause, head) else {
            return;
        };
        let adopted = size.saturating_sub(head.checkpoint.size);
        if adopted != opening.adopted {
            let what = format!(
                "the epoch says that it adopted {} lines, and it is {adopted}",
                opening.adopted
            );
            self.find(Code::Adopted, self.here(), what);
        }
    }

    /// The head that was found when the epoch began: it must not cover more than what was there.
    fn found_head(&mut self, opening: &EpochOpening, former: &Epoch) {
        let what = "the head that was found when the epoch began";
        let Some(head) = &opening.former_head else {
            let missing = format!("there was no head when epoch {} began", opening.epoch);
            return self.find(Code::HeadMissing, self.here(), missing);
        };
        let Some(SignedCheckpoint { checkpoint, note }) = self.read_note(what, head) else {
            return;
        };
        // Until a new epoch has signed, the head is the note that ended the one before.
        let ended_before = checkpoint.next.as_ref() == Some(&former.key);
        let signer = if ended_before {
            checkpoint.epoch
        } else {
            former.number
        };
        if signer != checkpoint.epoch || (ended_before && signer + 1 != former.number) {
            let other = format!(
                "{what} is of epoch {}, not of epoch {}",
                checkpoint.epoch, former.number
            );
            return self.find(Code::WrongEpoch, self.here(), other);
        }
        let key = if ended_before {
            self.seen.get(&signer).cloned()
        } else {
            Some(former.key.clone())
        };
        let unsigned = key.and_then(|key| self.unsigned(&note, signer, &key));
        if let Some((code, why)) = unsigned {
            if !former.distrusted {
                self.find(code, self.here(), format!("{what} {why}"));
            }
            return;
        }
        if self.place.line == 2 && checkpoint.size < self.tree.base() {
            self.found_before_opening(what, &checkpoint);
        } else if self.tree_holds && checkpoint.size < self.tree.base() {
            self.found_old(what, &checkpoint, self.tree.base());
        } else {
            self.covers(what, &checkpoint, self.leaf());
        }
    }

    /// A start that opens a segment found the head before it opened that.
    fn found_before_opening(&mut self, what: &str, checkpoint: &Checkpoint) {
        let Some(tree) = self.before_opening.take() else {
            return; // those lines were not read
        };
        match tree.tree_at(checkpoint.size) {
            Some(tree) if tree.root() == checkpoint.root => {}
            None if checkpoint.size < tree.base() => self.found_old(what, checkpoint, tree.base()),
            Some(_) | None => {
                let leaves = Leaves {
                    first: tree.base(),
                    last: self.leaf(),
                };
                let other = format!(
                    "the lines are not those that {what} of {} lines was signed over",
                    checkpoint.size
                );
                self.find(Code::Root, leaves, other);
            }
        }
    }

    fn found_old(&mut self, what: &str, checkpoint: &Checkpoint, base: u64) {
        let older = format!(
            "{what} covers {} lines, fewer than the last note in the log ({base})",
            checkpoint.size
        );
        self.find(Code::HeadRolledBack, self.here(), older);
    }

    /// A start goes on where its epoch's record stands, or at the end of the segment before.
    fn note_going_on(&mut self, cause: Cause) {
        self.went_on = match (cause, self.place.line, self.out.segments.last()) {
            (Cause::Age, _, _) => None,
            (Cause::Start, 2, Some(before)) => Some((before.segment, before.bytes)),
            (Cause::Start, _, _) => Some((self.place.segment, self.place.offset)),
        };
    }
}

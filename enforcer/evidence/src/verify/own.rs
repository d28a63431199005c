//! Records about the log: what they say is held to what was read.

use std::ffi::OsStr;

use super::{Code, Epoch, Leaves, Previous, Recent, Verifier, report::EpochSeen};
use crate::{
    epoch::SignedCheckpoint,
    note::{Signed, VerifierKey},
    payload::{Cause, EpochOpening, Payload, SegmentOpening, SegmentRemoval, TornLine},
    tree::Tree,
};

impl Verifier {
    /// A record about the log that is not the first line of a segment.
    pub(super) fn payload(&mut self, payload: Payload) {
        match payload {
            Payload::Segment(_) => {
                let what = "a log-segment record stands within a segment";
                self.find(Code::OpeningMisplaced, self.here(), what);
            }
            Payload::Epoch(opening) => self.epoch_opening(&opening),
            Payload::Checkpoint(record) => {
                let held = self.checkpoint("the checkpoint", &record.checkpoint);
                if held.is_some_and(|checkpoint| checkpoint.epoch != record.epoch) {
                    let what = format!("the record says that its checkpoint is of epoch {}", record.epoch);
                    self.find(Code::WrongEpoch, self.here(), what);
                }
            }
            Payload::Removed(removal) => self.removal(removal),
            Payload::Torn(torn) => self.torn(torn),
        }
    }

    /// The first line of a segment.
    pub(super) fn opening(&mut self, opening: &SegmentOpening, is_true: bool) {
        let number = self.place.segment;
        if opening.segment != number {
            let what = format!("the segment says that it is segment {}", opening.segment);
            self.find(Code::SegmentNumber, None, what);
        }
        if is_true {
            self.follows_segment(opening);
        }
        let stated = Tree::from_parts(opening.tree_size, opening.tree_roots.clone());
        let stated = stated.map_err(|error| error.to_string());
        match stated {
            Ok(tree) => self.stands_at(tree),
            Err(why) => self.find(Code::Payload, self.here(), why),
        }
        if self.out.segments.is_empty() {
            self.out.first_leaf = self.tree.size();
            if self.tree.size() == 0 {
                self.went_on = Some((number, 0));
            }
        }
        self.pass_off_host();
        match opening.vkey.parse() {
            Ok(key) => self.opened_in(opening.epoch, key),
            Err(error) => self.find(Code::Payload, self.here(), format!("{error}")),
        }
        let size = self.checkpoint("the opening's checkpoint", &opening.checkpoint);
        if size.is_some_and(|checkpoint| checkpoint.size != opening.tree_size) {
            let what = "the opening's checkpoint is not of the lines before the segment";
            self.find(Code::Order, self.here(), what);
        }
    }

    /// What the opening says of the segment before is held to that one.
    fn follows_segment(&mut self, opening: &SegmentOpening) {
        let number = self.place.segment;
        match (&opening.former, self.out.segments.last()) {
            (Some(former), Some(seen)) if seen.segment + 1 == number => {
                let same = (seen.segment, seen.sha256, seen.bytes)
                    == (former.segment, former.sha256, former.bytes);
                if !same {
                    let what = format!(
                        "segment {} is not the file of {} bytes and SHA-256 {} that it was",
                        seen.segment, former.bytes, former.sha256
                    );
                    let (first, last) = (seen.first_leaf, self.tree.size());
                    let leaves = self.is_located.then_some(Leaves { first, last });
                    self.find_at(Code::FormerSegment, (Some(seen.segment), None), leaves, what);
                }
            }
            (Some(former), _) if former.segment + 1 != number => {
                let what = format!("the segment says that it follows segment {}", former.segment);
                self.find(Code::SegmentNumber, None, what);
            }
            (Some(former), None) => self.before_first = Some(former.clone()),
            (Some(_), Some(_)) => {}
            (None, _) if number > 1 => {
                let what = "the segment says of none that it is before it";
                self.find(Code::SegmentNumber, None, what);
            }
            (None, _) => {}
        }
    }

    /// Where in the log the segment says that it stands.
    fn stands_at(&mut self, stated: Tree) {
        let number = self.place.segment;
        if self.tree_holds && stated != *self.tree.tip() {
            let (size, read) = (stated.size(), self.tree.size());
            let (code, what) = if size > read {
                let what = format!("segment {number} begins after {size} lines, and {read} are before it: lines were taken away");
                (Code::LinesMissing, what)
            } else {
                let what = format!("the lines before segment {number} are not those before which it was begun");
                (Code::Root, what)
            };
            // The opening itself may be what was changed.
            let leaves = self.since_base(size.max(read) + 1);
            self.find(code, leaves, what);
        }
        // Read on from what the segment says: it is signed.
        self.tree = Recent::at(stated);
        self.tree_holds = true;
        self.is_located = true;
    }

    /// The epoch that the segment says is in force.
    fn opened_in(&mut self, number: u64, key: VerifierKey) {
        let before = self.epoch.take();
        let distrusted = match &before {
            None => self.meets(number, &key, None),
            Some(before) if before.number == number && before.key == key => before.distrusted,
            // Where epochs were not read it is another one.
            Some(before) if matches!(self.previous, Previous::Unknown) && number > before.number => {
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
        self.epoch = Some(Epoch { number, key: key.clone(), distrusted });
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
            let what = format!("epoch {number} has the key {key}, and the one that was kept for it is {given}");
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
    fn epoch_opening(&mut self, opening: &EpochOpening) {
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
            let what = format!("epoch {} is not vouched for by the key of epoch {}", opening.epoch, former.number);
            self.find(Code::Unvouched, self.here(), what);
        }
        let distrusted = given.map_or(!handed_over, |given| !given);
        if distrusted {
            self.note_epoch(opening.epoch, &key, Some(opening), false);
        } else {
            self.note_epoch(opening.epoch, &key, Some(opening), vouched);
            if vouched {
                self.keys.entry(opening.epoch).or_insert_with(|| key.clone());
            }
        }
        self.epoch = Some(Epoch { number: opening.epoch, key: key.clone(), distrusted });
        self.seen.insert(opening.epoch, key);
        self.note_going_on(opening.cause);
    }

    /// Whether the former epoch's last note, signed by its key and the new one's, names the new key.
    fn handed_over(&mut self, opening: &EpochOpening, key: &VerifierKey, former: &Epoch) -> bool {
        let what = "the note that ends the former epoch";
        let Some(SignedCheckpoint { checkpoint, note }) = self.read_note(what, &opening.transition) else {
            return false;
        };
        if checkpoint.epoch != former.number || checkpoint.next.as_ref() != Some(key) {
            let other = format!("{what} is not of epoch {}, or names another key than the record", former.number);
            self.find(Code::WrongEpoch, self.here(), other);
            return false;
        }
        if note.signed_by(key) != Signed::Valid {
            let unproven = format!("{what} is not signed by the key of epoch {} that it names", opening.epoch);
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
            let what = format!("the epoch says that it adopted {} lines, and it is {adopted}", opening.adopted);
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
        let signer = if ended_before { checkpoint.epoch } else { former.number };
        if signer != checkpoint.epoch || (ended_before && signer + 1 != former.number) {
            let other = format!("{what} is of epoch {}, not of epoch {}", checkpoint.epoch, former.number);
            return self.find(Code::WrongEpoch, self.here(), other);
        }
        let key = if ended_before { self.seen.get(&signer).cloned() } else { Some(former.key.clone()) };
        let unsigned = key.and_then(|key| self.unsigned(&note, signer, &key));
        if let Some((code, why)) = unsigned {
            if !former.distrusted {
                self.find(code, self.here(), format!("{what} {why}"));
            }
            return;
        }
        if self.tree_holds && checkpoint.size < self.tree.base() {
            let older = format!("{what} covers {} lines, fewer than the last note in the log ({})", checkpoint.size, self.tree.base());
            return self.find(Code::HeadRolledBack, self.here(), older);
        }
        self.covers(what, &checkpoint, self.leaf());
    }

    /// A start goes on where its epoch's record stands, or at the end of the segment before.
    fn note_going_on(&mut self, cause: Cause) {
        self.went_on = match (cause, self.place.line, self.out.segments.last()) {
            (Cause::Age, _, _) => None,
            (Cause::Start, 2, Some(before)) => Some((before.segment, before.bytes)),
            (Cause::Start, _, _) => Some((self.place.segment, self.place.offset)),
        };
    }

    fn torn(&mut self, torn: TornLine) {
        let name = torn.segment.rsplit('/').next().unwrap_or_default();
        let number = segment_number(OsStr::new(name));
        let in_current = number.map(|number| (number, torn.offset));
        let begun = (self.place.line > 1).then_some(()).and(self.went_on);
        // After an opening the start may have gone on in the segment that it opened, when that was empty.
        let in_opened = begun.is_some() && number == Some(self.place.segment) && torn.offset == 0;
        if in_current.is_none() || (in_current != begun && !in_opened) {
            let what = format!(
                "a torn line is said to have been set aside at offset {} of {}, where the log was not gone on with",
                torn.offset, torn.segment
            );
            self.find(Code::Torn, self.here(), what);
        }
        self.out.torn.push(torn);
    }

    fn removal(&mut self, removal: SegmentRemoval) {
        let number = self.place.segment;
        if removal.segment >= number || removal.first_leaf > removal.last_leaf {
            let what = format!("a record in segment {number} says that segment {} was removed", removal.segment);
            self.find(Code::RemovalMismatch, self.here(), what);
        }
        self.out.removed.push((number, removal));
    }
}

/// The number in a segment's name `enforcer-TIME-NUMBER.jsonl`.
fn segment_number(name: &OsStr) -> Option<u64> {
    let (_, number) = name.to_str()?.strip_suffix(".jsonl")?.rsplit_once('-')?;
    number.parse().ok()
}

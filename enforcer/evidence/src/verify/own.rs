//! Records about the log: what they say is held to what was read.

use std::ffi::OsStr;

use super::{Code, Leaves, Recent, Verifier};
use crate::{
    payload::{Payload, SegmentOpening, SegmentRemoval, TornLine},
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
                    let what = format!(
                        "the record says that its checkpoint is of epoch {}",
                        record.epoch
                    );
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
        self.pass_anchors();
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
                    self.find_at(
                        Code::FormerSegment,
                        (Some(seen.segment), None),
                        leaves,
                        what,
                    );
                }
            }
            (Some(former), _) if former.segment + 1 != number => {
                let what = format!(
                    "the segment says that it follows segment {}",
                    former.segment
                );
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
                let what = format!(
                    "segment {number} begins after {size} lines, and {read} are before it: lines were taken away"
                );
                (Code::LinesMissing, what)
            } else {
                let what = format!(
                    "the lines before segment {number} are not those before which it was begun"
                );
                (Code::Root, what)
            };
            // The opening itself may be what was changed.
            let leaves = self.since_base(size.max(read) + 1);
            self.find(code, leaves, what);
        }
        // Read on from what the segment says: it is signed.
        let same = self.tree_holds && stated == *self.tree.tip();
        let before = std::mem::replace(&mut self.tree, Recent::at(stated));
        self.before_opening = same.then_some(before);
        self.tree_holds = true;
        self.is_located = true;
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
            let what = format!(
                "a record in segment {number} says that segment {} was removed",
                removal.segment
            );
            self.find(Code::RemovalMismatch, self.here(), what);
        }
        self.out.removed.push((self.place, removal));
    }
}

/// The number in a segment's name `enforcer-TIME-NUMBER.jsonl`.
fn segment_number(name: &OsStr) -> Option<u64> {
    let (_, number) = name.to_str()?.strip_suffix(".jsonl")?.rsplit_once('-')?;
    number.parse().ok()
}

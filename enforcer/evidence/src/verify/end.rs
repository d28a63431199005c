//! The end of the log: what the head and the notes that were kept elsewhere say of it, and what is
//! missing.

use super::{Code, Leaves, Place, Report, Verifier};
use crate::{epoch::SignedCheckpoint, payload::SegmentRemoval};

impl Verifier {
    /// Holds the anchors of the size that was reached to the tree.
    pub(super) fn pass_anchors(&mut self) {
        let size = self.tree.size();
        while let Some(anchor) = self.anchors.get(self.passed)
            && anchor.signed.checkpoint.size <= size
        {
            self.passed += 1;
            if anchor.signed.checkpoint.size == size && self.tree_holds {
                self.compare_anchor();
            }
        }
    }

    /// The anchor that was passed last is of the tree as it is.
    fn compare_anchor(&mut self) {
        let Some(index) = self.passed.checked_sub(1) else {
            return;
        };
        let agreed = self.anchors.iter().take(index).rfind(|other| other.agreed);
        let first = agreed.map_or(self.out.first_leaf, |other| other.signed.checkpoint.size);
        let root = self.tree.tip().root();
        let Some(anchor) = self.anchors.get_mut(index) else {
            return;
        };
        let size = anchor.signed.checkpoint.size;
        anchor.agreed = anchor.signed.checkpoint.root == root;
        if !anchor.agreed {
            let last = size.saturating_sub(1);
            let leaves = Leaves {
                first: first.min(last),
                last,
            };
            let what = format!(
                "the lines are not those of {} of {size} lines: the log was written anew",
                anchor.what
            );
            self.find(Code::Root, leaves, what);
        }
    }

    /// Ends the verification. `head_now` is the head file as it is after the segments were read, for a
    /// log that is being written; without it the one that was read before is meant.
    #[must_use]
    pub fn finish(mut self, head_now: Option<&str>) -> Report {
        if let Some(last) = self.out.segments.last() {
            self.place.segment = last.segment;
        }
        let before = self.head.take();
        let now = head_now.map(str::to_owned).or_else(|| before.clone());
        let covered = self.heads(before.as_deref(), now.as_deref());
        let agreed = self.anchors_end();
        self.removals();
        let covered = covered.max(agreed).max(self.tree.base());
        let unsigned_tail = self.tree.size().saturating_sub(covered);
        let unverifiable = self.unverifiable();
        let limits = self.limits(now.is_some());
        self.report(unsigned_tail, unverifiable, limits)
    }

    /// Holds the head to the log; gives the lines that it covers.
    fn heads(&mut self, before: Option<&str>, now: Option<&str>) -> u64 {
        let Some(before) = before.or(now) else {
            return 0;
        };
        if !self.is_located {
            // Where the segments' beginning could not be read, that is told already.
            if self.out.lines == 0 {
                let what = "there is a head, and no whole line of the log".to_owned();
                self.find_at_end(Code::LinesMissing, None, what);
            }
            return 0;
        }
        let is_last = now.is_none_or(|now| now == before);
        let Some(read) = self.read_head(before, is_last) else {
            return 0;
        };
        let size = read.checkpoint.size;
        if size > self.tree.size() {
            let leaves = Leaves {
                first: self.tree.size(),
                last: size - 1,
            };
            let what = format!(
                "the head covers {size} lines, and the log ends after {}: its end was cut off",
                self.tree.size()
            );
            self.find_at_end(Code::LinesMissing, Some(leaves), what);
            return 0;
        }
        let newest = match now.filter(|now| *now != before) {
            None => size,
            Some(now) => match self.read_head(now, true) {
                Some(read) => read.checkpoint.size,
                None => return 0,
            },
        };
        if self.tree_holds && newest < self.tree.base() {
            let what = format!(
                "the head covers {newest} lines, and a note in the log {}: the head was put back",
                self.tree.base()
            );
            self.find_at_end(Code::HeadRolledBack, None, what);
            return 0;
        }
        // One that was read before the segments may be older than a note that was written meanwhile.
        if !self.tree_holds || size < self.tree.base() {
            return 0;
        }
        match self.tree.tree_at(size) {
            Some(tree) if tree.root() == read.checkpoint.root => {
                if let Some(key) = self.seen.get(&read.checkpoint.epoch).cloned() {
                    self.hold_newest(&read.checkpoint, &key, before);
                }
                size
            }
            Some(_) | None => {
                let what = format!(
                    "the last lines are not those that the head of {size} lines was signed over"
                );
                self.find_at_end(Code::Root, Some(self.since_base(size)), what);
                0
            }
        }
    }

    /// A head that is signed by the key of its epoch. The last one is of the epoch in force; one that was
    /// read before the segments may be of an epoch that ended meanwhile.
    fn read_head(&mut self, head: &str, is_last: bool) -> Option<SignedCheckpoint> {
        let read = match SignedCheckpoint::parse(head) {
            Ok(read) => read,
            Err(error) => {
                self.find_at_end(
                    Code::HeadMissing,
                    None,
                    format!("the head cannot be read: {error}"),
                );
                return None;
            }
        };
        let found = read.checkpoint.origin.clone();
        if self.origin.as_ref().is_some_and(|origin| *origin != found) {
            self.find_at_end(
                Code::ForeignNote,
                None,
                format!("the head is of the log {found:?}"),
            );
            return None;
        }
        // Without a line there is no epoch, and the head's size says that lines are gone.
        let Some(epoch) = self.epoch.clone() else {
            return Some(read);
        };
        let number = read.checkpoint.epoch;
        let ended_before =
            number + 1 == epoch.number && read.checkpoint.next.as_ref() == Some(&epoch.key);
        if number > epoch.number {
            // Its epoch's record is among the lines that are gone.
            return (read.checkpoint.size > self.tree.size())
                .then_some(read)
                .or_else(|| {
                    let what =
                        format!("the head is of epoch {number}, which the log does not know");
                    self.find_at_end(Code::WrongEpoch, None, what);
                    None
                });
        }
        if is_last && number != epoch.number && !ended_before {
            let what = format!(
                "the head is of epoch {number}, and epoch {} is in force: the head was put back",
                epoch.number
            );
            self.find_at_end(Code::HeadRolledBack, None, what);
            return None;
        }
        let key = if number == epoch.number {
            Some(epoch.key)
        } else {
            self.seen.get(&number).cloned()
        };
        let unsigned = key.and_then(|key| self.unsigned(&read.note, number, &key));
        match unsigned {
            Some(_) if epoch.distrusted => None,
            Some((code, why)) => {
                self.find_at_end(code, None, format!("the head {why}"));
                None
            }
            None => Some(read),
        }
    }

    /// Anchors beyond the end, and signatures of those that were kept off the host; gives the lines
    /// that one of these covers.
    fn anchors_end(&mut self) -> u64 {
        let size = self.tree.size();
        let mut covered = 0;
        let anchors = std::mem::take(&mut self.anchors);
        for anchor in &anchors {
            let (of, what) = (&anchor.signed.checkpoint, &anchor.what);
            if of.size > size && self.is_located {
                let leaves = Leaves {
                    first: size,
                    last: of.size - 1,
                };
                let what = format!(
                    "{what} covers {} lines, and the log ends after {size}: its end was cut off",
                    of.size
                );
                self.find_at_end(Code::LinesMissing, Some(leaves), what);
            }
            let key = self
                .seen
                .get(&of.epoch)
                .filter(|_| anchor.off_host)
                .cloned();
            let unsigned = key.and_then(|key| self.unsigned(&anchor.signed.note, of.epoch, &key));
            if let Some((code, why)) = unsigned {
                self.find_at_end(code, None, format!("{what} {why}"));
            } else if anchor.agreed {
                covered = covered.max(of.size);
            }
        }
        self.anchors = anchors;
        covered
    }

    /// Segments before the first were removed on record, and records of removals are true.
    fn removals(&mut self) {
        let removed = self.out.removed.clone();
        for (at, removal) in &removed {
            let seen = self
                .out
                .segments
                .iter()
                .find(|seen| seen.segment == removal.segment);
            let Some(seen) = seen else { continue };
            // Recorded, and a crash came before the file went.
            let end = removal.last_leaf.saturating_sub(removal.first_leaf) + 1;
            if (seen.sha256, seen.bytes, seen.first_leaf, seen.lines)
                != (removal.sha256, removal.bytes, removal.first_leaf, end)
            {
                let what = format!(
                    "segment {} was recorded as removed, is there, and is another file",
                    removal.segment
                );
                self.find_at(
                    Code::RemovalMismatch,
                    (Some(at.segment), Some(at.line)),
                    None,
                    what,
                );
            }
        }
        let Some(first) = self
            .out
            .segments
            .first()
            .map(|seen| (seen.segment, seen.first_leaf))
        else {
            return;
        };
        if first.0 > self.from {
            self.removed_before(first, &removed);
        }
    }

    fn removed_before(
        &mut self,
        (segment, first_leaf): (u64, u64),
        removed: &[(Place, SegmentRemoval)],
    ) {
        let gone = segment - 1;
        let leaves = first_leaf
            .checked_sub(1)
            .map(|last| Leaves { first: 0, last });
        let last = removed.iter().rfind(|(_, removal)| removal.segment == gone);
        let Some((at, removal)) = last else {
            let what = format!(
                "the log begins with segment {segment}, and no record says that segment {gone} was removed"
            );
            return self.find_at(Code::RemovalMissing, (Some(gone), None), leaves, what);
        };
        // An opening that cannot be read is told of already.
        let agrees = self.before_first.as_ref().is_none_or(|former| {
            removal.last_leaf + 1 == first_leaf
                && (former.sha256, former.bytes) == (removal.sha256, removal.bytes)
        });
        if !agrees {
            let what = format!(
                "what is recorded of removed segment {gone} is not what the opening of segment {segment} says of it"
            );
            self.find_at(
                Code::RemovalMismatch,
                (Some(at.segment), Some(at.line)),
                None,
                what,
            );
        }
    }

    fn find_at_end(&mut self, code: Code, leaves: Option<Leaves>, what: String) {
        let segment = self.out.segments.last().map(|seen| seen.segment);
        self.find_at(code, (segment, None), leaves, what);
    }
}

//! Segments and their lines.

use std::io::BufRead;

use serde_json::Value;
use sha2::Digest;

use super::{Code, Current, Leaves, Place, Previous, ReadError, SegmentSeen, TornTail, Verifier};
use crate::{
    Hash,
    chain::{Attestation, Held, Link, hold, name_of},
    payload::{Payload, PayloadError},
    tree::leaf_hash,
};

impl Verifier {
    /// Reads a segment. Segments are given by number.
    ///
    /// # Errors
    /// When it cannot be read, or comes out of order. What is wrong with it is no error, but found.
    pub fn segment(&mut self, number: u64, mut reader: impl BufRead) -> Result<(), ReadError> {
        self.enter(number)?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line);
            let read = read.map_err(|source| ReadError::Read {
                segment: number,
                source,
            })?;
            if read == 0 {
                break;
            }
            self.current.sha256.update(&line);
            self.place.offset = self.current.bytes;
            self.current.bytes += read as u64;
            if line.pop() != Some(b'\n') {
                let (offset, bytes) = (self.place.offset, read as u64);
                self.out.torn_tail = Some(TornTail {
                    segment: number,
                    offset,
                    bytes,
                });
                break;
            }
            self.place.line += 1;
            self.line(&line);
        }
        self.leave();
        Ok(())
    }

    fn enter(&mut self, number: u64) -> Result<(), ReadError> {
        let before = self
            .out
            .segments
            .last()
            .map(|seen| (seen.segment, seen.lines));
        if let Some((after, lines)) = before {
            if number <= after {
                return Err(ReadError::Order {
                    segment: number,
                    after,
                });
            }
            self.was_whole(after, lines);
            if number > after + 1 {
                let what = match number - after {
                    2 => format!("segment {} is missing", after + 1),
                    _ => format!("segments {} to {} are missing", after + 1, number - 1),
                };
                self.find_at(Code::Hole, (Some(after + 1), None), None, what);
                self.lose_track();
            }
        } else if number > 1 {
            self.lose_track();
        }
        self.place = Place {
            segment: number,
            line: 0,
            offset: 0,
        };
        self.current = Current::default();
        Ok(())
    }

    /// A segment that another one follows was whole when that was begun.
    fn was_whole(&mut self, segment: u64, lines: u64) {
        if let Some(torn) = self.out.torn_tail.take() {
            let what = format!(
                "the segment ends in {} bytes that are no whole line",
                torn.bytes
            );
            let place = (Some(segment), Some(lines + 1));
            self.find_at(Code::SegmentCut, place, None, what);
        }
        if lines == 0 {
            let what = "the segment is empty, and another one follows it".to_owned();
            self.find_at(Code::SegmentCut, (Some(segment), None), None, what);
        }
    }

    /// Nothing is known of what is before the next line, but what its segment's opening says.
    fn lose_track(&mut self) {
        self.previous = Previous::Unknown;
        self.tree_holds = false;
        self.is_located = false;
    }

    fn leave(&mut self) {
        let Current { sha256, bytes } = std::mem::take(&mut self.current);
        let Place {
            segment,
            line: lines,
            ..
        } = self.place;
        let first_leaf = self.tree.size().saturating_sub(lines);
        let sha256 = Hash(sha256.finalize().into());
        let seen = SegmentSeen {
            segment,
            first_leaf,
            lines,
            bytes,
            sha256,
        };
        self.out.segments.push(seen);
    }

    fn line(&mut self, line: &[u8]) {
        self.out.lines += 1;
        match serde_json::from_slice::<Value>(line) {
            Ok(record) if record.is_object() => self.record(line, record),
            Ok(_) => self.unreadable("the line is no JSON object".to_owned()),
            Err(error) => self.unreadable(format!("the line is no JSON: {error}")),
        }
        if self.place.line > 1 {
            self.before_opening = None;
        }
        self.tree.append(leaf_hash(line));
        self.pass_anchors();
    }

    fn unreadable(&mut self, what: String) {
        self.find(Code::Malformed, self.here(), what);
        self.previous = Previous::Unknown;
        if self.place.line == 1 {
            self.unopened();
        }
    }

    fn record(&mut self, line: &[u8], mut record: Value) {
        let payload = Payload::of(&record);
        let attestation = Attestation::of(&record);
        let held = match &attestation {
            Some(attestation) => hold(line, &mut record, attestation),
            None => Held::Changed,
        };
        let foreign = self.is_foreign(attestation.as_ref());
        // An opening says where in the log it stands: it comes before what is said of that place.
        self.own(payload, held == Held::True && !foreign, foreign);
        self.note_time(&record);
        let Some(attestation) = attestation else {
            let what = "the record has no attestation as the log writes it";
            self.find(Code::Unlinked, self.here(), what);
            self.previous = Previous::Unknown;
            return;
        };
        if foreign {
            let (of, origin) = (&attestation.chain_uid, &self.origin);
            let what = format!(
                "the record is of the log {of:?}, not of {:?}",
                origin.as_deref().unwrap_or_default()
            );
            self.find(Code::ForeignRecord, self.here(), what);
        }
        match held {
            Held::True => {}
            Held::Changed => {
                let what = "the record was changed: it is not what its fingerprint says";
                self.find(Code::Fingerprint, self.here(), what);
            }
            Held::Respelled => {
                let what = "the line is not spelled as the log writes it";
                self.find(Code::Respelled, self.here(), what);
            }
        }
        self.follows(attestation.previous.as_ref());
        self.previous = match name_of(&record) {
            Ok((uid, type_uid)) => Previous::Link(Link {
                uid: uid.to_owned(),
                type_uid,
                fingerprint: attestation.fingerprint,
            }),
            Err(_) => Previous::Unknown,
        };
    }

    /// Whether the record says that it is of another log. The first one says which log this is, unless
    /// that was given.
    fn is_foreign(&mut self, attestation: Option<&Attestation>) -> bool {
        let Some(Attestation { chain_uid, .. }) = attestation else {
            return false;
        };
        self.origin.get_or_insert_with(|| chain_uid.clone()) != chain_uid
    }

    /// What the record says of the log. Of one that is not what it was, or is another log's, only what
    /// is needed to read on is taken.
    fn own(
        &mut self,
        payload: Result<Option<Payload>, PayloadError>,
        is_true: bool,
        foreign: bool,
    ) {
        let first = self.place.line == 1;
        if first && !matches!(payload, Ok(Some(Payload::Segment(_)))) {
            self.unopened();
        }
        match payload {
            Ok(Some(Payload::Segment(opening))) if first => self.opening(&opening, is_true),
            Ok(Some(payload @ Payload::Epoch(_))) if !foreign => self.payload(payload),
            Ok(Some(payload)) if is_true => self.payload(payload),
            Ok(_) => {}
            Err(error) => self.find(Code::Payload, self.here(), error.to_string()),
        }
    }

    fn unopened(&mut self) {
        let what = "the segment does not begin with its log-segment record";
        self.find(Code::OpeningMissing, self.here(), what);
    }

    /// Whether the record says of the one before it what that says of itself.
    fn follows(&mut self, stated: Option<&Link>) {
        let wrong = match (&self.previous, stated) {
            (Previous::Unknown, _) | (Previous::None, None) => None,
            (Previous::Link(before), Some(stated)) if before == stated => None,
            (Previous::Link(before), Some(stated)) => Some(format!(
                "the record follows {:?} (fingerprint {}), and before it stands {:?} (fingerprint {})",
                stated.uid, stated.fingerprint, before.uid, before.fingerprint
            )),
            (Previous::Link(before), None) => Some(format!(
                "the record says that it is the log's first, and {:?} is before it",
                before.uid
            )),
            (Previous::None, Some(stated)) => Some(format!(
                "the record follows {:?}, and nothing is before it",
                stated.uid
            )),
        };
        if let Some(what) = wrong {
            let last = self.leaf();
            let leaves = Leaves {
                first: last.saturating_sub(1),
                last,
            };
            self.find(Code::Chain, self.is_located.then_some(leaves), what);
        }
    }

    fn note_time(&mut self, record: &Value) {
        if let Some(time) = record.get("time").and_then(Value::as_i64) {
            let (first, last) = self.out.times.unwrap_or((time, time));
            self.out.times = Some((first.min(time), last.max(time)));
        }
    }
}

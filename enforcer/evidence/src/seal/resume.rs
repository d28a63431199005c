//! Where a log ends: what a writer has to know of the lines before its first.

use std::io::{self, BufRead};

use serde_json::Value;
use sha2::Digest;

use super::{Segment, State};
use crate::{
    chain::{Attestation, Link, name_of},
    hash::Hash,
    note::VerifierKey,
    payload::Payload,
    tree::{Tree, leaf_hash},
};

/// What stands in every line that the log writes about itself, and in no other record's text: within
/// a string a quote is escaped.
const OWN: &str = r#""event_code":"log-"#;

/// The end of a log, from which it is written on.
#[derive(Clone, Debug)]
pub struct Resumed {
    pub(super) state: State,
    /// The epoch in force; none while there is no line.
    pub(super) epoch: Option<(u64, VerifierKey)>,
}

/// Why a log cannot be written on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// A segment cannot be read.
    #[error("log segment {segment}: {source}")]
    Read {
        /// Its number.
        segment: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The last line has no end: it is to be set aside first.
    #[error("log segment {segment} ends in a torn line: it has to be set aside first")]
    Torn {
        /// Number of the segment.
        segment: u64,
    },
    /// The segment does not begin with its opening, so that the tree up to it is not known.
    #[error(
        "log segment {segment} does not begin with a log-segment record that can be read ({why}): a log cannot be gone on with from there. Keep its directory under another name, and start with an empty one"
    )]
    NoOpening {
        /// Number of the segment.
        segment: u64,
        /// What is wrong.
        why: String,
    },
    /// The only segment that was given is empty, and there are older ones.
    #[error("log segment {segment} is empty: the one before it is needed too")]
    NeedsFormer {
        /// Number of the segment.
        segment: u64,
    },
}

/// Reads the end of a log: its last segment, and the one before it when the last is empty. Segments
/// are given in their order.
#[derive(Debug, Default)]
pub struct Resume {
    found: Option<Resumed>,
}

impl Resume {
    /// Reads a segment. Its opening says what was before it, so that older ones need not be read.
    ///
    /// # Errors
    /// When it cannot be read, has no opening, or ends in a torn line.
    pub fn segment(&mut self, number: u64, mut reader: impl BufRead) -> Result<(), ResumeError> {
        let failed = |source| ResumeError::Read {
            segment: number,
            source,
        };
        let mut line = Vec::new();
        let mut state = None;
        let mut epoch = None;
        let mut last = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            if line.pop() != Some(b'\n') {
                return Err(ResumeError::Torn { segment: number });
            }
            let state = match &mut state {
                Some(state) => state,
                none => {
                    let opened = opening(number, &line)?;
                    epoch = Some(opened.1);
                    none.insert(opened.0)
                }
            };
            epoch = epoch_of(&line).or(epoch);
            add(state, &line);
            std::mem::swap(&mut last, &mut line);
            line.clear();
        }
        match state {
            Some(mut state) => {
                state.last = Some(link(&last));
                self.found = Some(Resumed { state, epoch });
            }
            None => self.empty(number)?,
        }
        Ok(())
    }

    /// The end of what was read; the beginning of a log when that was nothing.
    #[must_use]
    pub fn finish(self) -> Resumed {
        self.found.unwrap_or_else(fresh)
    }

    fn empty(&mut self, number: u64) -> Result<(), ResumeError> {
        match &mut self.found {
            Some(found) => {
                let former = found.state.segment.digest();
                found.state.segment = Segment::empty(number, Some(former));
            }
            None if number == 1 => self.found = Some(fresh()),
            None => return Err(ResumeError::NeedsFormer { segment: number }),
        }
        Ok(())
    }
}

fn fresh() -> Resumed {
    let segment = Segment::empty(1, None);
    let state = State {
        tree: Tree::default(),
        last: None,
        segment,
    };
    Resumed { state, epoch: None }
}

/// The log before a segment, as the segment's first line says.
fn opening(number: u64, line: &[u8]) -> Result<(State, (u64, VerifierKey)), ResumeError> {
    let failed = |why: String| ResumeError::NoOpening {
        segment: number,
        why,
    };
    let record: Value = serde_json::from_slice(line).map_err(|error| failed(error.to_string()))?;
    let opening = match Payload::of(&record) {
        Ok(Some(Payload::Segment(opening))) => opening,
        Ok(_) => return Err(failed("it is another record".to_owned())),
        Err(error) => return Err(failed(error.to_string())),
    };
    let tree = Tree::from_parts(opening.tree_size, opening.tree_roots)
        .map_err(|error| failed(error.to_string()))?;
    let key = opening
        .vkey
        .parse()
        .map_err(|error| failed(format!("{error}")))?;
    let segment = Segment::empty(number, opening.former);
    Ok((
        State {
            tree,
            last: None,
            segment,
        },
        (opening.epoch, key),
    ))
}

/// The epoch that a line begins.
fn epoch_of(line: &[u8]) -> Option<(u64, VerifierKey)> {
    let text = str::from_utf8(line)
        .ok()
        .filter(|text| text.contains(OWN))?;
    match Payload::of(&serde_json::from_str(text).ok()?) {
        Ok(Some(Payload::Epoch(opening))) => Some((opening.epoch, opening.vkey.parse().ok()?)),
        Ok(_) | Err(_) => None,
    }
}

fn add(state: &mut State, line: &[u8]) {
    state.tree.append(leaf_hash(line));
    state.segment.sha256.update(line);
    state.segment.sha256.update(b"\n");
    state.segment.bytes += line.len() as u64 + 1;
}

/// What the next record has of the last line. Of a line that someone made unreadable it has the
/// line's own hash: the log goes on, and a verifier finds the line.
fn link(line: &[u8]) -> Link {
    let read = || {
        let record: Value = serde_json::from_slice(line).ok()?;
        let (uid, type_uid) = name_of(&record).ok()?;
        let fingerprint = Attestation::of(&record)?.fingerprint;
        Some(Link {
            uid: uid.to_owned(),
            type_uid,
            fingerprint,
        })
    };
    read().unwrap_or_else(|| Link {
        uid: "unreadable".to_owned(),
        type_uid: 0,
        fingerprint: Hash::of(line),
    })
}

//! One record's inclusion proof: a document by which whoever has it knows that the record stood in
//! the log when a checkpoint was signed, without the log.

mod check;

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
    ops::Range,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use check::{Proven, Unproven, Voucher};

use crate::{
    checkpoint::Checkpoint,
    epoch::{OpenError, SignedCheckpoint},
    hash::Hash,
    note::{NoteError, VerifierKey},
    payload::Payload,
    proof::{ProofError, inclusion_ranges, verify_inclusion},
    tree::{Tree, leaf_hash},
};

/// What [`Proof::format`] says.
pub const FORMAT: &str = "enforcer-inclusion-proof-1";

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// [`FORMAT`].
    pub format: String,
    /// The record's line, without its newline.
    pub line: String,
    /// Which leaf of the log it is, from 0.
    pub leaf: u64,
    /// The roots of the subtrees beside its way up, from below (RFC 6962, 2.1.1).
    pub path: Vec<Hash>,
    /// The checkpoint, as a signed note.
    pub checkpoint: String,
    /// The key that signed it.
    pub vkey: String,
    /// The notes that end the epochs from the first to the checkpoint's, as far as they were given:
    /// they lead from the first epoch's key to `vkey`.
    pub transitions: Vec<String>,
}

/// Why a record cannot be proven.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// A segment cannot be read.
    #[error("log segment {segment}: {source}")]
    Read {
        /// Its number.
        segment: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The checkpoint is none.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] OpenError),
    /// The key is none.
    #[error("the checkpoint's key: {0}")]
    Key(#[from] NoteError),
    /// A segment does not begin with its opening, or not where the one before ends.
    #[error("log segment {segment} does not begin where it should: verify the log")]
    Opening {
        /// Its number.
        segment: u64,
    },
    /// No record has this id.
    #[error("no record with the uid {uid:?} is among the {lines} lines that the checkpoint covers")]
    NotFound {
        /// `metadata.uid`.
        uid: String,
        /// Lines that the checkpoint covers.
        lines: u64,
    },
    /// Fewer lines were read than the checkpoint covers.
    #[error("the checkpoint covers {size} lines, and {read} are there: verify the log")]
    Short {
        /// Lines that the checkpoint covers.
        size: u64,
        /// Lines up to the end of what was read.
        read: u64,
    },
    /// The lines are not those that the checkpoint was signed over.
    #[error("the log is not the one that the checkpoint was signed over ({0}): verify the log")]
    Root(ProofError),
}

/// Looks for a record and makes its proof, in one pass over the segments from one that is not behind
/// the record.
#[derive(Debug)]
pub struct Prover {
    uid: String,
    /// How the id stands in a line.
    needle: String,
    checkpoint: Checkpoint,
    proof: Proof,
    tree: Option<Tree>,
    found: Option<Vec<Side>>,
}

/// A subtree beside the record's way up.
#[derive(Debug)]
struct Side {
    range: Range<u64>,
    tree: Tree,
}

impl Prover {
    /// A prover for the record with this `metadata.uid`, against a checkpoint (a signed note) and the
    /// key that signed it. `transitions` are put into the document.
    ///
    /// # Errors
    /// When the checkpoint or the key is none.
    pub fn new(
        uid: &str,
        checkpoint: &str,
        vkey: &str,
        transitions: Vec<String>,
    ) -> Result<Self, ProveError> {
        let read = SignedCheckpoint::parse(checkpoint)?.checkpoint;
        vkey.parse::<VerifierKey>()?;
        let proof = Proof {
            format: FORMAT.to_owned(),
            line: String::new(),
            leaf: 0,
            path: Vec::new(),
            checkpoint: checkpoint.to_owned(),
            vkey: vkey.to_owned(),
            transitions,
        };
        Ok(Self {
            uid: uid.to_owned(),
            needle: format!("\"uid\":{}", Value::from(uid)),
            checkpoint: read,
            proof,
            tree: None,
            found: None,
        })
    }

    /// Reads a segment, in the order of their numbers and without a hole.
    ///
    /// # Errors
    /// When it cannot be read, or is not the next part of the log.
    pub fn segment(&mut self, number: u64, mut reader: impl BufRead) -> Result<(), ProveError> {
        let failed = |source| ProveError::Read {
            segment: number,
            source,
        };
        let mut line = Vec::new();
        let mut first = true;
        while !self.is_done() && reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            if line.pop() != Some(b'\n') {
                break;
            }
            if first {
                self.open(number, &line)?;
                first = false;
            }
            self.line(&line);
            line.clear();
        }
        Ok(())
    }

    /// Whether all that the checkpoint covers was read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.size() >= self.checkpoint.size
    }

    /// The document.
    ///
    /// # Errors
    /// When the record was not found, or the log is not the one that was signed.
    pub fn finish(mut self) -> Result<Proof, ProveError> {
        let (size, read) = (self.checkpoint.size, self.size());
        if read < size {
            return Err(ProveError::Short { size, read });
        }
        let Some(sides) = self.found.take() else {
            return Err(ProveError::NotFound {
                uid: self.uid,
                lines: size,
            });
        };
        self.proof.path = sides.iter().map(|side| side.tree.root()).collect();
        let Proof {
            line, leaf, path, ..
        } = &self.proof;
        let hash = leaf_hash(line.as_bytes());
        verify_inclusion(hash, *leaf, size, path, &self.checkpoint.root)
            .map_err(ProveError::Root)?;
        Ok(self.proof)
    }

    fn size(&self) -> u64 {
        self.tree.as_ref().map_or(0, Tree::size)
    }

    fn open(&mut self, segment: u64, line: &[u8]) -> Result<(), ProveError> {
        let record: Value = serde_json::from_slice(line).unwrap_or_default();
        let stated = match Payload::of(&record) {
            Ok(Some(Payload::Segment(opening))) => {
                Tree::from_parts(opening.tree_size, opening.tree_roots).ok()
            }
            Ok(_) | Err(_) => None,
        };
        let expected = self.tree.take();
        self.tree = stated.filter(|stated| expected.is_none_or(|expected| expected == *stated));
        if self.tree.is_some() {
            Ok(())
        } else {
            Err(ProveError::Opening { segment })
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some(tree) = &mut self.tree else { return };
        let (index, hash) = (tree.size(), leaf_hash(line));
        match &mut self.found {
            Some(sides) => {
                let side = sides.iter_mut().find(|side| side.range.contains(&index));
                side.into_iter().for_each(|side| side.tree.append(hash));
            }
            None => {
                let is_it = str::from_utf8(line).is_ok_and(|line| {
                    line.contains(&self.needle) && uid_of(line).as_deref() == Some(&*self.uid)
                });
                if is_it {
                    self.found = Some(sides(tree, self.checkpoint.size));
                    self.proof.leaf = index;
                    self.proof.line = String::from_utf8_lossy(line).into_owned();
                }
            }
        }
        tree.append(hash);
    }
}

fn uid_of(line: &str) -> Option<String> {
    let record: Value = serde_json::from_str(line).ok()?;
    let uid = record.pointer("/metadata/uid")?.as_str()?;
    Some(uid.to_owned())
}

/// The subtrees beside the way up of the next leaf of `before`: those on the left are perfect subtrees
/// of `before`, those on the right are still to be read.
fn sides(before: &Tree, size: u64) -> Vec<Side> {
    let mut start = 0;
    let perfect: BTreeMap<u64, Hash> = before
        .roots()
        .iter()
        .zip(
            (0..u64::BITS)
                .rev()
                .filter(|bit| before.size() >> bit & 1 == 1),
        )
        .map(|(root, bit)| {
            let at = start;
            start += 1 << bit;
            (at, *root)
        })
        .collect();
    let ranges = inclusion_ranges(before.size(), size);
    let side = |range: Range<u64>| {
        let root = perfect
            .get(&range.start)
            .filter(|_| range.end <= before.size());
        // A perfect subtree, as the leaf that stands for it: its root is that of the tree.
        let tree = root
            .and_then(|root| Tree::from_parts(1, vec![*root]).ok())
            .unwrap_or_default();
        Side { range, tree }
    };
    ranges.into_iter().map(side).collect()
}

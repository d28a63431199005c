//! One record's inclusion proof: a document by which whoever has it knows that the record stood in
//! the log when a checkpoint was signed, without the log.

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
    ops::Range,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    checkpoint::Checkpoint,
    epoch::{OpenError, SignedCheckpoint, SuccessionError, follow},
    hash::Hash,
    note::{NoteError, Signed, VerifierKey},
    payload::Payload,
    proof::{ProofError, inclusion_ranges, verify_inclusion},
    tree::{Tree, leaf_hash},
    verify::{Trust, TrustError},
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
        let failed = |source| ProveError::Read { segment: number, source };
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
            return Err(ProveError::NotFound { uid: self.uid, lines: size });
        };
        self.proof.path = sides.iter().map(|side| side.tree.root()).collect();
        let Proof { line, leaf, path, .. } = &self.proof;
        let hash = leaf_hash(line.as_bytes());
        verify_inclusion(hash, *leaf, size, path, &self.checkpoint.root).map_err(ProveError::Root)?;
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
        if self.tree.is_some() { Ok(()) } else { Err(ProveError::Opening { segment }) }
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
        .zip((0..u64::BITS).rev().filter(|bit| before.size() >> bit & 1 == 1))
        .map(|(root, bit)| {
            let at = start;
            start += 1 << bit;
            (at, *root)
        })
        .collect();
    let ranges = inclusion_ranges(before.size(), size);
    let side = |range: Range<u64>| {
        let root = perfect.get(&range.start).filter(|_| range.end <= before.size());
        // A perfect subtree, as the leaf that stands for it: its root is that of the tree.
        let tree = root.and_then(|root| Tree::from_parts(1, vec![*root]).ok()).unwrap_or_default();
        Side { range, tree }
    };
    ranges.into_iter().map(side).collect()
}

/// Who vouches for the checkpoint of a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Voucher {
    /// A key that was given, or that given ones lead to.
    Key,
    /// A checkpoint that was kept off the host and is the same.
    OffHost,
    /// Nobody but the document itself.
    Nobody,
}

/// What a proof proves.
#[derive(Clone, Debug, Serialize)]
pub struct Proven {
    /// The record.
    pub record: Value,
    /// Which leaf of the log it is.
    pub leaf: u64,
    /// Lines of the log when the checkpoint was signed.
    pub size: u64,
    /// The log.
    pub origin: String,
    /// Epoch whose key signed.
    pub epoch: u64,
    /// When, in milliseconds since 1970, by the host's clock.
    pub time_ms: i64,
    /// Who vouches for the checkpoint.
    pub voucher: Voucher,
}

/// Why a document proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It is of another form.
    #[error("the document's format is {0:?}, and {FORMAT:?} was expected")]
    Format(String),
    /// Its checkpoint is none.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] OpenError),
    /// Its key is none.
    #[error("vkey: {0}")]
    Key(#[from] NoteError),
    /// Its transitions do not lead to its key.
    #[error("transitions: {0}")]
    Transitions(#[from] SuccessionError),
    /// What is trusted cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The key did not sign the checkpoint.
    #[error("the checkpoint is not signed by the document's key")]
    Signature,
    /// The checkpoint's epoch has another key.
    #[error("the checkpoint of epoch {epoch} is signed by {found}, and the key of that epoch is {expected}")]
    OtherKey {
        /// The epoch.
        epoch: u64,
        /// The document's key.
        found: String,
        /// The one that is trusted.
        expected: String,
    },
    /// Keys or checkpoints were given, and none of them vouches for the document's.
    #[error("nothing that was given vouches for the key of epoch {epoch}")]
    Unvouched {
        /// The epoch.
        epoch: u64,
    },
    /// The record is not in that log at that place.
    #[error("the record is not leaf {leaf} of that log: {why}")]
    NotIncluded {
        /// The leaf.
        leaf: u64,
        /// Why.
        why: ProofError,
    },
    /// The line is no record.
    #[error("the line is no JSON")]
    NotARecord,
}

impl Proof {
    /// Checks the document against what is trusted. With nothing trusted it is checked against itself.
    ///
    /// # Errors
    /// When it proves nothing.
    pub fn verify(&self, trust: &Trust) -> Result<Proven, Unproven> {
        if self.format != FORMAT {
            return Err(Unproven::Format(self.format.chars().take(80).collect()));
        }
        let SignedCheckpoint { checkpoint, note } = SignedCheckpoint::parse(&self.checkpoint)?;
        let key: VerifierKey = self.vkey.parse()?;
        if note.signed_by(&key) != Signed::Valid || key.name() != checkpoint.origin {
            return Err(Unproven::Signature);
        }
        let (leaf, size) = (self.leaf, checkpoint.size);
        let hash = leaf_hash(self.line.as_bytes());
        verify_inclusion(hash, leaf, size, &self.path, &checkpoint.root)
            .map_err(|why| Unproven::NotIncluded { leaf, why })?;
        let voucher = self.voucher(trust, &checkpoint, &key)?;
        let record = serde_json::from_str(&self.line).map_err(|_| Unproven::NotARecord)?;
        let Checkpoint { origin, epoch, time_ms, .. } = checkpoint;
        Ok(Proven { record, leaf, size, origin, epoch, time_ms, voucher })
    }

    fn voucher(
        &self,
        trust: &Trust,
        checkpoint: &Checkpoint,
        key: &VerifierKey,
    ) -> Result<Voucher, Unproven> {
        let kept = trust.off_host()?;
        let same = |other: &Checkpoint| {
            (&other.origin, other.size, other.root)
                == (&checkpoint.origin, checkpoint.size, checkpoint.root)
        };
        if kept.iter().any(|kept| same(&kept.signed.checkpoint)) {
            return Ok(Voucher::OffHost);
        }
        let epoch = checkpoint.epoch;
        let row = trust.transitions.iter().chain(&self.transitions);
        let keys = follow(&trust.keys, row.map(String::as_str))?;
        match keys.get(&epoch) {
            Some(trusted) if trusted == key => Ok(Voucher::Key),
            Some(trusted) => Err(Unproven::OtherKey {
                epoch,
                found: key.to_string(),
                expected: trusted.to_string(),
            }),
            None if trust.keys.is_empty() && kept.is_empty() => Ok(Voucher::Nobody),
            None => Err(Unproven::Unvouched { epoch }),
        }
    }
}

//! Epochs: spans of the log that one key signs.
//!
//! An epoch ends with a checkpoint that names the next one's key, signed by both keys; the old
//! private key is then destroyed. Who becomes root later cannot sign for an epoch that is over. A
//! reader goes from the key that it trusts to the later ones by these notes.

use std::{collections::BTreeMap, sync::Arc};

use zeroize::Zeroizing;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    note::{self, Note, NoteError, Signed, SignerKey, VerifierKey},
    tree::Tree,
};

/// An epoch's private key. Clones share the one secret, which is wiped when the last is dropped.
#[derive(Clone, Debug)]
pub struct EpochKey {
    epoch: u64,
    signer: Arc<SignerKey>,
}

/// Why a key file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It has another form.
    #[error("not an epoch key: expected the two lines `epoch NUMBER` and `PRIVATE+KEY+...`")]
    Form,
    /// Its second line is no key.
    #[error(transparent)]
    Key(#[from] NoteError),
}

impl EpochKey {
    /// The key of epoch `epoch` of the log `origin`, made of 32 random bytes.
    ///
    /// # Errors
    /// When the origin cannot be the name of a key.
    pub fn generate(origin: &str, epoch: u64, random: &[u8; 32]) -> Result<Self, NoteError> {
        let signer = Arc::new(SignerKey::new(origin, random)?);
        Ok(Self { epoch, signer })
    }

    /// Number of the epoch, from 1.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The public part.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// The key as a file holds it. Root alone may read that file.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<String> {
        let private = self.signer.private_text();
        Zeroizing::new(format!("epoch {}\n{}\n", self.epoch, *private))
    }

    /// Reads what [`EpochKey::to_file`] writes.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_file(text: &str) -> Result<Self, KeyFileError> {
        let (epoch, key) = text.split_once('\n').ok_or(KeyFileError::Form)?;
        let epoch = epoch.strip_prefix("epoch ").and_then(|n| n.parse().ok());
        let epoch = epoch.ok_or(KeyFileError::Form)?;
        let signer = Arc::new(SignerKey::from_private_text(key)?);
        Ok(Self { epoch, signer })
    }

    /// A checkpoint of `tree`.
    #[must_use]
    pub fn checkpoint(&self, tree: &Tree, time_ms: i64) -> String {
        let text = text(self.verifier().name(), self.epoch, tree, time_ms, None);
        note::signed(&text, &[&self.signer])
    }
}

/// The note that ends epoch `former` and names the key of the one after it, signed by that key, and
/// by the former one unless it was lost.
#[must_use]
pub fn transition(
    former: Result<&EpochKey, u64>,
    next: &EpochKey,
    tree: &Tree,
    time_ms: i64,
) -> String {
    let (epoch, former) = match former {
        Ok(key) => (key.epoch, Some(&*key.signer)),
        Err(epoch) => (epoch, None),
    };
    let verifier = next.verifier();
    let text = text(
        verifier.name(),
        epoch,
        tree,
        time_ms,
        Some(verifier.clone()),
    );
    let keys: Vec<&SignerKey> = former.into_iter().chain([&*next.signer]).collect();
    note::signed(&text, &keys)
}

fn text(origin: &str, epoch: u64, tree: &Tree, time_ms: i64, next: Option<VerifierKey>) -> String {
    let origin = origin.to_owned();
    let (size, root) = (tree.size(), tree.root());
    Checkpoint {
        origin,
        size,
        root,
        epoch,
        time_ms,
        next,
    }
    .to_string()
}

/// Why a text is not a signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It is a note of something else.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A checkpoint and the note that it came in. Who signed it is still to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note.
    pub note: Note,
}

impl SignedCheckpoint {
    /// Reads a note that holds a checkpoint.
    ///
    /// # Errors
    /// When it is none, or holds something else.
    pub fn parse(note: &str) -> Result<Self, OpenError> {
        let note = Note::parse(note)?;
        let checkpoint = note.text().parse()?;
        Ok(Self { checkpoint, note })
    }
}

/// The notes of an `epochs` file, which are written there one behind the other. What is no signature
/// line ends the signatures of the note before it.
#[must_use]
pub fn transitions(file: &str) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let mut signed = true;
    for line in file.split_inclusive('\n') {
        let is_signature = line.starts_with(note::DASH);
        match notes.last_mut() {
            Some(note) if is_signature || !signed => note.push_str(line),
            Some(_) | None => notes.push(line.to_owned()),
        }
        signed = is_signature;
    }
    notes
}

/// Where a row of transitions does not lead on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionError {
    /// A note of the row is none, or none of this log.
    #[error("transition {place} of the row: {why}")]
    Malformed {
        /// Its place in the row, from 1.
        place: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A note that the key of its own epoch did not sign.
    #[error("transition {place} of the row, which ends epoch {epoch}, is not signed by {whose}")]
    Signature {
        /// Its place in the row, from 1.
        place: usize,
        /// The epoch that it ends.
        epoch: u64,
        /// Whose signature it lacks.
        whose: &'static str,
    },
}

/// Where a row of transitions leads.
#[derive(Clone, Debug, Default)]
pub struct Succession {
    /// Keys of epochs: the trusted ones, and those that these lead to.
    pub keys: BTreeMap<u64, VerifierKey>,
    /// The notes that were found to be signed by the key of the epoch that they end. Each is a
    /// checkpoint too, and by a key that is destroyed since: nobody can sign another in its place.
    pub notes: Vec<SignedCheckpoint>,
}

/// Follows a row of transitions, oldest first, from the keys that are trusted. Notes of epochs whose
/// key is not known are passed over. Of two that end one epoch the later counts: the other is of a
/// start that a crash ended.
///
/// # Errors
/// When a note that ends an epoch of known key was not signed by it, or is none.
pub fn follow<'a>(
    trusted: &BTreeMap<u64, VerifierKey>,
    transitions: impl IntoIterator<Item = &'a str>,
) -> Result<Succession, SuccessionError> {
    let mut keys = trusted.clone();
    let mut notes = Vec::new();
    for (place, text) in (1..).zip(transitions) {
        let malformed = |why: String| SuccessionError::Malformed { place, why };
        let signed = SignedCheckpoint::parse(text).map_err(|error| malformed(error.to_string()))?;
        let SignedCheckpoint { checkpoint, note } = &signed;
        let epoch = checkpoint.epoch;
        let next = checkpoint.next.clone();
        let next = next.ok_or_else(|| malformed("it names no next key".to_owned()))?;
        let Some(key) = keys.get(&epoch) else {
            continue;
        };
        let unsigned = |whose| SuccessionError::Signature {
            place,
            epoch,
            whose,
        };
        let by_former = checkpoint.origin == key.name() && note.signed_by(key) == Signed::Valid;
        match trusted.get(&(epoch + 1)) {
            // The admin's word goes before the note's: a key was lost, and he vouched for the next.
            Some(_) if !by_former => continue,
            Some(_) => {}
            None if !by_former => return Err(unsigned("the key of that epoch")),
            None if note.signed_by(&next) != Signed::Valid => {
                return Err(unsigned("the key that it names"));
            }
            None => {
                keys.insert(epoch + 1, next);
            }
        }
        notes.push(signed);
    }
    Ok(Succession { keys, notes })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{EpochKey, SignedCheckpoint, SuccessionError, follow, transition, transitions};
    use crate::{note::Signed, tree::Tree};

    fn key(epoch: u64) -> EpochKey {
        let seed = [u8::try_from(epoch).expect("small"); 32];
        EpochKey::generate("enforcer/host", epoch, &seed).expect("a name")
    }

    fn handed_over(from: u64) -> String {
        transition(Ok(&key(from)), &key(from + 1), &Tree::default(), 0)
    }

    fn root() -> BTreeMap<u64, crate::note::VerifierKey> {
        BTreeMap::from([(1, key(1).verifier().clone())])
    }

    #[test]
    fn a_key_is_read_back_from_its_file() {
        let read = EpochKey::from_file(&key(3).to_file()).expect("a key");
        assert_eq!((read.epoch(), read.verifier()), (3, key(3).verifier()));
        for other in [
            "",
            "epoch 3\n",
            "epoch x\nPRIVATE+KEY+a+b+c",
            "PRIVATE+KEY+a\nepoch 3",
        ] {
            assert!(EpochKey::from_file(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_transition_is_signed_by_both_keys() {
        let note = SignedCheckpoint::parse(&handed_over(1)).expect("a note");
        assert_eq!(note.checkpoint.next.as_ref(), Some(key(2).verifier()));
        assert_eq!(note.note.signed_by(key(1).verifier()), Signed::Valid);
        assert_eq!(note.note.signed_by(key(2).verifier()), Signed::Valid);
    }

    #[test]
    fn a_row_of_transitions_leads_from_the_first_key_to_the_last() {
        let row = [handed_over(1), handed_over(2), handed_over(3)];
        let row = follow(&root(), row.iter().map(String::as_str)).expect("a row");
        let keys = row.keys;
        assert_eq!(keys.len(), 4);
        assert_eq!(keys.get(&4), Some(key(4).verifier()));
    }

    #[test]
    fn transitions_are_read_back_from_their_file() {
        let row = [
            handed_over(1),
            handed_over(2),
            transition(Err(3), &key(4), &Tree::default(), 0),
        ];
        assert_eq!(transitions(&row.concat()), row);
        assert_eq!(transitions(""), Vec::<String>::new());
    }

    #[test]
    fn a_row_with_a_hole_leads_to_the_hole() {
        let row = [handed_over(1), handed_over(3)];
        let row = follow(&root(), row.iter().map(String::as_str)).expect("a row");
        let keys = row.keys;
        assert_eq!(keys.into_keys().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_transition_that_the_former_key_did_not_sign_is_named() {
        let forged =
            transition(Ok(&key(7)), &key(8), &Tree::default(), 0).replace("epoch 7", "epoch 1");
        let lost = transition(Err(1), &key(2), &Tree::default(), 0);
        for note in [forged.replace("next 8", "next 2"), lost] {
            let error = follow(&root(), [note.as_str()]).expect_err("not signed");
            assert!(
                matches!(
                    error,
                    SuccessionError::Signature {
                        place: 1,
                        epoch: 1,
                        ..
                    }
                ),
                "{error}"
            );
        }
    }
}

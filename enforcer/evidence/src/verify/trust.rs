//! What a verifier is given besides the log: what an admin kept where the host's root cannot reach.

use std::collections::BTreeMap;

use crate::{
    epoch::{OpenError, SignedCheckpoint},
    note::VerifierKey,
};

/// What is trusted, and what is asked.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Keys by their epoch: that of epoch 1, and of any epoch that an admin vouches for.
    pub keys: BTreeMap<u64, VerifierKey>,
    /// The notes that end epochs, oldest first, where the log no longer goes back to a trusted key's
    /// epoch. They need not be trusted: each is signed by the key before.
    pub transitions: Vec<String>,
    /// Checkpoints that were kept off the host. They are taken as true.
    pub checkpoints: Vec<String>,
    /// The `head` file, read before the segments are.
    pub head: Option<String>,
    /// The log's origin, where it is known.
    pub origin: Option<String>,
    /// Number of the segment at which reading begins on purpose: older ones are not missed.
    pub from: Option<u64>,
}

/// What was given cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// A checkpoint is none.
    #[error(
        "off-host checkpoint {place}: {source}; expected the note as the daemon or a sink gave it"
    )]
    Checkpoint {
        /// Its place among those given, from 1.
        place: usize,
        /// What is wrong.
        source: OpenError,
    },
    /// Keys, checkpoints and origin are not of one log.
    #[error(
        "{what} is of the log {found:?}, and the rest of {expected:?}: give what belongs to one log"
    )]
    Origin {
        /// What does not fit.
        what: String,
        /// Its origin.
        found: String,
        /// The origin of the rest.
        expected: String,
    },
}

/// A checkpoint that the log is held to, whatever stands in it.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    /// What it is, in words.
    pub what: String,
    pub signed: SignedCheckpoint,
    /// Whether it was kept off the host. Else it is the note that ends an epoch.
    pub off_host: bool,
    /// Whether the log agreed with it.
    pub agreed: bool,
}

impl Anchor {
    /// The note that ends an epoch, signed by a key that is vouched for.
    pub fn transition(signed: SignedCheckpoint) -> Self {
        let what = format!("the note that ends epoch {}", signed.checkpoint.epoch);
        Self {
            what,
            signed,
            off_host: false,
            agreed: false,
        }
    }
}

impl Trust {
    /// The checkpoints that were kept off the host.
    pub(crate) fn off_host(&self) -> Result<Vec<Anchor>, TrustError> {
        let mut read = Vec::new();
        for (place, note) in (1..).zip(&self.checkpoints) {
            let signed = SignedCheckpoint::parse(note)
                .map_err(|source| TrustError::Checkpoint { place, source })?;
            let what = format!("off-host checkpoint {place}");
            read.push(Anchor {
                what,
                signed,
                off_host: true,
                agreed: false,
            });
        }
        Ok(read)
    }

    /// The origin that all of it has; `None` when nothing says.
    pub(super) fn origin(&self, off_host: &[Anchor]) -> Result<Option<String>, TrustError> {
        let of_keys = self
            .keys
            .iter()
            .map(|(epoch, key)| (format!("the key of epoch {epoch}"), key.name()));
        let of_notes = off_host
            .iter()
            .map(|note| (note.what.clone(), note.signed.checkpoint.origin.as_str()));
        let mut expected = self.origin.as_deref();
        for (what, found) in of_keys.chain(of_notes) {
            match expected {
                Some(expected) if expected != found => {
                    let (found, expected) = (found.to_owned(), expected.to_owned());
                    return Err(TrustError::Origin {
                        what,
                        found,
                        expected,
                    });
                }
                Some(_) => {}
                None => expected = Some(found),
            }
        }
        Ok(expected.map(str::to_owned))
    }
}

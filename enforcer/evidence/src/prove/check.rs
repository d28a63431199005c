//! What a proof proves, to whom.

use serde::Serialize;
use serde_json::Value;

use super::{FORMAT, Proof};
use crate::{
    checkpoint::Checkpoint,
    epoch::{OpenError, SignedCheckpoint, SuccessionError, follow},
    note::{NoteError, Signed, VerifierKey},
    proof::{ProofError, verify_inclusion},
    tree::leaf_hash,
    verify::{Trust, TrustError},
};

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
    #[error(
        "the checkpoint of epoch {epoch} is signed by {found}, and the key of that epoch is {expected}"
    )]
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
        let Checkpoint {
            origin,
            epoch,
            time_ms,
            ..
        } = checkpoint;
        Ok(Proven {
            record,
            leaf,
            size,
            origin,
            epoch,
            time_ms,
            voucher,
        })
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
        let keys = follow(&trust.keys, row.map(String::as_str))?.keys;
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

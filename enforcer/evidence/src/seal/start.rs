//! A start: what it needs, and what it finds.

use super::{Keys, Resumed, Sealer};
use crate::{
    epoch::{EpochKey, SignedCheckpoint},
    note::NoteError,
    payload::Cause,
};

/// What a start needs. Every start begins an epoch.
///
/// It is not `Debug`: it holds what the new key is made of.
pub struct Start<'a> {
    /// The log: `enforcer/` and the host's machine id. The name of its keys, and in every record.
    pub origin: &'a str,
    /// Where the log ends.
    pub resumed: Resumed,
    /// What key files there are: that of the epoch in force, and one that waited to become it.
    pub keys: Vec<EpochKey>,
    /// The head file as it is found.
    pub head: Option<String>,
    /// 32 random bytes, for the new epoch's key.
    pub random: &'a [u8; 32],
}

/// What a start found, for the caller to tell of. All of it is in the log for a verifier too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Lines that no published note covered: those of the last moment before a crash.
    pub adopted: u64,
    /// Lines that the head covers and that are gone: the log was cut, or the disk lost them.
    pub missing: u64,
    /// The key of the epoch in force is gone, so that nothing vouches for the new one.
    pub key_lost: bool,
    /// There was a log, and no head that can be read.
    pub head_lost: bool,
}

impl Sealer {
    /// Takes the log up where it ends, and prepares a new epoch.
    ///
    /// # Errors
    /// When the origin cannot be the name of a key.
    pub fn start(start: Start<'_>) -> Result<(Self, Found), NoteError> {
        let Start {
            origin,
            resumed,
            keys,
            head,
            random,
        } = start;
        let size = resumed.state.tree.size();
        let head_size = head.as_deref().and_then(size_of);
        let mut found = Found {
            adopted: head_size.map_or(0, |head| size.saturating_sub(head)),
            missing: head_size.map_or(0, |head| head.saturating_sub(size)),
            ..Found::default()
        };
        let keys = match resumed.epoch {
            None => Keys::InForce(EpochKey::generate(origin, 1, random)?),
            Some((epoch, verifier)) => {
                let next = EpochKey::generate(origin, epoch + 1, random)?;
                let is_in_force =
                    |key: &EpochKey| key.epoch() == epoch && *key.verifier() == verifier;
                let former = keys.into_iter().find(is_in_force).ok_or(epoch);
                found.key_lost = former.is_err();
                found.head_lost = head_size.is_none();
                let (cause, former_head) = (Cause::Start, head);
                Keys::Changing {
                    former,
                    next,
                    cause,
                    former_head,
                    adopted: found.adopted,
                }
            }
        };
        let sealer = Self {
            origin: origin.to_owned(),
            unborn: matches!(keys, Keys::InForce(_)),
            durable: resumed.state,
            keys,
            published: None,
            lines: Vec::new(),
        };
        Ok((sealer, found))
    }
}

fn size_of(head: &str) -> Option<u64> {
    Some(SignedCheckpoint::parse(head).ok()?.checkpoint.size)
}

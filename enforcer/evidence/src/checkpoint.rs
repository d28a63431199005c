//! Checkpoints (C2SP `tlog-checkpoint`): the text of a note that says what the log was at a size.
//!
//! ```text
//! enforcer/4d1c...        origin: which log
//! 20852163                leaves
//! CsUYapGGPo4dkMgI...     root, base64
//! epoch 3                 whose key signs it
//! time 1795510980000      when it was signed, milliseconds since 1970
//! next 4 enforcer/...     only at an epoch's end: the next epoch and its key
//! ```

use std::{fmt, str::FromStr};

use crate::{hash::Hash, note::VerifierKey};

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log that it is of: the name of its keys.
    pub origin: String,
    /// Leaves of the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Epoch whose key signs it.
    pub epoch: u64,
    /// When it was signed, in milliseconds since 1970, by the host's clock.
    pub time_ms: i64,
    /// The key of the next epoch, where this ends one.
    pub next: Option<VerifierKey>,
}

/// Why a text is no checkpoint of this log's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: line {line} is not {expected}")]
pub struct CheckpointError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            size,
            epoch,
            time_ms,
            ..
        } = self;
        let root = self.root.base64();
        write!(
            f,
            "{origin}\n{size}\n{root}\nepoch {epoch}\ntime {time_ms}\n"
        )?;
        match &self.next {
            Some(next) => writeln!(f, "next {} {next}", epoch + 1),
            None => Ok(()),
        }
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let error = |line, expected| CheckpointError { line, expected };
        let mut lines = text.split('\n');
        let mut line = || lines.next().unwrap_or_default();
        let origin = line().to_owned();
        if origin.is_empty() {
            return Err(error(1, "an origin"));
        }
        let size = line().parse().map_err(|_| error(2, "a number of leaves"))?;
        let root = Hash::from_base64(line()).ok_or(error(3, "the base64 form of a root"))?;
        let epoch = line().strip_prefix("epoch ").and_then(|n| n.parse().ok());
        let epoch = epoch.ok_or(error(4, "`epoch NUMBER`"))?;
        let time = line().strip_prefix("time ").and_then(|n| n.parse().ok());
        let time_ms = time.ok_or(error(5, "`time MILLISECONDS`"))?;
        let next = match line() {
            "" => None,
            last => Some(next_key(last, epoch).ok_or(error(6, "`next NUMBER KEY`"))?),
        };
        let checkpoint = Self {
            origin,
            size,
            root,
            epoch,
            time_ms,
            next,
        };
        // One value has one text: no signs, no leading zeros, nothing behind.
        if checkpoint.to_string() == text {
            Ok(checkpoint)
        } else {
            let differs = |(a, b): (&str, &str)| a != b;
            let written = checkpoint.to_string();
            let at = written.split('\n').zip(text.split('\n')).position(differs);
            Err(error(
                at.map_or(7, |at| at + 1),
                "in its one form, or what ends a checkpoint",
            ))
        }
    }
}

fn next_key(line: &str, epoch: u64) -> Option<VerifierKey> {
    let (number, key) = line.strip_prefix("next ")?.split_once(' ')?;
    (number.parse::<u64>().ok()? == epoch.checked_add(1)?).then_some(())?;
    key.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Checkpoint;
    use crate::{note::SignerKey, tree::Tree};

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: "enforcer/host".to_owned(),
            size: 7,
            root: Tree::default().root(),
            epoch: 3,
            time_ms: 1_795_510_980_000,
            next: None,
        }
    }

    #[test]
    fn a_checkpoint_is_read_back_from_its_text() {
        let mut checkpoint = checkpoint();
        assert_eq!(checkpoint.to_string().parse().as_ref(), Ok(&checkpoint));
        let key = SignerKey::new("enforcer/host", &[9; 32]).expect("a name");
        checkpoint.next = Some(key.verifier().clone());
        assert_eq!(checkpoint.to_string().parse().as_ref(), Ok(&checkpoint));
    }

    #[test]
    fn a_second_spelling_of_a_checkpoint_is_refused() {
        let text = checkpoint().to_string();
        for (written, other) in [
            ("\n7\n", "\n07\n"),
            ("\n7\n", "\n+7\n"),
            ("\n7\n", "\n\n"),
            ("epoch 3", "epoch +3"),
            ("epoch 3", "Epoch 3"),
            ("time 1795", "time x"),
            ("980000\n", "980000"),
            ("980000\n", "980000\n\n"),
            ("980000\n", "980000\nmore\n"),
            ("enforcer/host\n", "\n"),
        ] {
            let changed = text.replace(written, other);
            assert_ne!(changed, text);
            assert!(changed.parse::<Checkpoint>().is_err(), "{changed:?}");
        }
    }
}

//! What a policy's `[agent.enrol]` is to the kernel: the slice by its name, the entry by its folder's
//! identity and its own name.

#![forbid(unsafe_code)]

use std::{
    collections::btree_map::Entry,
    path::{Path, PathBuf},
};

use super::places::Place;
use crate::{
    facts::user_id,
    kernel::{
        enrolment::{Enrolling, SliceName},
        learn::Learner,
    },
};
use enforcer_common::label::{ANY_USER, ENTRY_LEN, EntryKey, NO_AGENT, SLICE_LEN};
use enforcer_policy::Policy;

/// Programs of the service manager that prepare a process of a slice before its own program is
/// executed: what they do there is not the agent's.
const MANAGERS: [&str; 2] = [
    "/usr/lib/systemd/systemd",
    "/usr/lib/systemd/systemd-executor",
];

/// How processes become sessions of one agent, beside the launcher.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ways {
    slice: Option<SliceName>,
    entry: Option<EntryKey>,
}

impl Ways {
    /// Of a policy, on this host as it is now. An entry that is not there enrols nobody, nor does one of
    /// a user whom the host does not have, which the policy's check refuses.
    pub fn of(policy: &Policy, learner: &Learner) -> Self {
        let slice = policy.agent.slice.as_ref();
        let entry = policy.agent.entry.as_ref().and_then(|entry| {
            let user = entry.user.as_ref();
            let uid = user.map_or(Some(ANY_USER), |user| user_id(&user.value))?;
            entry_key(learner, &entry.exec.value, uid)
        });
        Self {
            slice: slice.map(|slice| padded(&slice.value)),
            entry,
        }
    }

    /// Adds them for the agent in this slot.
    ///
    /// # Errors
    /// What another agent has already, in words.
    pub fn add(&self, slot: u32, all: &mut Enrolling) -> Result<(), &'static str> {
        if let Some(slice) = self.slice {
            match all.slices.entry(slice) {
                Entry::Vacant(free) => free.insert(slot),
                Entry::Occupied(_) => return Err("slice"),
            };
        }
        if let Some(entry) = self.entry {
            match all.entries.entry(entry) {
                Entry::Vacant(free) => free.insert(slot),
                Entry::Occupied(_) => return Err("entry"),
            };
        }
        Ok(())
    }
}

/// What enrols nobody, whatever the policies.
pub fn managers(learner: &Learner) -> Enrolling {
    let keys = MANAGERS
        .iter()
        .filter_map(|path| entry_key(learner, path, ANY_USER));
    Enrolling {
        entries: keys.map(|key| (key, NO_AGENT)).collect(),
        ..Enrolling::default()
    }
}

fn entry_key(learner: &Learner, path: &str, uid: u32) -> Option<EntryKey> {
    let end: PathBuf = Place::of(path).ok()?.ends.pop_first()?;
    let name = end
        .file_name()?
        .to_str()
        .filter(|name| name.len() < ENTRY_LEN)?;
    let (folder, _) = learner
        .identify(end.parent().unwrap_or(Path::new("/")))
        .ok()?;
    Some(EntryKey {
        folder,
        uid,
        pad: 0,
        name: padded(name),
    })
}

/// A name filled up with NUL. A longer one would not have passed the parser, and is cut.
fn padded<const N: usize>(name: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(N - 1)) {
        *to = from;
    }
    bytes
}

const _: () = assert!(
    SLICE_LEN <= 64 && ENTRY_LEN <= 64,
    "they lie on the kernel's stack"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_up() {
        assert_eq!(&padded::<8>("ab"), b"ab\0\0\0\0\0\0");
    }

    #[test]
    fn a_slice_belongs_to_one_agent() {
        let ways = Ways {
            slice: Some(padded("a.slice")),
            entry: None,
        };
        let mut all = Enrolling::default();
        assert_eq!(ways.add(1, &mut all), Ok(()));
        assert_eq!(ways.add(2, &mut all), Err("slice"));
        assert_eq!(all.slices.values().collect::<Vec<_>>(), [&1]);
    }
}

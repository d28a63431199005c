//! The sessions: who runs, since when, for what; and the slots that the kernel knows them by.
//!
//! The registry holds no truth about who is inside: the kernel's labels do. It says what a label's
//! session was started for, and gives slots out and takes them back.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use enforcer_common::maps::MAX_SESSIONS;
use serde::{Deserialize, Serialize};

use crate::control::api::{SessionId, SessionState, Task};

/// Ended sessions that are still told of.
const REMEMBERED: usize = 256;

/// A session as the daemon knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: SessionId,
    /// Its slot in the kernel's table; meaningless once it has ended.
    pub slot: u32,
    /// Its agent's name.
    pub agent: String,
    /// Its agent's slot.
    pub agent_slot: u32,
    /// Its agent's owner when it was started.
    pub owner: String,
    /// What it was started for.
    pub task: Option<Task>,
    /// Process that asked for it.
    pub pid: u32,
    /// User that asked for it.
    pub uid: u32,
    /// Name of that user, where it has one.
    pub user: Option<String>,
    /// Command as the launcher claimed it.
    pub command: Vec<String>,
    /// When it was granted, RFC 3339.
    pub started: String,
    /// When it was granted, `CLOCK_BOOTTIME` in nanoseconds.
    pub started_ns: u64,
    /// Where it is in its life.
    pub state: State,
}

/// Where a session is in its life, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its process has not executed its command yet.
    Pending,
    /// Its process is inside.
    Running,
    /// Its last task ended.
    Ended,
}

impl From<State> for SessionState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Running => Self::Running,
            State::Ended => Self::Ended,
        }
    }
}

/// Every session of this boot that is still told of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    sessions: BTreeMap<u64, Entry>,
    /// Ids of ended sessions, in the order of their end.
    ended: Vec<u64>,
}

impl Registry {
    /// A slot that no living session has, and that is none of `kept`.
    pub fn free_slot(&self, kept: impl IntoIterator<Item = u32>) -> Option<u32> {
        let living = self.living().map(|entry| entry.slot);
        let taken: std::collections::BTreeSet<u32> = living.chain(kept).collect();
        (0..MAX_SESSIONS).find(|slot| !taken.contains(slot))
    }

    /// Takes a session in.
    pub fn add(&mut self, entry: Entry) {
        self.sessions.insert(entry.id.0, entry);
    }

    /// Takes a session out that never began.
    pub fn remove(&mut self, id: SessionId) -> Option<Entry> {
        self.sessions.remove(&id.0)
    }

    /// A session, also after its end.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<&Entry> {
        self.sessions.get(&id.0)
    }

    /// Every session that is told of.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.sessions.values()
    }

    /// Sessions that have not ended.
    pub fn living(&self) -> impl Iterator<Item = &Entry> {
        self.sessions
            .values()
            .filter(|entry| entry.state != State::Ended)
    }

    /// Notes that a session's process is inside; true when that was not known.
    pub fn begin(&mut self, id: SessionId) -> bool {
        match self.sessions.get_mut(&id.0) {
            Some(entry) if entry.state == State::Pending => {
                entry.state = State::Running;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Notes that a session has ended; gives its slot when it had one until now.
    pub fn end(&mut self, id: SessionId) -> Option<u32> {
        let entry = self.sessions.get_mut(&id.0)?;
        if entry.state == State::Ended {
            return None;
        }
        entry.state = State::Ended;
        let slot = entry.slot;
        self.ended.push(id.0);
        while self.ended.len() > REMEMBERED {
            let oldest = self.ended.remove(0);
            self.sessions.remove(&oldest);
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, slot: u32) -> Entry {
        Entry {
            id: SessionId(id),
            slot,
            agent: "a".into(),
            agent_slot: 1,
            owner: "o".into(),
            task: None,
            pid: 1,
            uid: 0,
            user: None,
            command: Vec::new(),
            started: String::new(),
            started_ns: 0,
            state: State::Pending,
        }
    }

    #[test]
    fn a_slot_is_given_out_again_only_after_its_session_has_ended() {
        let mut registry = Registry::default();
        assert_eq!(registry.free_slot([]), Some(0));
        assert_eq!(registry.free_slot([0, 1]), Some(2));
        registry.add(entry(7, 0));
        assert_eq!(registry.free_slot([]), Some(1));
        assert!(registry.begin(SessionId(7)));
        assert!(!registry.begin(SessionId(7)));
        assert_eq!(registry.free_slot([]), Some(1));
        assert_eq!(registry.end(SessionId(7)), Some(0));
        assert_eq!(
            registry.end(SessionId(7)),
            None,
            "its slot may be another's by now"
        );
        assert_eq!(registry.free_slot([]), Some(0));
    }

    #[test]
    fn slots_run_out_and_ended_sessions_are_forgotten_oldest_first() {
        let mut registry = Registry::default();
        for slot in 0..MAX_SESSIONS {
            registry.add(entry(u64::from(slot) + 1, slot));
        }
        assert_eq!(registry.free_slot([]), None);
        for id in 1..=u64::from(MAX_SESSIONS) {
            registry.end(SessionId(id));
        }
        assert_eq!(registry.all().count(), REMEMBERED);
        assert!(registry.get(SessionId(1)).is_none());
        assert!(registry.get(SessionId(u64::from(MAX_SESSIONS))).is_some());
    }
}

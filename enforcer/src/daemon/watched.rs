//! The watch for changed files, as whoever begins a session and the one who watches agree on it.

#![forbid(unsafe_code)]

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long the watch is kept after the last session.
const AFTER: Duration = Duration::from_secs(60);
/// How long a session waits for the watch to begin.
const BEGINS: Duration = Duration::from_secs(10);
/// How often the one who watches looks by itself whether somebody has need of it.
const REST: Duration = Duration::from_secs(1);

/// When somebody last had need of the watch, and whether it is kept.
#[derive(Debug, Default)]
pub struct Watched {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    needed: Option<Instant>,
    is_kept: bool,
}

impl State {
    fn is_needed(&self) -> bool {
        self.needed.is_some_and(|at| at.elapsed() < AFTER)
    }
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the watch.
    pub fn call(&self) {
        self.lock().needed = Some(Instant::now());
        self.changed.notify_all();
    }

    /// Whether anybody asked for it not long ago.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.lock().is_needed()
    }

    /// Notes whether changed files are watched for, and all that changed before has been looked at.
    pub fn note(&self, is_kept: bool) {
        self.lock().is_kept = is_kept;
        self.changed.notify_all();
    }

    /// Asks for the watch and waits until it is kept, so that a session begins with files as they are now.
    /// Should that take too long, it begins all the same: what changed is denied until it was looked at.
    pub fn await_kept(&self) {
        self.call();
        let (_state, wait) = self
            .changed
            .wait_timeout_while(self.lock(), BEGINS, |state| !state.is_kept)
            .unwrap_or_else(PoisonError::into_inner);
        if wait.timed_out() {
            tracing::warn!("a session begins before changed files were looked at");
        }
    }

    /// Waits until somebody may have need of it.
    pub fn rest(&self) {
        let rested = self
            .changed
            .wait_timeout_while(self.lock(), REST, |state| !state.is_needed());
        drop(rested);
    }
}

//! The wish to stop, and how long anything may take.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Told once, seen by every thread that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    pub fn tell(&self) {
        let (told, changed) = &*self.0;
        *told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    pub fn is_told(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; gives whether it was told to stop, then at once.
    pub fn wait(&self, most: Duration) -> bool {
        let (told, changed) = &*self.0;
        let held = told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(held, most, |told| !*told);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Until when something may take: a moment, and the wish to stop where it ends the wait.
#[derive(Clone, Debug)]
pub(crate) struct Until {
    deadline: Instant,
    stop: Option<Stop>,
}

impl Until {
    /// `most` from now, or until `stop` is told.
    pub fn stopped(most: Duration, stop: &Stop) -> Self {
        Self {
            deadline: Instant::now() + most,
            stop: Some(stop.clone()),
        }
    }

    /// `most` from now whatever is told: for the last acknowledgement before the end.
    pub fn regardless(most: Duration) -> Self {
        Self {
            deadline: Instant::now() + most,
            stop: None,
        }
    }

    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(Stop::is_told)
    }
}

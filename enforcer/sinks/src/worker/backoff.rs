//! How long to wait after a failure.

use std::time::Duration;

use crate::config::Retry;

/// Exponential with full jitter: a random wait below a bound that doubles, so that shippers that
/// lost one receiver together do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    retry: Retry,
    bound: Duration,
}

impl Backoff {
    pub const fn new(retry: Retry) -> Self {
        Self {
            retry,
            bound: retry.first,
        }
    }

    pub const fn reset(&mut self) {
        self.bound = self.retry.first;
    }

    /// The next wait.
    pub fn next(&mut self) -> Duration {
        let wait = jittered(self.bound);
        self.bound = self.bound.saturating_mul(2).min(self.retry.most);
        wait
    }

    /// The wait while somebody must act: from half of it to all of it.
    pub fn held(&self) -> Duration {
        let half = self.retry.held / 2;
        half + jittered(half)
    }
}

/// A random part of `bound`, never nothing: a receiver that fails at once must not be asked in a
/// loop without pause.
fn jittered(bound: Duration) -> Duration {
    let random = crate::net::random().map_or(u32::MAX, |bytes| {
        bytes
            .first_chunk::<4>()
            .map_or(u32::MAX, |four| u32::from_le_bytes(*four))
    });
    let wait = bound.mul_f64(f64::from(random) / f64::from(u32::MAX));
    wait.max(bound / 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_below_a_bound_that_doubles_up_to_a_cap() {
        let retry = Retry {
            first: Duration::from_millis(100),
            most: Duration::from_millis(450),
            held: Duration::from_secs(60),
        };
        let mut backoff = Backoff::new(retry);
        for bound in [100, 200, 400, 450, 450] {
            let wait = backoff.next();
            assert!(wait <= Duration::from_millis(bound), "{wait:?}");
            assert!(wait >= Duration::from_millis(bound) / 50, "{wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= retry.first);
        assert!((Duration::from_secs(30)..=Duration::from_secs(60)).contains(&backoff.held()));
    }
}

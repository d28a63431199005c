//! When to sign, when to record a checkpoint, and when an epoch is old.

use std::time::Duration;

/// What is due, by a clock that never goes back (`CLOCK_BOOTTIME`).
///
/// A quiet log stays quiet: a checkpoint's own record makes no further one due.
#[derive(Clone, Debug)]
pub struct Schedule {
    head: (Duration, u64),
    record: (Duration, u64),
    epoch: Duration,
}

impl Schedule {
    /// Time between two heads at least. Lines wait this long for a signature.
    pub const HEAD: Duration = Duration::from_secs(1);
    /// Time after which lines get a checkpoint record.
    pub const RECORD: Duration = Duration::from_secs(60);
    /// Number of lines after which there is a checkpoint record.
    pub const LINES: u64 = 10_000;
    /// Age at which an epoch ends.
    pub const EPOCH: Duration = Duration::from_hours(24);

    /// The schedule of a log that has `size` lines, whose head covers them, and whose epoch begins now.
    #[must_use]
    pub const fn new(now: Duration, size: u64) -> Self {
        Self {
            head: (now, size),
            record: (now, size),
            epoch: now,
        }
    }

    /// Whether to sign and publish what is durable.
    #[must_use]
    pub fn head_due(&self, now: Duration, size: u64) -> bool {
        let (at, covered) = self.head;
        size > covered && now.saturating_sub(at) >= Self::HEAD
    }

    /// Whether to put a checkpoint record before the next batch.
    #[must_use]
    pub fn record_due(&self, now: Duration, size: u64) -> bool {
        let (at, covered) = self.record;
        let lines = size.saturating_sub(covered);
        lines >= Self::LINES || (lines > 0 && now.saturating_sub(at) >= Self::RECORD)
    }

    /// Whether the epoch is old enough to end.
    #[must_use]
    pub fn epoch_due(&self, now: Duration) -> bool {
        now.saturating_sub(self.epoch) >= Self::EPOCH
    }

    /// A head of `size` lines was published.
    pub const fn note_head(&mut self, now: Duration, size: u64) {
        self.head = (now, size);
    }

    /// A checkpoint record is durable; the log has `size` lines, the record included.
    pub const fn note_record(&mut self, now: Duration, size: u64) {
        self.record = (now, size);
    }

    /// An epoch began.
    pub const fn note_epoch(&mut self, now: Duration) {
        self.epoch = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Schedule;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_quiet_log_becomes_quiet() {
        let mut schedule = Schedule::new(at(0), 10);
        assert!(!schedule.head_due(at(500), 10) && !schedule.record_due(at(500), 10));
        assert!(schedule.head_due(at(500), 11) && schedule.record_due(at(500), 11));
        schedule.note_head(at(500), 11);
        schedule.note_record(at(501), 12);
        assert!(!schedule.record_due(at(9_000), 12));
        assert!(schedule.head_due(at(502), 12));
        schedule.note_head(at(502), 12);
        assert!(!schedule.head_due(at(9_000), 12));
    }

    #[test]
    fn a_busy_log_is_signed_once_a_second_and_recorded_by_lines() {
        let schedule = Schedule::new(at(0), 0);
        assert!(!schedule.head_due(Duration::from_millis(999), 5_000));
        assert!(schedule.head_due(at(1), 5_000));
        assert!(!schedule.record_due(at(1), Schedule::LINES - 1));
        assert!(schedule.record_due(at(1), Schedule::LINES));
    }

    #[test]
    fn an_epoch_ends_after_a_day() {
        let mut schedule = Schedule::new(at(0), 0);
        assert!(!schedule.epoch_due(at(86_399)) && schedule.epoch_due(at(86_400)));
        schedule.note_epoch(at(86_400));
        assert!(!schedule.epoch_due(at(86_401)));
    }
}

//! Decisions over time, in as many steps as a plot has bars, whatever the period turns out to be.

use std::collections::BTreeMap;

use enforcer_common::verdict::Verdict;
use serde::Serialize;

use super::capped::Moment;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Steps that a time axis is read in, in milliseconds. Weeks begin on Mondays.
const STEPS: [i64; 12] = [
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
    28 * DAY,
    364 * DAY,
];
/// 1970-01-05 was a Monday.
const MONDAY: i64 = 4 * DAY;
/// Steps kept while records come in.
const MOST_KEPT: usize = 2_048;

/// One step of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// When it begins.
    pub start: Moment,
    /// Allowed.
    pub allowed: u64,
    /// Denied.
    pub denied: u64,
    /// Would have been denied, in monitor mode.
    pub would_deny: u64,
}

/// Decisions over time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Length of a step in seconds.
    pub step_seconds: i64,
    /// The steps, without holes.
    pub bars: Vec<Bar>,
}

/// Decisions over time while they come in.
#[derive(Debug, Default)]
pub(super) struct Series {
    step: usize,
    counts: BTreeMap<i64, [u64; 3]>,
}

impl Series {
    pub(super) fn add(&mut self, verdict: Verdict, at: Moment) {
        let bar = self
            .counts
            .entry(begin(at.0, STEPS[self.step]))
            .or_default();
        match verdict {
            Verdict::Allow => bar[0] += 1,
            Verdict::Deny => bar[1] += 1,
            Verdict::WouldDeny => bar[2] += 1,
        }
        while self.counts.len() > MOST_KEPT && self.step + 1 < STEPS.len() {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.step += 1;
        let mut coarse: BTreeMap<i64, [u64; 3]> = BTreeMap::new();
        for (at, counts) in &self.counts {
            let bar = coarse.entry(begin(*at, STEPS[self.step])).or_default();
            for (sum, count) in bar.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        self.counts = coarse;
    }

    /// The bars of a period (milliseconds), at most `most` of them where any step allows that. All
    /// series of one report get the same axis.
    pub(super) fn finish(mut self, period: (i64, i64), most: usize) -> Timeline {
        let (from, until) = period;
        let bars = |step: i64| {
            let last = begin(until.saturating_sub(1).max(from), step);
            (last.saturating_sub(begin(from, step)) / step).saturating_add(1)
        };
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        while self.step + 1 < STEPS.len() && bars(STEPS[self.step]) > most {
            self.coarsen();
        }
        let step = STEPS[self.step];
        // Times that are far apart (a clock that was never set) are not filled with empty steps.
        let whole = bars(step) <= 4 * most;
        let starts: Vec<i64> = if whole {
            (0..bars(step))
                .map(|n| begin(from, step) + n * step)
                .collect()
        } else {
            self.counts.keys().copied().collect()
        };
        let bar = |start: i64| {
            let [allowed, denied, would_deny] =
                self.counts.get(&start).copied().unwrap_or_default();
            Bar {
                start: Moment(start),
                allowed,
                denied,
                would_deny,
            }
        };
        Timeline {
            step_seconds: step / 1_000,
            bars: starts.into_iter().map(bar).collect(),
        }
    }
}

/// Where the step begins that a moment lies in.
const fn begin(at: i64, step: i64) -> i64 {
    let origin = if step > DAY { MONDAY } else { 0 };
    // Far from any time that a record has, it need not be exact but must not overflow.
    const FAR: i64 = 1 << 60;
    let at = if at > FAR {
        FAR
    } else if at < -FAR {
        -FAR
    } else {
        at
    };
    (at - origin).div_euclid(step) * step + origin
}

#[cfg(test)]
mod tests {
    use super::{DAY, HOUR, MINUTE, Moment, Series, Verdict};

    #[test]
    fn a_plot_has_few_bars_and_loses_nothing() {
        let from = 20_000 * DAY;
        for (length, step) in [
            (HOUR, 60),
            (DAY, 1_800),
            (30 * DAY, 43_200),
            (400 * DAY, 7 * 86_400),
        ] {
            let mut series = Series::default();
            for n in 0..10_000 {
                series.add(
                    Verdict::ALL[n % 3],
                    Moment(from + i64::try_from(n).expect("small") * length / 10_000),
                );
            }
            let line = series.finish((from, from + length), 62);
            assert_eq!(line.step_seconds, step);
            assert!(line.bars.len() <= 62, "{}", line.bars.len());
            let sum: u64 = line
                .bars
                .iter()
                .map(|bar| bar.allowed + bar.denied + bar.would_deny)
                .sum();
            assert_eq!(sum, 10_000);
            assert!(
                line.bars
                    .windows(2)
                    .all(|pair| pair[1].start.0 - pair[0].start.0 == step * 1_000)
            );
        }
    }

    #[test]
    fn a_clock_that_was_never_set_makes_no_endless_plot() {
        let mut series = Series::default();
        for at in [0, 20_000 * DAY, i64::MAX, i64::MIN, MINUTE] {
            series.add(Verdict::Deny, Moment(at));
        }
        let line = series.finish((i64::MIN, i64::MAX), 62);
        assert!(line.bars.len() <= 5);
        assert_eq!(line.bars.iter().map(|bar| bar.denied).sum::<u64>(), 5);
    }
}

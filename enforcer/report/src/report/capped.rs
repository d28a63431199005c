//! Counts by key: exact for each key that is kept, exact together for those that are not.

use std::collections::HashMap;

use enforcer_common::verdict::Verdict;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// How much a report keeps of what it lists one by one. Totals are exact whatever these say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Agents with a part of their own.
    pub agents: usize,
    /// Keys of one list: an agent's executables, destinations, denials, sessions...
    pub keys_of_a_list: usize,
    /// Keys of all lists together.
    pub keys: usize,
    /// Policy changes, daemon changes and losses, each; the latest are kept.
    pub events: usize,
    /// Bars of a plot.
    pub bars: usize,
}

/// The limits that reports are made with.
pub const LIMITS: Limits = Limits {
    agents: 512,
    keys_of_a_list: 4_096,
    keys: 250_000,
    events: 1_000,
    bars: 62,
};

/// A moment: milliseconds since 1970; in JSON RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

impl Moment {
    /// `2026-11-24 08:00`, UTC.
    #[must_use]
    pub fn minute(self) -> String {
        self.shown("%Y-%m-%d %H:%M")
    }

    /// `2026-11-24`, UTC.
    #[must_use]
    pub fn day(self) -> String {
        self.shown("%Y-%m-%d")
    }

    fn shown(self, format: &str) -> String {
        match Timestamp::from_millisecond(self.0) {
            Ok(time) => time.strftime(format).to_string(),
            Err(_) => format!("{} ms", self.0),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Timestamp::from_millisecond(self.0) {
            Ok(time) => serializer.collect_str(&format_args!("{time:.3}")),
            Err(_) => serializer.serialize_i64(self.0),
        }
    }
}

/// Decisions of one kind or key, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Allowed.
    pub allowed: u64,
    /// Denied.
    pub denied: u64,
    /// Would have been denied, in monitor mode.
    pub would_deny: u64,
    /// The earliest.
    pub first: Option<Moment>,
    /// The latest.
    pub last: Option<Moment>,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.allowed + self.denied + self.would_deny
    }

    pub(super) fn add(&mut self, verdict: Verdict, at: Moment) {
        match verdict {
            Verdict::Allow => self.allowed += 1,
            Verdict::Deny => self.denied += 1,
            Verdict::WouldDeny => self.would_deny += 1,
        }
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }
}

/// Keys that lists may still take in, together.
#[derive(Debug)]
pub(super) struct Budget(pub usize);

/// A list of keys with something about each.
#[derive(Debug)]
pub(super) struct Capped<T> {
    kept: HashMap<String, T>,
    limit: usize,
}

impl<T: Default> Capped<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            kept: HashMap::new(),
            limit,
        }
    }

    /// What is kept of a key; `None` when there is no room for it.
    pub(super) fn of(&mut self, key: &str, budget: &mut Budget) -> Option<&mut T> {
        if !self.kept.contains_key(key) {
            if self.kept.len() >= self.limit || budget.0 == 0 {
                return None;
            }
            budget.0 -= 1;
            self.kept.insert(key.to_owned(), T::default());
        }
        self.kept.get_mut(key)
    }

    pub(super) fn into_kept(self) -> HashMap<String, T> {
        self.kept
    }
}

/// Tallies by key.
#[derive(Debug)]
pub(super) struct Tallies {
    list: Capped<Tally>,
    beyond: Tally,
}

impl Tallies {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            list: Capped::new(limit),
            beyond: Tally::default(),
        }
    }

    pub(super) fn add(&mut self, key: &str, verdict: Verdict, at: Moment, budget: &mut Budget) {
        self.list
            .of(key, budget)
            .unwrap_or(&mut self.beyond)
            .add(verdict, at);
    }

    /// The keys, most decisions first by `weight`, and what came of keys that were not kept.
    pub(super) fn finish<K>(
        self,
        weight: fn(&Tally) -> u64,
        read: impl Fn(&str) -> K,
    ) -> (Vec<Counted<K>>, Tally) {
        let mut list: Vec<(String, Tally)> = self.list.into_kept().into_iter().collect();
        list.sort_unstable_by(|(a, one), (b, other)| {
            weight(other).cmp(&weight(one)).then_with(|| a.cmp(b))
        });
        let counted = list.into_iter().map(|(key, tally)| Counted {
            key: read(&key),
            tally,
        });
        (counted.collect(), self.beyond)
    }
}

/// A key and its tally, side by side in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted<K> {
    /// What is counted.
    #[serde(flatten)]
    pub key: K,
    /// How often, and when.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Joins the parts of a key, in a buffer that is used again.
#[derive(Debug, Default)]
pub(super) struct Key(String);

impl Key {
    const BETWEEN: char = '\0';

    pub(super) fn of(&mut self, parts: &[&str]) -> &str {
        self.0.clear();
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                self.0.push(Self::BETWEEN);
            }
            // No record of ours holds a NUL; one that does must not make two keys one.
            if part.contains(Self::BETWEEN) {
                self.0.push_str(&part.replace(Self::BETWEEN, "\\x00"));
            } else {
                self.0.push_str(part);
            }
        }
        &self.0
    }

    /// The parts again; absent ones are empty.
    pub(super) fn parts<const N: usize>(key: &str) -> [String; N] {
        let mut parts = key.splitn(N, Self::BETWEEN);
        std::array::from_fn(|_| parts.next().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use enforcer_common::verdict::Verdict;

    use super::{Budget, Key, Moment, Tallies};

    #[test]
    fn beyond_the_limit_nothing_is_lost_from_the_sum() {
        let (mut tallies, mut budget) = (Tallies::new(3), Budget(100));
        for n in 0..10 {
            for _ in 0..=n {
                tallies.add(&n.to_string(), Verdict::Deny, Moment(n), &mut budget);
            }
        }
        let (kept, beyond) = tallies.finish(super::Tally::total, str::to_owned);
        assert_eq!(kept.len(), 3);
        assert_eq!((kept[0].key.as_str(), kept[0].tally.denied), ("2", 3));
        assert_eq!(beyond.denied, 55 - 6);
        assert_eq!(budget.0, 97);
    }

    #[test]
    fn a_nul_does_not_make_two_keys_one() {
        let mut key = Key::default();
        let one = key.of(&["a\0b", "c"]).to_owned();
        assert_ne!(one, key.of(&["a", "b\0c"]));
        assert_eq!(Key::parts::<2>(&one), ["a\\x00b", "c"]);
    }
}

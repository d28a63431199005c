//! What of the kernel's losses the log tells of already: kept, so that no daemon tells of one twice.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::ocsf::Place;

/// Losses that the log has been told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounted {
    /// In the ring for denials.
    pub denials: u64,
    /// In the other ring.
    pub events: u64,
    /// When it was told of last, `CLOCK_BOOTTIME` in nanoseconds.
    pub until_ns: u64,
}

impl Accounted {
    /// Takes in a gap that an earlier daemon of this boot has told of after `noted`, when it last
    /// noted what it had told: it was killed between the two.
    pub fn learn(&mut self, record: &Value, boot: &str, noted: u64) {
        let text = |pointer| record.pointer(pointer).and_then(Value::as_str);
        let of_boot = text("/metadata/uid").is_some_and(|uid| uid.starts_with(boot));
        let time = text("/metadata/original_time").and_then(|time| time.parse().ok());
        let Some(time) = time.filter(|time| of_boot && *time > noted) else {
            return;
        };
        let place = text("/unmapped/place");
        let count = record["count"].as_u64().unwrap_or_default();
        if place == Some(Place::DenialsRing.name()) {
            self.denials += count;
        } else if place == Some(Place::EventsRing.name()) {
            self.events += count;
        } else {
            return;
        }
        self.until_ns = self.until_ns.max(time);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gap_that_was_told_and_not_noted_is_not_told_again() {
        let gap = |time: u64, place: &str, count: u64| {
            json!({"metadata": {"uid": format!("boot:events-lost:{time}:{place}"), "original_time": time.to_string()},
                   "count": count, "unmapped": {"place": place}})
        };
        let mut accounted = Accounted {
            denials: 10,
            events: 20,
            until_ns: 500,
        };
        for record in [
            gap(400, "events-ring", 20), // noted before
            gap(600, "events-ring", 3),
            gap(600, "denials-ring", 4),
            gap(600, "log", 1),
            json!({"metadata": {"uid": "boot:77"}}),
        ] {
            accounted.learn(&record, "boot:", 500);
        }
        accounted.learn(&gap(700, "events-ring", 9), "other boot:", 500);
        let expected = Accounted {
            denials: 14,
            events: 23,
            until_ns: 600,
        };
        assert_eq!(accounted, expected);
    }
}

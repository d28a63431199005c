//! Which records to show.
#![forbid(unsafe_code)]

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

/// What a record must be to be shown: all that is given. The default lets every record through.
///
/// Texts are compared whole, in the form that records have them. It reads from JSON and from a
/// query string, where numbers are text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// The record with this `metadata.uid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Name of the agent, of decisions and of policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Session id: 16 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Task, or its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The kernel's verdict: `allow`, `deny` or `would-deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why: a reason's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Id of the rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What happened: one of [`crate::record::EVENT_CODES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Path of the executable that acted or was to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
    /// Destination: its address, or the name of its unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Not before this moment, milliseconds since 1970.
    #[serde(
        deserialize_with = "milliseconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub since: Option<i64>,
    /// Before this moment, milliseconds since 1970.
    #[serde(
        deserialize_with = "milliseconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<i64>,
}

impl Filter {
    /// Whether the record is to be shown.
    #[must_use]
    pub fn matches(&self, record: &Value) -> bool {
        let time = record["time"].as_i64();
        is(
            &self.agent,
            &[&record["ai_agent"]["name"], &record["entity"]["name"]],
        ) && is(&self.session, &[&record["actor"]["session"]["uid"]])
            && is(
                &self.task,
                &[&record["unmapped"]["task"], &record["unmapped"]["task_id"]],
            )
            && is(&self.verdict, &[&record["unmapped"]["verdict"]])
            && is(&self.reason, &[&record["unmapped"]["reason"]])
            && is(&self.rule, &[&record["firewall_rule"]["uid"]])
            && is(&self.event, &[&record["metadata"]["uid"]])
            && is(&self.kind, &[&record["metadata"]["event_code"]])
            && is(&self.binary, &binaries(record))
            && is(&self.destination, &destinations(record))
            && self
                .since
                .is_none_or(|since| time.is_some_and(|time| time >= since))
            && self
                .until
                .is_none_or(|until| time.is_some_and(|time| time < until))
    }
}

fn is(wanted: &Option<String>, found: &[&Value]) -> bool {
    wanted
        .as_deref()
        .is_none_or(|wanted| found.iter().any(|value| value.as_str() == Some(wanted)))
}

fn binaries(record: &Value) -> [&Value; 2] {
    [
        &record["process"]["file"]["path"],
        &record["actor"]["process"]["file"]["path"],
    ]
}

fn destinations(record: &Value) -> [&Value; 2] {
    [
        &record["dst_endpoint"]["ip"],
        &record["dst_endpoint"]["name"],
    ]
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Integer(i64),
        Text(String),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Number::Integer(number)) => Ok(Some(number)),
        Some(Number::Text(text)) => text.parse().map(Some).map_err(D::Error::custom),
    }
}

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is neither a time (2026-11-24T08:00:00Z) nor an age (15m, 2h, 7d)")]
pub struct MomentError {
    /// The text.
    pub text: String,
}

/// Reads a moment as people give it, as milliseconds since 1970: a time with its offset
/// (`2026-11-24T08:00:00Z`), or how long ago (`15m`, `2h 30m`, `7d`, a day being 24 hours).
///
/// # Errors
/// When the text is neither.
pub fn moment(text: &str, now: Timestamp) -> Result<i64, MomentError> {
    let wrong = || MomentError {
        text: text.to_owned(),
    };
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let age = text.parse::<Span>().map_err(|_| wrong())?;
    let age: SignedDuration = age
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())?;
    if age.is_negative() {
        return Err(wrong());
    }
    let time = now.checked_sub(age).map_err(|_| wrong())?;
    Ok(time.as_millisecond())
}

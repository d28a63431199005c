//! What every record has, checked once: the forms rely on it.
#![forbid(unsafe_code)]

use serde_json::{Map, Value};

use crate::{FormError, OCSF_VERSION};

/// Characters of a wrong value that an error shows.
const SHOWN: usize = 80;

/// What the forms tell records apart by.
pub struct Head<'a> {
    /// `metadata.event_code`: what happened.
    pub code: &'a str,
    /// `class_uid`.
    pub class: u64,
    /// `activity_id`.
    pub activity: u64,
    /// `unmapped.verdict`, of the records of decisions.
    pub verdict: Option<Verdict>,
}

/// The kernel's verdict, as records name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    Deny,
    WouldDeny,
}

impl<'a> Head<'a> {
    pub fn of(record: &'a Value) -> Result<Self, FormError> {
        object(record)?;
        let version = text(record, "metadata.version")?;
        if version != OCSF_VERSION {
            return Err(wrong(
                "metadata.version",
                "`1.9.0`",
                at(record, "metadata.version"),
            ));
        }
        text(record, "metadata.uid")?;
        number(record, "time", Value::as_i64)?;
        let unmapped = record.get("unmapped");
        if unmapped.is_some_and(|unmapped| !unmapped.is_object()) {
            return Err(wrong("unmapped", "an object", unmapped));
        }
        Ok(Self {
            code: text(record, "metadata.event_code")?,
            class: number(record, "class_uid", Value::as_u64)?,
            activity: number(record, "activity_id", Value::as_u64)?,
            verdict: verdict(record)?,
        })
    }
}

/// The record as an object.
pub fn object(record: &Value) -> Result<&Map<String, Value>, FormError> {
    record
        .as_object()
        .ok_or_else(|| wrong("$", "an object", Some(record)))
}

/// The value at a path of member names, and places in arrays, with dots between them.
pub fn at<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(record, |value, name| match value.as_array() {
            Some(items) => items.get(name.parse::<usize>().ok()?),
            None => value.get(name),
        })
}

fn text<'a>(record: &'a Value, path: &'static str) -> Result<&'a str, FormError> {
    let found = at(record, path);
    found
        .and_then(Value::as_str)
        .ok_or_else(|| wrong(path, "text", found))
}

fn number<T>(
    record: &Value,
    path: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<T, FormError> {
    let found = at(record, path);
    found
        .and_then(read)
        .ok_or_else(|| wrong(path, "an integer", found))
}

fn verdict(record: &Value) -> Result<Option<Verdict>, FormError> {
    let found = at(record, "unmapped.verdict");
    match found.map(Value::as_str) {
        None => Ok(None),
        Some(Some("allow")) => Ok(Some(Verdict::Allow)),
        Some(Some("deny")) => Ok(Some(Verdict::Deny)),
        Some(Some("would-deny")) => Ok(Some(Verdict::WouldDeny)),
        Some(_) => Err(wrong(
            "unmapped.verdict",
            "`allow`, `deny` or `would-deny`",
            found,
        )),
    }
}

/// The error about what stands at a path.
pub fn wrong(attribute: &'static str, expected: &'static str, found: Option<&Value>) -> FormError {
    let found = found.map_or_else(
        || "missing".to_owned(),
        |value| format!("`{}`", shortened(&value.to_string())),
    );
    FormError::NotARecord {
        attribute,
        expected,
        found,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

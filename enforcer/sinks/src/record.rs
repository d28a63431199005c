//! A record on its way, and the facts of it that protocols have a place for.

use std::sync::Arc;

use serde_json::Value;

use crate::spool::Cursor;

/// A record of the log. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(Arc<Parts>);

#[derive(Debug, PartialEq)]
struct Parts {
    line: Vec<u8>,
    value: Value,
    uid: String,
    after: Cursor,
}

/// A record has no `metadata.uid`, so that a receiver could not tell it from its repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record has no `metadata.uid` of 1 to 255 printable characters")]
pub struct NoUid;

impl Record {
    /// A record: its line without the newline, what it holds, and the place after it in the log.
    ///
    /// # Errors
    /// When `metadata.uid` is not a text that every protocol can carry as a key.
    pub fn new(line: Vec<u8>, value: Value, after: Cursor) -> Result<Self, NoUid> {
        let uid = value
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
            .filter(|uid| (1..=255).contains(&uid.len()))
            .filter(|uid| uid.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or(NoUid)?
            .to_owned();
        Ok(Self(Arc::new(Parts {
            line,
            value,
            uid,
            after,
        })))
    }

    /// The line as the log has it, without its newline.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.0.line
    }

    /// What the line holds.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0.value
    }

    /// `metadata.uid`: the same for every copy of this record, and for no other record.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.0.uid
    }

    /// The place in the log after this record.
    #[must_use]
    pub fn after(&self) -> Cursor {
        self.0.after
    }

    /// The text at a JSON pointer (RFC 6901).
    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.value.pointer(pointer).and_then(Value::as_str)
    }

    /// What was decided: `allow`, `deny` or `would-deny`; records of no decision have none.
    #[must_use]
    pub fn verdict(&self) -> Option<&str> {
        self.text("/unmapped/verdict")
    }

    /// The agent, or the agent whose policy the record is about.
    #[must_use]
    pub fn agent(&self) -> Option<&str> {
        self.text("/ai_agent/name")
            .or_else(|| self.text("/entity/name"))
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.text("/actor/session/uid")
    }

    /// What happened, as `metadata.event_code` names it.
    #[must_use]
    pub fn event_code(&self) -> Option<&str> {
        self.text("/metadata/event_code")
    }

    /// The host that wrote the record.
    #[must_use]
    pub fn hostname(&self) -> Option<&str> {
        self.text("/device/hostname")
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.text("/message")
    }

    /// When it happened, milliseconds since 1970.
    #[must_use]
    pub fn time_ms(&self) -> Option<i64> {
        self.0.value.pointer("/time").and_then(Value::as_i64)
    }

    /// The caption of OCSF's `severity_id`.
    #[must_use]
    pub fn severity_name(&self) -> Option<&str> {
        self.text("/severity")
    }

    /// OCSF's `severity_id`; 0 (unknown) where there is none.
    #[must_use]
    pub fn severity_id(&self) -> u64 {
        self.0
            .value
            .pointer("/severity_id")
            .and_then(Value::as_u64)
            .unwrap_or(0)
    }

    /// Severity of syslog (RFC 5424, table 2; journald's `PRIORITY` is the same).
    #[must_use]
    pub fn syslog_severity(&self) -> u8 {
        match self.severity_id() {
            6 => 1,
            5 => 2,
            4 => 3,
            3 => 4,
            2 => 5,
            _ => 6,
        }
    }
}

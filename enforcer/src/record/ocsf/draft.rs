//! A record being written: the attributes that every class has.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use enforcer_evidence::canonical::MAX_INTEGER;
use serde_json::{Map, Value, json};

use super::{Host, OCSF_VERSION};

/// Name of the log in every record.
const LOG_NAME: &str = "enforcer";

/// A class of the schema.
#[derive(Clone, Copy)]
pub(super) struct Class {
    pub uid: u32,
    pub name: &'static str,
    pub category_uid: u32,
}

/// A member of an enumeration of the schema: its number and its caption.
pub(super) type Member = (u32, &'static str);

/// How much a record calls for attention.
#[derive(Clone, Copy)]
pub(super) enum Severity {
    Informational,
    Low,
    Medium,
    High,
}

impl Severity {
    const fn member(self) -> Member {
        match self {
            Self::Informational => (1, "Informational"),
            Self::Low => (2, "Low"),
            Self::Medium => (3, "Medium"),
            Self::High => (4, "High"),
        }
    }
}

/// What was done about an action: `action`, `disposition` and `status` of the schema.
#[derive(Clone, Copy)]
pub(super) struct Outcome {
    pub action: Member,
    pub disposition: Member,
    pub success: bool,
}

/// When something happened and how its record is told from all others.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub time_ns: u64,
    /// What happened: one of [`super::EVENT_CODES`].
    pub event_code: &'a str,
    /// The kernel's sequence number, for its events.
    pub sequence: Option<u64>,
    /// What tells records of one code and one moment apart, for the daemon's own.
    pub subject: &'a str,
}

/// A record being written. Absent facts are given as `null` and left out at the end.
pub(super) struct Draft {
    attributes: Map<String, Value>,
    profiles: BTreeSet<&'static str>,
    unmapped: Map<String, Value>,
}

impl Draft {
    /// A record of `class` with what every record has.
    pub fn new(
        host: &Host,
        class: Class,
        activity: Member,
        severity: Severity,
        moment: Moment<'_>,
    ) -> Self {
        let (severity_id, severity) = severity.member();
        let draft = Self {
            attributes: Map::new(),
            profiles: BTreeSet::new(),
            unmapped: Map::new(),
        };
        draft
            .with("activity_id", activity.0)
            .with("activity_name", activity.1)
            .with("category_uid", class.category_uid)
            .with("class_name", class.name)
            .with("class_uid", class.uid)
            .with("device", device(host))
            .with("metadata", metadata(host, moment))
            .with("severity", severity)
            .with("severity_id", severity_id)
            .with("time", host.wall_ms(moment.time_ns))
            .with("type_uid", class.uid * 100 + activity.0)
            .profile("host")
    }

    /// Sets an attribute of the class.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// Sets what the schema has no attribute for.
    pub fn unmapped(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.unmapped.insert(name.to_owned(), value.into());
        self
    }

    /// Sets an attribute of `metadata`.
    pub fn metadata(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Some(metadata) = self.attributes.get_mut("metadata") {
            metadata[name] = value.into();
        }
        self
    }

    /// Names a profile whose attributes the record uses.
    pub fn profile(mut self, name: &'static str) -> Self {
        self.profiles.insert(name);
        self
    }

    /// Sets `action`, `disposition` and `status`, which the profile `security_control` holds.
    pub fn outcome(self, outcome: Outcome) -> Self {
        self.with("action", outcome.action.1)
            .with("action_id", outcome.action.0)
            .with("disposition", outcome.disposition.1)
            .with("disposition_id", outcome.disposition.0)
            .status(outcome.success)
            .profile("security_control")
    }

    /// Sets `status`.
    pub fn status(self, success: bool) -> Self {
        let (id, name) = if success {
            (1, "Success")
        } else {
            (2, "Failure")
        };
        self.with("status", name).with("status_id", id)
    }

    /// The finished record: without absent facts.
    pub fn finish(self) -> Value {
        let profiles: Vec<&str> = self.profiles.iter().copied().collect();
        let Self {
            mut attributes,
            unmapped,
            ..
        } = self.metadata("profiles", profiles);
        attributes.insert("unmapped".to_owned(), unmapped.into());
        let mut record = Value::Object(attributes);
        prune(&mut record);
        record
    }
}

/// Takes out members that are `null`, and objects that are empty then.
fn prune(value: &mut Value) {
    if let Value::Object(members) = value {
        members.values_mut().for_each(prune);
        members.retain(|_, member| !is_absent(member));
    } else if let Value::Array(items) = value {
        items.iter_mut().for_each(prune);
    }
}

fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

fn device(host: &Host) -> Value {
    json!({
        "boot_uid": host.boot_id,
        "hostname": host.hostname,
        "name": host.hostname,
        // Unknown: a server, a desktop or a container host look the same from here.
        "type_id": 0,
        "uid": host.machine_id,
    })
}

fn metadata(host: &Host, moment: Moment<'_>) -> Value {
    let Moment {
        time_ns,
        event_code,
        sequence,
        subject,
    } = moment;
    let boot_id = &host.boot_id;
    let uid = match sequence {
        Some(sequence) => format!("{boot_id}:{sequence}"),
        None if subject.is_empty() => format!("{boot_id}:{event_code}:{time_ns}"),
        None => format!("{boot_id}:{event_code}:{time_ns}:{}", told_apart(subject)),
    };
    json!({
        "event_code": event_code,
        "log_name": LOG_NAME,
        "original_time": time_ns.to_string(),
        "product": product(host),
        "sequence": sequence.map(integer),
        "uid": uid,
        "version": OCSF_VERSION,
    })
}

/// What tells records apart, as every protocol carries it in a key: at most so many characters, of those
/// that can be seen.
fn told_apart(subject: &str) -> String {
    const MOST: usize = 120;
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    subject.chars().take(MOST).map(visible).collect()
}

/// This product, as `metadata` and the daemon's own records name it.
pub(super) fn product(host: &Host) -> Value {
    json!({"name": "enforcer", "vendor_name": "enforcer", "version": host.version})
}

/// An integer where every JSON reader holds it exactly, else absent.
pub(super) fn integer(number: u64) -> Value {
    (number <= MAX_INTEGER).then_some(number).into()
}

//! Class 6002, application lifecycle: the daemon starts and stops.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    By, Host,
    draft::{Class, Draft, Member, Moment, Severity, product},
};
use crate::record::names::process_uid;

const CLASS: Class = Class {
    uid: 6002,
    name: "Application Lifecycle",
    category_uid: 6,
};

/// What the daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It took the kernel programs over and began to read events.
    Start,
    /// It stops reading events. What is attached stays so.
    Stop,
    /// It is about to detach everything, as an administrator told it.
    Remove,
}

impl Lifecycle {
    pub(super) const fn event_code(self) -> &'static str {
        match self {
            Self::Start => "daemon-start",
            Self::Stop => "daemon-stop",
            Self::Remove => "daemon-remove",
        }
    }

    const fn activity(self) -> Member {
        match self {
            Self::Start => (3, "Start"),
            Self::Stop => (4, "Stop"),
            Self::Remove => (2, "Remove"),
        }
    }
}

/// The daemon's start or stop, and what the kernel enforces then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonChange {
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub time_ns: u64,
    /// Start or stop.
    pub lifecycle: Lifecycle,
    /// The daemon's process.
    pub pid: u32,
    /// Start of that process, `CLOCK_BOOTTIME` in nanoseconds.
    pub start_ns: u64,
    /// User that it runs as.
    pub uid: u32,
    /// Whether the kernel was seen to deny: without it nothing is claimed to be enforced.
    pub enforcing: bool,
    /// Kernel programs that are attached, by name.
    pub programs: Vec<String>,
    /// Other facts of the posture (kernel, limits, what is open), by name.
    pub posture: BTreeMap<String, String>,
    /// Who removes enforcement, and why, in words.
    pub removal: Option<(By, String)>,
}

/// The record of the daemon's start or stop.
#[must_use]
pub fn daemon(host: &Host, change: &DaemonChange) -> Value {
    let severity = if change.enforcing && change.removal.is_none() {
        Severity::Informational
    } else {
        Severity::High
    };
    let activity = change.lifecycle.activity();
    let moment = Moment {
        time_ns: change.time_ns,
        event_code: change.lifecycle.event_code(),
        sequence: None,
        subject: "",
    };
    let state = if change.enforcing {
        "enforcing"
    } else {
        "not enforcing"
    };
    let actor = json!({
        "process": {
            "name": "enforcer",
            "pid": change.pid,
            "uid": process_uid(&host.boot_id, change.pid, change.start_ns),
        },
        "user": {"uid": change.uid.to_string()},
    });
    let (verb, attached) = (activity.1.to_lowercase(), change.programs.len());
    let by = change
        .removal
        .as_ref()
        .map(|(by, _)| json!({"uid": by.uid.to_string(), "name": by.name, "pid": by.pid}));
    let reason = change.removal.as_ref().map(|(_, reason)| reason.clone());
    Draft::new(host, CLASS, activity, severity, moment)
        .status(change.enforcing)
        .with("actor", actor)
        .with("app", product(host))
        .with(
            "message",
            format!("daemon {verb}: {state}, {attached} kernel programs attached"),
        )
        .with("status_detail", state)
        .unmapped("programs", change.programs.clone())
        .unmapped("posture", json!(change.posture))
        .unmapped("removed_by", by)
        .unmapped("removal_reason", reason)
        .finish()
}

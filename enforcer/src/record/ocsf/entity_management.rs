//! Class 3004, entity management: sessions come and go, policies come into force or are refused.
//!
//! A session's start is an enrolment: processes that were nobody's become an agent's. The schema's
//! classes for logging on are about a user's credentials, which are no part of it.
#![forbid(unsafe_code)]

use enforcer_common::{event::Kind, verdict::Verdict};
use serde_json::{Value, json};

use super::{
    Host,
    draft::{Class, Draft, Member, Moment, Outcome, Severity},
    scene::{self, Scene},
};
use crate::record::names::{hex, session_uid};

const CLASS: Class = Class {
    uid: 3004,
    name: "Entity Management",
    category_uid: 3,
};
const UPDATE: Member = (3, "Update");
const ENROLL: Member = (6, "Enroll");
const UNENROLL: Member = (7, "Unenroll");
const ACTIVATE: Member = (10, "Activate");
const DEACTIVATE: Member = (11, "Deactivate");
const APPROVED: Outcome = Outcome {
    action: (1, "Allowed"),
    disposition: (8, "Approved"),
    success: true,
};
const REJECTED: Outcome = Outcome {
    action: (2, "Denied"),
    disposition: (25, "Rejected"),
    success: false,
};

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// User id.
    pub uid: u32,
    /// User name, where there is one.
    pub name: Option<String>,
    /// Process that asked.
    pub pid: u32,
}

/// What became of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyOutcome {
    /// In force, as part of this generation.
    Applied {
        /// Generation number.
        generation: u32,
    },
    /// No longer in force, from this generation on.
    Removed {
        /// Generation number.
        generation: u32,
    },
    /// Not taken; the policy in force stays.
    Rejected {
        /// Why, in one line.
        why: String,
    },
}

impl PolicyOutcome {
    pub(super) const APPLIED: &'static str = "policy-applied";
    pub(super) const REMOVED: &'static str = "policy-removed";
    pub(super) const REJECTED: &'static str = "policy-rejected";

    const fn event_code(&self) -> &'static str {
        match self {
            Self::Applied { .. } => Self::APPLIED,
            Self::Removed { .. } => Self::REMOVED,
            Self::Rejected { .. } => Self::REJECTED,
        }
    }

    const fn generation(&self) -> Option<u32> {
        match self {
            Self::Applied { generation } | Self::Removed { generation } => Some(*generation),
            Self::Rejected { .. } => None,
        }
    }
}

/// A policy that was applied, removed or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub time_ns: u64,
    /// Name of the agent, or of the source when its text names no agent.
    pub agent: String,
    /// SHA-256 of the policy's text, where there is one.
    pub sha256: Option<[u8; 32]>,
    /// What became of it.
    pub outcome: PolicyOutcome,
    /// Who asked.
    pub by: By,
}

/// The record of a session's start or end.
pub(super) fn session(scene: &Scene<'_>) -> Value {
    let ended = scene.head.kind == Kind::SessionEnd;
    let activity = if ended { UNENROLL } else { ENROLL };
    let facts = scene.session.as_deref();
    let uid = session_uid(scene.head.session);
    let entity = json!({
        "data": {"root_pid": facts.map(|f| f.root_pid)},
        "name": &*scene.agent,
        "type": "Session",
        "type_id": 99,
        "uid": uid,
        "user": facts.map(|f| user(f.uid, f.user.as_deref())),
    });
    let draft = scene.draft(CLASS, activity, &uid);
    let draft = match scene.head.verdict {
        Verdict::Deny => draft,
        Verdict::Allow | Verdict::WouldDeny => {
            let verb = if ended { "ended" } else { "started" };
            draft.with("message", format!("{}: session {uid} {verb}", scene.agent))
        }
    };
    draft
        .with("comment", facts.and_then(|f| f.task.as_deref()))
        .with("entity", entity)
        .finish()
}

/// The record of a policy that was applied, removed or refused.
#[must_use]
pub fn policy(host: &Host, change: &PolicyChange) -> Value {
    let (activity, severity, outcome, detail) = match &change.outcome {
        PolicyOutcome::Applied { .. } => (ACTIVATE, Severity::Informational, APPROVED, None),
        PolicyOutcome::Removed { .. } => (DEACTIVATE, Severity::Informational, APPROVED, None),
        PolicyOutcome::Rejected { why } => (UPDATE, Severity::Medium, REJECTED, Some(why.as_str())),
    };
    let code = change.outcome.event_code();
    let moment = Moment {
        time_ns: change.time_ns,
        event_code: code,
        sequence: None,
        subject: &change.agent,
    };
    let actor = json!({"process": {"pid": change.by.pid}, "user": user(change.by.uid, change.by.name.as_deref())});
    Draft::new(host, CLASS, activity, severity, moment)
        .outcome(outcome)
        .with("actor", actor)
        .with("entity", entity(change))
        .with("message", message(change))
        .with(
            "policy",
            change
                .outcome
                .generation()
                .map(|g| scene::policy(&change.agent, g)),
        )
        .with("status_detail", detail)
        .finish()
}

fn entity(change: &PolicyChange) -> Value {
    let generation = change.outcome.generation();
    json!({
        "data": {"sha256": change.sha256.map(|digest| hex(&digest))},
        "name": change.agent,
        "type": "Policy",
        "type_id": 5,
        "uid": change.agent,
        "version": generation.map(|generation| generation.to_string()),
    })
}

fn message(change: &PolicyChange) -> String {
    let agent = &change.agent;
    match &change.outcome {
        PolicyOutcome::Applied { generation } => {
            format!("{agent}: policy applied, generation {generation}")
        }
        PolicyOutcome::Removed { generation } => {
            format!("{agent}: policy removed, generation {generation}")
        }
        PolicyOutcome::Rejected { why } => format!("{agent}: policy rejected: {why}"),
    }
}

fn user(uid: u32, name: Option<&str>) -> Value {
    json!({"name": name, "uid": uid.to_string()})
}

//! Class 1008, event log activity: what the log writes about itself, so that it can be verified.
#![forbid(unsafe_code)]

use enforcer_evidence::payload::Payload;
use serde_json::Value;

use super::{
    Host,
    draft::{Class, Draft, Member, Moment, Severity},
};

const CLASS: Class = Class {
    uid: 1008,
    name: "Event Log Activity",
    category_uid: 1,
};
const DELETE: Member = (2, "Delete");
const ROTATE: Member = (5, "Rotate");
const START: Member = (6, "Start");

/// The record of the log about itself. Its payload is all that stands in `unmapped`.
#[must_use]
pub fn log(host: &Host, time_ns: u64, payload: &Payload) -> Value {
    let (activity, message, subject) = match payload {
        Payload::Segment(opening) => (
            if opening.former.is_some() {
                ROTATE
            } else {
                START
            },
            format!(
                "log segment {} begins behind {} records",
                opening.segment, opening.tree_size
            ),
            opening.segment.to_string(),
        ),
        Payload::Epoch(opening) => (
            (99, payload.code()),
            format!(
                "epoch {} of the log begins: {}",
                opening.epoch, opening.vkey
            ),
            opening.epoch.to_string(),
        ),
        Payload::Checkpoint(checkpoint) => (
            (99, payload.code()),
            format!("the log is signed, in epoch {}", checkpoint.epoch),
            String::new(),
        ),
        Payload::Removed(removal) => (
            DELETE,
            format!(
                "log segment {} is removed, for it is old: records {} to {}",
                removal.segment, removal.first_leaf, removal.last_leaf
            ),
            removal.segment.to_string(),
        ),
        Payload::Torn(torn) => (
            (99, payload.code()),
            format!("torn last line of {} bytes of {}", torn.bytes, torn.segment),
            torn.segment.clone(),
        ),
    };
    let moment = Moment {
        time_ns,
        event_code: payload.code(),
        sequence: None,
        subject: &subject,
    };
    let mut draft = Draft::new(host, CLASS, activity, Severity::Informational, moment)
        .status(true)
        .with("log_name", "enforcer")
        .with("log_type", "Application")
        .with("log_type_id", 2)
        .with("message", message);
    for (name, value) in payload.unmapped() {
        draft = draft.unmapped(&name, value);
    }
    draft.finish()
}

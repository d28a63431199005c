//! What happened, in the schema's four questions: kind, category, type, outcome.
//!
//! The schema says which types go with which category. A denial is told by
//! `intrusion_detection`/`denied`, never by `process`/`start` or `file`/`change`: what was denied
//! did not happen. What monitor mode let through did, and is `info` beside it.
#![forbid(unsafe_code)]

use super::{Fields, Rest};
use crate::head::{Head, Verdict};

/// `severity_id` from which a record is an alert although nothing was denied.
const HIGH: u64 = 4;

/// A category, and the type that it has when the thing went on.
#[derive(Clone, Copy)]
struct Happening {
    category: &'static str,
    kind: &'static str,
}

const fn happening(category: &'static str, kind: &'static str) -> Option<Happening> {
    Some(Happening { category, kind })
}

pub fn describe(head: &Head<'_>, rest: &mut Rest, fields: &mut Fields) {
    let alerts = rest.get("is_alert").is_some_and(|alert| alert == true);
    let grave = rest
        .number("severity_id")
        .is_some_and(|severity| severity >= HIGH);
    fields.put(
        "event.kind",
        if alerts || grave { "alert" } else { "event" },
    );
    let what = what(head, rest.text("entity.type"));
    let mut categories: Vec<&str> = what.iter().map(|what| what.category).collect();
    let mut types: Vec<&str> = what.iter().map(|what| what.kind).collect();
    match head.verdict {
        None => {}
        Some(Verdict::Allow) if categories == ["network"] => types.push("allowed"),
        Some(Verdict::Allow) => {}
        Some(Verdict::Deny) => {
            categories.push("intrusion_detection");
            types = vec!["denied"];
        }
        Some(Verdict::WouldDeny) => {
            categories.push("intrusion_detection");
            types.push("info");
        }
    }
    if types.is_empty() {
        types.push("error");
    }
    fields.put_all("event.category", &categories);
    fields.put_all("event.type", &types);
    fields.put("event.outcome", outcome(rest.number("status_id")));
    if let Some(code) = rest.take("type_uid") {
        fields.put("event.code", code.to_string());
    }
}

/// No category fits what is lost: it has the type `error` alone.
fn what(head: &Head<'_>, entity: Option<&str>) -> Option<Happening> {
    match head.class {
        1007 => process(head),
        1008 => match head.activity {
            1 | 2 => happening("file", "deletion"),
            3 => happening("file", "access"),
            _ => happening("file", "change"),
        },
        3004 => managed(head, entity),
        4001 if head.activity == 6 || head.activity == 7 => happening("network", "info"),
        4001 => happening("network", "connection"),
        6002 => match head.activity {
            3 => happening("process", "start"),
            4 => happening("process", "end"),
            2 => happening("configuration", "deletion"),
            _ => happening("configuration", "change"),
        },
        _ => None,
    }
}

fn process(head: &Head<'_>) -> Option<Happening> {
    match head.code {
        "exec" | "fork" => happening("process", "start"),
        "trace" => happening("process", "access"),
        "write" => happening("file", "change"),
        _ => happening("process", "change"),
    }
}

/// Sessions, policies, and whatever else is managed: grants.
fn managed(head: &Head<'_>, entity: Option<&str>) -> Option<Happening> {
    match (entity, head.activity) {
        (Some("Session"), 6) => happening("session", "start"),
        (Some("Session"), 7) => happening("session", "end"),
        (Some("Session"), _) => happening("session", "info"),
        // A policy that is refused changes nothing.
        (Some("Policy"), 3) if head.code.ends_with("-rejected") => {
            happening("configuration", "info")
        }
        (Some("Policy"), 4 | 11) => happening("configuration", "deletion"),
        (Some("Policy"), _) => happening("configuration", "change"),
        (_, 1) => happening("iam", "creation"),
        (_, 4 | 9 | 11) => happening("iam", "deletion"),
        (_, _) => happening("iam", "change"),
    }
}

const fn outcome(status: Option<u64>) -> &'static str {
    match status {
        Some(1) => "success",
        Some(2) => "failure",
        Some(_) | None => "unknown",
    }
}

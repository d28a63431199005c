//! Records to try detection rules on: the daemon's own of all kinds, and some that they lack.

use serde_json::{Value, json};

use super::{connect, exec, records};

pub fn text<'a>(record: &'a Value, place: &str) -> &'a str {
    record
        .pointer(place)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub fn code(record: &Value) -> &str {
    text(record, "/metadata/event_code")
}

pub fn verdict(record: &Value) -> &str {
    text(record, "/unmapped/verdict")
}

pub fn reason(record: &Value) -> &str {
    text(record, "/unmapped/reason")
}

/// A record with other values, and the message that goes with its agent.
pub fn with(mut record: Value, changes: &[(&str, Value)]) -> Value {
    for (place, value) in changes {
        let (holder, name) = place.rsplit_once('/').expect("a place");
        let holder = record.pointer_mut(holder).expect("an object");
        holder[name] = value.clone();
    }
    record
}

/// A denied exec by an interpreter of this name.
pub fn exec_by(name: &str) -> Value {
    with(
        exec(),
        &[
            ("/unmapped/verdict", json!("deny")),
            ("/unmapped/reason", json!("not-listed")),
            ("/status_detail", json!("not-listed")),
            ("/actor/process/name", json!(name)),
            (
                "/message",
                json!("release-bot: exec /tmp/x denied: not-listed"),
            ),
        ],
    )
}

/// The daemon's records of all kinds, and some that they lack.
pub fn corpus() -> Vec<Value> {
    let unix = |name: &str, verdict: &str| {
        let record = records().into_iter().find(|r| code(r) == "unix");
        with(
            record.expect("a unix connection"),
            &[
                ("/dst_endpoint/name", json!(name)),
                ("/unmapped/reason", json!("not-listed")),
                ("/unmapped/verdict", json!(verdict)),
                ("/action_id", json!(if verdict == "deny" { 2 } else { 3 })),
            ],
        )
    };
    let metadata = |ip: &str, code: &str| {
        with(
            connect(),
            &[
                ("/dst_endpoint/ip", json!(ip)),
                ("/metadata/event_code", json!(code)),
            ],
        )
    };
    let mut records: Vec<Value> = records();
    records.extend([
        exec_by("python3.11"),
        exec_by("bash"),
        exec_by("gcc"),
        exec_by("shred"),
        unix("/run/enforcer/control.sock", "deny"),
        unix("/run/enforcer/control.sock", "would-deny"),
        unix("/run/docker.sock", "deny"),
        metadata("fd00:ec2::254", "send"),
        metadata("169.254.169.253", "connect"),
        metadata("169.254.169.254", "listen"),
    ]);
    for reason in [
        "listed-code",
        "file-changed",
        "table-missing",
        "executable-memory",
    ] {
        records.push(with(connect(), &[("/unmapped/reason", json!(reason))]));
    }
    // A denial has this action; the ones made above of an allowed exec too.
    for record in &mut records {
        if verdict(record) == "deny" {
            record["action_id"] = json!(2);
        }
    }
    records
}

/// `count` denials of a session, `gap` milliseconds from one to the next, to `addresses` addresses.
pub fn denials(session: &str, count: usize, gap: i64, addresses: usize) -> Vec<Value> {
    let start = connect()["time"].as_i64().expect("a time");
    (0..count)
        .map(|n| {
            let at = start + gap * i64::try_from(n).expect("few");
            with(
                connect(),
                &[
                    ("/time", json!(at)),
                    ("/metadata/uid", json!(format!("{session}:{n}"))),
                    ("/actor/session/uid", json!(session)),
                    (
                        "/dst_endpoint/ip",
                        json!(format!("192.0.2.{}", n % addresses)),
                    ),
                ],
            )
        })
        .collect()
}

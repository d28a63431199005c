//! Whose `process.*` it is, and which `file.*` is in question.
//!
//! OCSF has two processes in a record: the actor, and the one that was acted on. ECS has one, which
//! is what runs once the event is over. An exec that went on made the process another program: it is
//! OCSF's `process`, and the actor's file is `process.previous.executable`. In every other record,
//! a denied exec too, it is the actor, and what OCSF has as `process` is left for
//! `enforcer.target`.
//!
//! `file.*` is what was to be run, mapped or written, whether it went on or not.
#![forbid(unsafe_code)]

use serde_json::Value;

use super::{Fields, Rest};
use crate::{
    head::{Head, Verdict},
    time::rfc3339,
};

/// `algorithm_id` of SHA-256.
const SHA_256: u64 = 3;

/// Members of a process that become a field as they are.
const MEMBERS: [(&str, &str); 7] = [
    ("cmd_line", "process.command_line"),
    ("file.path", "process.executable"),
    ("name", "process.name"),
    ("pid", "process.pid"),
    ("uid", "process.entity_id"),
    ("user.name", "process.user.name"),
    ("user.uid", "process.user.id"),
];

pub fn describe(head: &Head<'_>, rest: &mut Rest, fields: &mut Fields) {
    file(rest, fields);
    fields.put("process.thread.id", rest.take("actor.process.tid"));
    fields.put(
        "process.parent.pid",
        rest.take("actor.process.parent_process.pid"),
    );
    let went_on = head.code == "exec" && head.verdict != Some(Verdict::Deny);
    if went_on {
        fields.put(
            "process.previous.executable",
            rest.take("actor.process.file.path"),
        );
        fields.put("process.args", rest.take("unmapped.claimed_argv"));
        fields.put("process.args_count", rest.take("unmapped.argc"));
        who("process", rest, fields);
    } else {
        who("actor.process", rest, fields);
    }
}

/// The process that stands at `path`.
fn who(path: &str, rest: &mut Rest, fields: &mut Fields) {
    for (member, field) in MEMBERS {
        fields.put(field, rest.take(&format!("{path}.{member}")));
    }
    fields.put(
        "process.hash.sha256",
        sha256(rest, &format!("{path}.file.hashes")),
    );
    let created = format!("{path}.created_time");
    // A time that is no date stays a number, and is left for `enforcer.`.
    if let Some(start) = rest.get(&created).and_then(Value::as_i64).and_then(rfc3339) {
        fields.put("process.start", start);
        rest.take(&created);
    }
}

/// The file that was to be run; it is copied, for it can be the process's as well.
fn file(rest: &mut Rest, fields: &mut Fields) {
    for (member, field) in [
        ("name", "file.name"),
        ("path", "file.path"),
        ("size", "file.size"),
    ] {
        let member = rest.get(&format!("process.file.{member}"));
        fields.put(field, member.cloned());
    }
    let digest = rest.get("process.file.hashes").and_then(only_sha256);
    fields.put("file.hash.sha256", digest.cloned());
    fields.put("file.path", rest.take("unmapped.target_path"));
    if rest.number("process.file.type_id") == Some(1) {
        fields.put("file.type", "file");
    }
}

/// Takes the digest, where it is the only one and of the one kind that the field holds.
fn sha256(rest: &mut Rest, path: &str) -> Option<Value> {
    let digest = only_sha256(rest.get(path)?)?.clone();
    rest.take(path);
    Some(digest)
}

fn only_sha256(hashes: &Value) -> Option<&Value> {
    match hashes.as_array()?.as_slice() {
        [hash] if hash.get("algorithm_id")?.as_u64()? == SHA_256 => hash.get("value"),
        _ => None,
    }
}

//! Records to try the forms on, and the facts of the standards that the forms are held to.
#![allow(dead_code, reason = "each test file uses some of it")]

pub mod corpus;
pub mod schema;
pub mod sigma;

use std::{collections::BTreeSet, ffi::OsStr, fs, path::PathBuf, process::Command};

use serde_json::{Map, Value};

/// A file below `tests/`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// One record of every event code, verdict, reason and set of attributes that the daemon writes, as
/// its own tests make them (`enforcer/src/record/tests/samples.rs`). The first two are those of
/// `golden.rs` there.
pub fn records() -> Vec<Value> {
    let text = fs::read_to_string(path("records.jsonl")).expect("the records");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The allowed exec of `golden.rs`.
pub fn exec() -> Value {
    records().swap_remove(0)
}

/// The denied connect of `golden.rs`.
pub fn connect() -> Value {
    records().swap_remove(1)
}

/// The facts of a standard.
pub fn facts(name: &str) -> Value {
    let text = fs::read_to_string(path("facts").join(name)).expect("the facts");
    serde_json::from_str(&text).expect("JSON")
}

/// The members of an object.
pub fn members(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

/// The texts in an array.
pub fn texts(value: &Value) -> BTreeSet<&str> {
    let items = value.as_array().expect("an array").iter();
    items.map(|item| item.as_str().expect("text")).collect()
}

/// Every value that holds no other, with its path.
pub fn leaves(value: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect<'a>(value: &'a Value, path: String, found: &mut Vec<(String, &'a Value)>) {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                collect(member, below(name), found);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                collect(item, below(&n.to_string()), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.push((path, value));
        }
    }
}

/// Runs a checker in Python; its faults, one a line. `None` where Python or the package that the
/// checker is made of is not there: a host that only builds has neither.
pub fn checked<S: AsRef<OsStr>>(checker: &str, arguments: &[S]) -> Option<String> {
    let output = Command::new("python3")
        .arg(path(checker))
        .args(arguments)
        .output();
    let output = output.ok().filter(|output| output.status.code() != Some(3));
    let Some(output) = output else {
        eprintln!("skipped: python3 or the package that {checker} needs is not installed");
        return None;
    };
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    Some(if output.status.success() {
        String::new()
    } else {
        told
    })
}

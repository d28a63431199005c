//! Records, checked by somebody else's eyes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::log::segments;
use crate::cli::{told, unique};

/// Checks the log with the independent checker of OCSF records, where that is at hand
/// (`shared/tools/ocsf_check.py` beside the workspace; the guest sees the build machine at `/host`):
/// every line, except for those that differ from another one in numbers alone, since an emulated
/// machine takes long for each.
///
/// # Panics
/// With the faults, when there are any.
pub fn assert_ocsf() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/tools/ocsf_check.py");
    let beside = beside.strip_prefix("/").unwrap_or(&beside).to_owned();
    let places = ["/host", "/"].map(|root| Path::new(root).join(&beside));
    let Some(checker) = places.iter().find(|path| path.exists()) else {
        println!("no checker of records at {places:?}: they were not checked");
        return;
    };
    let lines = PathBuf::from(format!("/run/{}.jsonl", unique("records")));
    let distinct = distinct_lines();
    fs::write(&lines, distinct.join("\n")).expect("the lines are written");
    let output = Command::new("/usr/bin/python3")
        .arg(checker)
        .arg(lines)
        .output()
        .expect("python3 starts");
    println!("{} distinct lines: {}", distinct.len(), told(&output));
    assert!(output.status.success());
}

/// The lines of the log, one of each form.
fn distinct_lines() -> Vec<String> {
    let mut distinct = BTreeMap::new();
    for log in segments() {
        for line in fs::read_to_string(log).expect("the log is read").lines() {
            let record = serde_json::from_str(line).expect("a record is JSON");
            distinct
                .entry(form("", &record).to_string())
                .or_insert_with(|| line.to_owned());
        }
    }
    distinct.into_values().collect()
}

/// A value of the member `name` without what tells it from others of its form: numbers that are no
/// member of an enumeration, and the digits of texts.
fn form(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), form(name, value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(|item| form(name, item)).collect(),
        Value::String(text) => without_digits(text).into(),
        Value::Number(_) if !name.ends_with("_id") && !name.ends_with("class_uid") => 0.into(),
        Value::Number(_) | Value::Bool(_) | Value::Null => value.clone(),
    }
}

/// Each run of hexadecimal digits and `-` that has a decimal digit in it becomes `0`.
fn without_digits(text: &str) -> String {
    let is_digit = |c: char| c.is_ascii_hexdigit() || c == '-';
    let mut form = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_digit) {
        let (before, run) = rest.split_at(start);
        let end = run.find(|c| !is_digit(c)).unwrap_or(run.len());
        let (run, after) = run.split_at(end);
        let is_number = run.contains(|c: char| c.is_ascii_digit());
        form += before;
        form += if is_number { "0" } else { run };
        rest = after;
    }
    form + rest
}

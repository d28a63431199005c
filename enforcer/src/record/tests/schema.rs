//! Every kind of record, under every verdict and at every edge, against the schema.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use enforcer_evidence::{canonical, chain::PROFILE};
use enforcer_forms::{Form, render};
use serde_json::Value;

use super::{
    common::{BOOT, Directory, Facts, exec_event, host, open},
    samples::{all, decisions, told_by_the_log},
};
use crate::record::{EVENT_CODES, Recorder, log::SEGMENT_BYTES};

/// The schema's checker, where the tree has it beside it.
const CHECKER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../shared/tools/ocsf_check.py"
);

#[test]
fn every_record_passes_the_schemas_checker_or_has_what_is_required() {
    let temporary = Directory::new();
    let (mut log, _) = open(&temporary.log(), SEGMENT_BYTES).expect("a log");
    let records = all();
    log.append(&records).expect("every record is canonical");
    let mut own = Vec::new();
    for record in told_by_the_log() {
        canonical::append_line(&mut own, &record).expect("canonical");
        has_what_is_required(&record);
    }
    let of_the_log = temporary.path().join("own.jsonl");
    fs::write(&of_the_log, own).expect("written");
    if Path::new(CHECKER).exists() {
        let output = Command::new("python3")
            .arg(CHECKER)
            .args([log.segment(), &of_the_log])
            .output()
            .expect("python3");
        let faults = String::from_utf8_lossy(&output.stdout);
        let first: Vec<&str> = faults.lines().take(20).collect();
        assert!(output.status.success(), "{first:#?}");
    } else {
        records.iter().for_each(has_what_is_required);
    }
}

fn has_what_is_required(record: &Value) {
    for name in [
        "activity_id",
        "category_uid",
        "class_uid",
        "severity_id",
        "time",
        "type_uid",
    ] {
        assert!(record[name].is_i64(), "{name}: {record}");
    }
    let kind = record["class_uid"]
        .as_u64()
        .zip(record["activity_id"].as_u64());
    let kind = kind.map(|(class, activity)| class * 100 + activity);
    assert_eq!(record["type_uid"].as_u64(), kind, "{record}");
    assert_eq!(record["metadata"]["version"], "1.9.0", "{record}");
    let object = match record["class_uid"].as_u64() {
        Some(1007) => &record["process"]["pid"],
        Some(4001) if record["src_endpoint"].is_null() => &record["dst_endpoint"],
        Some(4001) => &record["src_endpoint"],
        Some(3004) => &record["entity"]["name"],
        Some(6002) => &record["app"]["name"],
        Some(6008) => &record["count"],
        Some(1008) => &record["log_name"],
        other => panic!("{other:?}: {record}"),
    };
    assert!(!object.is_null(), "{record}");
}

#[test]
fn every_record_has_its_other_forms() {
    for record in [all(), told_by_the_log()].iter().flatten() {
        for form in [Form::Ocsf, Form::Ocsf17, Form::Ecs, Form::Cef] {
            let rendered = render(form, record);
            let uid = record["metadata"]["uid"].as_str().expect("an id");
            assert!(
                rendered.is_ok_and(|text| text.contains(uid.split(':').next().unwrap_or(uid))),
                "{}: {record}",
                form.name()
            );
        }
    }
}

#[test]
fn every_event_code_is_listed_and_made() {
    let made: BTreeSet<String> = [all(), told_by_the_log()]
        .iter()
        .flatten()
        .map(|record| {
            record["metadata"]["event_code"]
                .as_str()
                .expect("a code")
                .to_owned()
        })
        .collect();
    assert_eq!(made, EVENT_CODES.map(str::to_owned).into());
}

#[test]
fn every_decision_answers_the_six_questions() {
    for record in decisions() {
        let verdict = record["unmapped"]["verdict"].as_str().expect("a verdict");
        let expected = match verdict {
            "allow" => (1, 1, 1, &Value::Null, &Value::Null),
            "deny" => (2, 2, 2, &Value::from("EPERM"), &Value::from(true)),
            _ => (3, 17, 1, &Value::Null, &Value::Null),
        };
        let id = |name: &str| record[name].as_u64().expect(name);
        let found = (
            id("action_id"),
            id("disposition_id"),
            id("status_id"),
            &record["status_code"],
            &record["is_alert"],
        );
        assert_eq!(found, expected, "{record}");
        for fact in [
            "/ai_agent/name",
            "/actor/session/uid",
            "/status_detail",
            "/message",
        ] {
            let told = record.pointer(fact).is_some_and(Value::is_string);
            assert!(told, "{fact}: {record}");
        }
        let decided = record["unmapped"]["cell"].is_u64();
        assert!(
            !decided || record["policy"]["version"].is_string(),
            "{record}"
        );
        if record["metadata"]["event_code"] != "session-end" {
            let process = record.pointer("/actor/process/uid").and_then(Value::as_str);
            assert!(process.is_some_and(|uid| uid.starts_with(BOOT)), "{record}");
            assert!(record["actor"]["user"]["uid"].is_string(), "{record}");
        }
    }
}

#[test]
fn a_rule_is_named_only_where_it_decided() {
    for record in decisions() {
        let by_rule = ["rule-allows", "rule-denies"]
            .contains(&record["status_detail"].as_str().expect("a reason"));
        let rule = record.pointer("/firewall_rule/uid");
        assert!(rule.is_none() || by_rule, "{record}");
    }
    let mut recorder = Recorder::new(host());
    let record = recorder.record(&exec_event(1, 0, 10, "/usr/bin/git"), &Facts::all());
    assert_eq!(
        record.pointer("/firewall_rule/uid").and_then(Value::as_str),
        Some("tools")
    );
}

#[test]
fn nothing_is_told_that_the_kernel_did_not_tell() {
    for record in decisions() {
        let line = record.to_string();
        assert!(
            !line.contains("0:0:0:0"),
            "an identity that was not read: {line}"
        );
        assert!(
            !line.contains("release-bot@0"),
            "a policy that did not decide: {line}"
        );
        if record["metadata"]["event_code"] == "session-end" {
            assert!(record["actor"]["user"].is_null() && record["actor"]["process"].is_null());
        }
    }
}

#[test]
fn an_agent_cannot_make_a_record_as_large_as_it_likes() {
    let longest = decisions()
        .iter()
        .map(|record| {
            let mut line = Vec::new();
            canonical::append_line(&mut line, record).expect("canonical");
            line.len()
        })
        .max();
    // Every byte of a path or an argument is at most `\\xHH` in JSON, and stands in a record some
    // four times; ancestors are bounded in number.
    assert!(longest.is_some_and(|bytes| bytes < 32 << 10), "{longest:?}");
}

#[test]
fn a_long_ancestry_keeps_its_nearest_and_its_root() {
    let mut recorder = Recorder::new(host());
    let facts = Facts::all();
    let records: Vec<Value> = (1..=40)
        .map(|n| {
            recorder.record(
                &exec_event(n, n - 1, 100 + u32::try_from(n).expect("small"), "/bin/sh"),
                &facts,
            )
        })
        .collect();
    let last = records.last().expect("records");
    let ancestry = last
        .pointer("/actor/process/ancestry")
        .and_then(Value::as_array)
        .expect("ancestry");
    let pids: Vec<u64> = ancestry
        .iter()
        .map(|a| a["pid"].as_u64().expect("a pid"))
        .collect();
    assert_eq!(pids.len(), 16);
    assert_eq!((pids[0], pids[15]), (139, 101));
    assert_eq!(last["unmapped"]["ancestry_omitted"], 39 - 16);
    assert!(last["unmapped"]["ancestry_incomplete"].is_null());
    let gap = recorder.record(&exec_event(60, 50, 100, "/bin/sh"), &facts);
    assert_eq!(gap["unmapped"]["ancestry_incomplete"], true);
}

#[test]
fn the_lines_of_a_record_survive_a_reader() {
    let temporary = Directory::new();
    let (mut log, _) = open(&temporary.log(), SEGMENT_BYTES).expect("a log");
    let records = all();
    log.append(&records).expect("durable");
    let text = fs::read_to_string(log.segment()).expect("UTF-8");
    let read: Vec<Value> = text
        .lines()
        .skip(1) // the segment's opening
        .map(|line| unlinked(serde_json::from_str(line).expect("JSON")))
        .collect();
    assert_eq!(read, records);
}

/// The record without what its place in the log adds to it.
fn unlinked(mut record: Value) -> Value {
    let attested = record.as_object_mut().expect("an object");
    assert!(attested.remove("attestation_list").is_some());
    let profiles = record["metadata"]["profiles"].as_array_mut();
    profiles.expect("profiles").retain(|name| name != PROFILE);
    record
}

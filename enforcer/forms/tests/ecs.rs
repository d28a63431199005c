//! Elastic Common Schema: held to the schema's list of fields and to the record's own content.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{connect, exec, facts, leaves, members, records, texts};
use enforcer_forms::{ECS_VERSION, Form, ecs, render};
use serde_json::{Value, json};

const FACTS: &str = "ecs-9.4.json";

fn converted(record: &Value) -> Value {
    ecs(record).expect("a record")
}

#[test]
fn every_field_is_the_schemas_or_our_own() {
    let facts = facts(FACTS);
    assert_eq!(facts["version"], ECS_VERSION);
    for record in records() {
        for (name, value) in members(&converted(&record)) {
            if name.starts_with("enforcer.") {
                continue;
            }
            let kind = facts["fields"][name].as_str();
            let kind = kind.unwrap_or_else(|| panic!("{name} is no field of the schema"));
            assert!(is_of(kind, value), "{name} is {kind}, not {value}");
        }
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    if let Some(kind) = kind.strip_suffix("[]") {
        let items = value.as_array();
        return items.is_some_and(|items| items.iter().all(|item| is_of(kind, item)));
    }
    match kind {
        "keyword" | "wildcard" | "match_only_text" => value.is_string(),
        "long" => value.is_i64(),
        "ip" => value
            .as_str()
            .is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_ok()),
        "date" => value
            .as_str()
            .is_some_and(|date| date.ends_with('Z') && date.contains('T')),
        _ => panic!("no field of ours is a {kind}"),
    }
}

#[test]
fn kind_category_type_and_outcome_go_together_as_the_schema_says() {
    let facts = facts(FACTS);
    for record in records() {
        let fields = converted(&record);
        let what = &record["metadata"]["event_code"];
        assert!(
            texts(&facts["kind"]).contains(text(&fields["event.kind"])),
            "{what}"
        );
        assert!(
            texts(&facts["outcome"]).contains(text(&fields["event.outcome"])),
            "{what}"
        );
        let types = texts(&fields["event.type"]);
        let mut expected = BTreeSet::new();
        if let Some(categories) = fields.get("event.category") {
            for category in texts(categories) {
                expected.extend(texts(&facts["category"][category]));
            }
        } else {
            expected = texts(&facts["type"]);
        }
        assert!(
            !types.is_empty() && types.is_subset(&expected),
            "{what}: {types:?}"
        );
    }
}

#[test]
fn what_was_denied_is_never_told_as_having_happened() {
    for record in records() {
        let fields = converted(&record);
        let types = texts(&fields["event.type"]);
        let denied = record["unmapped"]["verdict"] == "deny";
        assert_eq!(types.contains("denied"), denied, "{record:#}");
        if denied {
            assert_eq!(types.len(), 1, "{record:#}");
            assert_eq!(fields["event.kind"], "alert");
            assert_eq!(fields["event.outcome"], "failure");
        }
    }
}

/// What the conversion looks at, so that it cannot be another value.
const LOOKED_AT: [&str; 14] = [
    "activity_id",
    "algorithm",
    "algorithm_id",
    "class_uid",
    "direction_id",
    "entity.type",
    "event_code",
    "metadata.version",
    "protocol_name",
    "protocol_ver_id",
    "severity_id",
    "status_id",
    "type_id",
    "verdict",
];

#[test]
fn nothing_is_lost_on_the_way() {
    for mut record in records() {
        let mut number = 0;
        mark(&mut record, "", &mut number);
        let fields = converted(&record);
        let found: BTreeSet<String> = leaves(&fields).into_iter().map(|(_, v)| spelt(v)).collect();
        for (path, value) in leaves(&record) {
            // The kind of a digest can have become the field's name.
            if path.ends_with("algorithm") || path.ends_with("algorithm_id") {
                continue;
            }
            let date = value.as_i64().and_then(date);
            let there = found.contains(&spelt(value)) || date.is_some_and(|d| found.contains(&d));
            assert!(there, "{path} = {value} is not in {fields:#}");
        }
    }
}

/// Makes every text and number of a record one that stands in it once.
fn mark(value: &mut Value, path: &str, number: &mut u64) {
    *number += 1;
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                mark(member, &format!("{path}.{name}"), number);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mark(item, path, number)),
        _ if LOOKED_AT
            .iter()
            .any(|looked| path.ends_with(&format!(".{looked}"))) => {}
        Value::String(text) => text.push_str(&format!("#{number}")),
        Value::Number(_) => *value = json!(1_000_000_000_000 + *number),
        Value::Null | Value::Bool(_) => {}
    }
}

fn spelt(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn date(milliseconds: i64) -> Option<String> {
    let timestamp = jiff::Timestamp::from_millisecond(milliseconds).ok()?;
    Some(timestamp.to_string())
}

#[test]
fn a_field_has_one_type_in_all_records_and_none_lies_inside_another() {
    let mut kinds: BTreeMap<String, &str> = BTreeMap::new();
    for record in records() {
        for (name, value) in members(&converted(&record)) {
            let kind = match value {
                Value::Null => panic!("{name} is null"),
                Value::Bool(_) => "a truth value",
                Value::Number(_) => "a number",
                Value::String(_) => "text",
                Value::Array(_) => "an array",
                Value::Object(_) => panic!("{name} is not flat"),
            };
            let before = kinds.insert(name.clone(), kind).unwrap_or(kind);
            assert_eq!(before, kind, "{name}");
        }
    }
    // As objects, which Elasticsearch makes of the dots, `a` and `a.b` exclude each other.
    for name in kinds.keys() {
        let inside = format!("{name}.");
        let other = kinds.keys().find(|other| other.starts_with(&inside));
        assert!(other.is_none(), "{name} and {other:?}");
    }
}

#[test]
fn an_allowed_exec_is_the_new_program_and_a_denied_one_still_the_old() {
    let allowed = converted(&exec());
    assert_eq!(allowed["process.executable"], "/usr/bin/git");
    assert_eq!(allowed["process.args"], json!(["/usr/bin/git", "-x"]));
    assert_eq!(
        allowed["process.previous.executable"],
        "/opt/release-bot/agent"
    );
    assert_eq!(allowed["event.type"], json!(["start"]));

    let mut record = exec();
    record["unmapped"]["verdict"] = json!("deny");
    record["status_id"] = json!(2);
    record["is_alert"] = json!(true);
    let denied = converted(&record);
    assert_eq!(denied["process.executable"], "/opt/release-bot/agent");
    assert!(denied.get("process.args").is_none());
    assert_eq!(denied["enforcer.target.cmd_line"], "/usr/bin/git -x");
    assert_eq!(
        denied["event.category"],
        json!(["process", "intrusion_detection"])
    );
    for fields in [allowed, denied] {
        assert_eq!(fields["file.path"], "/usr/bin/git");
        assert_eq!(fields["file.hash.sha256"], "ab".repeat(32));
    }
}

#[test]
fn a_denied_connection_answers_who_what_where_and_why() {
    let fields = converted(&connect());
    for (name, expected) in [
        ("@timestamp", json!("2026-11-24T06:01:01Z")),
        ("event.action", json!("connect")),
        (
            "event.id",
            json!("5f0c1d1e-0000-4000-8000-00000000b007:1002"),
        ),
        ("event.reason", json!("not-listed")),
        ("error.code", json!("EPERM")),
        ("gen_ai.agent.name", json!("release-bot")),
        ("enforcer.session.id", json!("feed000000000001")),
        ("enforcer.task", json!("open the release pull request")),
        ("enforcer.verdict", json!("deny")),
        ("user.name", json!("ci")),
        ("process.executable", json!("/usr/bin/git")),
        ("destination.ip", json!("169.254.169.254")),
        ("destination.port", json!(80)),
        ("network.direction", json!("egress")),
        ("network.transport", json!("tcp")),
        ("rule.ruleset", json!("release-bot")),
        ("related.ip", json!(["169.254.169.254"])),
    ] {
        assert_eq!(fields[name], expected, "{name}");
    }
}

#[test]
fn a_name_that_is_taken_keeps_both() {
    let mut record = connect();
    record["unmapped"]["action"] = json!("theirs");
    let fields = converted(&record);
    let both = [&fields["enforcer.action"], &fields["enforcer.action_"]].map(text);
    assert_eq!(BTreeSet::from(both), BTreeSet::from(["Denied", "theirs"]));
}

#[test]
fn what_is_no_record_is_told_where_and_what_was_expected() {
    for (path, value, expected) in [
        (
            "/time",
            json!("now"),
            "`time` is `\"now\"`, where an integer is expected",
        ),
        (
            "/time",
            json!(i64::MAX),
            "before the year 10000 is expected",
        ),
        (
            "/metadata/version",
            json!("1.8.0"),
            "`metadata.version` is `\"1.8.0\"`",
        ),
        (
            "/metadata/uid",
            Value::Null,
            "`metadata.uid` is `null`, where text is expected",
        ),
        (
            "/unmapped",
            json!([]),
            "`unmapped` is `[]`, where an object is expected",
        ),
        (
            "/unmapped/verdict",
            json!("perhaps"),
            "`allow`, `deny` or `would-deny`",
        ),
    ] {
        let mut record = connect();
        *record.pointer_mut(path).expect("a place") = value;
        let error = render(Form::Ecs, &record).expect_err(path).to_string();
        assert!(error.contains(expected), "{error}");
    }
    for form in Form::ALL {
        let error = render(form, &json!("line")).expect_err("text").to_string();
        assert!(
            error.contains("`$` is `\"line\"`, where an object is expected"),
            "{error}"
        );
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

//! OCSF 1.7.0: held to the schema, by its facts alone and by the package that ships it.

mod common;

use std::fs;

use common::{checked, connect, exec, facts, members, records, schema::faults, texts};
use enforcer_forms::{Form, OCSF_17_VERSION, ocsf17, render};
use serde_json::{Value, json};

const FACTS: &str = "ocsf-1.7.0.json";

fn converted(record: &Value) -> Value {
    ocsf17(record).expect("a record")
}

#[test]
fn every_converted_record_is_one_of_1_7_0() {
    let facts = facts(FACTS);
    for record in records() {
        let found = faults(&facts, &converted(&record));
        assert!(found.is_empty(), "{found:#?} in {record:#}");
    }
}

#[test]
fn the_records_as_they_are_written_are_none_of_1_7_0() {
    // Else the checker above would not tell the two versions apart.
    let facts = facts(FACTS);
    assert!(
        records()
            .iter()
            .all(|record| !faults(&facts, record).is_empty())
    );
    let mut without = converted(&exec());
    members_of(&mut without).remove("process");
    assert_eq!(faults(&facts, &without), [".process: is required"]);
    let mut wrong = converted(&connect());
    wrong["disposition_id"] = json!(98);
    wrong["dst_endpoint"]["port"] = json!(65536);
    wrong["device"]["hostname"] = json!(1);
    assert_eq!(
        faults(&facts, &wrong),
        [
            ".device.hostname: 1 is not hostname_t",
            ".disposition_id: 98 is no member of the enum",
            ".dst_endpoint.port: 65536 is out of range"
        ]
    );
}

#[test]
fn nothing_is_lost_on_the_way() {
    for record in records().into_iter().chain([with_evidence()]) {
        assert_eq!(restored(converted(&record)), record);
    }
}

#[test]
fn every_attribute_that_1_9_0_added_moves_from_wherever_it_stands() {
    let facts = facts(FACTS);
    for (thing, names) in members(&facts["lacking"]) {
        for name in texts(names) {
            let (mut record, place) = record_with(thing);
            let holder = record.pointer_mut(&place).expect("the object");
            members_of(holder).insert(name.to_owned(), json!({"uid": "new"}));
            let found = converted(&record);
            assert_eq!(faults(&facts, &found), [""; 0], "{thing}.{name}");
            let moved = format!("{}/{name}", place.trim_start_matches('/'));
            let moved = moved.trim_start_matches('/').replace('/', ".");
            assert_eq!(
                found["unmapped"][&moved],
                json!({"uid": "new"}),
                "{thing}.{name}"
            );
            assert_eq!(restored(found), record);
        }
    }
}

#[test]
fn what_1_7_0_knows_stays_where_it_is() {
    let facts = facts(FACTS);
    let things = members(&facts["classes"])
        .values()
        .chain(members(&facts["objects"]).values());
    for name in things.flat_map(|thing| members(&thing["attributes"]).keys()) {
        let mut record = connect();
        let holder = record.pointer_mut("/actor/process").expect("a process");
        members_of(holder).entry(name).or_insert(json!("known"));
        let found = converted(&record);
        let kept = found.pointer(&format!("/actor/process/{name}"));
        assert!(kept.is_some(), "{name} is known to 1.7.0 and was moved");
    }
}

#[test]
fn delegation_and_the_chain_are_in_unmapped() {
    let record = with_evidence();
    let found = converted(&record);
    assert_eq!(faults(&facts(FACTS), &found), [""; 0]);
    for name in ["delegation", "attestation_list", "ai_agent"] {
        assert_eq!(found["unmapped"][name], record[name]);
        assert!(found.get(name).is_none());
    }
    assert_eq!(
        found["unmapped"]["profiles"],
        json!(["ai_operation", "record_integrity"])
    );
    assert_eq!(found["unmapped"]["ocsf_version"], "1.9.0");
    assert_eq!(
        found["metadata"]["profiles"],
        json!(["host", "security_control"])
    );
    assert_eq!(found["metadata"]["uid"], record["metadata"]["uid"]);
}

#[test]
fn a_name_that_is_taken_in_unmapped_overwrites_nothing() {
    let mut record = connect();
    record["unmapped"]["ai_agent"] = json!("theirs");
    let found = converted(&record);
    assert_eq!(found["unmapped"]["ai_agent"], "theirs");
    assert_eq!(found["unmapped"]["ai_agent_"], record["ai_agent"]);
}

#[test]
fn the_package_that_ships_the_schema_accepts_every_converted_record() {
    let lines: Vec<String> = records()
        .iter()
        .chain([&with_evidence()])
        .map(|record| render(Form::Ocsf17, record).expect("a record"))
        .collect();
    let file = std::env::temp_dir().join(format!("enforcer-forms-{}.jsonl", std::process::id()));
    fs::write(&file, lines.join("\n")).expect("a temporary file");
    let records = checked("ocsf17.py", &["check", file.to_str().expect("UTF-8")]);
    let facts = checked("ocsf17.py", &["facts"]);
    fs::remove_file(&file).expect("the file");
    for faults in [records, facts].into_iter().flatten() {
        assert!(faults.is_empty(), "{faults}");
    }
}

/// A record with what grants and the chain of evidence add: a grant's identity and an attestation.
fn with_evidence() -> Value {
    let mut record = connect();
    record["delegation"] = json!({"uid": "grant-17", "issuer_uid": "1001", "created_time": 1});
    record["attestation_list"] = json!([{
        "chain_uid": "host-1",
        "fingerprint": {"algorithm_id": 3, "value": "ab", "encoding_id": 1},
        "prev_event": {"uid": "before", "fingerprint": {"algorithm_id": 3, "value": "cd"}},
    }]);
    record["metadata"]["profiles"] = json!([
        "ai_operation",
        "host",
        "record_integrity",
        "security_control"
    ]);
    record
}

/// A record that has a class or an object of this name, and where.
fn record_with(thing: &str) -> (Value, String) {
    let of_class = |class: u64| {
        records()
            .into_iter()
            .find(|record| record["class_uid"] == class)
            .expect("a record of the class")
    };
    let (record, place) = match thing {
        "process_activity" => (exec(), ""),
        "network_activity" => (connect(), ""),
        "entity_management" => (of_class(3004), ""),
        "application_lifecycle" => (of_class(6002), ""),
        "application_error" => (of_class(6008), ""),
        "event_log_actvity" => (log_activity(), ""),
        "actor" => (exec(), "/actor"),
        "device" => (exec(), "/device"),
        "file" => (exec(), "/process/file"),
        "fingerprint" => (exec(), "/process/file/hashes/0"),
        "firewall_rule" => (exec(), "/firewall_rule"),
        "managed_entity" => (of_class(3004), "/entity"),
        "metadata" => (exec(), "/metadata"),
        "network_endpoint" => (connect(), "/dst_endpoint"),
        "policy" => (exec(), "/policy"),
        "process" => (exec(), "/process"),
        "process_entity" => (exec(), "/actor/process/ancestry/0"),
        "product" => (exec(), "/metadata/product"),
        "rule" => (exec(), "/firewall_rule"),
        "user" => (exec(), "/actor/user"),
        _ => panic!("{thing} is in no record here"),
    };
    (record, place.to_owned())
}

/// A record about the log itself, of class 1008, made of one about the daemon.
fn log_activity() -> Value {
    let mut record = records()
        .into_iter()
        .find(|record| record["class_uid"] == 6002)
        .expect("a record of the daemon");
    members_of(&mut record).remove("app");
    record["class_uid"] = json!(1008);
    record["class_name"] = json!("Event Log Activity");
    record["category_uid"] = json!(1);
    record["activity_id"] = json!(4);
    record["activity_name"] = json!("Archive");
    record["type_uid"] = json!(100_804);
    record["log_name"] = json!("enforcer");
    record["file"] = json!({"name": "enforcer-1-1.jsonl", "type_id": 1});
    record
}

/// The record that was converted: what moved is put back by its path.
fn restored(mut record: Value) -> Value {
    let facts = facts(FACTS);
    let lacking: Vec<&str> = members(&facts["lacking"])
        .values()
        .flat_map(texts)
        .collect();
    let version = members_of(&mut record["unmapped"]).remove("ocsf_version");
    record["metadata"]["version"] = version.expect("the version");
    assert_eq!(OCSF_17_VERSION, "1.7.0");
    if let Some(profiles) = members_of(&mut record["unmapped"]).remove("profiles") {
        let kept = record["metadata"]["profiles"]
            .as_array_mut()
            .expect("profiles");
        kept.extend(profiles.as_array().expect("profiles").iter().cloned());
        kept.sort_by_key(ToString::to_string);
    }
    let names: Vec<String> = members(&record["unmapped"]).keys().cloned().collect();
    for name in names {
        let (holder, last) = name.rsplit_once('.').unwrap_or(("", &name));
        if lacking.contains(&last) {
            let moved = members_of(&mut record["unmapped"])
                .remove(&name)
                .expect("it");
            let place = holder.split('.').filter(|part| !part.is_empty());
            let place: String = place.map(|part| format!("/{part}")).collect();
            let holder = record.pointer_mut(&place).expect("where it stood");
            members_of(holder).insert(last.to_owned(), moved);
        }
    }
    if members(&record["unmapped"]).is_empty() {
        members_of(&mut record).remove("unmapped");
    }
    record
}

fn members_of(value: &mut Value) -> &mut serde_json::Map<String, Value> {
    value.as_object_mut().expect("an object")
}

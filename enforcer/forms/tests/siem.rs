//! The configurations of `packaging/siem/` and what `docs/siem.md` says of them.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use common::path;
use enforcer_forms::Form;
use serde_json::Value;
use yaml_rust2::YamlLoader;

fn root() -> PathBuf {
    path("../../..")
}

fn document() -> String {
    fs::read_to_string(root().join("docs/siem.md")).expect("docs/siem.md")
}

/// Files below a folder, by their paths in it.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

#[test]
fn the_document_leads_to_every_configuration_and_to_none_that_is_not_there() {
    let text = document();
    let folder = root().join("packaging/siem");
    let there: BTreeSet<String> = files(&folder)
        .iter()
        .filter_map(|file| file.strip_prefix(&folder).ok()?.to_str().map(str::to_owned))
        .filter(|name| name != "check.sh")
        .collect();
    let led_to: BTreeSet<String> = text
        .split("](../packaging/siem/")
        .skip(1)
        .filter_map(|rest| rest.split(')').next().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(led_to, there);
}

#[test]
fn the_document_tells_every_rule_with_its_level_and_every_form() {
    let text = document();
    for file in files(&root().join("packaging/sigma")) {
        let rules = common::sigma::Rules::read(&file);
        let name = file
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let rule = rules.correlation.as_ref().unwrap_or(&rules.rule);
        let row = format!(
            "| `{name}` | {} |",
            rule["level"].as_str().expect("a level")
        );
        assert!(text.contains(&row), "no row begins with {row}");
    }
    for form in Form::ALL {
        assert!(text.contains(&format!("| `{form}` |")), "{form}");
    }
}

#[test]
fn every_configuration_in_yaml_or_json_parses() {
    let mut parsed = 0;
    for file in files(&root().join("packaging/siem")) {
        let text = fs::read_to_string(&file).expect("UTF-8");
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                let value: Result<Value, _> = serde_json::from_str(&text);
                value.unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
            }
            Some("yaml" | "yml") => {
                let documents = YamlLoader::load_from_str(&text);
                let documents =
                    documents.unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
                assert_eq!(documents.len(), 1, "{}", file.display());
            }
            _ => continue,
        }
        parsed += 1;
    }
    assert!(parsed >= 9, "{parsed}");
}

#[test]
fn every_receiver_has_room_for_the_longest_record() {
    // The records' own test holds them to 32 KiB (`enforcer/src/record/tests/schema.rs`).
    let limits = [
        ("rsyslog/forward.conf", "maxMessageSize=\"256k\""),
        ("rsyslog/receive.conf", "maxDataSize=\"256k\""),
        ("syslog-ng/receive.conf", "log-msg-size(262144)"),
        ("vector/forward.yaml", "max_line_bytes: 262144"),
        ("vector/receive.yaml", "max_length: 262144"),
        ("fluent-bit/forward.yaml", "buffer_max_size: 1m"),
        ("fluent-bit/receive.yaml", "buffer_max_size: 16m"),
        ("otelcol/forward.yaml", "max_log_size: 256kib"),
        ("otelcol/receive.yaml", "max_octets: 262144"),
        ("splunk/props.conf", "TRUNCATE = 262144"),
        ("splunk/limits.conf", "extraction_cutoff = 65536"),
        ("elastic/filebeat.yml", "message_max_bytes: 262144"),
        ("nats/server.conf", "max_payload: 1MB"),
    ];
    for (file, limit) in limits {
        let text = fs::read_to_string(root().join("packaging/siem").join(file)).expect(file);
        assert!(text.contains(limit), "{file} has no `{limit}`");
    }
}

#[test]
fn the_fields_that_compliance_names_are_in_records() {
    let text = fs::read_to_string(root().join("docs/compliance.md")).expect("the document");
    let section = text
        .split("## What a record answers")
        .nth(1)
        .expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let known: BTreeSet<String> = common::records()
        .iter()
        .flat_map(common::leaves)
        .map(|(path, _)| path)
        .collect();
    let codes = [
        "events-lost",
        "policy-applied",
        "policy-removed",
        "daemon-remove",
    ];
    let mut named = 0;
    for row in section.lines().filter(|line| line.starts_with("| ")) {
        for field in row
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|field| !codes.contains(field))
        {
            let inside = format!("{field}.");
            let there = known
                .iter()
                .any(|path| path == field || path.starts_with(&inside));
            assert!(there, "no record has {field}");
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}

#[test]
fn compliance_has_a_row_for_each_risk_and_each_layer() {
    let text = fs::read_to_string(root().join("docs/compliance.md")).expect("the document");
    for risk in 1..=10 {
        assert_eq!(
            text.matches(&format!("\n| ASI{risk:02} | ")).count(),
            1,
            "ASI{risk:02}"
        );
    }
    for layer in 1..=7 {
        assert_eq!(
            text.matches(&format!("\n| {layer} ")).count(),
            1,
            "layer {layer}"
        );
    }
}

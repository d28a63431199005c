//! The detection rules of `packaging/sigma/`: each on records that it is to find, and on all others.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use common::{
    checked,
    corpus::{code, corpus, denials, reason, text, verdict},
    members, path,
    sigma::Rules,
    texts,
};
use enforcer_forms::ocsf17;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    path("../../../packaging/sigma")
}

fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the rules");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

fn rules(name: &str) -> Rules {
    Rules::read(&folder().join(format!("{name}.yml")))
}

/// Whether a record is one of those that a rule is to find.
type Meaning = fn(&Value) -> bool;

/// What each rule is to find, told again in Rust: among the records of all kinds it must find those
/// and no other.
fn meanings() -> BTreeMap<&'static str, Meaning> {
    let all: [(&'static str, Meaning); 15] = [
        ("cloud-metadata-attempt", |r| {
            verdict(r) != "allow"
                && ["connect", "send", "send-connected"].contains(&code(r))
                && ["169.254.169.254", "fd00:ec2::254"].contains(&text(r, "/dst_endpoint/ip"))
        }),
        ("denied-in-doubt", |r| {
            let doubts = "agent-not-in-policy identity-unknown kernel-read-failed label-table-full \
                session-unknown table-missing";
            verdict(r) == "deny" && doubts.split(' ').any(|doubt| reason(r) == doubt.trim())
        }),
        ("enforcement-removed", |r| code(r) == "daemon-remove"),
        ("enforcer-attacked", |r| {
            reason(r) == "enforcer-guard"
                || verdict(r).ends_with("deny")
                    && (code(r) == "bpf"
                        || text(r, "/dst_endpoint/name") == "/run/enforcer/control.sock")
        }),
        ("escape-attempt", |r| {
            let ordinary = "exec fork connect send send-connected unix socket session-start \
                session-end signal bpf receive listen guard code write";
            verdict(r) == "deny" && !ordinary.split_whitespace().any(|kind| code(r) == kind)
        }),
        ("evidence-lost", |r| r["class_uid"] == 6008),
        ("injected-code", |r| {
            verdict(r) == "deny" && (code(r) == "code" || reason(r) == "executable-memory")
        }),
        ("interpreter-runs-unlisted", |r| {
            let name = text(r, "/actor/process/name");
            code(r) == "exec"
                && verdict(r) == "deny"
                && [
                    "not-listed",
                    "rule-denies",
                    "file-changed",
                    "interpreters-too-deep",
                ]
                .contains(&reason(r))
                && (name == "sh" || name.starts_with("python") || name == "bash")
        }),
        ("listed-code-tampering", |r| {
            verdict(r) == "deny" && reason(r) == "listed-code"
        }),
        ("listed-file-changed", |r| {
            verdict(r) == "deny" && reason(r) == "file-changed"
        }),
        ("monitor-would-deny", |r| r["action_id"] == 3),
        ("not-enforcing", |r| {
            r["class_uid"] == 6002 && r["activity_id"] != 2 && r["status_id"] == 2
        }),
        ("policy-removed", |r| {
            r["class_uid"] == 3004 && r["activity_id"] == 11
        }),
        ("session-denial-burst", |r| {
            r["action_id"] == 2 && code(r) != "policy-rejected"
        }),
        ("session-destination-scan", |r| {
            r["action_id"] == 2 && ["connect", "send", "send-connected"].contains(&code(r))
        }),
    ];
    BTreeMap::from(all)
}

#[test]
fn every_rule_finds_what_it_is_to_find_and_nothing_else_in_both_versions() {
    let meanings = meanings();
    let named: Vec<String> = files().iter().map(|file| stem(file)).collect();
    let told: Vec<&str> = meanings.keys().copied().collect();
    assert_eq!(named, told, "a meaning for each rule");
    for (name, meaning) in meanings {
        let rules = rules(name);
        let (mut found, mut left) = (0, 0);
        for record in corpus() {
            // What the daemon's own agent does is a test of the enforcer, and nobody's attack.
            let expected = meaning(&record) && record["ai_agent"]["name"] != "enforcer-canary";
            assert_eq!(rules.matches(&record), expected, "{name}: {record:#}");
            let older = ocsf17(&record).expect("a record");
            assert_eq!(
                rules.matches(&older),
                expected,
                "{name} in OCSF 1.7.0: {older:#}"
            );
            *(if expected { &mut found } else { &mut left }) += 1;
        }
        assert!(
            found > 0 && left > 0,
            "{name} found {found} and left {left}"
        );
    }
}

#[test]
fn the_canary_and_the_prover_set_no_rule_off() {
    // Both are sessions of the daemon's own agent, whose denials are what they are for.
    for file in files() {
        let rules = Rules::read(&file);
        for mut record in corpus() {
            if record["ai_agent"].is_object() {
                let message = text(&record, "/message").to_owned();
                let (_, message) = message.split_once(": ").expect("an agent's message");
                record["message"] = json!(format!("enforcer-canary: {message}"));
                assert!(!rules.matches(&record), "{}: {record:#}", file.display());
            }
        }
    }
}

#[test]
fn twenty_denials_of_one_session_within_a_minute_are_a_burst() {
    let rules = rules("session-denial-burst");
    let burst = |records: &[Value]| rules.correlated(records).into_iter().collect::<Vec<_>>();
    assert_eq!(burst(&denials("a", 20, 3_000, 1)), ["a"]);
    assert_eq!(burst(&denials("a", 19, 1, 1)), [""; 0]);
    assert_eq!(
        burst(&denials("a", 200, 3_200, 1)),
        [""; 0],
        "spread over ten minutes"
    );
    let two = [denials("a", 19, 1, 1), denials("b", 19, 1, 1)].concat();
    assert_eq!(burst(&two), [""; 0], "of two sessions");
    // What a shipper sends twice is one record.
    let twice = [denials("a", 12, 1, 1), denials("a", 12, 1, 1)].concat();
    assert_eq!(burst(&twice), [""; 0]);
}

#[test]
fn ten_denied_addresses_of_one_session_within_five_minutes_are_a_scan() {
    let rules = rules("session-destination-scan");
    let scan = |records: &[Value]| rules.correlated(records).into_iter().collect::<Vec<_>>();
    assert_eq!(scan(&denials("a", 10, 30_000, 10)), ["a"]);
    assert_eq!(
        scan(&denials("a", 500, 100, 9)),
        [""; 0],
        "the same nine again and again"
    );
    assert_eq!(scan(&denials("a", 100, 34_000, 100)), [""; 0], "too slow");
}

#[test]
fn every_field_that_a_rule_names_is_one_of_a_record() {
    let known: BTreeSet<String> = corpus()
        .iter()
        .flat_map(common::leaves)
        .map(|(path, _)| path)
        .collect();
    for file in files() {
        let rules = Rules::read(&file);
        let mut fields: Vec<String> = texts(&rules.rule["fields"])
            .into_iter()
            .map(str::to_owned)
            .collect();
        for (name, detection) in members(&rules.rule["detection"]) {
            if name != "condition" {
                let names = members(detection).keys();
                fields.extend(
                    names.map(|name| name.split('|').next().unwrap_or_default().to_owned()),
                );
            }
        }
        for field in fields {
            let is_known = known.contains(&field) || known.contains(&format!("{field}.0"));
            assert!(is_known, "{}: no record has {field}", file.display());
        }
    }
}

#[test]
fn every_rule_says_what_an_analyst_has_to_know() {
    let mut ids = BTreeSet::new();
    for file in files() {
        let rules = Rules::read(&file);
        let rule = &rules.rule;
        for name in [
            "title",
            "id",
            "status",
            "description",
            "author",
            "date",
            "level",
        ] {
            let documents = std::iter::once(rule).chain(&rules.correlation);
            assert!(
                documents.clone().all(|rule| rule[name].is_string()),
                "{}: {name}",
                file.display()
            );
        }
        assert_eq!(
            rule["logsource"],
            json!({"product": "enforcer", "service": "audit"})
        );
        assert!(
            rule["falsepositives"]
                .as_array()
                .is_some_and(|some| !some.is_empty())
        );
        for rule in std::iter::once(rule).chain(&rules.correlation) {
            assert!(
                ids.insert(rule["id"].to_string()),
                "{} is there twice",
                rule["id"]
            );
        }
    }
}

#[test]
fn pysigma_parses_every_rule() {
    if let Some(faults) = checked("pysigma.py", &files()) {
        assert!(faults.is_empty(), "{faults}");
    }
}

fn stem(file: &std::path::Path) -> String {
    file.file_stem()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

//! The counts of a report, made a second time: slowly, plainly, and sharing nothing with the first.

use std::collections::BTreeMap;

use serde_json::Value;

/// Allowed, denied, would be denied; earliest, latest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count(pub [u64; 3], pub Vec<i64>);

/// Counts by list and key.
pub type Lists = BTreeMap<&'static str, BTreeMap<String, Count>>;

/// What is counted of an agent (`Some`), or of all together (`None`).
pub fn lists(records: &[Value], agent: Option<&str>) -> Lists {
    let mut lists = Lists::new();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    for record in records {
        let verdict = match record.pointer("/unmapped/verdict").and_then(Value::as_str) {
            Some("allow") => 0,
            Some("deny") => 1,
            Some("would-deny") => 2,
            _ => continue,
        };
        let code = text(&record["metadata"]["event_code"]);
        if agent.is_some_and(|agent| record["ai_agent"]["name"] != agent)
            || (code.starts_with("session-") && verdict == 0)
        {
            continue;
        }
        let mut count = |list: &'static str, key: String| {
            let count = lists.entry(list).or_default().entry(key).or_default();
            count.0[verdict] += 1;
            count.1.push(record["time"].as_i64().expect("a time"));
        };
        count("all", String::new());
        count("reasons", text(&record["unmapped"]["reason"]));
        count("sessions", text(&record["actor"]["session"]["uid"]));
        if record["firewall_rule"]["uid"].is_string() {
            count("rules", text(&record["firewall_rule"]["uid"]));
        }
        let object = match code.as_str() {
            "exec" => text(&record["process"]["file"]["path"]),
            "unix" => text(&record["dst_endpoint"]["name"]),
            _ => format!(
                "{}:{}:{}",
                text(&record["connection_info"]["protocol_name"]),
                text(&record["dst_endpoint"]["ip"]),
                record["dst_endpoint"]["port"]
            ),
        };
        count(
            if code == "exec" {
                "executables"
            } else {
                "destinations"
            },
            object.clone(),
        );
        if verdict > 0 {
            let actor = text(&record["actor"]["process"]["file"]["path"]);
            let (reason, rule) = (
                text(&record["unmapped"]["reason"]),
                text(&record["firewall_rule"]["uid"]),
            );
            count(
                "denials",
                format!(
                    "{}|{code}|{actor}|{object}|{reason}|{rule}",
                    text(&record["unmapped"]["verdict"])
                ),
            );
        }
    }
    lists
}

/// How many records have this code.
pub fn of_code(records: &[Value], code: &str) -> u64 {
    records
        .iter()
        .filter(|record| record["metadata"]["event_code"] == code)
        .count() as u64
}

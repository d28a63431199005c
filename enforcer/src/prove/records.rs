//! The records of the prover's session, taken apart by attack.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    control::{
        api::{LogQuery, SessionId},
        client::{Client, ClientError},
    },
    record::Filter,
};

/// How long the session's end may take to be recorded.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What was recorded of one attack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denials {
    /// Number of denials; in monitor mode of those that would have been.
    pub count: u64,
    /// Their reasons.
    pub reasons: BTreeSet<String>,
}

/// Denials by the number of the order.
pub type ByOrder = BTreeMap<u32, Denials>;

/// Waits for the end of the session in the log; gives what was denied in it.
///
/// # Errors
/// When the daemon does not answer.
pub async fn of_ended(client: &Client, session: SessionId) -> Result<ByOrder, ClientError> {
    let end = Instant::now() + PATIENCE;
    loop {
        let records = of(client, session).await?;
        let ended = |record: &Value| text(record, "/metadata/event_code") == "session-end";
        if records.iter().any(ended) || Instant::now() > end {
            return Ok(by_order(records));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn of(client: &Client, session: SessionId) -> Result<Vec<Value>, ClientError> {
    let query = LogQuery {
        filter: Filter {
            session: Some(session.to_string()),
            ..Filter::default()
        },
        ..LogQuery::default()
    };
    let mut lines = client.log(&query).await?;
    let mut records = Vec::new();
    while let Some(line) = lines.next().await? {
        // A line that is no JSON is none of a session's.
        records.extend(serde_json::from_str::<Value>(&line));
    }
    Ok(records)
}

/// Each attack begins with an exec that names its order; what is denied up to the next one is its.
fn by_order(mut records: Vec<Value>) -> ByOrder {
    records.sort_by_key(|record| record["metadata"]["sequence"].as_u64());
    let (mut all, mut current) = (ByOrder::new(), None);
    for record in &records {
        if let Some(serial) = begins(record) {
            current = Some(serial);
            all.entry(serial).or_default();
        } else if matches!(text(record, "/unmapped/verdict"), "deny" | "would-deny")
            && let Some(denials) = current.and_then(|serial| all.get_mut(&serial))
        {
            denials.count += 1;
            denials
                .reasons
                .insert(text(record, "/unmapped/reason").to_owned());
        }
    }
    all
}

/// The order whose attack this exec begins.
fn begins(record: &Value) -> Option<u32> {
    if text(record, "/unmapped/verdict") != "allow" {
        return None;
    }
    let words = record.pointer("/unmapped/claimed_argv")?.as_array()?;
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    match words[..] {
        [_, "attack", "do", serial] => serial.parse().ok(),
        _ => None,
    }
}

fn text<'a>(record: &'a Value, pointer: &str) -> &'a str {
    record
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn denials_belong_to_the_attack_whose_exec_came_before() {
        let exec = |sequence: u64, serial: &str| {
            json!({
                "metadata": {"sequence": sequence, "event_code": "exec"},
                "unmapped": {"verdict": "allow", "claimed_argv": ["/proc/self/exe", "attack", "do", serial]},
            })
        };
        let denial = |sequence: u64, reason: &str| {
            json!({
                "metadata": {"sequence": sequence, "event_code": "connect"},
                "unmapped": {"verdict": "deny", "reason": reason},
            })
        };
        let found = by_order(vec![
            denial(1, "before"),
            denial(3, "not-listed"),
            exec(2, "7"),
            exec(4, "8"),
            denial(5, "not-listed"),
            denial(6, "never-allowed"),
        ]);
        assert_eq!((found[&7].count, found[&8].count), (1, 2));
        assert!(found[&8].reasons.contains("never-allowed"));
    }
}

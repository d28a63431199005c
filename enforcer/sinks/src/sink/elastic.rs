//! Elasticsearch and what speaks as it does: `_bulk` with `create`, and the record's uid as `_id`,
//! so that a repeated record is a conflict (409) and not a second document.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Failure, Item, Outcome, Refusal, Sink};
use crate::{config::ElasticTarget, net::http::Http, record::Record, stop::Stop};

pub(super) struct Elastic {
    target: ElasticTarget,
    timeout: Duration,
    http: Option<Http>,
}

impl Elastic {
    pub fn new(target: ElasticTarget, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            http: None,
        }
    }

    fn post(&mut self, batch: &[Item]) -> Result<Outcome, Failure> {
        let http = match self.http.take() {
            Some(http) => http,
            None => Http::new(&self.target.http, self.timeout)?,
        };
        let mut body = Vec::new();
        for item in batch {
            let action = json!({"create": {"_id": item.record.uid()}});
            body.extend_from_slice(action.to_string().as_bytes());
            body.push(b'\n');
            body.extend_from_slice(&document(item));
            body.push(b'\n');
        }
        let prefix = self.target.http.endpoint.path.trim_end_matches('/');
        let path = format!("{prefix}/{}/_bulk", self.target.index);
        let reply = http.post(&path, "application/x-ndjson", &[], &body)?;
        if !reply.is_success() {
            return Err(http.refusal(&reply));
        }
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let items = answer["items"].as_array();
        let items = items.filter(|items| items.len() == batch.len());
        let Some(items) = items else {
            let why = "the answer is not one of `_bulk`: is the endpoint right?";
            return Err(Failure::Held(why.to_owned()));
        };
        self.http = Some(http);
        Ok(judge(items))
    }
}

impl Sink for Elastic {
    fn deliver(&mut self, batch: &[Item], _stop: &Stop) -> Outcome {
        self.post(batch).unwrap_or_else(Outcome::from)
    }

    fn connected(&self) -> bool {
        self.http.is_some()
    }
}

/// The document: the form's object, with the time that a data stream asks for.
fn document(item: &Item) -> Vec<u8> {
    let parsed = serde_json::from_slice::<Map<String, Value>>(&item.body);
    match (parsed, timestamp(&item.record)) {
        (Ok(mut object), Some(time)) if !object.contains_key("@timestamp") => {
            object.insert("@timestamp".to_owned(), time.into());
            Value::Object(object).to_string().into_bytes()
        }
        _ => item.body.clone(),
    }
}

/// `epoch_millis`, which a date field takes beside texts.
fn timestamp(record: &Record) -> Option<i64> {
    record.time_ms()
}

/// What became of each record, up to the first that must come again.
fn judge(items: &[Value]) -> Outcome {
    let mut outcome = Outcome::pending();
    for (index, item) in items.iter().enumerate() {
        let result = &item["create"];
        let reason = result["error"]["reason"].as_str().unwrap_or_default();
        let kind = result["error"]["type"].as_str().unwrap_or_default();
        let status = result["status"].as_u64().unwrap_or(0);
        let why = format!("HTTP {status} for a record: {kind}: {reason}");
        match status {
            // 409: it is there already.
            200 | 201 | 409 => {}
            400 | 413 | 422 => outcome.refused.push(Refusal::one(index, why)),
            408 | 429 | 500..=599 => {
                outcome.failure = Some(Failure::busy(why));
                break;
            }
            _ => {
                outcome.failure = Some(Failure::Held(why));
                break;
            }
        }
        outcome.settled += 1;
    }
    outcome
}

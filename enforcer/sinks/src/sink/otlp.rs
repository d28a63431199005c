//! OpenTelemetry logs over HTTP (OTLP 1.x), in the JSON encoding that every receiver of OTLP/HTTP
//! must take: it needs no protobuf code, and a collector's answer can be read by people.
//!
//! The record's form is the log record's body as a text. `metadata.uid` is `log.record.uid`, the
//! attribute that OpenTelemetry's conventions have for telling copies of one record apart.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Failure, Item, Outcome, Refusal, Sink};
use crate::{config::OtlpTarget, net::http::Http, stop::Stop};

/// Path of the logs, where the endpoint has none.
const PATH: &str = "/v1/logs";

pub(super) struct Otlp {
    target: OtlpTarget,
    timeout: Duration,
    http: Option<Http>,
}

impl Otlp {
    pub fn new(target: OtlpTarget, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            http: None,
        }
    }

    fn post(&mut self, batch: &[Item]) -> Result<Option<Refusal>, Failure> {
        let http = match self.http.take() {
            Some(http) => http,
            None => Http::new(&self.target.http, self.timeout)?,
        };
        let path = match self.target.http.endpoint.path.as_str() {
            "" | "/" => PATH,
            path => path,
        };
        let body = request(batch).to_string();
        let reply = http.post(path, "application/json", &[], body.as_bytes())?;
        if !reply.is_success() {
            return Err(http.refusal(&reply));
        }
        let refused = partial_success(&reply.body, batch.len())?;
        self.http = Some(http);
        Ok(refused)
    }
}

impl Sink for Otlp {
    fn deliver(&mut self, batch: &[Item], _stop: &Stop) -> Outcome {
        match self.post(batch) {
            Ok(refused) => Outcome {
                settled: batch.len(),
                refused: refused.into_iter().collect(),
                failure: None,
            },
            Err(failure) => failure.into(),
        }
    }

    fn connected(&self) -> bool {
        self.http.is_some()
    }
}

/// `ExportLogsServiceRequest`: one resource for each run of records of one host.
fn request(batch: &[Item]) -> Value {
    let resources: Vec<Value> = batch
        .chunk_by(|a, b| a.record.hostname() == b.record.hostname())
        .map(|items| {
            let mut attributes = vec![attribute("service.name", "enforcer")];
            let host = items.first().and_then(|item| item.record.hostname());
            attributes.extend(host.map(|host| attribute("host.name", host)));
            json!({
                "resource": {"attributes": attributes},
                "scopeLogs": [{
                    "scope": {"name": "enforcer", "version": env!("CARGO_PKG_VERSION")},
                    "logRecords": items.iter().map(log_record).collect::<Vec<_>>(),
                }],
            })
        })
        .collect();
    json!({"resourceLogs": resources})
}

fn log_record(item: &Item) -> Value {
    let record = &item.record;
    // 64-bit numbers are texts in this encoding.
    let nanoseconds = record
        .time_ms()
        .and_then(|ms| u64::try_from(ms).ok())
        .and_then(|ms| ms.checked_mul(1_000_000))
        .unwrap_or(0)
        .to_string();
    let mut attributes = vec![attribute("log.record.uid", record.uid())];
    let facts = [
        ("enforcer.verdict", record.verdict()),
        ("enforcer.agent", record.agent()),
        ("enforcer.session", record.session()),
        ("enforcer.event", record.event_code()),
    ];
    for (name, value) in facts {
        attributes.extend(value.map(|value| attribute(name, value)));
    }
    let (number, text) = severity(record.severity_id());
    let text = record.severity_name().unwrap_or(text);
    json!({
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": number,
        "severityText": text,
        "body": {"stringValue": String::from_utf8_lossy(&item.body)},
        "attributes": attributes,
    })
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// OpenTelemetry's severity for OCSF's.
const fn severity(ocsf: u64) -> (u32, &'static str) {
    match ocsf {
        1 => (9, "INFO"),
        2 => (10, "INFO2"),
        3 => (13, "WARN"),
        4 => (17, "ERROR"),
        5 => (18, "ERROR2"),
        6 => (21, "FATAL"),
        _ => (0, "UNSPECIFIED"),
    }
}

/// What the receiver did not take of a batch that it took otherwise. It does not say which records
/// these are, and sending the batch again is forbidden by the specification.
fn partial_success(body: &[u8], among: usize) -> Result<Option<Refusal>, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    // Something between that answers 200 to anything is no receiver.
    let answer: Value = serde_json::from_slice(body).map_err(|_| {
        Failure::Held("the answer is not one of OTLP: is the endpoint right?".into())
    })?;
    let partial = &answer["partialSuccess"];
    let rejected = &partial["rejectedLogRecords"];
    let count = rejected
        .as_u64()
        .or_else(|| rejected.as_str().and_then(|text| text.parse().ok()))
        .unwrap_or(0);
    if count == 0 {
        return Ok(None);
    }
    let why = partial["errorMessage"]
        .as_str()
        .unwrap_or("no reason given");
    Ok(Some(Refusal {
        index: 0,
        among,
        count: usize::try_from(count).unwrap_or(among).min(among),
        why: why.to_owned(),
    }))
}

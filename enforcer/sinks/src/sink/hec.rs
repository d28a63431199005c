//! Splunk's HTTP Event Collector: JSON events, with indexer acknowledgement where it is asked for.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{Failure, Item, Outcome, Sink};
use crate::{
    config::HecTarget,
    net::http::{Http, Reply},
    stop::Stop,
};

/// Path of the events, where the endpoint has none.
const PATH: &str = "/services/collector/event";
/// What is asked whether events are indexed.
const ACK_PATH: &str = "/services/collector/ack";
/// Waits between two questions.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Codes of an answer with status 400 that are about the token's settings and not about an event:
/// no such index, channel missing or wrong, acknowledgement disabled.
const SETTINGS: [u64; 4] = [7, 10, 11, 14];

pub(super) struct Hec {
    target: HecTarget,
    timeout: Duration,
    http: Option<Http>,
    /// Acknowledgements are counted by channel.
    channel: Option<String>,
}

impl Hec {
    pub fn new(target: HecTarget, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            http: None,
            channel: None,
        }
    }

    fn post(&mut self, batch: &[Item], stop: &Stop) -> Result<(), Failure> {
        let http = match self.http.take() {
            Some(http) => http,
            None => Http::new(&self.target.http, self.timeout)?,
        };
        let mut body = Vec::new();
        for item in batch {
            body.extend_from_slice(event(&self.target, item).to_string().as_bytes());
            body.push(b'\n');
        }
        let path = match self.target.http.endpoint.path.as_str() {
            "" | "/" => PATH,
            path => path,
        };
        match self.target.ack {
            None => {
                answer(&http, &http.post(path, "application/json", &[], &body)?)?;
            }
            Some(most) => {
                let channel = match self.channel.take() {
                    Some(channel) => channel,
                    None => guid()?,
                };
                let headers = [("X-Splunk-Request-Channel", channel.as_str())];
                let reply = http.post(path, "application/json", &headers, &body)?;
                let Some(id) = answer(&http, &reply)?["ackId"].as_u64() else {
                    let why = "the answer has no `ackId`: enable indexer acknowledgement for the token, or leave `ack` out";
                    return Err(Failure::Held(why.to_owned()));
                };
                wait_for(&http, &headers, id, most, stop)?;
                self.channel = Some(channel);
            }
        }
        self.http = Some(http);
        Ok(())
    }
}

impl Sink for Hec {
    fn deliver(&mut self, batch: &[Item], stop: &Stop) -> Outcome {
        match self.post(batch, stop) {
            Ok(()) => Outcome::all(batch.len()),
            Err(failure) => failure.into(),
        }
    }

    fn connected(&self) -> bool {
        self.http.is_some()
    }
}

/// One event. What is JSON is sent as JSON, so that its fields can be searched.
fn event(target: &HecTarget, item: &Item) -> Value {
    let record = &item.record;
    let body = match serde_json::from_slice::<Map<String, Value>>(&item.body) {
        Ok(object) => Value::Object(object),
        Err(_) => Value::String(String::from_utf8_lossy(&item.body).into_owned()),
    };
    let mut event = json!({
        "event": body,
        "fields": {"uid": record.uid()},
        "source": target.source,
        "sourcetype": target.sourcetype,
    });
    if let Some(ms) = record.time_ms() {
        // Seconds with their fraction as a text: no rounding by a binary fraction.
        let time = format!("{}.{:03}", ms.div_euclid(1_000), ms.rem_euclid(1_000));
        event["time"] = Value::String(time);
    }
    if let Some(host) = record.hostname() {
        event["host"] = host.into();
    }
    if let Some(index) = &target.index {
        event["index"] = index.as_str().into();
    }
    event
}

/// The answer of a collector that took the events.
fn answer(http: &Http, reply: &Reply) -> Result<Value, Failure> {
    let parsed: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let code = parsed.as_ref().and_then(|answer| answer["code"].as_u64());
    match (reply.is_success(), parsed, code) {
        (true, Some(answer), Some(0)) => Ok(answer),
        (true, ..) => Err(Failure::Held(format!(
            "the answer is not one of HEC{}: is the endpoint right?",
            reply.quoted()
        ))),
        (false, _, Some(code)) if reply.status == 400 && SETTINGS.contains(&code) => {
            Err(Failure::Held(format!(
                "the collector's settings do not fit{}",
                reply.quoted()
            )))
        }
        (false, ..) => Err(http.refusal(reply)),
    }
}

/// Asks until the events are indexed.
fn wait_for(
    http: &Http,
    headers: &[(&str, &str)],
    id: u64,
    most: Duration,
    stop: &Stop,
) -> Result<(), Failure> {
    let question = json!({"acks": [id]}).to_string();
    let end = Instant::now() + most;
    let mut wait = FIRST_WAIT;
    loop {
        let reply = http.post(ACK_PATH, "application/json", headers, question.as_bytes())?;
        if !reply.is_success() {
            return Err(http.refusal(&reply));
        }
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        if answer["acks"][id.to_string()].as_bool() == Some(true) {
            return Ok(());
        }
        if Instant::now() >= end {
            let why = format!("not indexed within {} s", most.as_secs());
            return Err(Failure::busy(why));
        }
        if stop.wait(wait) {
            return Err(Failure::Stopped);
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// A random GUID (RFC 9562, version 4).
fn guid() -> Result<String, Failure> {
    let random = u128::from_be_bytes(crate::net::random()?);
    let bits = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let parts: Vec<&str> = [0..8, 8..12, 12..16, 16..20, 20..32]
        .into_iter()
        .filter_map(|range| hex.get(range))
        .collect();
    Ok(parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_random_guid() {
        let one = guid().expect("random");
        let parts: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&one.as_bytes()[19]));
        assert_ne!(one, guid().expect("random"));
    }
}

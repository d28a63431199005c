//! Elastic Common Schema 9.4: one flat object whose keys have dots in them.
//!
//! ```text
//! record -> what happened (happening.rs): event.kind, event.category, event.type, event.outcome
//!        -> whose process it is, and the file in question (process.rs): process.*, file.*
//!        -> attribute by attribute (MOVES): event.*, host.*, user.*, rule.*, destination.*, ...
//!        -> values to search by (related.rs): related.ip, related.user, related.hash, related.hosts
//!        -> all that is left (rest.rs): enforcer.*
//! ```
//!
//! Each attribute of the record is taken out of it as it is written, and what is left at the end
//! goes under `enforcer.`, so that nothing is lost, whatever a later record has. `unmapped.task`
//! becomes `enforcer.task`, `process` (whom it was done to) `enforcer.target`.
//!
//! `event.original` is left out: it would double each document. `event.id` is the record's
//! `metadata.uid` and leads to the line of the log.
#![forbid(unsafe_code)]

mod happening;
mod process;
mod related;
mod rest;

use serde_json::{Map, Value, json};

use crate::{
    FormError,
    head::{Head, wrong},
    time::rfc3339,
};
use rest::Rest;

/// Version of the schema that is written.
pub const ECS_VERSION: &str = "9.4.0";

/// Attributes that become a field as they are.
const MOVES: [(&str, &str); 33] = [
    ("actor.session.uid", "enforcer.session.id"),
    ("actor.user.name", "user.name"),
    ("actor.user.uid", "user.id"),
    ("ai_agent.name", "gen_ai.agent.name"),
    ("ai_agent.uid", "gen_ai.agent.id"),
    ("app.name", "service.name"),
    ("app.version", "service.version"),
    ("connection_info.protocol_ver_id", "enforcer.ip_version"),
    ("device.boot_uid", "host.boot.id"),
    ("device.hostname", "host.hostname"),
    ("device.name", "host.name"),
    ("device.uid", "host.id"),
    ("dst_endpoint.hostname", "destination.domain"),
    ("dst_endpoint.ip", "destination.ip"),
    ("dst_endpoint.name", "destination.address"),
    ("dst_endpoint.port", "destination.port"),
    ("firewall_rule.uid", "rule.id"),
    ("message", "message"),
    ("metadata.event_code", "event.action"),
    ("metadata.product.name", "observer.product"),
    ("metadata.product.vendor_name", "observer.vendor"),
    ("metadata.product.version", "observer.version"),
    ("metadata.sequence", "event.sequence"),
    ("metadata.uid", "event.id"),
    ("policy.name", "rule.ruleset"),
    ("policy.version", "rule.version"),
    ("severity_id", "event.severity"),
    ("src_endpoint.hostname", "source.domain"),
    ("src_endpoint.ip", "source.ip"),
    ("src_endpoint.name", "source.address"),
    ("src_endpoint.port", "source.port"),
    ("status_code", "error.code"),
    ("status_detail", "event.reason"),
];

/// Times, in milliseconds since 1970, that become dates.
const DATES: [(&str, &str); 4] = [
    ("actor.session.created_time", "enforcer.session.start"),
    ("end_time", "event.end"),
    ("start_time", "event.start"),
    ("time", "@timestamp"),
];

/// The record in the form of ECS, as one flat object.
///
/// # Errors
/// When `record` is not a record of OCSF 1.9.0 as the log has it.
pub fn ecs(record: &Value) -> Result<Value, FormError> {
    let head = Head::of(record)?;
    let mut rest = Rest::of(record);
    let mut fields = Fields::default();
    fields.put("ecs.version", ECS_VERSION);
    fields.put("event.module", "enforcer");
    fields.put("event.dataset", "enforcer.log");
    fields.put("agent.type", "enforcer");
    fields.put(
        "agent.version",
        record["metadata"]["product"]["version"].clone(),
    );
    happening::describe(&head, &mut rest, &mut fields);
    process::describe(&head, &mut rest, &mut fields);
    network(&mut rest, &mut fields);
    for (path, field) in MOVES {
        fields.put(field, rest.take(path));
    }
    for (path, field) in DATES {
        fields.put(field, date(&mut rest, path)?);
    }
    related::describe(&mut fields);
    rest.write(&mut fields);
    Ok(fields.0.into())
}

/// What the schema spells otherwise than OCSF. A unix socket has no transport that it knows.
fn network(rest: &mut Rest, fields: &mut Fields) {
    if let Some(name @ ("tcp" | "udp")) = rest.text("connection_info.protocol_name") {
        fields.put("network.transport", name);
        rest.take("connection_info.protocol_name");
    }
    if let Some(number) = rest.take("connection_info.protocol_num") {
        fields.put("network.iana_number", number.to_string());
    }
    match rest.number("connection_info.protocol_ver_id") {
        Some(4) => fields.put("network.type", "ipv4"),
        Some(6) => fields.put("network.type", "ipv6"),
        Some(_) | None => {}
    }
    match rest.number("connection_info.direction_id") {
        Some(1) => fields.put("network.direction", "ingress"),
        Some(2) => fields.put("network.direction", "egress"),
        Some(_) | None => {}
    }
    // An address that was not resolved from a name is an address all the same.
    if let Some(ip) = rest.text("dst_endpoint.ip") {
        fields.put("destination.address", ip);
    }
}

/// Takes a time. One that cannot be written as a date is no time of ours.
fn date(rest: &mut Rest, path: &'static str) -> Result<Option<String>, FormError> {
    let Some(found) = rest.take(path) else {
        return Ok(None);
    };
    let date = found.as_i64().and_then(rfc3339);
    date.map(Some).ok_or_else(|| {
        wrong(
            path,
            "milliseconds since 1970, before the year 10000",
            Some(&found),
        )
    })
}

/// The fields that are written.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    /// Writes a field, unless there is nothing to write.
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_null() {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Writes a field below `enforcer.`; two attributes of one name are both kept.
    fn put_own(&mut self, name: &str, value: Value) {
        let mut name = format!("enforcer.{name}");
        while self.0.contains_key(&name) {
            name.push('_');
        }
        self.0.insert(name, value);
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn put_all(&mut self, name: &str, values: &[&str]) {
        if !values.is_empty() {
            self.put(name, json!(values));
        }
    }
}

//! OCSF 1.7.0: the same record without what that version lacks.
//!
//! Nothing is thrown away. An attribute that 1.7.0 does not have moves to `unmapped` under its path
//! (`ai_agent`; `actor.process.uid_numeric`), profiles that it does not have to
//! `unmapped.profiles`, and `unmapped.ocsf_version` says what the record was written in.
//!
//! The names in [`LACKING`] are unknown to every class and object of 1.7.0 that records use, so that
//! a name is enough to tell; the tests hold the list to both versions of the schema.
#![forbid(unsafe_code)]

use serde_json::{Map, Value};

use crate::{FormError, head::Head};

/// Version that is written.
pub const OCSF_17_VERSION: &str = "1.7.0";

/// What 1.9.0 added to the classes and objects of our records since 1.7.0.
const LACKING: [&str; 27] = [
    "ai_agent",
    "ai_model",
    "app_protocol_name",
    "attestation_list",
    "delegation",
    "download_info",
    "encoding",
    "encoding_id",
    "fingerprints",
    "hosted_ai_agent_list",
    "hosted_services",
    "iam_role",
    "imported_symbols",
    "initiator",
    "initiator_id",
    "mac_vendor",
    "message_context",
    "network_observation_point",
    "packet_list",
    "peripheral_devices",
    "pool",
    "serialization",
    "serialization_id",
    "signatures",
    "total_queued_duration",
    "uid_numeric",
    "updated_entity",
];

/// Profiles that 1.9.0 added since 1.7.0.
const LACKING_PROFILES: [&str; 2] = ["ai_operation", "record_integrity"];

/// Members that hold whatever their writer likes: the schema says nothing of what is in them.
const OPAQUE: [&str; 2] = ["data", "unmapped"];

/// The record in the form of OCSF 1.7.0.
///
/// # Errors
/// When `record` is not a record of OCSF 1.9.0 as the log has it.
pub fn ocsf17(record: &Value) -> Result<Value, FormError> {
    Head::of(record)?;
    let mut record = record.clone();
    let mut moved = Map::new();
    take_lacking(&mut record, "", &mut moved);
    if let Some(metadata) = record.get_mut("metadata") {
        let version = metadata["version"].take();
        moved.insert("ocsf_version".to_owned(), version);
        metadata["version"] = OCSF_17_VERSION.into();
        if let Some(profiles) = take_profiles(metadata) {
            moved.insert("profiles".to_owned(), profiles);
        }
    }
    if let Value::Object(members) = &mut record {
        let unmapped = members
            .entry("unmapped")
            .or_insert_with(|| Map::new().into());
        moved
            .into_iter()
            .for_each(|(name, value)| insert(unmapped, name, value));
    }
    Ok(record)
}

/// Takes every attribute that 1.7.0 lacks out of `value`, which stands at `path`.
fn take_lacking(value: &mut Value, path: &str, moved: &mut Map<String, Value>) {
    match value {
        Value::Object(members) => {
            for name in LACKING {
                if let Some(member) = members.remove(name) {
                    moved.insert(below(path, name), member);
                }
            }
            for (name, member) in members.iter_mut() {
                if !OPAQUE.contains(&name.as_str()) {
                    take_lacking(member, &below(path, name), moved);
                }
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                take_lacking(item, &below(path, &n.to_string()), moved);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn take_profiles(metadata: &mut Value) -> Option<Value> {
    let profiles = metadata.get_mut("profiles")?.as_array_mut()?;
    let is_lacking = |profile: &Value| {
        profile
            .as_str()
            .is_some_and(|p| LACKING_PROFILES.contains(&p))
    };
    let taken: Vec<Value> = profiles.extract_if(.., |p| is_lacking(p)).collect();
    (!taken.is_empty()).then(|| taken.into())
}

/// Puts a moved attribute into `unmapped`. Should one of that name be there, which no record of ours
/// has, both are kept.
fn insert(unmapped: &mut Value, mut name: String, value: Value) {
    if let Value::Object(unmapped) = unmapped {
        while unmapped.contains_key(&name) {
            name.push('_');
        }
        unmapped.insert(name, value);
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

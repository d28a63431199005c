//! The hash chain: each record carries a fingerprint of itself, which covers that of the record
//! before it.
//!
//! It stands where OCSF's profile `record_integrity` has it, in the one element of
//! `attestation_list`:
//!
//! | member | meaning |
//! |---|---|
//! | `chain_uid` | the log's origin |
//! | `prev_event` | `metadata.uid`, `type_uid` and fingerprint of the record before; absent in the log's first |
//! | `fingerprint` | SHA-256 of the record's canonical form (RFC 8785) as it is without this member |
//!
//! So the fingerprint covers every other byte of the record. A record's *line* is the canonical form
//! of all of it, and what the tree has as a leaf.

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    canonical::{self, CanonicalError, append, append_string},
    hash::Hash,
};

/// Name of the profile in `metadata.profiles`.
pub const PROFILE: &str = "record_integrity";
/// Name of the attribute that holds the attestation.
const ATTESTATIONS: &str = "attestation_list";
const METADATA: &str = "metadata";
/// The fingerprint as a member, before it is known: SHA-256 (3) in hexadecimal (1) of the form that
/// OCSF calls JCS (2), which is RFC 8785.
const MEMBER: &[u8] = br#","fingerprint":{"algorithm_id":3,"encoding_id":1,"serialization_id":2,"value":"0000000000000000000000000000000000000000000000000000000000000000"}"#;
/// Bytes of [`MEMBER`] from its zeros on.
const ZEROS: usize = 64 + 2;

/// What of a record the next one holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `metadata.uid`.
    pub uid: String,
    /// `type_uid`.
    pub type_uid: u64,
    /// The record's fingerprint.
    pub fingerprint: Hash,
}

/// Why a record cannot be put into the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It is no JSON object.
    #[error("a record is a JSON object")]
    NotAnObject,
    /// It lacks what the next record has to name it by.
    #[error("the record has no {0}, by which the next one names it")]
    Nameless(&'static str),
    /// It has an attestation already.
    #[error("the record has an attestation_list already: records are linked when they are written")]
    Attested,
    /// It holds a number that is not an exact integer.
    #[error(transparent)]
    NotCanonical(#[from] CanonicalError),
}

/// Appends the line of `record`, linked to `previous`, and a newline to `lines`. The profile is added
/// where it is not named. On error `lines` is as before.
///
/// # Errors
/// When the record cannot be in the chain, or has no canonical form.
pub fn append_record(
    lines: &mut Vec<u8>,
    record: &Value,
    chain_uid: &str,
    previous: Option<&Link>,
) -> Result<Link, ChainError> {
    let start = lines.len();
    append_linked(lines, record, chain_uid, previous).inspect_err(|_| lines.truncate(start))
}

fn append_linked(
    lines: &mut Vec<u8>,
    record: &Value,
    chain_uid: &str,
    previous: Option<&Link>,
) -> Result<Link, ChainError> {
    let (uid, type_uid) = name_of(record)?;
    let members = record.as_object().ok_or(ChainError::NotAnObject)?;
    if members.contains_key(ATTESTATIONS) {
        return Err(ChainError::Attested);
    }
    let start = lines.len();
    let mut hole = None;
    lines.push(b'{');
    canonical::for_each_sorted(members, |key, value| {
        if hole.is_none() && key > ATTESTATIONS {
            hole = Some(append_attestation(lines, chain_uid, previous));
            lines.push(b',');
        }
        append_string(lines, key);
        lines.push(b':');
        append(lines, &with_profile(key, value))?;
        lines.push(b',');
        Ok::<_, CanonicalError>(())
    })?;
    // A record has `type_uid` at least, so that the attestation stands before something.
    lines.pop();
    lines.push(b'}');
    let fingerprint = fingerprint(lines, start, hole.unwrap_or(start));
    lines.push(b'\n');
    let uid = uid.to_owned();
    Ok(Link {
        uid,
        type_uid,
        fingerprint,
    })
}

/// Takes the fingerprint of the record that begins at `start`, without the member at `hole` that is to
/// hold it, and puts it there.
fn fingerprint(lines: &mut [u8], start: usize, hole: usize) -> Hash {
    let mut sha256 = Sha256::new();
    sha256.update(lines.get(start..hole).unwrap_or_default());
    sha256.update(lines.get(hole + MEMBER.len()..).unwrap_or_default());
    let fingerprint = Hash(sha256.finalize().into());
    let value = hole + MEMBER.len() - ZEROS..;
    if let Some(digits) = lines.get_mut(value).and_then(|rest| rest.first_chunk_mut()) {
        fingerprint.write_hex(digits);
    }
    fingerprint
}

/// `metadata.uid` and `type_uid`.
pub(crate) fn name_of(record: &Value) -> Result<(&str, u64), ChainError> {
    let uid = record
        .get(METADATA)
        .and_then(|metadata| metadata.get("uid")?.as_str());
    let type_uid = record.get("type_uid").and_then(Value::as_u64);
    Ok((
        uid.ok_or(ChainError::Nameless("metadata.uid"))?,
        type_uid.ok_or(ChainError::Nameless("type_uid"))?,
    ))
}

/// `metadata` with the profile among its profiles; every other member as it is.
fn with_profile<'a>(key: &str, value: &'a Value) -> Cow<'a, Value> {
    let profiles = value.get("profiles").and_then(Value::as_array);
    let named = || profiles.is_some_and(|names| names.iter().any(|name| name == PROFILE));
    if key != METADATA || named() {
        return Cow::Borrowed(value);
    }
    let mut names = profiles.cloned().unwrap_or_default();
    let at = names.partition_point(|name| name.as_str() < Some(PROFILE));
    names.insert(at, PROFILE.into());
    let mut value = value.clone();
    value["profiles"] = names.into();
    Cow::Owned(value)
}

/// Appends the attestation, without a fingerprint yet; gives the place of [`MEMBER`].
fn append_attestation(out: &mut Vec<u8>, chain_uid: &str, previous: Option<&Link>) -> usize {
    append_string(out, ATTESTATIONS);
    out.extend_from_slice(br#":[{"chain_uid":"#);
    append_string(out, chain_uid);
    let hole = out.len();
    out.extend_from_slice(MEMBER);
    if let Some(Link {
        uid,
        type_uid,
        fingerprint,
    }) = previous
    {
        let mut digits = [0; 64];
        fingerprint.write_hex(&mut digits);
        let before = br#","prev_event":{"fingerprint":{"algorithm_id":3,"encoding_id":1,"value":""#;
        out.extend_from_slice(before);
        out.extend_from_slice(&digits);
        out.extend_from_slice(format!(r#""}},"type_uid":{type_uid},"uid":"#).as_bytes());
        append_string(out, uid);
        out.push(b'}');
    }
    out.extend_from_slice(b"}]");
    hole
}

/// A record's attestation as it was read. Nothing of it is known to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// The log that the record says it is of.
    pub chain_uid: String,
    /// What the record says of itself.
    pub fingerprint: Hash,
    /// What it says of the record before it.
    pub previous: Option<Link>,
}

impl Attestation {
    /// Reads the attestation of a record; `None` when it has none, or one of another form.
    #[must_use]
    pub fn of(record: &Value) -> Option<Self> {
        let [attestation] = record.get(ATTESTATIONS)?.as_array()?.as_slice() else {
            return None;
        };
        let value = |of: &Value| of["fingerprint"]["value"].as_str()?.parse().ok();
        let previous = match attestation.get("prev_event") {
            None => None,
            Some(previous) => Some(Link {
                uid: previous["uid"].as_str()?.to_owned(),
                type_uid: previous["type_uid"].as_u64()?,
                fingerprint: value(previous)?,
            }),
        };
        Some(Self {
            chain_uid: attestation["chain_uid"].as_str()?.to_owned(),
            fingerprint: value(attestation)?,
            previous,
        })
    }
}

/// What a line turned out to be when it was held to its own fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The record is as it was when its fingerprint was taken, and the line is its canonical form.
    True,
    /// It is another record than its fingerprint says.
    Changed,
    /// Its fingerprint is right, but the line is not written as the log writes it.
    Respelled,
}

/// Holds `line`, which was read as `record`, to its `attestation`. Takes the attestation out of
/// `record`.
#[must_use]
pub fn hold(line: &[u8], record: &mut Value, attestation: &Attestation) -> Held {
    if let Some(members) = record.as_object_mut() {
        members.remove(ATTESTATIONS);
    }
    let mut rebuilt = Vec::with_capacity(line.len() + 1);
    let Attestation {
        chain_uid,
        previous,
        ..
    } = attestation;
    match append_record(&mut rebuilt, record, chain_uid, previous.as_ref()) {
        Ok(link) if link.fingerprint != attestation.fingerprint => Held::Changed,
        Ok(_) if rebuilt.strip_suffix(b"\n") == Some(line) => Held::True,
        Ok(_) => Held::Respelled,
        Err(_) => Held::Changed,
    }
}

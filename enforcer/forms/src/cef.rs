//! ArcSight's Common Event Format, version 0: one line a record, for SIEMs that know nothing better.
//!
//! ```text
//! CEF:0|enforcer|enforcer|0.1.0|connect|connect denied|6|rt=... act=deny dst=169.254.169.254 ...
//!       vendor   product  version class   name         severity  extension: key=value, any order
//! ```
//!
//! Keys, types and lengths are those of "Implementing ArcSight Common Event Format", version 25. A
//! value that is longer than its key allows is cut, and `enforcerCut` names the keys of which that is
//! true; the whole record is found by `cs6`, its `metadata.uid`. A syslog header is the sender's.
#![forbid(unsafe_code)]

mod escape;
mod fields;

use core::net::IpAddr;

use serde_json::Value;

use crate::{
    FormError,
    head::{Head, Verdict, at},
};
use escape::{Written, extension, header};
use fields::{Extension, FIELDS, MAX_INTEGER, Room};

/// Lengths of the header's texts, in bytes.
const VENDOR: usize = 63;
const VERSION: usize = 31;
const CLASS: usize = 1023;
const NAME: usize = 512;
/// The key that says which values are not whole.
const CUT: &str = "enforcerCut";

pub fn cef(record: &Value) -> Result<String, FormError> {
    let head = Head::of(record)?;
    let product = |name: &str| text(record, &format!("metadata.product.{name}"));
    let mut line = String::from("CEF:0");
    for (value, room) in [
        (product("vendor_name"), VENDOR),
        (product("name"), VENDOR),
        (product("version"), VERSION),
        (head.code, CLASS),
        (&name(&head), NAME),
        (severity(record), 2),
    ] {
        line.push('|');
        line.push_str(&header(value, room).text);
    }
    line.push('|');
    line.push_str(&values(record).join(" "));
    Ok(line)
}

/// What happened, without what stands in other fields.
fn name(head: &Head<'_>) -> String {
    let what = head.code.replace('-', " ");
    match head.verdict {
        None => what,
        Some(Verdict::Allow) => format!("{what} allowed"),
        Some(Verdict::Deny) => format!("{what} denied"),
        Some(Verdict::WouldDeny) => format!("{what} would be denied"),
    }
}

/// `severity_id` on CEF's scale: 0-3 low, 4-6 medium, 7-8 high, 9-10 very high.
fn severity(record: &Value) -> &'static str {
    match at(record, "severity_id").and_then(Value::as_u64) {
        Some(1) => "1",
        Some(2) => "3",
        Some(3) => "6",
        Some(4) => "8",
        Some(5 | 6) => "10",
        Some(_) | None => "0",
    }
}

/// The extension, a key and its value each, at the end the keys whose values are not whole.
fn values(record: &Value) -> Vec<String> {
    let mut pairs = Vec::new();
    let mut incomplete = Vec::new();
    for field in &FIELDS {
        let key = field.key;
        let Some(Written { text, is_whole }) = value(record, field) else {
            continue;
        };
        if !is_whole {
            incomplete.push(key);
        }
        if text.is_empty() {
            continue;
        }
        pairs.push(format!("{key}={text}"));
        if let Some(label) = field.label {
            pairs.push(format!("{key}Label={label}"));
        }
    }
    if !incomplete.is_empty() {
        pairs.push(format!("{CUT}={}", incomplete.join(",")));
    }
    pairs
}

/// The value of a field, where the record has one of its type.
fn value(record: &Value, field: &Extension) -> Option<Written> {
    let found = field
        .from
        .iter()
        .find_map(|path| at(record, path).filter(|value| !value.is_null()))?;
    match field.room {
        Room::Bytes(room) => Some(extension(found.as_str()?, room)),
        Room::Integer => Some(integer(found.as_u64()?)),
        Room::Long => Some(whole(found.as_i64()?.to_string())),
        Room::Ipv4 => address(found, IpAddr::is_ipv4),
        Room::Ipv6 => address(found, IpAddr::is_ipv6),
        // OCSF counts inbound 1 and outbound 2, CEF 0 and 1.
        Room::Direction => match found.as_u64()? {
            1 => Some(whole("0".to_owned())),
            2 => Some(whole("1".to_owned())),
            _ => None,
        },
    }
}

fn address(found: &Value, is_of_family: impl Fn(&IpAddr) -> bool) -> Option<Written> {
    let ip: IpAddr = found.as_str()?.parse().ok()?;
    is_of_family(&ip).then(|| whole(ip.to_string()))
}

/// A number that is too large is left out, and told as one that was cut.
fn integer(number: u64) -> Written {
    let is_whole = number <= MAX_INTEGER;
    Written {
        text: if is_whole {
            number.to_string()
        } else {
            String::new()
        },
        is_whole,
    }
}

const fn whole(text: String) -> Written {
    Written {
        text,
        is_whole: true,
    }
}

fn text<'a>(record: &'a Value, path: &str) -> &'a str {
    at(record, path).and_then(Value::as_str).unwrap_or_default()
}

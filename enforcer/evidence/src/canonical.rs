//! One value, one line of bytes: JSON in the form of RFC 8785 (JSON Canonicalization Scheme).
//!
//! A record's line is what the log stores, and what a later hash is taken of, so that the same
//! record must always give the same bytes. RFC 8785 asks for keys sorted by their UTF-16 code
//! units, no white space, the short string escapes, and numbers as ECMAScript prints them. Records
//! hold integers only, and only those that an ECMAScript number holds exactly, for which that form
//! is the decimal one; everything else is refused rather than rounded.

use std::sync::LazyLock;

use serde_json::{Map, Number, Value};

/// Largest integer that an ECMAScript number, and so any JSON reader, holds exactly.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a value has no canonical form here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// A fraction or an exponent.
    #[error("{0} is not an integer")]
    NotAnInteger(Number),
    /// An integer beyond ±2^53.
    #[error("{0} is beyond the integers that every JSON reader holds exactly")]
    TooLarge(Number),
}

/// Appends the canonical form of `value` and a newline to `line`. On error `line` is as before.
///
/// # Errors
/// When the value holds a number that is not an exact integer.
pub fn append_line(line: &mut Vec<u8>, value: &Value) -> Result<(), CanonicalError> {
    let before = line.len();
    append(line, value).inspect_err(|_| line.truncate(before))?;
    line.push(b'\n');
    Ok(())
}

/// Appends the canonical form of `value`. On error what was begun of it stays behind.
pub(crate) fn append(out: &mut Vec<u8>, value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => append_integer(out, number)?,
        Value::String(text) => append_string(out, text),
        Value::Array(items) => append_array(out, items)?,
        Value::Object(members) => append_object(out, members)?,
    }
    Ok(())
}

fn append_integer(out: &mut Vec<u8>, number: &Number) -> Result<(), CanonicalError> {
    let magnitude = number
        .as_u64()
        .or_else(|| number.as_i64().map(i64::unsigned_abs))
        .ok_or_else(|| CanonicalError::NotAnInteger(number.clone()))?;
    if magnitude > MAX_INTEGER {
        return Err(CanonicalError::TooLarge(number.clone()));
    }
    if number.is_i64() && !number.is_u64() {
        out.push(b'-');
    }
    out.extend_from_slice(itoa::Buffer::new().format(magnitude).as_bytes());
    Ok(())
}

fn append_array(out: &mut Vec<u8>, items: &[Value]) -> Result<(), CanonicalError> {
    out.push(b'[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        append(out, item)?;
    }
    out.push(b']');
    Ok(())
}

fn append_object(out: &mut Vec<u8>, members: &Map<String, Value>) -> Result<(), CanonicalError> {
    out.push(b'{');
    let mut separator = false;
    for_each_sorted(members, |key, item| {
        if separator {
            out.push(b',');
        }
        separator = true;
        append_string(out, key);
        out.push(b':');
        append(out, item)
    })?;
    out.push(b'}');
    Ok(())
}

/// Does `each` with the members of an object in their canonical order, up to its first error.
pub(crate) fn for_each_sorted<'a, E>(
    members: &'a Map<String, Value>,
    mut each: impl FnMut(&'a str, &'a Value) -> Result<(), E>,
) -> Result<(), E> {
    if is_sorted(members) {
        return members.iter().try_for_each(|(key, item)| each(key, item));
    }
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    members.sort_unstable_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    members
        .into_iter()
        .try_for_each(|(key, item)| each(key, item))
}

/// Whether the members are in their canonical order already: the order of bytes is that of UTF-16 for
/// ASCII.
fn is_sorted(members: &Map<String, Value>) -> bool {
    *MAPS_ARE_SORTED && members.keys().all(|key| key.is_ascii())
}

/// Whether JSON objects are held in the order of their keys' bytes. It is not relied on: another crate
/// can turn on insertion order for all.
static MAPS_ARE_SORTED: LazyLock<bool> = LazyLock::new(|| {
    let members = ["b", "a"].map(|key| (key.to_owned(), Value::Null));
    Map::from_iter(members).keys().is_sorted()
});

/// Appends the canonical form of a string.
pub(crate) fn append_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    // Most strings are one run without anything to escape.
    while let Some(at) = rest.iter().position(|byte| ESCAPED[usize::from(*byte)]) {
        let (run, tail) = rest.split_at(at);
        out.extend_from_slice(run);
        let Some((byte, behind)) = tail.split_first() else {
            break;
        };
        append_escape(out, *byte);
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The bytes that do not stand for themselves in a string.
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escaped[byte] = true;
        byte += 1;
    }
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};

fn append_escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(br#"\""#),
        b'\\' => out.extend_from_slice(br"\\"),
        0x08 => out.extend_from_slice(br"\b"),
        0x09 => out.extend_from_slice(br"\t"),
        0x0a => out.extend_from_slice(br"\n"),
        0x0c => out.extend_from_slice(br"\f"),
        0x0d => out.extend_from_slice(br"\r"),
        _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{CanonicalError, append_line};

    fn line(value: &Value) -> Result<String, CanonicalError> {
        let mut line = Vec::new();
        append_line(&mut line, value)?;
        Ok(String::from_utf8(line).expect("canonical JSON is UTF-8"))
    }

    #[test]
    fn keys_are_sorted_by_their_utf16_code_units() {
        // The example of RFC 8785 3.2.3, its expected order included.
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        let line = line(&value).expect("canonical");
        let order = [
            "Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew",
        ];
        let places: Vec<usize> = order
            .iter()
            .map(|name| line.find(name).expect(name))
            .collect();
        assert!(places.is_sorted(), "{line}");
    }

    #[test]
    fn strings_use_the_short_escapes() {
        // The string of RFC 8785 3.2.2.2.
        let value = json!({"string": "\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}"});
        let expected = "{\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\"}\n";
        assert_eq!(line(&value).as_deref(), Ok(expected));
    }

    #[test]
    fn nesting_has_no_white_space() {
        let value = json!({"b": [1, -2, {"z": null, "a": true}], "a": {}, "c": []});
        let expected = "{\"a\":{},\"b\":[1,-2,{\"a\":true,\"z\":null}],\"c\":[]}\n";
        assert_eq!(line(&value).as_deref(), Ok(expected));
    }

    #[test]
    fn a_number_that_a_reader_could_round_is_refused() {
        assert!(line(&json!(9_007_199_254_740_991_u64)).is_ok());
        assert!(line(&json!(-9_007_199_254_740_991_i64)).is_ok());
        for value in [
            json!(1.5),
            json!(1.0),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1_u64 << 53),
        ] {
            assert!(line(&json!({"a": [value]})).is_err());
        }
    }

    #[test]
    fn a_refused_value_leaves_the_lines_before_it_alone() {
        let mut lines = Vec::new();
        append_line(&mut lines, &json!({"a": 1})).expect("canonical");
        append_line(&mut lines, &json!({"a": "b", "c": 0.5})).expect_err("not an integer");
        assert_eq!(lines, b"{\"a\":1}\n");
    }
}

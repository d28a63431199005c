//! Records as syslog messages (RFC 5424), and their frames on a stream (RFC 6587 3.4.1, RFC 5425).

use jiff::{Timestamp, tz::Offset};

use super::Item;
use crate::{config::SyslogHeader, record::Record};

/// What stands for a fact that is not known.
const NIL: &str = "-";

/// Adds the message of an item, with the record's uid in an element of structured data. The text
/// has no byte order mark, so that it is `MSG-ANY`: many receivers would keep the mark as a part
/// of the text, and JSON with one before it is none.
pub(super) fn message(out: &mut Vec<u8>, header: &SyslogHeader, item: &Item) {
    let record = &item.record;
    let priority = u16::from(header.facility) * 8 + u16::from(record.syslog_severity());
    let head = format!(
        "<{priority}>1 {} {} {} {NIL} {} [{} uid=\"{}\"] ",
        timestamp(record),
        printable(record.hostname(), 255),
        header.app_name,
        printable(record.event_code(), 32),
        header.sd_id,
        escaped(record.uid()),
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&item.body);
}

/// Adds the message with its length before it.
pub(super) fn frame(out: &mut Vec<u8>, header: &SyslogHeader, item: &Item) {
    let mut body = Vec::with_capacity(item.body.len() + 256);
    message(&mut body, header, item);
    out.extend_from_slice(format!("{} ", body.len()).as_bytes());
    out.extend_from_slice(&body);
}

fn timestamp(record: &Record) -> String {
    record
        .time_ms()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map(|time| Offset::UTC.to_datetime(time))
        .filter(|time| (0..=9_999).contains(&time.year()))
        .map_or_else(|| NIL.to_owned(), |time| format!("{time:.3}Z"))
}

/// Printable ASCII without spaces, as the header's fields are.
fn printable(text: Option<&str>, longest: usize) -> String {
    let text: String = text
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(longest)
        .collect();
    if text.is_empty() {
        NIL.to_owned()
    } else {
        text
    }
}

/// RFC 5424, 6.3.3.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

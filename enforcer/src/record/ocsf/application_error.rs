//! Class 6008, application error: what was lost, where, and how much. A gap is a record itself.
#![forbid(unsafe_code)]

use enforcer_evidence::payload;
use serde_json::Value;

use super::{
    Host,
    draft::{Class, Draft, Member, Moment, Severity, integer},
};
use crate::record::{log::Torn, names::hex, text::escaped};

const CLASS: Class = Class {
    uid: 6008,
    name: "Application Error",
    category_uid: 6,
};
const GENERAL: Member = (1, "General Error");
pub(super) const LOST: &str = "events-lost";

/// Where events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The kernel's ring for denials was full.
    DenialsRing,
    /// The kernel's ring for all else was full.
    EventsRing,
    /// The bytes in the ring were no event that this daemon knows.
    Decoding,
    /// Between the ring and the log, inside the daemon.
    Daemon,
    /// The log could not be written.
    Log,
}

impl Place {
    /// Name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DenialsRing => "denials-ring",
            Self::EventsRing => "events-ring",
            Self::Decoding => "decoding",
            Self::Daemon => "daemon",
            Self::Log => "log",
        }
    }
}

/// Events of which there is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it was found, `CLOCK_BOOTTIME` in nanoseconds.
    pub time_ns: u64,
    /// Where.
    pub place: Place,
    /// How many events: exact.
    pub count: u64,
    /// Earliest moment of the loss, `CLOCK_BOOTTIME` in nanoseconds.
    pub from_ns: u64,
    /// Latest moment of the loss, `CLOCK_BOOTTIME` in nanoseconds.
    pub until_ns: u64,
}

/// The record of a loss.
#[must_use]
pub fn loss(host: &Host, loss: &Loss) -> Value {
    let (place, count) = (loss.place.name(), loss.count);
    draft(host, LOST, loss.time_ns, place)
        .with("count", integer(count))
        .with("start_time", host.wall_ms(loss.from_ns))
        .with("end_time", host.wall_ms(loss.until_ns))
        .with("message", format!("{count} events lost: {place}"))
        .with("status_detail", place)
        .unmapped("place", place)
        .finish()
}

/// The record of a torn last line that was found and set aside when the log was opened.
#[must_use]
pub fn torn(host: &Host, time_ns: u64, torn: &Torn) -> Value {
    let segment = escaped(torn.segment.as_os_str().as_encoded_bytes());
    let aside = escaped(torn.set_aside.as_os_str().as_encoded_bytes());
    let bytes = torn.bytes;
    draft(host, payload::TORN, time_ns, &segment)
        .with("count", 1)
        .with(
            "message",
            format!("torn last line of {bytes} bytes of {segment} set aside as {aside}"),
        )
        .with("status_detail", payload::TORN)
        .unmapped("place", Place::Log.name())
        .unmapped("segment", segment)
        .unmapped("set_aside", aside)
        .unmapped("offset", integer(torn.offset))
        .unmapped("bytes", integer(bytes))
        .unmapped("sha256", hex(&torn.sha256))
        .finish()
}

fn draft(host: &Host, event_code: &str, time_ns: u64, subject: &str) -> Draft {
    let moment = Moment {
        time_ns,
        event_code,
        sequence: None,
        subject,
    };
    Draft::new(host, CLASS, GENERAL, Severity::High, moment).status(false)
}

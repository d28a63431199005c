//! The end of monitor mode: an RFC 3339 date, or date and time.

use toml_datetime::{Date, Datetime, Offset, Time};

use super::fields::Log;
use crate::{
    diagnostic::{Diagnostic, quoted},
    model::Until,
    source::Spanned,
};

const DAY: i64 = 86_400;

pub(super) fn parse(log: &mut Log, text: Spanned<String>) -> Option<Spanned<Until>> {
    let seconds = text
        .value
        .parse::<Datetime>()
        .ok()
        .and_then(|date| seconds(&date));
    let Some(unix_seconds) = seconds else {
        log.push(
            Diagnostic::error(text.span, format!("{} is not an end", quoted(&text.value)))
                .expected("an RFC 3339 date, or date and time with offset")
                .hint("write `2030-06-30` (that whole day, UTC) or `2030-06-30T18:00:00Z`"),
        );
        return None;
    };
    let until = Until {
        text: text.value,
        unix_seconds,
    };
    Some(Spanned::new(until, text.span))
}

/// The instant of a date; a date alone is the end of that day in UTC. A time without an offset is
/// no instant, nor is a time without a date.
fn seconds(date: &Datetime) -> Option<i64> {
    let day = days(date.date?) * DAY;
    match (date.time, date.offset) {
        (None, None) => Some(day + DAY),
        (Some(time), Some(offset)) => Some(day + of_day(time) - east(offset)),
        (Some(_), None) | (None, Some(_)) => None,
    }
}

fn of_day(time: Time) -> i64 {
    let seconds = i64::from(time.second.unwrap_or(0));
    i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60 + seconds
}

fn east(offset: Offset) -> i64 {
    match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes) * 60,
    }
}

/// Days since 1970-01-01 of a day in the Gregorian calendar, counted in years that begin in March
/// so that the leap day is a year's last.
fn days(date: Date) -> i64 {
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let year = i64::from(date.year) - i64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Days from 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    year * 365 + leap_days + day_of_year - EPOCH
}

#[cfg(test)]
mod tests {
    fn until(text: &str) -> Option<i64> {
        text.parse().ok().and_then(|date| super::seconds(&date))
    }

    #[test]
    fn a_date_ends_with_its_day_and_a_time_needs_an_offset() {
        assert_eq!(until("1970-01-01"), Some(86_400));
        assert_eq!(until("2000-02-29"), Some(951_868_800));
        assert_eq!(until("2030-06-30T18:00:00Z"), Some(1_909_072_800));
        assert_eq!(until("2030-06-30T18:00:00+02:00"), Some(1_909_065_600));
        assert_eq!(until("1969-12-31T23:59:59Z"), Some(-1));
        for bad in [
            "2030-06-30T18:00:00",
            "18:00:00",
            "2030-02-30",
            "2030-13-01",
            "soon",
            "",
        ] {
            assert_eq!(until(bad), None, "{bad}");
        }
    }
}

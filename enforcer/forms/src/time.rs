//! Times, from the records' milliseconds to text.
#![forbid(unsafe_code)]

use jiff::Timestamp;

/// Milliseconds since 1970 as RFC 3339 in UTC; `None` beyond the year 9999, which it cannot write.
pub fn rfc3339(milliseconds: i64) -> Option<String> {
    let timestamp = Timestamp::from_millisecond(milliseconds).ok()?;
    Some(timestamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_written_in_utc_with_their_milliseconds() {
        assert_eq!(rfc3339(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        let text = rfc3339(1_795_500_061_007);
        assert_eq!(text.as_deref(), Some("2026-11-24T06:01:01.007Z"));
        assert_eq!(rfc3339(i64::MAX), None);
    }
}

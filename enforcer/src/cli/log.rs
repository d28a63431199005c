//! `enforcer log`.
#![forbid(unsafe_code)]

use std::io::Write;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    args::{self, Format},
    exit::{Exit, Failure},
    output::{Screen, plain},
    verify, wait, when,
};
use crate::{
    control::{api::LogQuery, client::Client},
    record::Filter,
};

pub(super) fn perform(
    verb: args::Log,
    client: &Client,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    let query = match verb {
        args::Log::Show { filter, tail } => LogQuery {
            filter: wanted(filter)?,
            tail,
            follow: false,
        },
        args::Log::Follow { filter, tail } => LogQuery {
            filter: wanted(filter)?,
            tail: Some(tail),
            follow: true,
        },
        args::Log::Verify(asked) => return verify::verify(&asked, screen),
        args::Log::Prove(asked) => return verify::prove(&asked, screen),
        args::Log::Check(asked) => return verify::check(&asked, screen),
        args::Log::Key { dir } => return verify::key(&dir, screen),
    };
    query.check()?;
    wait(copy(client, &query, screen))?
}

/// Writes records as they come, until there are no more or nobody reads.
async fn copy(client: &Client, query: &LogQuery, screen: &mut Screen) -> Result<Exit, Failure> {
    let mut lines = client.log(query).await?;
    while let Some(line) = lines.next().await? {
        match screen.format() {
            Format::Json => screen.text(&line)?,
            Format::Text => screen.text(&text(&line))?,
        }
        screen.flush()?;
        if screen.reader_left() {
            return Ok(Exit::Ok);
        }
    }
    if query.follow {
        return Err(
            Failure::new(Exit::Unreachable, "the daemon ended the stream")
                .hint("follow again when it runs"),
        );
    }
    Ok(Exit::Ok)
}

fn wanted(filter: args::Filter) -> Result<Filter, Failure> {
    let now = Timestamp::now();
    let when = |text: Option<String>| text.map(|text| when(&text, now)).transpose();
    Ok(Filter {
        event: filter.event,
        agent: filter.agent,
        session: filter.session,
        task: filter.task,
        verdict: filter.verdict,
        reason: filter.reason,
        rule: filter.rule,
        kind: filter.kind,
        binary: filter.binary,
        destination: filter.destination,
        since: when(filter.since)?,
        until: when(filter.until)?,
    })
}

/// A record in one line: time, session, pid, message. What cannot be read so is shown as it is.
fn text(line: &str) -> String {
    let Ok(record) = serde_json::from_str::<Value>(line) else {
        return plain(line);
    };
    let time = record["time"]
        .as_i64()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let (Some(time), Some(message)) = (time, record["message"].as_str()) else {
        return plain(line);
    };
    let session = record["actor"]["session"]["uid"].as_str().unwrap_or("-");
    let pid = record["actor"]["process"]["pid"]
        .as_u64()
        .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    format!("{time:.3}  {session:16}  {pid:>7}  {}", plain(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line() {
        let record = serde_json::json!({
            "time": 1_700_000_000_005_i64,
            "message": "ci: exec /bin/\u{1b}x denied: not-listed",
            "actor": {"process": {"pid": 41}, "session": {"uid": "00000000000000ab"}},
        });
        let expected = "2023-11-14T22:13:20.005Z  00000000000000ab       41  ci: exec /bin/\\u{1b}x denied: not-listed";
        assert_eq!(text(&record.to_string()), expected);
    }

    #[test]
    fn a_record_without_an_actor_and_a_line_that_is_none_are_shown_too() {
        let line = text(r#"{"time": 0, "message": "lost 3 events"}"#);
        assert_eq!(
            line,
            "1970-01-01T00:00:00.000Z  -                       -  lost 3 events"
        );
        assert_eq!(text("nonsense\r"), "nonsense\\u{d}");
    }

    #[test]
    fn moments_are_read_and_slips_are_told() {
        let filter = |since: &str| {
            wanted(args::Filter {
                since: Some(since.into()),
                ..args::Filter::default()
            })
        };
        assert_eq!(
            filter("1970-01-01T00:00:01Z").expect("a time").since,
            Some(1000)
        );
        assert!(filter("15m").expect("an age").since.is_some());
        assert_eq!(
            filter("yesterdayish").expect_err("neither").exit,
            Exit::Usage
        );
    }
}

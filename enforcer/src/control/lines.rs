//! The log as a stream: what is asked for, and records as lines of an HTTP body.
#![forbid(unsafe_code)]

use std::{
    convert::Infallible,
    fmt::Write,
    pin::Pin,
    task::{Context, Poll},
};

use enforcer_common::verdict::{Reason, Verdict};
use hyper::body::{Body, Bytes, Frame};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::api::{ErrorCode, Problem, SessionId};
use crate::record::{EVENT_CODES, Filter};

/// Which records are wanted, and how many.
///
/// In the request each field is a parameter, those of the filter beside the others:
/// `?agent=ci&verdict=deny&tail=20&follow=true`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// What a record must be.
    #[serde(flatten)]
    pub filter: Filter,
    /// At most this many of the past, the latest; absent = all. 0 with `follow` = only new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Go on with new records as they are written, until the reader leaves.
    #[serde(default)]
    pub follow: bool,
}

/// Every parameter that a request may have.
const PARAMETERS: [&str; 14] = [
    "event",
    "agent",
    "session",
    "task",
    "verdict",
    "reason",
    "rule",
    "kind",
    "binary",
    "destination",
    "since",
    "until",
    "tail",
    "follow",
];

impl LogQuery {
    /// Refuses what would be passed over or could match no record, so that a slip of the pen is not
    /// answered with everything or with nothing.
    ///
    /// # Errors
    /// `bad-request`, with the names there are.
    pub fn check(&self) -> Result<(), Problem> {
        let filter = &self.filter;
        let reasons: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        known(
            "verdict",
            filter.verdict.as_deref(),
            Verdict::ALL.map(Verdict::name).as_slice(),
        )?;
        known("reason", filter.reason.as_deref(), &reasons)?;
        known("kind", filter.kind.as_deref(), &EVENT_CODES)?;
        let Some(session) = &filter.session else {
            return Ok(());
        };
        session.parse::<SessionId>().map_or_else(
            |why| Err(Problem::new(ErrorCode::BadRequest, why)),
            |_| Ok(()),
        )
    }

    /// Refuses parameters that are none of [`LogQuery`].
    pub(super) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), Problem> {
        names
            .into_iter()
            .try_for_each(|name| known("parameter", Some(name), &PARAMETERS))
    }

    /// The query part of the request, with its `?`; empty when everything is wanted.
    #[must_use]
    pub fn to_query(&self) -> String {
        // Texts, numbers and a bool: they always have a JSON form.
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(self) else {
            return String::new();
        };
        let mut query = String::new();
        for (name, value) in &fields {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push('=');
            match value.as_str() {
                Some(text) => percent_encode(&mut query, text),
                None => query.push_str(&value.to_string()),
            }
        }
        query
    }
}

fn known(what: &str, name: Option<&str>, names: &[&str]) -> Result<(), Problem> {
    match name {
        Some(name) if !names.contains(&name) => Err(Problem::new(
            ErrorCode::BadRequest,
            format!("`{}` is no {what} of the log", name.escape_debug()),
        )
        .hint(format!("known are: {}", names.join(", ")))),
        Some(_) | None => Ok(()),
    }
}

/// Appends `text` with every byte that is not unreserved in RFC 3986 as `%XX`.
pub(super) fn percent_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// A response body that is one line a message, until the sender is dropped.
pub(super) struct LineBody(pub mpsc::Receiver<String>);

impl Body for LineBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| {
            line.map(|mut line| {
                line.push('\n');
                Ok(Frame::data(line.into()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> LogQuery {
        let text = |text: &str| Some(text.to_owned());
        LogQuery {
            filter: Filter {
                event: text("feedface:42"),
                agent: text("ci"),
                session: text("00000000000000ab"),
                task: text("OPS 7&8=ü"),
                verdict: text("would-deny"),
                reason: text("not-listed"),
                rule: text("source"),
                kind: text("connect"),
                binary: text("/usr/bin/git"),
                destination: text("::1"),
                since: Some(-5),
                until: Some(1_700_000_000_000),
            },
            tail: Some(20),
            follow: true,
        }
    }

    #[test]
    fn a_query_says_over_the_socket_what_it_said_here() {
        for query in [everything(), LogQuery::default()] {
            let uri = format!("/v1/log{}", query.to_query())
                .parse()
                .expect("a request's path");
            let axum::extract::Query(read) =
                axum::extract::Query::try_from_uri(&uri).expect("a query");
            assert_eq!(query, read, "{uri}");
            assert_eq!(read.check(), Ok(()));
        }
    }

    #[test]
    fn every_field_is_a_known_parameter_and_no_other() {
        let value = serde_json::to_value(everything()).expect("JSON");
        let mut names: Vec<&str> = value
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(LogQuery::check_names(names.iter().copied()), Ok(()));
        names.sort_unstable();
        let mut known = PARAMETERS;
        known.sort_unstable();
        assert_eq!(names, known);
        assert!(LogQuery::check_names(["agnet"]).is_err());
    }

    #[test]
    fn names_that_no_record_has_are_refused() {
        let refused = |change: fn(&mut Filter)| {
            let mut query = everything();
            change(&mut query.filter);
            query.check().expect_err("refused").message
        };
        assert!(refused(|f| f.verdict = Some("denied".into())).contains("denied"));
        assert!(refused(|f| f.reason = Some("x".into())).contains("reason"));
        assert!(refused(|f| f.kind = Some("EXEC".into())).contains("kind"));
        assert!(refused(|f| f.session = Some("ab".into())).contains("16"));
    }
}

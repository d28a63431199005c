//! NATS JetStream: each record is published with its uid as `Nats-Msg-Id`, and acknowledged by the
//! stream that stored it.
//!
//! The client is our own: what a shipper needs of the protocol are five messages each way, and the
//! ready client would bring an asynchronous runtime that nothing else here has a use for.
//! (docs.nats.io: "Client Protocol"; `Nats-Msg-Id` and the acknowledgement: ADR-4 and JetStream's
//! publish reference.)

mod wire;

use std::time::Duration;

use serde_json::{Value, json};

use super::{Failure, Item, Outcome, Refusal, Sink};
use crate::{
    config::{NatsAuth, NatsTarget},
    net::{self, stream::Stream, tls},
    stop::{Stop, Until},
};
use wire::{Incoming, Wire};

/// Records under way without acknowledgement.
const WINDOW: usize = 256;
/// JetStream's code for a message that is larger than the stream takes.
const TOO_LARGE: u64 = 10_054;
/// Its code for a message to another stream than was expected.
const OTHER_STREAM: u64 = 10_060;

pub(super) struct Nats {
    target: NatsTarget,
    timeout: Duration,
    session: Option<Session>,
}

struct Session {
    stream: Stream,
    wire: Wire,
    /// What the server takes at most.
    max_payload: usize,
    /// Answers come to this and a number.
    inbox: String,
    next: u64,
}

/// What became of a record.
enum Answer {
    Stored,
    Refused(String),
    Later(Failure),
}

impl Nats {
    pub fn new(target: NatsTarget, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            session: None,
        }
    }

    fn session(&self, until: &Until) -> Result<Session, Failure> {
        let target = &self.target;
        let client = target.tls.as_ref().map(tls::client).transpose();
        let client = client.map_err(Failure::Held)?;
        let (first, later) = if target.tls_first {
            (client, None)
        } else {
            (None, client)
        };
        let mut stream = Stream::open(&target.endpoint, first, until)?;
        let mut wire = Wire::default();
        let Incoming::Info(info) = wire.receive(&mut stream, until)? else {
            let why = format!("{}: no greeting of a NATS server", target.endpoint);
            return Err(Failure::Held(why));
        };
        if info["headers"].as_bool() != Some(true) {
            let why = format!("{}: the server knows no headers", target.endpoint);
            return Err(Failure::Held(why));
        }
        let wants_tls = info["tls_required"].as_bool() == Some(true);
        if wants_tls && target.tls.is_none() {
            let why = format!(
                "{}: the server asks for TLS: write `tls://`",
                target.endpoint
            );
            return Err(Failure::Held(why));
        }
        if let Some(client) = later {
            if !wants_tls && info["tls_available"].as_bool() != Some(true) {
                let why = format!("{}: the server does not use TLS", target.endpoint);
                return Err(Failure::Held(why));
            }
            // What came before TLS is nobody's word.
            wire = Wire::default();
            stream = stream.secured(client, until)?;
        }
        let inbox = format!("_INBOX.{:032x}", u128::from_be_bytes(net::random()?));
        let hello = format!("CONNECT {}\r\nSUB {inbox}.* 1\r\nPING\r\n", self.connect()?);
        stream.write_all(hello.as_bytes(), until)?;
        loop {
            match wire.receive(&mut stream, until)? {
                Incoming::Pong => break,
                Incoming::Ping => stream.write_all(b"PONG\r\n", until)?,
                Incoming::Error(why) => return Err(self.error(&why)),
                Incoming::Info(_) | Incoming::Message { .. } => {}
            }
        }
        let max_payload = info["max_payload"].as_u64().unwrap_or(1 << 20);
        Ok(Session {
            stream,
            wire,
            max_payload: usize::try_from(max_payload).unwrap_or(usize::MAX),
            inbox,
            next: 0,
        })
    }

    fn connect(&self) -> Result<Value, Failure> {
        let mut connect = json!({
            "headers": true,
            "lang": "rust",
            "name": "enforcer",
            "no_responders": true,
            "pedantic": false,
            "protocol": 1,
            "tls_required": self.target.tls.is_some(),
            "verbose": false,
            "version": env!("CARGO_PKG_VERSION"),
        });
        match &self.target.auth {
            None => {}
            Some(NatsAuth::Token(file)) => {
                connect["auth_token"] = file.line().map_err(Failure::Held)?.into();
            }
            Some(NatsAuth::User(user, file)) => {
                connect["user"] = user.as_str().into();
                connect["pass"] = file.line().map_err(Failure::Held)?.into();
            }
        }
        Ok(connect)
    }

    fn error(&self, why: &str) -> Failure {
        let text = format!("{}: {why}", self.target.endpoint);
        let lower = why.to_lowercase();
        if lower.contains("auth") || lower.contains("permissions") {
            Failure::Held(text)
        } else {
            Failure::Broken(text)
        }
    }

    /// Publishes the batch, never with more than a window unanswered, and takes the answers down.
    fn exchange(
        &self,
        session: &mut Session,
        batch: &[Item],
        answers: &mut [Option<Answer>],
        stop: &Stop,
    ) -> Result<(), Failure> {
        let first = session.next;
        session.next += batch.len() as u64;
        let mut items = batch.iter().zip(first..).enumerate();
        let mut waiting = 0;
        loop {
            let mut bytes = Vec::new();
            while waiting < WINDOW
                && let Some((index, (item, number))) = items.next()
            {
                let headers = self.headers(item);
                let length = headers.len() + item.body.len();
                if length > session.max_payload {
                    let most = session.max_payload;
                    let why = format!("{length} bytes; the server takes {most}");
                    if let Some(slot) = answers.get_mut(index) {
                        *slot = Some(Answer::Refused(why));
                    }
                    continue;
                }
                let reply = format!("{}.{number}", session.inbox);
                let subject = &self.target.subject;
                wire::publish(&mut bytes, subject, &reply, &headers, &item.body);
                waiting += 1;
            }
            let until = Until::stopped(self.timeout, stop);
            session.stream.write_all(&bytes, &until)?;
            if waiting == 0 {
                return Ok(());
            }
            match session.wire.receive(&mut session.stream, &until)? {
                Incoming::Message {
                    subject,
                    status,
                    payload,
                } => {
                    let slot = subject
                        .strip_prefix(&session.inbox)
                        .and_then(|rest| rest.strip_prefix('.')?.parse::<u64>().ok())
                        .and_then(|number| usize::try_from(number.checked_sub(first)?).ok())
                        .and_then(|index| answers.get_mut(index))
                        .filter(|slot| slot.is_none());
                    if let Some(slot) = slot {
                        *slot = Some(self.answer(status, &payload));
                        waiting -= 1;
                    }
                }
                Incoming::Ping => session.stream.write_all(b"PONG\r\n", &until)?,
                Incoming::Error(why) => return Err(self.error(&why)),
                Incoming::Info(_) | Incoming::Pong => {}
            }
        }
    }

    fn headers(&self, item: &Item) -> String {
        let mut headers = format!("NATS/1.0\r\nNats-Msg-Id: {}\r\n", item.record.uid());
        if let Some(stream) = &self.target.stream {
            headers.push_str(&format!("Nats-Expected-Stream: {stream}\r\n"));
        }
        headers.push_str("\r\n");
        headers
    }

    /// What an acknowledgement says.
    fn answer(&self, status: Option<u16>, payload: &[u8]) -> Answer {
        let subject = &self.target.subject;
        if status == Some(503) {
            // Also while a server starts: tried again soon, and said in words.
            let why = format!("no stream of JetStream holds the subject `{subject}`");
            return Answer::Later(Failure::busy(why));
        }
        let ack: Value = serde_json::from_slice(payload).unwrap_or_default();
        let error = &ack["error"];
        if error.is_null() && ack["stream"].is_string() && ack["seq"].is_u64() {
            return Answer::Stored;
        }
        let said = error["description"]
            .as_str()
            .unwrap_or("no acknowledgement");
        match error["err_code"].as_u64() {
            Some(TOO_LARGE) => Answer::Refused(said.to_owned()),
            Some(OTHER_STREAM) => Answer::Later(Failure::Held(format!(
                "{said}: another stream than `stream` holds the subject `{subject}`"
            ))),
            _ => Answer::Later(Failure::busy(format!("JetStream: {said}"))),
        }
    }
}

impl Sink for Nats {
    fn deliver(&mut self, batch: &[Item], stop: &Stop) -> Outcome {
        let session = match self.session.take() {
            Some(session) => Ok(session),
            None => self.session(&Until::stopped(self.timeout, stop)),
        };
        let mut session = match session {
            Ok(session) => session,
            Err(failure) => return failure.into(),
        };
        let mut answers: Vec<Option<Answer>> = batch.iter().map(|_| None).collect();
        let result = self.exchange(&mut session, batch, &mut answers, stop);
        let mut outcome = Outcome::pending();
        for (index, answer) in answers.into_iter().enumerate() {
            match answer {
                None => break,
                Some(Answer::Stored) => {}
                Some(Answer::Refused(why)) => outcome.refused.push(Refusal::one(index, why)),
                Some(Answer::Later(failure)) => {
                    outcome.failure = Some(failure);
                    break;
                }
            }
            outcome.settled += 1;
        }
        match result {
            Err(failure) => outcome.failure = Some(failure),
            Ok(()) => self.session = Some(session),
        }
        outcome
    }

    fn confirm(&mut self, _last: bool, stop: &Stop) -> Outcome {
        // A server ends connections whose client does not answer its questions.
        if let Some(session) = &mut self.session {
            let until = Until::stopped(self.timeout, stop);
            if session
                .wire
                .answer_pings(&mut session.stream, &until)
                .is_err()
            {
                // Nothing is under way: the next batch connects again.
                self.session = None;
            }
        }
        Outcome::pending()
    }

    fn connected(&self) -> bool {
        self.session.is_some()
    }
}

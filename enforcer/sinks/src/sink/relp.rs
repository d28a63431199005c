//! RELP: syslog messages of which each is acknowledged by its number.
//!
//! A frame is `TXNR SP COMMAND SP DATALEN [SP DATA] LF`; `open` offers what the client speaks,
//! `syslog` carries a message, `close` ends. The server answers each with `rsp` under the same
//! number, whose data begin with a code: 200 when it has taken the message. (Specification: the
//! text `relp.html` of librelp.)

mod frame;

use std::{collections::HashMap, time::Duration};

use super::{Failure, Item, Outcome, Refusal, Sink, connection, rfc5424};
use crate::{
    config::RelpTarget,
    net::stream::Stream,
    stop::{Stop, Until},
};
use frame::{Frame, Frames};

/// Greatest number of a frame; the next one is 1.
const LAST_NUMBER: u32 = 999_999_999;
/// What `open` says of this client.
const OFFERS: &[u8] = b"relp_version=0\nrelp_software=enforcer\ncommands=syslog";
/// A server that answers a message with an error does not say whether that is for ever: it is asked
/// so often.
const TRIES: u32 = 3;

pub(super) struct Relp {
    target: RelpTarget,
    timeout: Duration,
    session: Option<Session>,
    /// The record that the server answered with an error last, and how often.
    doubted: Option<(String, u32)>,
}

struct Session {
    stream: Stream,
    frames: Frames,
    number: u32,
}

impl Relp {
    pub fn new(target: RelpTarget, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            session: None,
            doubted: None,
        }
    }

    fn session(&self, until: &Until) -> Result<Session, Failure> {
        let stream = connection::open(&self.target.endpoint, self.target.tls.as_ref(), until)?;
        let mut session = Session {
            stream,
            frames: Frames::default(),
            number: 0,
        };
        let mut bytes = Vec::new();
        let number = session.push(&mut bytes, "open", OFFERS);
        session.stream.write_all(&bytes, until)?;
        let answer = session.answer(until)?;
        let endpoint = &self.target.endpoint;
        if answer.number != number || answer.code() != Some(200) {
            let said = answer.shown();
            return Err(Failure::Held(format!(
                "{endpoint}: the server does not open a session: {said}"
            )));
        }
        let speaks_syslog = answer.text().lines().any(|line| {
            line.strip_prefix("commands=")
                .is_some_and(|commands| commands.split(',').any(|command| command == "syslog"))
        });
        if !speaks_syslog {
            return Err(Failure::Held(format!(
                "{endpoint}: the server takes no syslog messages"
            )));
        }
        Ok(session)
    }

    /// An error for a record: the answer is asked for some times more before it counts.
    fn doubt(&mut self, item: &Item, why: &str) -> Option<Failure> {
        let uid = item.record.uid();
        let tries = match self.doubted.take() {
            Some((doubted, tries)) if doubted == uid => tries + 1,
            _ => 1,
        };
        if tries >= TRIES {
            return None;
        }
        self.doubted = Some((uid.to_owned(), tries));
        Some(Failure::busy(why))
    }
}

impl Sink for Relp {
    fn deliver(&mut self, batch: &[Item], stop: &Stop) -> Outcome {
        let session = match self.session.take() {
            Some(session) => Ok(session),
            None => self.session(&Until::stopped(self.timeout, stop)),
        };
        let mut session = match session {
            Ok(session) => session,
            Err(failure) => return failure.into(),
        };
        let mut answers = vec![None; batch.len()];
        let result = session.exchange(&self.target, self.timeout, batch, &mut answers, stop);
        let mut outcome = Outcome::pending();
        for (index, (item, answer)) in batch.iter().zip(answers).enumerate() {
            match answer {
                None => break,
                Some(Ok(())) => {}
                Some(Err(said)) => {
                    let why = format!("{}: {said}", self.target.endpoint);
                    if let Some(failure) = self.doubt(item, &why) {
                        outcome.failure = Some(failure);
                        break;
                    }
                    outcome.refused.push(Refusal::one(index, why));
                }
            }
            outcome.settled += 1;
        }
        match result {
            Err(failure) => outcome.failure = Some(failure),
            // With a doubt, records after it may be there already: they come again with it.
            Ok(()) => self.session = Some(session),
        }
        outcome
    }

    fn confirm(&mut self, last: bool, stop: &Stop) -> Outcome {
        let _ = stop;
        if last && let Some(session) = self.session.take() {
            session.close(&Until::regardless(self.timeout.min(Duration::from_secs(2))));
        } else if let Some(session) = &mut self.session
            // Between two batches a server has nothing to say but that it ends the session.
            && !matches!(session.stream.poll(&mut [0; 256]), Ok(None))
        {
            self.session = None;
        }
        Outcome::pending()
    }

    fn connected(&self) -> bool {
        self.session.is_some()
    }
}

impl Session {
    /// Adds a frame; gives its number.
    fn push(&mut self, bytes: &mut Vec<u8>, command: &str, data: &[u8]) -> u32 {
        self.number = self.number % LAST_NUMBER + 1;
        frame::write(bytes, self.number, command, data);
        self.number
    }

    /// The next answer.
    fn answer(&mut self, until: &Until) -> Result<Frame, Failure> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(frame) = self.frames.next().map_err(Failure::Broken)? {
                return Ok(frame);
            }
            let count = self.stream.read(&mut buffer, until)?;
            if count == 0 {
                return Err(self.stream.closed());
            }
            self.frames.push(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Sends the batch, never with more than a window unanswered, and takes the answers down. The
    /// time starts anew with each answer.
    fn exchange(
        &mut self,
        target: &RelpTarget,
        timeout: Duration,
        batch: &[Item],
        answers: &mut [Option<Result<(), String>>],
        stop: &Stop,
    ) -> Result<(), Failure> {
        let mut waiting: HashMap<u32, usize> = HashMap::new();
        let mut items = batch.iter().enumerate();
        loop {
            let mut bytes = Vec::new();
            while waiting.len() < target.window
                && let Some((index, item)) = items.next()
            {
                let mut message = Vec::with_capacity(item.body.len() + 256);
                rfc5424::message(&mut message, &target.header, item);
                waiting.insert(self.push(&mut bytes, "syslog", &message), index);
            }
            self.stream
                .write_all(&bytes, &Until::stopped(timeout, stop))?;
            if waiting.is_empty() {
                return Ok(());
            }
            let answer = self.answer(&Until::stopped(timeout, stop))?;
            if answer.is_server_close() {
                return Err(self.stream.closed());
            }
            let slot = waiting
                .remove(&answer.number)
                .and_then(|index| answers.get_mut(index));
            let Some(slot) = slot else {
                let number = answer.number;
                let why = format!("an answer to frame {number}, which waits for none");
                return Err(Failure::Broken(why));
            };
            *slot = Some(match answer.code() {
                Some(200) => Ok(()),
                Some(_) => Err(answer.shown()),
                None => return Err(Failure::Broken("an answer without a code".to_owned())),
            });
        }
    }

    /// Ends the session in order. Everything is acknowledged already: what goes wrong now matters to
    /// nobody.
    fn close(mut self, until: &Until) {
        let mut bytes = Vec::new();
        self.push(&mut bytes, "close", b"");
        if self.stream.write_all(&bytes, until).is_ok() {
            let _ = self.answer(until);
        }
    }
}

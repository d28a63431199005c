//! Syslog over TCP and TLS (RFC 6587 octet counting, RFC 5425): a protocol without acknowledgement.
//!
//! What a receiver has read can still be known: it ends its side of a connection after it has read
//! the end of ours, which comes after the last record. So every some records or seconds the
//! connection is ended in order, and what was sent by it is settled when the receiver has done the
//! same. Until then all of it is in the window, and is sent again when the connection breaks.
//! It proves that the receiver's program has read the records, not what it did with them.

use std::time::{Duration, Instant};

use super::{Failure, Item, Outcome, Sink, connection, rfc5424};
use crate::{
    config::{Confirm, SyslogTarget},
    net::stream::Stream,
    stop::{Stop, Until},
};

pub(super) struct Syslog {
    target: SyslogTarget,
    timeout: Duration,
    stream: Option<Stream>,
    /// Records sent by `stream` and not settled, and since when there are any.
    unconfirmed: usize,
    since: Instant,
}

impl Syslog {
    pub fn new(target: SyslogTarget, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            stream: None,
            unconfirmed: 0,
            since: Instant::now(),
        }
    }

    fn send(&mut self, batch: &[Item], stop: &Stop) -> Result<(), Failure> {
        let until = Until::stopped(self.timeout, stop);
        let mut stream = match self.stream.take() {
            Some(mut stream) => {
                // What a receiver says by itself means nothing in this protocol; that it has gone
                // does.
                while stream.poll(&mut [0; 4_096])?.is_some() {}
                stream
            }
            None => connection::open(&self.target.endpoint, self.target.tls.as_ref(), &until)?,
        };
        let mut bytes = Vec::new();
        for item in batch {
            rfc5424::frame(&mut bytes, &self.target.header, item);
        }
        stream.write_all(&bytes, &until)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Ends the connection; all that was sent by it is then settled.
    fn finish(&mut self, until: &Until) -> Outcome {
        let Some(stream) = self.stream.take() else {
            return Outcome::pending();
        };
        let unconfirmed = std::mem::take(&mut self.unconfirmed);
        match stream.finish(self.target.confirm == Confirm::Close, until) {
            Ok(()) => Outcome::all(unconfirmed),
            Err(failure) => failure.into(),
        }
    }

    fn is_due(&self) -> bool {
        self.unconfirmed > 0
            && (self.unconfirmed >= self.target.confirm_records
                || self.since.elapsed() >= self.target.confirm_after)
    }
}

impl Sink for Syslog {
    fn deliver(&mut self, batch: &[Item], stop: &Stop) -> Outcome {
        if let Err(failure) = self.send(batch, stop) {
            self.stream = None;
            self.unconfirmed = 0;
            return failure.into();
        }
        if self.target.confirm == Confirm::Write {
            return Outcome::all(batch.len());
        }
        if self.unconfirmed == 0 {
            self.since = Instant::now();
        }
        self.unconfirmed += batch.len();
        if self.is_due() {
            self.finish(&Until::stopped(self.timeout, stop))
        } else {
            Outcome::pending()
        }
    }

    fn confirm(&mut self, last: bool, stop: &Stop) -> Outcome {
        if last && self.unconfirmed > 0 {
            self.finish(&Until::regardless(self.timeout))
        } else if self.is_due() {
            self.finish(&Until::stopped(self.timeout, stop))
        } else {
            Outcome::pending()
        }
    }

    fn connected(&self) -> bool {
        // Between two connections nothing is wrong: the last one was ended in order.
        true
    }
}

//! The protocols. Each one hands records over and says which of them the receiver has acknowledged.
//!
//! A sink is given batches in the log's order. The records that it was given and has not yet called
//! settled are its *window*, oldest first. A failure empties the window: the worker goes back to its
//! cursor and gives the same records again. So a sink keeps no record, and cannot lose one.

mod connection;
mod elastic;
mod file;
mod hec;
mod journald;
mod nats;
mod otlp;
mod relp;
mod rfc5424;
mod syslog;

use std::time::Duration;

use crate::{
    config::{SinkConfig, Target},
    record::Record,
    stop::Stop,
};

/// A record with the form that it is sent in.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub record: Record,
    /// One line of UTF-8.
    pub body: Vec<u8>,
}

/// What came of handing over.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Records of the window, from the oldest, of which the receiver needs no more: acknowledged, or
    /// among `refused`.
    pub settled: usize,
    /// Which of those the receiver will never take.
    pub refused: Vec<Refusal>,
    /// Why the rest of the window must be handed over again.
    pub failure: Option<Failure>,
}

/// Records that the receiver will never take.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Place in the window of the first.
    pub index: usize,
    /// How many from there on; more than one when the receiver does not say which of them.
    pub among: usize,
    /// How many of these it refused.
    pub count: usize,
    /// What it said.
    pub why: String,
}

impl Refusal {
    /// One record, known.
    pub const fn one(index: usize, why: String) -> Self {
        Self {
            index,
            among: 1,
            count: 1,
            why,
        }
    }
}

/// Why records could not be handed over.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The receiver is away, or went away.
    Broken(String),
    /// The receiver is there and cannot take records now.
    Busy {
        why: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Somebody must act before this can work.
    Held(String),
    /// The receiver refuses this batch for what is in it.
    Rejected(String),
    /// It was given up because the shipper is to stop.
    Stopped,
}

impl Failure {
    pub fn busy(why: impl Into<String>) -> Self {
        Self::Busy {
            why: why.into(),
            retry_after: None,
        }
    }
}

impl Outcome {
    /// All of the window is acknowledged.
    pub const fn all(settled: usize) -> Self {
        Self {
            settled,
            refused: Vec::new(),
            failure: None,
        }
    }

    /// Nothing is settled yet, and nothing is wrong.
    pub const fn pending() -> Self {
        Self::all(0)
    }

    /// This many are settled; the rest failed.
    pub const fn failed(settled: usize, failure: Failure) -> Self {
        Self {
            settled,
            refused: Vec::new(),
            failure: Some(failure),
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::failed(0, failure)
    }
}

/// A receiver.
pub(crate) trait Sink: Send {
    /// Hands a batch over; it is never empty.
    fn deliver(&mut self, batch: &[Item], stop: &Stop) -> Outcome;

    /// Called when nothing is to be sent, and with `last` before the end: a protocol that settles
    /// later than it sends does so now.
    fn confirm(&mut self, last: bool, stop: &Stop) -> Outcome {
        let _ = (last, stop);
        Outcome::pending()
    }

    /// Whether there is a connection, or the last request was answered.
    fn connected(&self) -> bool;
}

/// The sink that a configuration describes. Nothing is opened yet.
pub(crate) fn open(config: &SinkConfig) -> Box<dyn Sink> {
    match &config.target {
        Target::File(target) => Box::new(file::File::new(target.clone(), config.batch)),
        Target::Journald(target) => {
            Box::new(journald::Journald::new(target.clone(), config.timeout))
        }
        Target::Syslog(target) => Box::new(syslog::Syslog::new(target.clone(), config.timeout)),
        Target::Relp(target) => Box::new(relp::Relp::new(target.clone(), config.timeout)),
        Target::Otlp(target) => Box::new(otlp::Otlp::new(target.clone(), config.timeout)),
        Target::Hec(target) => Box::new(hec::Hec::new(target.clone(), config.timeout)),
        Target::Elastic(target) => Box::new(elastic::Elastic::new(target.clone(), config.timeout)),
        Target::Nats(target) => Box::new(nats::Nats::new(target.clone(), config.timeout)),
    }
}

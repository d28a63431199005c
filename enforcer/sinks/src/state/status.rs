//! What `status` shows of the shipper: data that others read from `status.json`.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{read_small, replace};
use crate::spool::{Backlog, Cursor};

/// Name of the file in the shipper's folder.
const FILE: &str = "status.json";

/// The shipper as it was when it last wrote this down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// When, milliseconds since 1970. Older than some seconds: the shipper does not run.
    pub written_ms: i64,
    /// Its process.
    pub pid: u32,
    /// Its sinks, in the order of the configuration.
    pub sinks: Vec<SinkStatus>,
}

/// What a sink is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing was sent yet.
    #[default]
    Starting,
    /// Records are sent as they come.
    Shipping,
    /// The receiver is away or busy: tried again soon.
    Waiting,
    /// Somebody must act (a refused secret, a wrong certificate or address, a receiver that refuses
    /// everything): tried again slowly.
    Attention,
    /// Its worker has ended.
    Stopped,
}

/// One sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its type: `syslog`, `relp`...
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it sends to.
    pub endpoint: String,
    /// What it is at.
    pub phase: Phase,
    /// Whether it has a connection, or its last request was answered.
    pub connected: bool,
    /// What went wrong last, also when it is over.
    pub last_error: Option<LastError>,
    /// When it is tried again, milliseconds since 1970, while it waits.
    pub retry_at_ms: Option<i64>,
    /// The place in the log after what is acknowledged.
    pub cursor: Cursor,
    /// What the log holds after that place, where the log can tell.
    pub backlog: Option<Backlog>,
    /// The last record that the receiver acknowledged.
    pub last_acked: Option<LastAcked>,
    /// Records handed to the protocol since the shipper's start, repetitions included.
    pub sent: u64,
    /// Records acknowledged.
    pub acked: u64,
    /// Records that had to be sent again.
    pub retried: u64,
    /// Records refused for ever: by the receiver, or because they have no form that it takes.
    pub refused: u64,
    /// Records that the filter kept back.
    pub filtered: u64,
    /// What of the log was passed over, being no record.
    pub faults: u64,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What, and what to do where that is known.
    pub text: String,
}

/// A record that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAcked {
    /// Its `metadata.uid`.
    pub uid: String,
    /// When it was acknowledged, milliseconds since 1970.
    pub at_ms: i64,
}

/// Where a worker keeps its status for others to see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<Mutex<SinkStatus>>);

impl Board {
    pub fn new(status: SinkStatus) -> Self {
        Self(Arc::new(Mutex::new(status)))
    }

    pub fn change(&self, change: impl FnOnce(&mut SinkStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn read(&self) -> SinkStatus {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Writes the status down, readable by everybody. Not made durable: it is of now.
pub(crate) fn write_status(state: &Path, sinks: Vec<SinkStatus>) -> io::Result<()> {
    let status = Status {
        written_ms: now_ms(),
        pid: std::process::id(),
        sinks,
    };
    let mut bytes = serde_json::to_vec_pretty(&status)?;
    bytes.push(b'\n');
    replace(&state.join(FILE), &bytes, 0o644, false)
}

/// What the shipper with this folder wrote last; `None` when none has.
///
/// # Errors
/// When the file cannot be read or is no status.
pub fn read_status(state: &Path) -> io::Result<Option<Status>> {
    match read_small(&state.join(FILE)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

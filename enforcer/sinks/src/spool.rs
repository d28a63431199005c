//! Where records come from.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::record::Record;

/// A place in the log, between two lines: as the log's reader has it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Cursor {
    /// Number of the segment.
    pub segment: u64,
    /// Offset in it, in bytes.
    pub offset: u64,
}

/// How much one read may give: at most so many records, and no further record once the lines
/// together have so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Records, at least 1.
    pub records: usize,
    /// Bytes of lines. A single record may have more.
    pub bytes: usize,
}

/// What one read gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// The records, in the log's order.
    pub records: Vec<Record>,
    /// The place that was read up to: at or after the last record's. What lies between is no record.
    pub end: Cursor,
    /// What was passed over and why (a line that is none, a segment that is gone). Each is told to
    /// the [`Event`](crate::Event) callback and counted.
    pub faults: Vec<String>,
}

/// What is still to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Records, where that can be told without reading them.
    pub records: Option<u64>,
    /// Bytes of lines.
    pub bytes: u64,
}

/// The log cannot be read now. The worker tries again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SpoolError(pub String);

/// Reads the log on from a cursor. Each sink has one of its own.
pub trait Spool: Send {
    /// What follows `after`, within `limit`. Waits for something to come, at most for `wait`, and
    /// then gives a chunk without records whose `end` is `after`.
    ///
    /// The same cursor gives the same records again as long as the log holds them: a worker goes
    /// back to its last acknowledged record after a failure.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn read(&mut self, after: Cursor, limit: Limit, wait: Duration) -> Result<Chunk, SpoolError>;

    /// What lies after `after`, if that is cheap to tell.
    fn backlog(&mut self, after: Cursor) -> Option<Backlog>;
}

/// A spool in memory, for tests. Its clones share their records.
#[derive(Clone, Debug, Default)]
pub struct MemorySpool(Arc<(Mutex<Vec<Record>>, Condvar)>);

impl MemorySpool {
    /// Adds records, which must be in the order of their cursors.
    pub fn append(&self, records: impl IntoIterator<Item = Record>) {
        let (held, grown) = &*self.0;
        held.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(records);
        grown.notify_all();
    }
}

impl Spool for MemorySpool {
    fn read(&mut self, after: Cursor, limit: Limit, wait: Duration) -> Result<Chunk, SpoolError> {
        let (held, grown) = &*self.0;
        let deadline = Instant::now() + wait;
        let mut records = held.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let from = records.partition_point(|record| record.after() <= after);
            let mut bytes = 0;
            let found: Vec<Record> = records
                .iter()
                .skip(from)
                .take(limit.records)
                .take_while(|record| {
                    let fits = bytes < limit.bytes;
                    bytes += record.line().len();
                    fits
                })
                .cloned()
                .collect();
            let left = deadline.saturating_duration_since(Instant::now());
            if !found.is_empty() || left.is_zero() {
                let end = found.last().map_or(after, Record::after);
                return Ok(Chunk {
                    records: found,
                    end,
                    faults: Vec::new(),
                });
            }
            let waited = grown.wait_timeout(records, left);
            (records, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn backlog(&mut self, after: Cursor) -> Option<Backlog> {
        let records = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = records.partition_point(|record| record.after() <= after);
        let rest = records.get(from..).unwrap_or_default();
        Some(Backlog {
            records: Some(rest.len() as u64),
            bytes: rest
                .iter()
                .map(|record| record.line().len() as u64 + 1)
                .sum(),
        })
    }
}

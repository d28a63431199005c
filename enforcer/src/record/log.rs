//! The log's one writer: batches of records to append-only segments, chained, signed, and durable when
//! `append` returns.
//!
//! ```text
//! batch -> (next segment when full) -> linked lines -> one write -> one fdatasync -> Ok
//!                                                       any failure: back to the last durable line,
//!                                                       the batch stays the caller's
//!       -> at most once a second: a signed note over all of it replaces the file `head`
//! ```
//!
//! What is chained and signed, and in which order it becomes durable, is in docs/evidence.md. A new epoch
//! is opened by the first batch after a start, so that a log that cannot be written at that moment keeps
//! no daemon from starting: events wait in the kernel then.
#![forbid(unsafe_code)]

mod keeper;
mod retention;
pub mod segment;
mod segments;

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use enforcer_evidence::{
    Sealer,
    note::NoteError,
    payload::{Payload, SegmentRemoval},
    seal::{Committed, Found, PushError, Resume, ResumeError, Schedule, Start},
};
use serde_json::Value;

use self::{keeper::Keeper, segments::Segments};
pub use self::{
    keeper::{EPOCHS, HEAD, read as read_beside},
    retention::{Keep, first_record, opening},
    segment::Torn,
};
use super::ocsf::{self, Host};
use crate::clock;

/// Bytes at which the next segment is begun unless told otherwise.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes of a record, until some were written.
const USUAL_BYTES: u64 = 1500;

/// The log, open for writing. While it lives no other process can open it for writing.
#[derive(Debug)]
pub struct Log {
    files: Segments,
    keeper: Keeper,
    sealer: Sealer,
    schedule: Schedule,
    host: Host,
    segment_bytes: u64,
    /// Bytes of a record of the last batch, on average: how large the next one will be is known only when
    /// it is linked, and then it is in its segment.
    usual_bytes: u64,
    /// Records for the first batch of the epoch that waits to begin.
    waiting: Vec<Value>,
    /// The note of the epoch that waits to end, once it stands among the others.
    noted: Option<String>,
    /// A segment that is on record as removed.
    going: Option<u64>,
}

/// What was found when the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// A torn last line, set aside. Its record is in the first batch.
    pub torn: Option<Torn>,
    /// What the chain says of the end.
    pub found: Found,
    /// The verifier key of a log that begins now, to be kept off the host.
    pub first_key: Option<String>,
}

/// Why the log cannot be opened or written. Nothing of the batch was kept.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory is not there and cannot be made, or cannot be read.
    #[error("log directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something else where the directory should be.
    #[error("log directory {path} is not a directory")]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Others than the owner can write to the directory: they could take records away.
    #[error("log directory {path} can be written by others (mode {mode:03o}, expected 700)")]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process is writing the log.
    #[error("log directory {path} is being written by another process")]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// A segment cannot be made, opened, written or synced.
    #[error("cannot {doing} log segment {path}: {source}")]
    Segment {
        /// What was being done.
        doing: &'static str,
        /// The segment.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One of the small files beside the segments cannot be read or replaced.
    #[error("the log's keys and signatures in {path}: {source}")]
    Keeping {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log's end cannot be gone on with.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The name of the log cannot be that of a key.
    #[error("the log's origin: {0}")]
    Origin(#[from] NoteError),
    /// No random numbers for a key.
    #[error("no random numbers for a key: {0}")]
    Random(#[source] io::Error),
    /// One record of the batch cannot stand in the log.
    #[error("record {index} of the batch: {source}")]
    Record {
        /// Its place in the batch.
        index: usize,
        /// Why.
        source: PushError,
    },
    /// A record of the log about itself cannot stand in it.
    #[error("the log's own record: {0}")]
    Own(#[source] PushError),
}

impl Log {
    /// Opens the log in `directory`, which is made when it is not there, and goes on where the last
    /// writer stopped. Its own records name `host`.
    ///
    /// # Errors
    /// When the directory or the last segment cannot be used or gone on with, or another process has the
    /// log open.
    pub fn open(
        directory: &Path,
        host: &Host,
        segment_bytes: u64,
    ) -> Result<(Self, Opening), LogError> {
        let (files, torn) = Segments::open(directory)?;
        let keeper = Keeper::new(directory, files.mode());
        let kept = |source| LogError::Keeping {
            path: directory.to_owned(),
            source,
        };
        let mut resume = Resume::default();
        for (number, path) in files.last_two()? {
            let file = File::open(&path).map_err(|source| LogError::Segment {
                doing: "read",
                path,
                source,
            })?;
            resume.segment(number, BufReader::with_capacity(1 << 20, file))?;
        }
        let (sealer, found) = Sealer::start(Start {
            origin: &origin(host),
            resumed: resume.finish(),
            keys: keeper.keys().map_err(kept)?,
            head: read_beside(directory, HEAD).map_err(kept)?,
            random: &random()?,
        })?;
        let first_key = (sealer.size() == 0).then(|| sealer.epoch().1);
        let waiting = torn
            .iter()
            .map(|torn| ocsf::torn(host, clock::boot_ns(), torn))
            .collect();
        let log = Self {
            schedule: Schedule::new(now(), sealer.size()),
            files,
            keeper,
            sealer,
            host: host.clone(),
            segment_bytes,
            usual_bytes: USUAL_BYTES,
            waiting,
            noted: None,
            going: None,
        };
        let opening = Opening {
            torn,
            found,
            first_key,
        };
        Ok((log, opening))
    }

    /// Appends a batch: all of it is durable, or none of it counts. An empty one does what is due:
    /// signatures, checkpoints, an epoch's end.
    ///
    /// # Errors
    /// When a record cannot stand in the log, or the batch cannot be written and synced. The batch is
    /// still the caller's, who may try it again.
    pub fn append(&mut self, batch: &[Value]) -> Result<(), LogError> {
        self.files.repair()?;
        match self.keeper.settle() {
            Ok(()) if self.schedule.epoch_due(now()) => self.sealer.begin_epoch(&random()?)?,
            Ok(()) => {}
            // The next epoch's key would take the place of the one that signs.
            Err(error) => {
                tracing::error!(%error, "the former key of the log is not destroyed yet");
            }
        }
        if self.sealer.pending_key().is_some() {
            self.change_epoch()?;
        }
        if !batch.is_empty() || self.is_checkpoint_due() {
            self.write(batch)?;
        }
        // The batch is durable, whatever becomes of its signature: that is tried again.
        if self.schedule.head_due(now(), self.sealer.size())
            && let Err(error) = self.publish()
        {
            tracing::error!(%error, "the log cannot be signed at the moment");
        }
        Ok(())
    }

    /// Signs all of it, with a checkpoint among the records. Nothing may follow.
    ///
    /// # Errors
    /// As [`Log::append`]. What was appended is durable all the same.
    pub fn close(mut self) -> Result<(), LogError> {
        self.append(&[])?;
        self.publish()?;
        self.write_with(true, &[])?;
        self.publish()
    }

    /// Removes the oldest segment, if it may go, once it is on record that it does; gives its number.
    /// Segments from `unread` on stay, for somebody has yet to read them.
    ///
    /// # Errors
    /// When the segments cannot be looked at, the record cannot be written, or the file cannot be removed.
    pub fn retain(&mut self, keep: Keep, unread: Option<u64>) -> Result<Option<u64>, LogError> {
        let directory = self.files.directory().to_owned();
        let failed = |source| LogError::Directory {
            path: directory.clone(),
            source,
        };
        let segments = segment::list(&directory).map_err(failed)?;
        let oldest = retention::oldest(&segments, keep, unread, SystemTime::now());
        let Some((number, path)) = oldest.map_err(failed)? else {
            return Ok(None);
        };
        let removal = segments.values().nth(1).map(|next| {
            let (first, next) = (opening(&path)?, opening(next)?);
            SegmentRemoval::new(&first, &next)
                .ok_or_else(|| io::Error::other("the segment behind the oldest is another's"))
        });
        let Some(removal) = removal.transpose().map_err(failed)? else {
            return Ok(None);
        };
        if self.going != Some(number) {
            let record = self.own(&Payload::Removed(removal));
            self.append(&[record])?;
            self.going = Some(number);
        }
        fs::remove_file(&path).map_err(|source| LogError::Segment {
            doing: "remove",
            path,
            source,
        })?;
        Ok(Some(number))
    }

    /// The segment that is written to.
    #[must_use]
    pub fn segment(&self) -> &Path {
        self.files.current()
    }

    /// The steps by which a prepared epoch comes into force. Each can fail and is done again then.
    fn change_epoch(&mut self) -> Result<(), LogError> {
        if let Some(key) = self.sealer.pending_key() {
            let stored = self.keeper.store_next_key(&key);
            stored.map_err(|source| self.kept(source))?;
        }
        if self.sealer.head().is_none() || self.sealer.epoch_opening().is_err() {
            self.publish()?;
        }
        let mut records = Vec::new();
        if let Ok(Some(opening)) = self.sealer.epoch_opening() {
            if self.noted.as_ref() != Some(&opening.transition) {
                let added = self.keeper.add_epoch(&opening.transition);
                added.map_err(|source| self.kept(source))?;
                self.noted = Some(opening.transition.clone());
            }
            records.push(self.own(&Payload::Epoch(opening)));
        }
        records.extend(self.waiting.iter().cloned());
        // None of them is the caller's.
        let written = self.write(&records).map_err(|error| {
            if let LogError::Record { source, .. } = error {
                LogError::Own(source)
            } else {
                error
            }
        });
        if written?.epoch_begun {
            self.waiting.clear();
            self.schedule.note_epoch(now());
            if let Err(error) = self.keeper.change_key() {
                tracing::error!(%error, "the former key of the log is not destroyed yet");
            }
        }
        Ok(())
    }

    fn write(&mut self, batch: &[Value]) -> Result<Committed, LogError> {
        self.write_with(self.is_checkpoint_due(), batch)
    }

    /// Writes the records that the log needs of its own, and the batch behind them.
    fn write_with(&mut self, checkpoint: bool, batch: &[Value]) -> Result<Committed, LogError> {
        self.rotate(batch.len() as u64)?;
        let mut own = Vec::new();
        if self.sealer.needs_opening() {
            if self.sealer.opening().is_err() {
                self.publish()?;
            }
            if let Ok(opening) = self.sealer.opening() {
                own.push(self.own(&Payload::Segment(opening)));
            }
        } else if checkpoint && self.sealer.pending_key().is_none() {
            if !self.is_signed() {
                self.publish()?;
            }
            if let Some(checkpoint) = self.sealer.checkpoint() {
                own.push(self.own(&Payload::Checkpoint(checkpoint)));
            }
        }
        let is_checkpointed = !own.is_empty();
        let mut linked = self.sealer.begin();
        for record in &own {
            linked.push(record).map_err(LogError::Own)?;
        }
        for (index, record) in batch.iter().enumerate() {
            linked
                .push(record)
                .map_err(|source| LogError::Record { index, source })?;
        }
        let bytes = linked.lines().len() as u64;
        self.files.write(linked.lines())?;
        let committed = linked.commit();
        let count = (own.len() + batch.len()) as u64;
        self.usual_bytes = bytes.checked_div(count).unwrap_or(self.usual_bytes);
        if is_checkpointed {
            self.schedule.note_record(now(), committed.size);
        }
        Ok(committed)
    }

    /// Begins the next segment where this one would grow too large, or is no longer the file that was
    /// written.
    fn rotate(&mut self, records: u64) -> Result<(), LogError> {
        let durable = self.files.durable();
        let grown = durable.saturating_add(records.saturating_mul(self.usual_bytes));
        let is_full = durable > 0 && grown > self.segment_bytes;
        let is_untouched = self.files.is_untouched();
        if self.sealer.needs_opening() {
            return if is_untouched {
                Ok(())
            } else {
                self.files.renew()
            };
        }
        if is_full || !is_untouched {
            self.files.next()?;
            self.sealer.next_segment();
        }
        Ok(())
    }

    /// Signs what is durable, and has the note stand in `head`.
    fn publish(&mut self) -> Result<(), LogError> {
        let time_ns = self.time_ns();
        let head = self.sealer.sign(self.host.wall_ms(time_ns));
        let stored = self.keeper.store_head(&head.note);
        stored.map_err(|source| self.kept(source))?;
        self.schedule.note_head(now(), head.size);
        self.sealer.published(head);
        Ok(())
    }

    fn is_signed(&self) -> bool {
        let head = self.sealer.head();
        head.is_some_and(|head| head.size == self.sealer.size())
    }

    fn is_checkpoint_due(&self) -> bool {
        self.schedule.record_due(now(), self.sealer.size())
    }

    /// The record of the log about itself.
    fn own(&mut self, payload: &Payload) -> Value {
        let time_ns = self.time_ns();
        ocsf::log(&self.host, time_ns, payload)
    }

    /// Now, in `CLOCK_BOOTTIME`; what it is by the wall clock is looked up anew, for that may have been set.
    fn time_ns(&mut self) -> u64 {
        self.host.boot_to_wall_ns = clock::boot_to_wall_ns();
        clock::boot_ns()
    }

    fn kept(&self, source: io::Error) -> LogError {
        LogError::Keeping {
            path: self.files.directory().to_owned(),
            source,
        }
    }
}

/// Which log: by the host's machine id, which outlives its name.
fn origin(host: &Host) -> String {
    let id = host.machine_id.as_deref().unwrap_or("no-machine-id");
    format!("enforcer/{id}")
}

fn now() -> Duration {
    Duration::from_nanos(clock::boot_ns())
}

fn random() -> Result<[u8; 32], LogError> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| LogError::Random(error.into()))?;
    Ok(bytes)
}

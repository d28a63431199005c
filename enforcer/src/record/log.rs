//! The log's one writer: batches of records to append-only segments, durable when `append` returns.
//!
//! ```text
//! batch -> canonical lines -> (next segment when full) -> one write -> one fdatasync -> Ok
//!                                                          any failure: back to the last durable
//!                                                          line, the batch stays the caller's
//! ```
//!
//! A failed batch leaves nothing behind that counts: what of it reached the file is cut off, at
//! once or, when the file system cannot even do that, before the next batch. After a failed
//! `fdatasync` the pages may have been dropped and marked clean, so that its data is written anew.
//!
//! Segments are named `enforcer-TIME-NUMBER.jsonl`; the number alone gives the order, and it is
//! never used twice, so that a clock that was set back does no harm ([`segment`]).
#![forbid(unsafe_code)]

pub mod segment;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::canonical::{self, CanonicalError};
pub use segment::Torn;

/// Bytes at which the next segment is begun unless told otherwise.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// The log, open for writing. While it lives no other process can open it for writing.
#[derive(Debug)]
pub struct Log {
    directory: PathBuf,
    /// Holds the lock on the directory, and makes new names durable.
    handle: File,
    segment_bytes: u64,
    current: Current,
    lines: Vec<u8>,
}

/// The segment that is written to.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: File,
    number: u64,
    /// Bytes that are durable. The file may be longer only while `dirty`.
    durable: u64,
    /// Whether bytes of a failed batch may still be behind the durable ones.
    dirty: bool,
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
    /// One record of the batch has no canonical form.
    #[error("record {index} of the batch: {source}")]
    Record {
        /// Its place in the batch.
        index: usize,
        /// Why.
        source: CanonicalError,
    },
}

impl Log {
    /// Opens the log in `directory`, which is made when it is not there, and goes on where the last
    /// writer stopped. A torn last line is moved aside and told: the caller records it.
    ///
    /// # Errors
    /// When the directory or the last segment cannot be used, or another process has the log open.
    pub fn open(directory: &Path, segment_bytes: u64) -> Result<(Self, Option<Torn>), LogError> {
        make_directory(directory)?;
        let handle = lock(directory)?;
        let (current, torn) = match last_segment(directory)? {
            Some(last) => Current::resume(last)?,
            None => (Current::create(directory, &handle, 1)?, None),
        };
        let log = Self {
            directory: directory.to_owned(),
            handle,
            segment_bytes,
            current,
            lines: Vec::new(),
        };
        Ok((log, torn))
    }

    /// Appends a batch: all of it is durable, or none of it counts.
    ///
    /// # Errors
    /// When a record has no canonical form, or the batch cannot be written and synced. The batch is
    /// still the caller's, who may try it again.
    pub fn append(&mut self, batch: &[Value]) -> Result<(), LogError> {
        self.encode(batch)?;
        self.current.repair()?;
        if self.must_rotate() {
            self.current = Current::create(&self.directory, &self.handle, self.current.number + 1)?;
        }
        self.current.write(&self.lines)
    }

    /// The segment that is written to.
    #[must_use]
    pub fn segment(&self) -> &Path {
        &self.current.path
    }

    fn encode(&mut self, batch: &[Value]) -> Result<(), LogError> {
        self.lines.clear();
        for (index, record) in batch.iter().enumerate() {
            canonical::append_line(&mut self.lines, record)
                .map_err(|source| LogError::Record { index, source })?;
        }
        Ok(())
    }

    /// Whether the batch goes to a new segment: the current one would grow too large, or it is no
    /// longer the file that was written, for someone removed it or changed its length.
    fn must_rotate(&self) -> bool {
        let current = &self.current;
        let grown = current.durable.saturating_add(self.lines.len() as u64);
        if current.durable > 0 && grown > self.segment_bytes {
            return true;
        }
        let untouched = current
            .file
            .metadata()
            .is_ok_and(|meta| meta.nlink() > 0 && meta.len() == current.durable);
        if !untouched {
            tracing::error!(segment = %current.path.display(), "log segment was removed or changed by someone else");
        }
        !untouched
    }
}

impl Current {
    /// Makes the segment `number`, and its name durable.
    fn create(directory: &Path, handle: &File, number: u64) -> Result<Self, LogError> {
        let path = directory.join(segment::name(number, jiff::Timestamp::now()));
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(at(&path, "create"))?;
        if let Err(error) = handle.sync_all() {
            // The number must stay free for the next try.
            let _ = fs::remove_file(&path);
            return Err(at(&path, "create")(error));
        }
        Ok(Self {
            path,
            file,
            number,
            durable: 0,
            dirty: false,
        })
    }

    /// Opens the last segment of an earlier writer behind its last whole line.
    fn resume((number, path): (u64, PathBuf)) -> Result<(Self, Option<Torn>), LogError> {
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(at(&path, "open"))?;
        let torn = segment::set_torn_aside(&path, &file).map_err(at(&path, "repair"))?;
        // What an earlier writer wrote and did not sync is made durable before it is built upon.
        file.sync_data().map_err(at(&path, "sync"))?;
        let durable = file.metadata().map_err(at(&path, "read"))?.len();
        let current = Self {
            path,
            file,
            number,
            durable,
            dirty: false,
        };
        Ok((current, torn))
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), LogError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        let written = self
            .file
            .write_all(lines)
            .map_err(at(&self.path, "write"))
            .and_then(|()| self.file.sync_data().map_err(at(&self.path, "sync")));
        if let Err(error) = written {
            // The first failure is the one to tell; when this fails too, `dirty` remembers.
            let _ = self.repair();
            return Err(error);
        }
        self.durable += lines.len() as u64;
        self.dirty = false;
        Ok(())
    }

    /// Cuts off what a failed batch left. A file that someone made shorter is not filled up.
    fn repair(&mut self) -> Result<(), LogError> {
        if self.dirty {
            let length = self.file.metadata().map_err(at(&self.path, "read"))?.len();
            if length > self.durable {
                self.file
                    .set_len(self.durable)
                    .map_err(at(&self.path, "repair"))?;
            }
            self.dirty = false;
        }
        Ok(())
    }
}

fn at(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> LogError {
    move |source| LogError::Segment {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Makes the directory for root alone, and checks one that is there.
fn make_directory(path: &Path) -> Result<(), LogError> {
    let failed = |source| LogError::Directory {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => Err(LogError::NotADirectory {
            path: path.to_owned(),
        }),
        Ok(meta) if meta.mode() & 0o022 != 0 => Err(LogError::WritableByOthers {
            path: path.to_owned(),
            mode: meta.mode() & 0o777,
        }),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Takes the lock that makes this process the log's one writer.
fn lock(path: &Path) -> Result<File, LogError> {
    let failed = |source| LogError::Directory {
        path: path.to_owned(),
        source,
    };
    let handle = File::open(path).map_err(failed)?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(TryLockError::WouldBlock) => Err(LogError::Busy {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn last_segment(directory: &Path) -> Result<Option<(u64, PathBuf)>, LogError> {
    let segments = segment::list(directory).map_err(|source| LogError::Directory {
        path: directory.to_owned(),
        source,
    })?;
    Ok(segments.into_iter().next_back())
}

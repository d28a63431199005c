//! Reading the log: all of it, its end, or what comes next, while the writer goes on.
//!
//! A reader sees whole lines only. A line that is no JSON object is told as a fault and passed
//! over: it does not hide what follows it.
#![forbid(unsafe_code)]

mod filter;
mod resume;

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use filter::{Filter, MomentError, moment};
pub use resume::resume;

use super::log::segment;

/// Bytes that one [`Follower::poll`] reads at most, the line that crosses them apart.
const POLL_BYTES: u64 = 4 << 20;

/// A place in the log: between two lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Number of the segment.
    pub segment: u64,
    /// Offset in it, in bytes.
    pub offset: u64,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it begins.
    pub at: Cursor,
    /// The line as it stands, without its newline.
    pub line: String,
    /// What it holds.
    pub record: Value,
}

/// Why something of the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The directory cannot be read.
    #[error("log directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A segment cannot be read.
    #[error("log segment {path}: {source}")]
    Segment {
        /// The segment.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is no JSON object.
    #[error("segment {}, offset {}: not a record: {why}", at.segment, at.offset)]
    Malformed {
        /// Where the line begins.
        at: Cursor,
        /// What the parser said.
        why: String,
    },
}

/// Every record of the log, in order. An item may be a fault; the rest still comes.
///
/// # Errors
/// When the directory cannot be read.
pub fn records(
    directory: &Path,
) -> Result<impl Iterator<Item = Result<Entry, ReadError>> + use<>, ReadError> {
    let segments = segments(directory)?;
    Ok(segments
        .into_iter()
        .flat_map(|(number, path)| match Lines::open(number, path, 0) {
            Ok(lines) => Box::new(lines) as Box<dyn Iterator<Item = _>>,
            Err(error) => Box::new(std::iter::once(Err(error))),
        }))
}

/// The last `count` records that `filter` lets through, oldest first, and the end that they were
/// read up to: a [`Follower`] from there sees what comes next, each record once.
///
/// # Errors
/// When the directory or a segment cannot be read. Lines that are no records are passed over.
pub fn tail(
    directory: &Path,
    count: usize,
    filter: &Filter,
) -> Result<(Vec<Entry>, Cursor), ReadError> {
    let mut found = VecDeque::new();
    let mut end = None;
    for (number, path) in segments(directory)?.into_iter().rev() {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ReadError::Segment { path, source }),
        };
        let whole = bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        end.get_or_insert(Cursor {
            segment: number,
            offset: whole as u64,
        });
        for entry in backwards(number, bytes.get(..whole).unwrap_or_default()) {
            if found.len() == count {
                break;
            }
            if filter.matches(&entry.record) {
                found.push_front(entry);
            }
        }
        if found.len() == count {
            break;
        }
    }
    Ok((found.into(), end.unwrap_or_default()))
}

/// The records of one segment's whole lines, last first.
fn backwards(segment: u64, bytes: &[u8]) -> impl Iterator<Item = Entry> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (_newline, lines) = rest.split_last()?;
        let start = lines
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        let line = lines.get(start..)?;
        rest = rest.get(..start)?;
        let at = Cursor {
            segment,
            offset: start as u64,
        };
        Some(entry(at, line).ok())
    })
    .flatten()
}

/// Reads on from a place, again and again.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    next: Cursor,
}

impl Follower {
    /// A reader of what follows `from`; the default cursor is the log's beginning.
    #[must_use]
    pub fn new(directory: &Path, from: Cursor) -> Self {
        Self {
            directory: directory.to_owned(),
            next: from,
        }
    }

    /// Where the next line will begin.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.next
    }

    /// What was written since the last call, as far as one call goes; empty when that is nothing.
    /// A segment that is gone is passed over for the next one.
    ///
    /// A batch whose writing failed can be read, and once more when its writer tried again: the same
    /// record has the same `metadata.uid`.
    ///
    /// # Errors
    /// When the directory or a segment cannot be read. The place is kept: a later call goes on.
    pub fn poll(&mut self) -> Result<Vec<Result<Entry, ReadError>>, ReadError> {
        let place = self.next;
        let polled = self.try_poll();
        if polled.is_err() {
            self.next = place; // what was read before the fault is read again
        }
        polled
    }

    fn try_poll(&mut self) -> Result<Vec<Result<Entry, ReadError>>, ReadError> {
        // The list is taken first: a segment that has a successor in it will not grow any more, so
        // that its end, once read, is final.
        let segments = segments(&self.directory)?;
        let mut entries = Vec::new();
        let mut read = 0;
        for (number, path) in segments.range(self.next.segment..) {
            if *number != self.next.segment {
                self.next = Cursor {
                    segment: *number,
                    offset: 0,
                };
            }
            read += self.read_on(path, POLL_BYTES - read, &mut entries)?;
            if read >= POLL_BYTES {
                break;
            }
        }
        Ok(entries)
    }

    /// Reads the current segment on; gives the bytes read, `limit` at least when there may be more.
    fn read_on(
        &mut self,
        path: &Path,
        limit: u64,
        entries: &mut Vec<Result<Entry, ReadError>>,
    ) -> Result<u64, ReadError> {
        let Some(length) = length(path)? else {
            return Ok(0);
        };
        // Shorter than what was read: its writer took a failed batch back.
        self.next.offset = self.next.offset.min(length);
        let mut lines = Lines::open(self.next.segment, path.to_owned(), self.next.offset)?;
        let from = self.next.offset;
        while self.next.offset - from < limit
            && let Some(item) = lines.next()
        {
            if let Err(error @ ReadError::Segment { .. }) = item {
                return Err(error);
            }
            self.next = lines.at;
            entries.push(item);
        }
        Ok((self.next.offset - from).min(limit))
    }
}

fn segments(directory: &Path) -> Result<BTreeMap<u64, PathBuf>, ReadError> {
    segment::list(directory).map_err(|source| ReadError::Directory {
        path: directory.to_owned(),
        source,
    })
}

/// Length of a segment; `None` when it was removed meanwhile.
fn length(path: &Path) -> Result<Option<u64>, ReadError> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReadError::Segment {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The whole lines of one segment from a place on.
struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    at: Cursor,
    ended: bool,
}

impl Lines {
    fn open(segment: u64, path: PathBuf, offset: u64) -> Result<Self, ReadError> {
        let opened = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(offset))?;
            Ok(BufReader::with_capacity(64 << 10, file))
        });
        match opened {
            Ok(reader) => Ok(Self {
                path,
                reader,
                at: Cursor { segment, offset },
                ended: false,
            }),
            Err(source) => Err(ReadError::Segment { path, source }),
        }
    }

    /// The next line without its newline; `None` at the end, or before a line that has none yet.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.reader.by_ref().read_until(b'\n', &mut line)?;
        Ok((line.pop() == Some(b'\n')).then_some(line))
    }
}

impl Iterator for Lines {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.line() {
            Ok(Some(line)) => {
                let item = entry(self.at, &line);
                self.at.offset += line.len() as u64 + 1;
                Some(item)
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(source) => {
                self.ended = true;
                Some(Err(ReadError::Segment {
                    path: self.path.clone(),
                    source,
                }))
            }
        }
    }
}

fn entry(at: Cursor, line: &[u8]) -> Result<Entry, ReadError> {
    let malformed = |why: String| ReadError::Malformed { at, why };
    let line = str::from_utf8(line).map_err(|error| malformed(error.to_string()))?;
    let record: Value = serde_json::from_str(line).map_err(|error| malformed(error.to_string()))?;
    if !record.is_object() {
        return Err(malformed("not an object".to_owned()));
    }
    Ok(Entry {
        at,
        line: line.to_owned(),
        record,
    })
}

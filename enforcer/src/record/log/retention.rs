//! Which segments are old enough to go, and going on record before they do.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use enforcer_evidence::payload::{Payload, SegmentOpening};
use serde_json::Value;

/// How long the log is kept. What is not limited is kept for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Bytes of all segments together.
    pub bytes: Option<u64>,
    /// Time since the last line of a segment was written.
    pub age: Option<Duration>,
}

/// The oldest segment, if it may go: its number and file. The last two stay, and so does every segment that
/// somebody has yet to read (`unread`: the first of these).
pub fn oldest(
    segments: &BTreeMap<u64, PathBuf>,
    keep: Keep,
    unread: Option<u64>,
    now: SystemTime,
) -> io::Result<Option<(u64, PathBuf)>> {
    if segments.len() < 3 {
        return Ok(None);
    }
    let Some((number, path)) = segments.first_key_value() else {
        return Ok(None);
    };
    if unread.is_some_and(|unread| unread <= *number) {
        return Ok(None);
    }
    let mut bytes = 0;
    for path in segments.values() {
        bytes += fs::metadata(path)?.len();
    }
    let age = now.duration_since(fs::metadata(path)?.modified()?);
    let is_large = keep.bytes.is_some_and(|most| bytes > most);
    let is_old = keep.age.is_some_and(|most| age.is_ok_and(|age| age > most));
    Ok((is_large || is_old).then(|| (*number, path.clone())))
}

/// The first record of a segment.
///
/// # Errors
/// When the file cannot be read, or begins with no record.
pub fn first_record(path: &Path) -> io::Result<Value> {
    let mut line = String::new();
    BufReader::new(File::open(path)?).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// How a segment begins.
///
/// # Errors
/// As [`first_record`], and when that is not the segment's opening.
pub fn opening(path: &Path) -> io::Result<SegmentOpening> {
    match Payload::of(&first_record(path)?) {
        Ok(Some(Payload::Segment(opening))) => Ok(opening),
        Ok(_) => Err(io::Error::other(
            "the segment does not begin with its opening",
        )),
        Err(error) => Err(io::Error::other(error)),
    }
}

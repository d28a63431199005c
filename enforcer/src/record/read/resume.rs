//! What a daemon learns from the log of the daemon before it, in the same boot.
#![forbid(unsafe_code)]

use std::{
    io,
    path::{Path, PathBuf},
};

use enforcer_common::event::Kind;

use serde_json::Value;

use super::{Lines, ReadError, segments};
use crate::record::{log::segment, ocsf::Recorder};

/// Teaches `recorder` the executables that this boot's records tell of, and gives the highest
/// sequence number among those records; 0 when there is none.
///
/// Most lines are passed over unparsed. That is safe: within a string of JSON a quote is escaped, so
/// that `"sequence":` can only be the key.
///
/// # Errors
/// When the directory or a segment cannot be read. Lines that are no records are passed over.
pub fn resume(directory: &Path, recorder: &mut Recorder) -> Result<u64, ReadError> {
    let boot = format!("\"uid\":\"{}:", recorder.host().boot_id);
    let wanted =
        [Kind::Exec, Kind::SessionEnd].map(|kind| format!("\"event_code\":\"{}\"", kind.name()));
    let mut last = 0;
    for (number, path) in of_boot(directory, &boot)? {
        let mut lines = Lines::open(number, path.clone(), 0)?;
        while let Some(line) = lines.line().map_err(unreadable(&path))? {
            let Ok(line) = str::from_utf8(&line) else {
                continue;
            };
            if !line.contains(&boot) {
                continue;
            }
            last = last.max(sequence(line).unwrap_or(0));
            if wanted.iter().any(|code| line.contains(code))
                && let Ok(record) = serde_json::from_str::<Value>(line)
            {
                recorder.relearn(&record);
            }
        }
    }
    Ok(last)
}

/// The segments that can hold records of this boot, oldest first: back to the one that ends in
/// another boot.
fn of_boot(directory: &Path, boot: &str) -> Result<Vec<(u64, PathBuf)>, ReadError> {
    let mut found = Vec::new();
    for (number, path) in segments(directory)?.into_iter().rev() {
        // An empty segment says nothing: the ones before it are looked at too.
        let last = segment::last_line(&path).map_err(unreadable(&path))?;
        if last.is_some_and(|line| !String::from_utf8_lossy(&line).contains(boot)) {
            break;
        }
        found.push((number, path));
    }
    found.reverse();
    Ok(found)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    move |source| ReadError::Segment {
        path: path.to_owned(),
        source,
    }
}

fn sequence(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("\"sequence\":")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest.get(..end)?.parse().ok()
}

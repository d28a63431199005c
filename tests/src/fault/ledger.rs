//! Whether the log has what the kernel counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{PAUSE, counter_of};
use crate::cli::json;

/// How long the records of what has happened may take.
const SETTLE_TIME: Duration = Duration::from_secs(90);

/// The log's lines in this folder, in their order.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn lines(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the log's folder is read");
    let mut segments: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the log's folder is read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    // Their names end in their number, of fixed width; what is before it follows the clock.
    segments.sort_by_key(|path| path.to_string_lossy().rsplit('-').next().map(str::to_owned));
    let mut lines = Vec::new();
    for segment in segments {
        let text = fs::read_to_string(segment).expect("a segment is read");
        // What a killed daemon has not finished is no record.
        lines.extend(
            text.split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
                .map(str::to_owned),
        );
    }
    lines
}

/// The kernel's account against the log's: every sequence number is a record, once, or counted as lost.
#[derive(Debug)]
pub struct Ledger {
    folders: Vec<PathBuf>,
    issued: u64,
    dropped: u64,
    gaps: BTreeSet<String>,
}

/// What a [`Ledger`] came out at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Events that the kernel numbered.
    pub issued: u64,
    /// Records of them.
    pub recorded: u64,
    /// Events that gap records count.
    pub lost: u64,
}

impl Ledger {
    /// Opens it at what has happened so far, for a daemon that runs. The log may be in several folders.
    ///
    /// # Panics
    /// When there is no daemon.
    #[must_use]
    pub fn open(folders: &[&Path]) -> Self {
        let status = json(["status"]);
        let folders: Vec<PathBuf> = folders.iter().map(|&folder| folder.to_owned()).collect();
        Self {
            issued: counter_of(&status, "events-issued"),
            dropped: dropped(&status),
            gaps: gaps(&folders).into_keys().collect(),
            folders,
        }
    }

    /// Waits until the log has everything, and balances.
    ///
    /// # Panics
    /// When a record is missing or there twice, or when the gap records do not count what the kernel dropped.
    #[must_use]
    pub fn balance(&self) -> Balance {
        let end = Instant::now() + SETTLE_TIME;
        loop {
            self.await_quiet(end);
            let status = json(["status"]);
            let balance = self.balance_at(&status);
            let dropped = dropped(&status) - self.dropped;
            if balance.recorded + balance.lost == balance.issued && balance.lost == dropped {
                return balance;
            }
            assert!(
                Instant::now() < end,
                "{balance:?}, {dropped} dropped; missing: {:?}",
                self.missing(&status)
            );
            thread::sleep(PAUSE);
        }
    }

    fn balance_at(&self, status: &Value) -> Balance {
        let issued = counter_of(status, "events-issued");
        let recorded = self.recorded(status, issued).len();
        let lost = gaps(&self.folders)
            .into_iter()
            .filter(|(uid, _)| !self.gaps.contains(uid))
            .map(|(_, count)| count)
            .sum();
        Balance {
            issued: issued - self.issued,
            recorded: recorded as u64,
            lost,
        }
    }

    /// Sequence numbers of the records up to `issued`, each of which must be there once.
    fn recorded(&self, status: &Value, issued: u64) -> BTreeSet<u64> {
        let boot = status["boot_id"].as_str().expect("the boot has an id");
        let mut found = BTreeSet::new();
        let lines = self.folders.iter().flat_map(|folder| lines(folder));
        for line in lines {
            let Some(sequence) = sequence(&line, boot) else {
                continue;
            };
            if sequence > self.issued && sequence <= issued {
                assert!(
                    found.insert(sequence),
                    "event {sequence} is there twice: {line}"
                );
            }
        }
        found
    }

    fn missing(&self, status: &Value) -> Vec<u64> {
        let issued = counter_of(status, "events-issued");
        let found = self.recorded(status, issued);
        let all = self.issued + 1..=issued;
        all.filter(|sequence| !found.contains(sequence))
            .take(20)
            .collect()
    }

    /// Waits until the log no longer grows: reading all of it is dear, and in vain before that.
    fn await_quiet(&self, end: Instant) {
        let size = || -> u64 {
            let folders = self.folders.iter();
            let files =
                folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
            files
                .filter_map(|file| file.metadata().ok())
                .map(|meta| meta.len())
                .sum()
        };
        let mut before = size();
        while Instant::now() < end {
            thread::sleep(3 * PAUSE);
            let now = size();
            if now == before {
                return;
            }
            before = now;
        }
    }
}

fn dropped(status: &Value) -> u64 {
    counter_of(status, "events-dropped") + counter_of(status, "denials-dropped")
}

/// The counts of gap records, by the record's uid.
fn gaps(folders: &[PathBuf]) -> BTreeMap<String, u64> {
    let lines = folders.iter().flat_map(|folder| lines(folder));
    lines
        .filter(|line| line.contains("\"event_code\":\"events-lost\""))
        .map(|line| {
            let record: Value = serde_json::from_str(&line).expect("a record is JSON");
            let uid = record["metadata"]["uid"]
                .as_str()
                .expect("a record has a uid");
            let count = record["count"].as_u64().expect("a gap has an exact count");
            (uid.to_owned(), count)
        })
        .collect()
}

/// The sequence number of an event's record of this boot. Without reading the whole of it as JSON: there are many.
fn sequence(line: &str, boot: &str) -> Option<u64> {
    let (_, rest) = line.split_once("\"sequence\":")?;
    let digits = rest.split(|byte: char| !byte.is_ascii_digit()).next()?;
    let uid = format!("\"uid\":\"{boot}:{digits}\"");
    line.contains(&uid).then(|| digits.parse().ok())?
}

//! Whether the log has what the kernel counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{PAUSE, counter_of};
use crate::{cli::json, record::segments_in};

/// How long the log may stay as it is while something is missing: a batch is written whole, and takes its time on an
/// emulated processor.
const SETTLE_TIME: Duration = Duration::from_secs(90);

/// The kernel's account against the log's: every sequence number is a record, once, or counted as lost.
#[derive(Debug)]
pub struct Ledger {
    folders: Vec<PathBuf>,
    issued: u64,
    dropped: u64,
    /// How far each segment was written when this was opened.
    from: Positions,
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

/// Bytes of each segment.
type Positions = BTreeMap<PathBuf, u64>;

impl Ledger {
    /// Opens it at what has happened so far, for a daemon that runs. The log may be in several folders.
    ///
    /// # Panics
    /// When there is no daemon.
    #[must_use]
    pub fn open(folders: &[&Path]) -> Self {
        let folders: Vec<PathBuf> = folders.iter().map(|&folder| folder.to_owned()).collect();
        let from = ends(&folders);
        let status = json(["status"]);
        Self {
            issued: counter_of(&status, "events-issued"),
            dropped: dropped(&status),
            from,
            folders,
        }
    }

    /// Waits until the log has everything, and balances.
    ///
    /// # Panics
    /// When a record is missing or there twice, or when the gap records do not count what the kernel dropped.
    #[must_use]
    pub fn balance(&self) -> Balance {
        let mut account = Account::new(self);
        let mut before = (account.balance(self, &json(["status"])), Instant::now());
        loop {
            thread::sleep(PAUSE);
            let status = json(["status"]);
            account.go_on(self, &status);
            let (balance, dropped) = account.balance(self, &status);
            if before.0 != (balance, dropped) {
                before = ((balance, dropped), Instant::now());
            }
            if balance.recorded + balance.lost >= balance.issued {
                // Read anew: what was read while it was written may have been taken back.
                account = Account::new(self);
                account.go_on(self, &status);
                if account.balance(self, &status) == (balance, dropped)
                    && balance.recorded + balance.lost == balance.issued
                    && balance.lost == dropped
                {
                    assert_eq!(account.twice, BTreeSet::new(), "events with two records");
                    return balance;
                }
            }
            let missing = || account.missing(self, &status);
            assert!(
                before.1.elapsed() < SETTLE_TIME,
                "{balance:?}, {dropped} dropped; twice: {:?}; missing: {:?}",
                account.twice,
                missing()
            );
        }
    }
}

/// What was read of the log.
#[derive(Debug)]
struct Account {
    read: Positions,
    found: BTreeSet<u64>,
    twice: BTreeSet<u64>,
    lost: u64,
}

impl Account {
    fn new(ledger: &Ledger) -> Self {
        Self {
            read: ledger.from.clone(),
            found: BTreeSet::new(),
            twice: BTreeSet::new(),
            lost: 0,
        }
    }

    /// Reads what was written since.
    fn go_on(&mut self, ledger: &Ledger, status: &Value) {
        let boot = status["boot_id"].as_str().expect("the boot has an id");
        for segment in segments(&ledger.folders) {
            let position = self.read.entry(segment.clone()).or_default();
            let text = read_from(&segment, *position);
            *position += text.len() as u64;
            for line in text.lines() {
                self.take(line, boot, ledger.issued);
            }
        }
    }

    fn take(&mut self, line: &str, boot: &str, after: u64) {
        if let Some(sequence) = sequence(line, boot).filter(|sequence| *sequence > after) {
            if !self.found.insert(sequence) {
                self.twice.insert(sequence);
            }
        } else if line.contains("\"event_code\":\"events-lost\"") {
            let record: Value = serde_json::from_str(line).expect("a record is JSON");
            self.lost += record["count"].as_u64().expect("a gap has an exact count");
        }
    }

    /// The balance, and what the kernel dropped by its own account.
    fn balance(&self, ledger: &Ledger, status: &Value) -> (Balance, u64) {
        let issued = counter_of(status, "events-issued");
        let balance = Balance {
            issued: issued - ledger.issued,
            recorded: self.found.range(..=issued).count() as u64,
            lost: self.lost,
        };
        (balance, dropped(status) - ledger.dropped)
    }

    fn missing(&self, ledger: &Ledger, status: &Value) -> Vec<u64> {
        let all = ledger.issued + 1..=counter_of(status, "events-issued");
        let missing = all.filter(|sequence| !self.found.contains(sequence));
        missing.take(20).collect()
    }
}

fn dropped(status: &Value) -> u64 {
    counter_of(status, "events-dropped") + counter_of(status, "denials-dropped")
}

/// How far each segment is written now, in whole lines.
fn ends(folders: &[PathBuf]) -> Positions {
    segments(folders)
        .into_iter()
        .map(|segment| {
            let length = read_from(&segment, 0).len() as u64;
            (segment, length)
        })
        .collect()
}

/// The whole lines of a segment from here on. What a killed daemon has not finished is no record.
fn read_from(segment: &Path, position: u64) -> String {
    let mut file = File::open(segment).expect("a segment is opened");
    file.seek(SeekFrom::Start(position)).expect("it is a file");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("a segment is read");
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    bytes.truncate(whole);
    String::from_utf8(bytes).expect("records are UTF-8")
}

/// The segments in these folders, in their order.
fn segments(folders: &[PathBuf]) -> Vec<PathBuf> {
    let segments = folders.iter().map(|folder| segments_in(folder));
    segments.flatten().collect()
}

/// The log's lines in this folder, in their order.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn lines(folder: &Path) -> Vec<String> {
    let segments = segments_in(folder);
    let texts = segments.iter().map(|segment| read_from(segment, 0));
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.collect()
}

/// The sequence number of an event's record of this boot. Without reading the whole of it as JSON: there are many.
fn sequence(line: &str, boot: &str) -> Option<u64> {
    let (_, rest) = line.split_once("\"sequence\":")?;
    let digits = rest.split(|byte: char| !byte.is_ascii_digit()).next()?;
    let uid = format!("\"uid\":\"{boot}:{digits}\"");
    line.contains(&uid).then(|| digits.parse().ok())?
}

//! The log, read and awaited within bounds.
//!
//! Records are awaited in the log's own files, of which each look reads what is new: `enforcer log show`
//! reads the whole log each time, and an emulated machine takes seconds for a long one.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{Record, lines};
use crate::cli::{must, unique};

/// Folder of the daemon's log.
const FOLDER: &str = "/var/log/enforcer";
/// Longest that records are waited for without one more of them coming.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two looks at the log.
const PAUSE: Duration = Duration::from_millis(50);
/// Records that the message of a failure shows, the latest.
const SHOWN: usize = 40;

/// What of the log this process has read.
struct Reader {
    /// Segments, each with the bytes that were read of it.
    segments: BTreeMap<PathBuf, u64>,
    /// Records by the id of their task.
    tasks: BTreeMap<String, Vec<Record>>,
}

impl Reader {
    fn of_this_process() -> MutexGuard<'static, Self> {
        static READER: Mutex<Reader> = Mutex::new(Reader {
            segments: BTreeMap::new(),
            tasks: BTreeMap::new(),
        });
        READER.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records of a task that are there now, in the order of the decisions.
    fn of_task(&mut self, task: &str) -> Vec<Record> {
        for segment in segments() {
            self.read(segment);
        }
        let mut records = self.tasks.get(task).cloned().unwrap_or_default();
        records.sort_by_key(Record::sequence);
        records.dedup(); // of a segment that was read anew
        records
    }

    /// Reads what is new of a segment, up to its last whole line. One that has been cut is read anew.
    fn read(&mut self, segment: PathBuf) {
        let begin = self.segments.get(&segment).copied().unwrap_or(0);
        let Ok((begin, text)) = text_from(&segment, begin) else {
            return; // it was taken away; what was read of it stays
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..whole].lines() {
            // Most lines are of other processes: they are not worth parsing.
            if line.contains(&mark_of_this_process()) {
                self.keep(line);
            }
        }
        self.segments.insert(segment, begin + whole as u64);
    }

    fn keep(&mut self, line: &str) {
        let Ok(record) = serde_json::from_str(line).map(Record) else {
            return; // a line that was torn and made whole later is another one
        };
        let task = record.text("/unmapped/task_id").to_owned();
        self.tasks.entry(task).or_default().push(record);
    }
}

/// What is in each line about a task that this process made.
fn mark_of_this_process() -> String {
    format!("-{}-", std::process::id())
}

/// Text of a file from this byte on, or from the first when there are fewer; with where it begins.
fn text_from(path: &Path, begin: u64) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let begin = if file.metadata()?.len() < begin {
        0
    } else {
        begin
    };
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // Records are ASCII; anything else is kept as something, so that byte counts may differ for it.
    Ok((begin, String::from_utf8_lossy(&bytes).into_owned()))
}

/// The segments of the daemon's log, in their order.
pub(super) fn segments() -> Vec<PathBuf> {
    segments_in(Path::new(FOLDER))
}

/// The segments in the folder of a log, in their order.
pub(crate) fn segments_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the log's folder is read");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the log's folder is read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    // Their names end in their number, of fixed width; what is before it follows the clock.
    found.sort_by_key(|path| path.to_string_lossy().rsplit('-').next().map(str::to_owned));
    found
}

/// Keeps what is in the folder of a log, or in one segment of it, that will be gone when the boot ends: all records of a
/// boot are checked then.
///
/// # Panics
/// When it cannot be kept.
pub fn keep(log: &Path) {
    let Some(kept) = std::env::var_os("ENFORCER_TEST_RECORDS").map(PathBuf::from) else {
        return; // nobody is going to look
    };
    let segments = if log.is_dir() {
        segments_in(log)
    } else {
        vec![log.to_owned()]
    };
    for segment in segments {
        let (_, text) = text_from(&segment, 0).expect("a segment is read");
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let name = format!("{}.jsonl", unique("kept"));
        fs::write(kept.join(name), &text[..whole]).expect("the records are kept");
    }
}

/// The records that these filter options of `enforcer log show` leave, as they are now.
///
/// # Panics
/// When the log cannot be read.
#[must_use]
pub fn show(filter: &[&str]) -> Vec<Record> {
    let mut words = vec!["log", "show", "--output", "json"];
    words.extend(filter);
    must(words)
        .lines()
        .map(|line| Record(serde_json::from_str(line).expect("a record is JSON")))
        .collect()
}

/// The records of a task once they satisfy `enough`, in the order of the decisions.
///
/// # Panics
/// When they do not, and no more come; with those that are there.
pub fn until(task: &str, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
    let (mut count, mut progress) = (0, Instant::now());
    loop {
        let records = Reader::of_this_process().of_task(task);
        if enough(&records) {
            return records;
        }
        if records.len() > count {
            (count, progress) = (records.len(), Instant::now());
        }
        assert!(
            progress.elapsed() < PATIENCE,
            "of the records of {task}, {count} came and no more: {:#?}",
            lines(&records[count.saturating_sub(SHOWN)..])
        );
        sleep(PAUSE);
    }
}

/// All records of the one session of a task, up to its end.
///
/// # Panics
/// When its end is not recorded in time.
#[must_use]
pub fn of_ended_task(task: &str) -> Vec<Record> {
    until(task, |records| {
        records.iter().any(|record| record.kind() == "session-end")
    })
}

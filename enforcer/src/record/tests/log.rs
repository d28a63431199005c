//! The writer, and what goes wrong for it.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use serde_json::Value;

use super::common::{self, Directory, numbered};
use crate::record::{
    Log, LogError,
    log::{SEGMENT_BYTES, segment},
    read::records,
};

fn open(directory: &Path) -> Log {
    common::open(directory, SEGMENT_BYTES).expect("a log").0
}

/// Of the records that are not the log's own.
fn numbers(directory: &Path) -> Vec<u64> {
    let records = records(directory).expect("a log");
    records
        .filter_map(|entry| entry.expect("a record").record["n"].as_u64())
        .collect()
}

/// Torn lines that were set aside.
fn set_aside(directory: &Path) -> usize {
    let files = fs::read_dir(directory).expect("a directory");
    files
        .filter(|file| {
            let name = file.as_ref().expect("a file").file_name();
            name.to_string_lossy().contains("torn")
        })
        .count()
}

/// Number of the segment that is written to.
pub(super) fn number(log: &Log) -> Option<u64> {
    segment::number(log.segment().file_name()?)
}

fn batch(numbers: std::ops::Range<u64>) -> Vec<Value> {
    numbers.map(numbered).collect()
}

#[test]
fn a_batch_is_whole_lines_for_root_alone() {
    let temporary = Directory::new();
    let mut log = open(&temporary.log());
    log.append(&batch(0..3)).expect("durable");
    log.append(&batch(3..4)).expect("durable");
    log.append(&[]).expect("nothing to do");
    assert_eq!(number(&log), Some(1));
    let text = fs::read_to_string(log.segment()).expect("a segment");
    assert!(text.ends_with('\n'));
    assert_eq!(text.lines().count(), 5, "the opening, and these");
    assert_eq!(numbers(&temporary.log()), [0, 1, 2, 3]);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&temporary.log()), 0o700);
    for file in fs::read_dir(temporary.log()).expect("a directory") {
        let path = file.expect("a file").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_full_segment_is_followed_by_the_next_and_none_is_overwritten() {
    let temporary = Directory::new();
    let (mut log, _) = common::open(&temporary.log(), 20).expect("a log");
    for n in 0..5 {
        log.append(&batch(n..n + 1)).expect("durable");
    }
    log.append(&batch(5..15))
        .expect("a batch larger than a segment is one");
    drop(log);
    assert_eq!(segment::list(&temporary.log()).expect("segments").len(), 7);
    let (mut log, opening) = common::open(&temporary.log(), 20).expect("a log");
    assert_eq!(opening.torn, None);
    log.append(&batch(15..16)).expect("durable");
    assert_eq!(
        number(&log),
        Some(9),
        "one for the epoch, one for the record"
    );
    assert_eq!(numbers(&temporary.log()), (0..16).collect::<Vec<_>>());
}

#[test]
fn a_restart_goes_on_in_the_last_segment() {
    let temporary = Directory::new();
    open(&temporary.log())
        .append(&batch(0..2))
        .expect("durable");
    let mut log = open(&temporary.log());
    log.append(&batch(2..4)).expect("durable");
    assert_eq!(number(&log), Some(1));
    assert_eq!(numbers(&temporary.log()), [0, 1, 2, 3]);
}

#[test]
fn a_torn_last_line_is_set_aside_and_told() {
    let temporary = Directory::new();
    for torn_bytes in [&b"{\"n\":77"[..], &[0; 200_000], b"x"] {
        let segment = {
            let mut log = open(&temporary.log());
            log.append(&batch(0..1)).expect("durable");
            log.segment().to_owned()
        };
        let whole = fs::metadata(&segment).expect("a segment").len();
        append(&segment, torn_bytes);
        let (_, opening) = common::open(&temporary.log(), SEGMENT_BYTES).expect("a log");
        let torn = opening.torn.expect("torn");
        assert_eq!(
            (torn.bytes, &torn.segment),
            (torn_bytes.len() as u64, &segment)
        );
        assert_eq!(torn.offset, whole);
        assert_eq!(fs::read(&torn.set_aside).expect("kept"), torn_bytes);
    }
    assert_eq!(numbers(&temporary.log()), [0, 0, 0]);
    assert_eq!(set_aside(&temporary.log()), 3);
}

#[test]
fn a_segment_that_is_torn_from_its_start_becomes_empty() {
    let temporary = Directory::new();
    let segment = open(&temporary.log()).segment().to_owned();
    append(&segment, b"{\"n\"");
    let (mut log, opening) = common::open(&temporary.log(), SEGMENT_BYTES).expect("a log");
    assert_eq!(
        opening.torn.map(|torn| (torn.offset, torn.bytes)),
        Some((0, 4))
    );
    log.append(&batch(0..1)).expect("durable");
    assert_eq!(numbers(&temporary.log()), [0]);
}

#[test]
fn a_record_without_a_canonical_form_is_named_and_nothing_is_written() {
    let temporary = Directory::new();
    let mut log = open(&temporary.log());
    let mut fraction = numbered(1);
    fraction["n"] = 0.5.into();
    let error = log
        .append(&[numbered(0), fraction])
        .expect_err("a fraction");
    assert!(
        matches!(error, LogError::Record { index: 1, .. }),
        "{error}"
    );
    assert_eq!(numbers(&temporary.log()), [0; 0]);
}

#[test]
fn a_segment_that_someone_removed_or_changed_is_not_written_any_more() {
    let temporary = Directory::new();
    let mut log = open(&temporary.log());
    log.append(&batch(0..1)).expect("durable");
    fs::remove_file(log.segment()).expect("removed");
    log.append(&batch(1..2)).expect("durable");
    assert_eq!(number(&log), Some(2));
    append(log.segment(), b"{\"n\":9}\n");
    log.append(&batch(2..3)).expect("durable");
    assert_eq!(number(&log), Some(3));
    let cut = OpenOptions::new()
        .write(true)
        .open(log.segment())
        .expect("a segment");
    cut.set_len(0).expect("cut");
    log.append(&batch(3..4)).expect("durable");
    assert_eq!(number(&log), Some(4));
    assert_eq!(numbers(&temporary.log()), [1, 9, 3]);
}

#[test]
fn a_second_writer_is_refused() {
    let temporary = Directory::new();
    let log = open(&temporary.log());
    let error = common::open(&temporary.log(), SEGMENT_BYTES).expect_err("busy");
    assert!(matches!(error, LogError::Busy { .. }), "{error}");
    drop(log);
    open(&temporary.log());
}

#[test]
fn a_directory_that_cannot_hold_a_log_is_refused() {
    let temporary = Directory::new();
    let file = temporary.path().join("file");
    File::create(&file).expect("a file");
    let error = common::open(&file, SEGMENT_BYTES).expect_err("a file");
    assert!(matches!(error, LogError::NotADirectory { .. }), "{error}");
    let error = common::open(&file.join("below"), SEGMENT_BYTES).expect_err("below a file");
    assert!(matches!(error, LogError::Directory { .. }), "{error}");

    let shared = temporary.path().join("shared");
    fs::create_dir(&shared).expect("a directory");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).expect("mode");
    let error = common::open(&shared, SEGMENT_BYTES).expect_err("shared");
    assert!(
        matches!(error, LogError::WritableByOthers { mode: 0o777, .. }),
        "{error}"
    );
}

#[test]
fn two_segments_of_one_number_are_refused() {
    let temporary = Directory::new();
    drop(open(&temporary.log()));
    File::create(
        temporary
            .log()
            .join("enforcer-19700101T000000Z-00000001.jsonl"),
    )
    .expect("a file");
    let error = common::open(&temporary.log(), SEGMENT_BYTES).expect_err("ambiguous");
    assert!(matches!(error, LogError::Directory { .. }), "{error}");
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new()
        .append(true)
        .open(path)
        .expect("a segment");
    file.write_all(bytes).expect("written");
}

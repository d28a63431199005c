//! What the writer leaves verifies, whatever befalls it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::BufReader,
    path::Path,
    time::Duration,
};

use enforcer_evidence::{
    Verifier,
    epoch::transitions,
    verify::{Report, Trust, Verdict},
};

use super::common::{Directory, numbered, open};
use crate::record::{
    Keep, Log,
    log::{EPOCHS, HEAD, SEGMENT_BYTES, read_beside, segment},
};

fn report(directory: &Path, key: &str) -> Report {
    let small = |name: &str| read_beside(directory, name).expect("readable");
    let trust = Trust {
        keys: BTreeMap::from([(1, key.parse().expect("a key"))]),
        transitions: transitions(&small(EPOCHS).unwrap_or_default()),
        head: small(HEAD),
        ..Trust::default()
    };
    let mut verifier = Verifier::new(trust).expect("one log");
    for (number, path) in segment::list(directory).expect("segments") {
        let file = File::open(path).expect("a segment");
        verifier
            .segment(number, BufReader::new(file))
            .expect("read");
    }
    verifier.finish(small(HEAD).as_deref())
}

/// A log that begins with segments of so many bytes, and its first key.
fn begun(directory: &Path, segment_bytes: u64) -> (Log, String) {
    let (log, opening) = open(directory, segment_bytes).expect("a log");
    (log, opening.first_key.expect("a new log"))
}

#[test]
fn a_log_of_several_epochs_and_segments_verifies_to_its_last_record() {
    let temporary = Directory::new();
    let (mut log, key) = begun(&temporary.log(), 5_000);
    for n in 0..40 {
        log.append(&[numbered(n)]).expect("durable");
    }
    log.close().expect("signed");
    for n in 1..4 {
        let (mut log, opening) = open(&temporary.log(), 5_000).expect("a log");
        assert_eq!(opening.first_key, None);
        log.append(&[numbered(40 + n)]).expect("durable");
        log.close().expect("signed");
    }
    let report = report(&temporary.log(), &key);
    assert_eq!(report.verdict, Verdict::Ok, "{report:?}");
    assert_eq!(
        (report.epochs.len(), report.unsigned_tail, report.adopted),
        (4, 0, 0)
    );
    assert!(report.segments.len() > 3);
}

#[test]
fn a_daemon_that_died_leaves_records_that_the_next_one_adopts() {
    let temporary = Directory::new();
    let (mut log, key) = begun(&temporary.log(), SEGMENT_BYTES);
    log.append(&[numbered(0)]).expect("durable");
    log.append(&[numbered(1)]).expect("durable"); // within a second of the other: not signed yet
    drop(log);
    let (mut log, opening) = open(&temporary.log(), SEGMENT_BYTES).expect("a log");
    assert!(opening.found.adopted > 0, "{opening:?}");
    log.append(&[numbered(2)]).expect("durable");
    log.close().expect("signed");
    let report = report(&temporary.log(), &key);
    assert_eq!(report.verdict, Verdict::Ok, "{report:?}");
    assert_eq!(report.adopted, opening.found.adopted);
}

#[test]
fn old_segments_go_on_record_but_not_before_they_were_read() {
    let temporary = Directory::new();
    let (mut log, key) = begun(&temporary.log(), 5_000);
    for n in 0..60 {
        log.append(&[numbered(n)]).expect("durable");
    }
    let small = Keep {
        bytes: Some(1),
        age: None,
    };
    let old = Keep {
        bytes: None,
        age: Some(Duration::from_hours(1)),
    };
    assert_eq!(log.retain(Keep::default(), None).expect("looked at"), None);
    assert_eq!(log.retain(old, None).expect("looked at"), None);
    assert_eq!(
        log.retain(small, Some(1)).expect("looked at"),
        None,
        "not read yet"
    );
    assert_eq!(log.retain(small, Some(2)).expect("removed"), Some(1));
    assert_eq!(log.retain(small, Some(2)).expect("looked at"), None);
    for number in 2..6 {
        assert_eq!(log.retain(small, None).expect("removed"), Some(number));
    }
    let left = segment::list(&temporary.log()).expect("segments");
    log.close().expect("signed");
    let all_there = report(&temporary.log(), &key);
    assert_eq!(all_there.verdict, Verdict::Ok, "{all_there:?}");
    assert_eq!(all_there.removed.len(), 5);
    // One that went without a record is missed.
    let first = left.values().next().expect("a segment");
    fs::remove_file(first).expect("removed");
    let report = report(&temporary.log(), &key);
    assert_eq!(report.verdict, Verdict::Tampered, "{report:?}");
}

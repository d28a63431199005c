//! A disk that is full or read-only: the real thing, a small tmpfs in a mount namespace of the test's own.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    thread,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::Uid,
};
use serde_json::Value;

use super::{
    common::{Directory, numbered, open},
    log::number,
};
use crate::record::{LogError, log::SEGMENT_BYTES, read::records};

const NONE: Option<&Path> = None;

/// Runs `test` on a tmpfs of 128 KiB. Only root can mount one: without root nothing is claimed.
fn on_a_small_disk(test: impl FnOnce(&Path) + Send + 'static) {
    if !Uid::effective().is_root() {
        eprintln!("skipped: not root, cannot mount a tmpfs");
        return;
    }
    let temporary = Directory::new();
    let disk: PathBuf = temporary.path().to_owned();
    let run = move || {
        // A mount namespace belongs to a thread: the rest of the process sees none of this.
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).expect("private");
        remount(&disk, MsFlags::empty());
        test(&disk);
    };
    thread::spawn(run).join().expect("the test's thread");
}

fn remount(disk: &Path, flags: MsFlags) {
    let kind = Some("tmpfs");
    mount(kind, disk, kind, flags, Some("size=128k,mode=700")).expect("a tmpfs");
}

/// Records 0..`count` of about a kilobyte each.
fn large(count: u32) -> Vec<Value> {
    (0..count)
        .map(|n| {
            let mut record = numbered(n.into());
            record["text"] = "x".repeat(1000).into();
            record
        })
        .collect()
}

fn count(directory: &Path) -> usize {
    let records = records(directory).expect("a log");
    let records: Result<Vec<_>, _> = records.collect();
    let records = records.expect("whole records");
    let numbered = records.iter().filter(|entry| entry.record["n"].is_u64());
    numbered.count()
}

/// Whether it was for want of room.
fn is_full(error: &LogError) -> bool {
    matches!(error, LogError::Segment { source, .. } if source.kind() == ErrorKind::StorageFull)
}

#[test]
fn a_full_disk_keeps_whole_batches_and_takes_more_when_there_is_room() {
    on_a_small_disk(|disk| {
        let (mut log, _) = open(disk, SEGMENT_BYTES).expect("a log");
        let ballast = disk.join("ballast");
        fs::write(&ballast, [0; 40 << 10]).expect("room for it");
        log.append(&large(10)).expect("room for it");
        let before = fs::read(log.segment()).expect("a segment");

        let error = log.append(&large(50)).expect_err("full");
        assert!(is_full(&error), "{error}");
        assert_eq!(
            fs::read(log.segment()).expect("a segment"),
            before,
            "nothing of it is left"
        );
        let error = log.append(&large(50)).expect_err("still full");
        assert!(is_full(&error), "{error}");

        fs::remove_file(&ballast).expect("room");
        log.append(&large(50))
            .expect("the same batch, when there is room");
        assert_eq!(count(disk), 60);
    });
}

#[test]
fn a_full_disk_does_not_use_up_segments() {
    on_a_small_disk(|disk| {
        let (mut log, _) = open(disk, 20_000).expect("a log");
        log.append(&large(15)).expect("room for it");
        for _ in 0..3 {
            assert!(is_full(&log.append(&large(60)).expect_err("full")));
        }
        log.append(&large(20)).expect("a smaller batch fits");
        assert_eq!(number(&log), Some(3));
        drop(log);
        let (_, opening) = open(disk, 20_000).expect("a log");
        assert_eq!(opening.torn, None);
        assert_eq!(count(disk), 35);
    });
}

#[test]
fn a_torn_line_that_cannot_be_copied_stays_where_it_is() {
    on_a_small_disk(|disk| {
        let (mut log, _) = open(disk, SEGMENT_BYTES).expect("a log");
        log.append(&large(1)).expect("room for it");
        let segment = log.segment().to_owned();
        drop(log);
        let torn = [fs::read(&segment).expect("a segment"), vec![b'x'; 72 << 10]].concat();
        fs::write(&segment, &torn).expect("room for it");
        let error = open(disk, SEGMENT_BYTES).expect_err("no room for the copy");
        assert!(is_full(&error), "{error}");
        assert_eq!(fs::read(&segment).expect("a segment"), torn);
        let names = fs::read_dir(disk).expect("a directory");
        let mut names = names.map(|file| file.expect("a file").file_name());
        let is_copy = |name: std::ffi::OsString| name.to_string_lossy().contains("torn");
        assert!(!names.any(is_copy), "no half copy");
    });
}

#[test]
fn a_read_only_disk_is_an_error_until_it_can_be_written_again() {
    on_a_small_disk(|disk| {
        drop(open(disk, SEGMENT_BYTES).expect("a log"));
        remount(disk, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
        let error = open(disk, SEGMENT_BYTES).expect_err("read-only");
        assert!(error.to_string().contains("Read-only"), "{error}");
        remount(disk, MsFlags::MS_REMOUNT);
        let (mut log, _) = open(disk, SEGMENT_BYTES).expect("a log");
        log.append(&large(1)).expect("durable");
    });
}

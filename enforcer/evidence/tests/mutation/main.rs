//! Every way in which a log can be tampered with: each is found, and found where it was done.

#[path = "../common/mod.rs"]
mod common;
mod forge;
mod lines;
mod segments;
mod signatures;

use std::sync::LazyLock;

use common::{Disk, ORIGIN, Story, story};
use enforcer_evidence::{
    epoch::SignedCheckpoint,
    verify::{Code, Finding, Report, Trust, Verdict},
};

/// The log that is tampered with.
static STORY: LazyLock<Story> = LazyLock::new(|| story(ORIGIN, 1));
/// A log of another host.
static OTHER: LazyLock<Story> = LazyLock::new(|| story("enforcer/fedcba9876543210", 50));

/// Where the story tells of a removed segment.
static REMOVAL: LazyLock<At> = LazyLock::new(|| {
    let records = STORY.disk.records();
    let is_removal = |(_, _, record): &(_, _, serde_json::Value)| {
        record["metadata"]["event_code"] == "log-segment-removed"
    };
    lines()[records.iter().position(is_removal).expect("a removal")]
});

/// Numbers that only look random, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's MMIX generator, of which the high bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

/// A line of the log: its segment, its number in that from 1, and its leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
struct At {
    segment: u64,
    line: u64,
    leaf: u64,
}

/// Every line of the story.
fn lines() -> Vec<At> {
    let first = STORY
        .disk
        .first_leaf(*STORY.disk.segments.keys().next().expect("one"));
    let records = STORY.disk.records();
    (first..)
        .zip(records)
        .map(|(leaf, (segment, line, _))| At {
            segment,
            line,
            leaf,
        })
        .collect()
}

/// What an admin has on the host: the key of epoch 1, the head, the notes between epochs.
fn with_head(disk: &Disk) -> Trust {
    disk.trust(&STORY.root)
}

/// The same and what a sink keeps off the host.
fn with_all(disk: &Disk) -> Trust {
    Trust {
        checkpoints: STORY.off_host.clone(),
        ..with_head(disk)
    }
}

/// What lies beside a log whose end was cut off, as who is root puts it back: the newest note in what is
/// left as the head, and the notes that end the epochs which are left. Gives the lines that the head
/// covers too.
fn put_back(disk: Disk) -> (Disk, u64) {
    let report = disk.verify(Trust::default());
    let newest = report.newest.expect("a note");
    let mut disk = Disk {
        head: Some(newest.note),
        ..disk
    };
    let last = report.epochs.last().expect("one").epoch;
    disk.epochs.retain(|note| {
        let read = SignedCheckpoint::parse(note).expect("a note");
        read.checkpoint.epoch < last
    });
    (disk, newest.size)
}

fn codes(report: &Report) -> Vec<Code> {
    report.findings.iter().map(|finding| finding.code).collect()
}

/// The finding is of lines of which one was changed, or of that line.
fn touches(finding: &Finding, at: At) -> bool {
    let line = finding.segment == Some(at.segment) && finding.line == Some(at.line);
    let segment =
        finding.segment == Some(at.segment) && finding.line.is_none() && finding.leaves.is_none();
    line || segment
        || finding
            .leaves
            .is_some_and(|leaves| leaves.first <= at.leaf + 1 && at.leaf <= leaves.last)
}

/// Nothing before the changed line is blamed.
fn is_not_before(finding: &Finding, at: At) -> bool {
    // With the record of a removal the removed segment is missed.
    if finding.code == Code::RemovalMissing && at.segment == REMOVAL.segment {
        return true;
    }
    if finding
        .leaves
        .is_some_and(|leaves| leaves.first <= at.leaf && at.leaf <= leaves.last)
    {
        return true;
    }
    let by_leaf = finding
        .leaves
        .is_none_or(|leaves| leaves.last + 1 >= at.leaf);
    let by_line = finding.segment.is_none_or(|segment| segment >= at.segment);
    by_leaf && by_line
}

#[track_caller]
fn assert_found(report: &Report, at: At, how: &str) {
    assert_eq!(
        report.verdict,
        Verdict::Tampered,
        "{how} at {at:?} was not found"
    );
    let found = report.findings.iter().any(|finding| touches(finding, at));
    assert!(
        found,
        "{how} at {at:?} was found elsewhere: {:#?}",
        report.findings
    );
    for finding in &report.findings {
        assert!(is_not_before(finding, at), "{how} at {at:?}: {finding:#?}");
    }
}

#[test]
fn the_log_that_is_tampered_with_is_ok_before() {
    for trust in [
        with_head(&STORY.disk),
        with_all(&STORY.disk),
        Trust::default(),
    ] {
        let report = STORY.disk.verify(trust);
        assert_eq!(report.verdict, Verdict::Ok, "{:#?}", report.findings);
    }
    assert_eq!(
        OTHER.disk.verify(OTHER.disk.trust(&OTHER.root)).verdict,
        Verdict::Ok
    );
}

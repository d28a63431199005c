//! The writer: batches, starts, crashes, keys.

mod common;

use common::{Disk, ORIGIN, Writer, assert_ok, root_key};
use enforcer_evidence::{
    Sealer,
    chain::ChainError,
    epoch::EpochKey,
    seal::{PushError, Resume, ResumeError, Start},
    verify::Code,
};
use serde_json::json;

#[test]
fn what_cannot_be_linked_leaves_the_batch_as_it_was() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    let (good, size) = (writer.event(), writer.sealer.size());
    let mut batch = writer.sealer.begin();
    batch.push(&good).expect("it belongs here");
    let lines = batch.lines().to_vec();
    for (bad, why) in [
        (
            json!([]),
            PushError::Chain(ChainError::Nameless("metadata.uid")),
        ),
        (
            json!({"metadata": {"uid": "a"}}),
            PushError::Chain(ChainError::Nameless("type_uid")),
        ),
        (
            json!({"metadata": {"uid": "a"}, "type_uid": 1, "attestation_list": []}),
            PushError::Chain(ChainError::Attested),
        ),
        (
            json!({"metadata": {"event_code": "log-segment"}}),
            PushError::OpeningUnexpected(1),
        ),
        (
            json!({"metadata": {"event_code": "log-epoch"}}),
            PushError::EpochUnexpected,
        ),
    ] {
        assert_eq!(batch.push(&bad), Err(why));
    }
    let fraction = json!({"metadata": {"uid": "a"}, "type_uid": 1, "x": 0.5});
    assert!(matches!(
        batch.push(&fraction),
        Err(PushError::Chain(ChainError::NotCanonical(_)))
    ));
    assert_eq!(batch.lines(), lines);
    assert_eq!(batch.commit().size, size + 1);
}

#[test]
fn a_batch_that_failed_never_was() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    let records = [writer.event(), writer.event()];
    let mut lines = Vec::new();
    for _ in 0..2 {
        let mut batch = writer.sealer.begin();
        records
            .iter()
            .for_each(|record| batch.push(record).expect("it belongs here"));
        lines.push(batch.lines().to_vec());
    }
    assert_eq!(lines[0], lines[1]);
    writer.append(&records);
    writer.checkpoint();
    assert_ok(&writer.disk.verify(writer.disk.trust(&root_key(ORIGIN, 1))));
}

#[test]
fn only_what_was_published_is_recorded() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    writer.events(1);
    writer.sealer.next_segment();
    assert!(writer.sealer.opening().is_err());
    let event = writer.event();
    assert_eq!(
        writer.sealer.begin().push(&event),
        Err(PushError::OpeningExpected(2))
    );
    writer.publish();
    assert_eq!(
        writer.sealer.opening().map(|opening| opening.segment),
        Ok(2)
    );
    writer.sealer.begin_epoch(&[7; 32]).expect("an origin");
    assert!(writer.sealer.epoch_opening().is_err());
    assert!(writer.sealer.checkpoint().is_none());
    writer.publish();
    assert!(
        writer
            .sealer
            .epoch_opening()
            .is_ok_and(|opening| opening.is_some())
    );
}

#[test]
fn a_crash_at_any_step_of_an_epochs_change_leaves_a_log_that_goes_on() {
    // What is on the disk after each step of a start; the next start finds it so.
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    writer.events(3);
    let before = writer.stop();
    let after = Writer::start(ORIGIN, before.clone(), 1 << 20, 2).disk;
    let second = EpochKey::generate(ORIGIN, 2, &[2; 32])
        .expect("an origin")
        .to_file()
        .to_string();
    let transition = after.epochs.last().cloned();
    let key_written = Disk {
        key_next: Some(second.clone()),
        ..before.clone()
    };
    let published = Disk {
        head: transition.clone(),
        epochs: after.epochs.clone(),
        ..key_written.clone()
    };
    let recorded = Disk {
        segments: after.segments.clone(),
        ..published.clone()
    };
    let replaced = Disk {
        key: Some(second),
        key_next: None,
        ..recorded.clone()
    };
    for (step, disk) in [before, key_written, published, recorded, replaced, after]
        .into_iter()
        .enumerate()
    {
        let mut writer = Writer::start(ORIGIN, disk, 1 << 20, 3);
        writer.events(2);
        let report = writer.disk.verify(writer.disk.trust(&root_key(ORIGIN, 1)));
        assert_ok(&report);
        let epochs = if step < 3 { 2 } else { 3 };
        assert_eq!(report.epochs.len(), epochs, "step {step}");
        assert_eq!(report.unsigned_tail, 2, "step {step}");
    }
}

#[test]
fn a_first_start_can_crash_at_any_line() {
    let whole = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1).disk;
    let lines = whole.lines(1);
    for count in 0..=lines.len() {
        let mut disk = Disk {
            key: whole.key.clone(),
            head: whole.head.clone(),
            ..Disk::default()
        };
        if count < lines.len() {
            // The head covers nothing before the first batch is durable.
            disk.head = None;
        }
        disk.set_lines(1, &lines[..count]);
        let mut writer = Writer::start(ORIGIN, disk, 1 << 20, 2);
        writer.events(1);
        let root = if count == 0 {
            root_key(ORIGIN, 2)
        } else {
            root_key(ORIGIN, 1)
        };
        let report = writer.disk.verify(writer.disk.trust(&root));
        let head_missing = count > 0 && count < lines.len();
        let expected = if head_missing {
            vec![Code::HeadMissing]
        } else {
            Vec::new()
        };
        let found: Vec<Code> = report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(found, expected, "{count}: {:#?}", report.findings);
    }
}

#[test]
fn a_segment_that_was_made_and_never_written_is_gone_on_with() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    writer.events(3);
    let mut disk = writer.stop();
    disk.segments.insert(2, Vec::new());
    assert_ok(&disk.verify(disk.trust(&root_key(ORIGIN, 1))));
    let mut writer = Writer::start(ORIGIN, disk, 1 << 20, 2);
    writer.events(1);
    let report = writer.disk.verify(writer.disk.trust(&root_key(ORIGIN, 1)));
    assert_ok(&report);
    assert_eq!(report.segments.len(), 2);
}

#[test]
fn a_lost_key_is_found_unless_an_admin_vouches_for_the_new_one() {
    let mut disk = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1).stop();
    disk.key = None;
    let mut writer = Writer::start(ORIGIN, disk, 1 << 20, 2);
    writer.events(1);
    let disk = writer.stop();
    let mut trust = disk.trust(&root_key(ORIGIN, 1));
    trust.transitions.clear();
    let report = disk.verify(trust.clone());
    assert_eq!(
        report.findings.iter().map(|f| f.code).collect::<Vec<_>>(),
        [Code::Unvouched]
    );
    let second = EpochKey::generate(ORIGIN, 2, &[2; 32])
        .expect("an origin")
        .verifier()
        .clone();
    trust.keys.insert(2, second);
    assert_ok(&disk.verify(trust));
}

#[test]
fn a_log_without_openings_is_not_gone_on_with() {
    let mut resume = Resume::default();
    let error = resume
        .segment(1, &b"{\"a\":1}\n"[..])
        .expect_err("no opening");
    assert!(
        matches!(error, ResumeError::NoOpening { segment: 1, .. }),
        "{error}"
    );
    assert!(matches!(
        Resume::default().segment(2, &b""[..]),
        Err(ResumeError::NeedsFormer { segment: 2 })
    ));
    assert!(matches!(
        Resume::default().segment(1, &b"{}"[..]),
        Err(ResumeError::Torn { segment: 1 })
    ));
}

#[test]
fn a_start_tells_what_it_found() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    writer.events(3);
    writer.publish();
    let head = writer.disk.head.clone();
    let mut lines = writer.disk.lines(1);
    lines.truncate(2);
    writer.disk.set_lines(1, &lines);
    let mut resume = Resume::default();
    resume
        .segment(1, writer.disk.segments[&1].as_slice())
        .expect("a log");
    let resumed = resume.finish();
    let start = Start {
        origin: ORIGIN,
        resumed,
        keys: Vec::new(),
        head,
        random: &[2; 32],
    };
    let (_, found) = Sealer::start(start).expect("an origin");
    assert_eq!(
        (
            found.missing,
            found.adopted,
            found.key_lost,
            found.head_lost
        ),
        (3, 0, true, false)
    );
}

//! Logs as they are written, and what a verifier says of them.

mod common;

use std::{collections::BTreeMap, path::Path, process::Command};

use common::{Disk, Writer, root_key, story};
use enforcer_evidence::{
    chain::{self, ChainError},
    epoch::EpochKey,
    payload::{self, Payload},
    prove::{ProveError, Prover, Unproven, Voucher},
    seal::{PushError, Resume, ResumeError, Start},
    verify::{Code, Report, Trust, Verdict, segment_since},
    *,
};
use serde_json::{Value, json};

const ORIGIN: &str = "enforcer/0123456789abcdef";

fn assert_ok(report: &Report) {
    assert_eq!(report.verdict, Verdict::Ok, "{:#?} {:?}", report.findings, report.unverifiable);
}

#[test]
fn a_log_that_nobody_touched_is_ok() {
    let story = story(ORIGIN, 1);
    let mut trust = story.disk.trust(&story.root);
    trust.checkpoints = story.off_host.clone();
    let report = story.disk.verify(trust);
    assert_ok(&report);
    assert!(report.segments.len() >= 4, "{:#?}", report.segments);
    assert_eq!(report.epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(report.epochs.iter().all(|epoch| epoch.vouched), "{:#?}", report.epochs);
    // The three events of the crash, and the checkpoint's record, of which no head was published.
    assert_eq!(report.adopted, 4);
    assert_eq!((report.removed.len(), report.torn.len(), report.unsigned_tail), (1, 1, 0));
    assert_eq!(report.limits, Vec::<String>::new());
    assert!(report.off_host_agreed >= 5 && report.off_host_agreed + report.off_host_unread == 9);
    assert_eq!(report.newest.map(|newest| newest.size), Some(report.size));
}

#[test]
fn every_line_passes_the_schemas_checker() {
    let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/tools/ocsf_check.py");
    let story = story(ORIGIN, 1);
    let mut writer = Writer::start(ORIGIN, Disk::default(), 16_000, 9);
    writer.events(1);
    let all: Vec<u8> = story.disk.segments.into_values().chain(writer.disk.segments.into_values()).flatten().collect();
    if checker.exists() {
        let file = std::env::temp_dir().join(format!("evidence-{}.jsonl", std::process::id()));
        std::fs::write(&file, &all).expect("a file");
        let output = Command::new("python3").arg(checker).arg(&file).output().expect("python3");
        std::fs::remove_file(&file).expect("it is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    for line in String::from_utf8(all).expect("UTF-8").lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        assert!(record["attestation_list"][0]["fingerprint"]["value"].is_string());
        assert!(record["metadata"]["profiles"].as_array().expect("profiles").contains(&"record_integrity".into()));
    }
}

#[test]
fn a_line_is_the_canonical_form_of_its_record() {
    for (_, _, record) in story(ORIGIN, 1).disk.records() {
        let mut line = Vec::new();
        canonical::append_line(&mut line, &record).expect("canonical");
        let attestation = chain::Attestation::of(&record).expect("an attestation");
        assert_eq!(chain::hold(line.trim_ascii_end(), &mut record.clone(), &attestation), chain::Held::True);
        // The fingerprint is what the documentation says that it is.
        let mut without = record.clone();
        without["attestation_list"][0].as_object_mut().expect("an object").remove("fingerprint");
        let mut form = Vec::new();
        canonical::append_line(&mut form, &without).expect("canonical");
        assert_eq!(Hash::of(form.trim_ascii_end()), attestation.fingerprint);
    }
}

#[test]
fn the_profile_is_added_where_it_is_missing_and_nothing_else_is() {
    let record = json!({"metadata": {"uid": "a", "profiles": ["host", "security_control"]}, "type_uid": 1, "z": "\u{1f600}"});
    let mut line = Vec::new();
    chain::append_record(&mut line, &record, "o", None).expect("a record");
    let read: Value = serde_json::from_slice(&line).expect("JSON");
    assert_eq!(read["metadata"]["profiles"], json!(["host", "record_integrity", "security_control"]));
    assert_eq!(read["z"], record["z"]);
    assert!(read["attestation_list"][0].get("prev_event").is_none());
}

#[test]
fn what_cannot_be_linked_leaves_the_batch_as_it_was() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    let (good, size) = (writer.event(), writer.sealer.size());
    let mut batch = writer.sealer.begin();
    batch.push(&good).expect("it belongs here");
    let lines = batch.lines().to_vec();
    for (bad, why) in [
        (json!([]), PushError::Chain(ChainError::Nameless("metadata.uid"))),
        (json!({"metadata": {"uid": "a"}}), PushError::Chain(ChainError::Nameless("type_uid"))),
        (json!({"metadata": {"uid": "a"}, "type_uid": 1, "attestation_list": []}), PushError::Chain(ChainError::Attested)),
        (json!({"metadata": {"event_code": "log-segment"}}), PushError::OpeningUnexpected(1)),
        (json!({"metadata": {"event_code": "log-epoch"}}), PushError::EpochUnexpected),
    ] {
        assert_eq!(batch.push(&bad), Err(why));
    }
    let fraction = json!({"metadata": {"uid": "a"}, "type_uid": 1, "x": 0.5});
    assert!(matches!(batch.push(&fraction), Err(PushError::Chain(ChainError::NotCanonical(_)))));
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
        records.iter().for_each(|record| batch.push(record).expect("it belongs here"));
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
    assert_eq!(writer.sealer.begin().push(&event), Err(PushError::OpeningExpected(2)));
    writer.publish();
    assert_eq!(writer.sealer.opening().map(|opening| opening.segment), Ok(2));
    writer.sealer.begin_epoch(&[7; 32]).expect("an origin");
    assert!(writer.sealer.epoch_opening().is_err());
    assert!(writer.sealer.checkpoint().is_none());
    writer.publish();
    assert!(writer.sealer.epoch_opening().is_ok_and(|opening| opening.is_some()));
}

#[test]
fn a_crash_at_any_step_of_an_epochs_change_leaves_a_log_that_goes_on() {
    // What is on the disk after each step of a start; the next start finds it so.
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    writer.events(3);
    let before = writer.stop();
    let after = Writer::start(ORIGIN, before.clone(), 1 << 20, 2).disk;
    let second = EpochKey::generate(ORIGIN, 2, &[2; 32]).expect("an origin").to_file().to_string();
    let transition = after.epochs.last().cloned();
    let key_written = Disk { key_next: Some(second.clone()), ..before.clone() };
    let published = Disk { head: transition.clone(), epochs: after.epochs.clone(), ..key_written.clone() };
    let recorded = Disk { segments: after.segments.clone(), ..published.clone() };
    let replaced = Disk { key: Some(second), key_next: None, ..recorded.clone() };
    for (step, disk) in [before, key_written, published, recorded, replaced, after].into_iter().enumerate() {
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
        let mut disk = Disk { key: whole.key.clone(), head: whole.head.clone(), ..Disk::default() };
        if count < lines.len() {
            // The head covers nothing before the first batch is durable.
            disk.head = None;
        }
        disk.set_lines(1, &lines[..count]);
        let mut writer = Writer::start(ORIGIN, disk, 1 << 20, 2);
        writer.events(1);
        let root = if count == 0 { root_key(ORIGIN, 2) } else { root_key(ORIGIN, 1) };
        let report = writer.disk.verify(writer.disk.trust(&root));
        let head_missing = count > 0 && count < lines.len();
        let expected = if head_missing { vec![Code::HeadMissing] } else { Vec::new() };
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
    assert_eq!(report.findings.iter().map(|f| f.code).collect::<Vec<_>>(), [Code::Unvouched]);
    let second = EpochKey::generate(ORIGIN, 2, &[2; 32]).expect("an origin").verifier().clone();
    trust.keys.insert(2, second);
    assert_ok(&disk.verify(trust));
}

#[test]
fn a_log_without_openings_is_not_gone_on_with() {
    let mut resume = Resume::default();
    let error = resume.segment(1, &b"{\"a\":1}\n"[..]).expect_err("no opening");
    assert!(matches!(error, ResumeError::NoOpening { segment: 1, .. }), "{error}");
    assert!(matches!(Resume::default().segment(2, &b""[..]), Err(ResumeError::NeedsFormer { segment: 2 })));
    assert!(matches!(Resume::default().segment(1, &b"{}"[..]), Err(ResumeError::Torn { segment: 1 })));
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
    resume.segment(1, writer.disk.segments[&1].as_slice()).expect("a log");
    let resumed = resume.finish();
    let start = Start { origin: ORIGIN, resumed, keys: Vec::new(), head, random: &[2; 32] };
    let (_, found) = Sealer::start(start).expect("an origin");
    assert_eq!((found.missing, found.adopted, found.key_lost, found.head_lost), (3, 0, true, false));
}

#[test]
fn verification_can_begin_at_any_segment() {
    let story = story(ORIGIN, 1);
    let numbers: Vec<u64> = story.disk.segments.keys().copied().collect();
    for from in &numbers {
        let mut disk = story.disk.clone();
        disk.segments.retain(|number, _| number >= from);
        let trust = Trust { from: Some(*from), ..disk.trust(&story.root) };
        let report = disk.verify(trust.clone());
        assert_ok(&report);
        assert!(report.epochs.iter().all(|epoch| epoch.vouched), "{from}: {:#?}", report.epochs);
        assert_eq!(report.first_leaf + report.lines, report.size);
        // Without the notes between, the first key leads nowhere.
        let alone = disk.verify(Trust { transitions: Vec::new(), ..trust.clone() });
        let first_epoch = report.epochs[0].epoch;
        let expected = if first_epoch == 1 { Verdict::Ok } else { Verdict::Unverifiable };
        assert_eq!(alone.verdict, expected, "{from}: {:#?}", alone.findings);
        // With a checkpoint of these lines from elsewhere they are not needed.
        let kept = disk.verify(Trust { transitions: Vec::new(), checkpoints: story.off_host.clone(), ..trust });
        let expected = if kept.off_host_agreed > 0 { Verdict::Ok } else { expected };
        assert_eq!(kept.verdict, expected, "{from}: {:#?}", kept.findings);
    }
}

#[test]
fn a_time_is_found_in_the_segment_before_the_first_later_one() {
    let openings = [(3, Some(100)), (4, None), (5, Some(200)), (6, Some(150)), (7, Some(300))];
    for (since, from) in [(50, 3), (100, 4), (150, 4), (199, 4), (200, 6), (299, 6), (300, 7), (999, 7)] {
        assert_eq!(segment_since(&openings, since), Some(from), "{since}");
    }
    assert_eq!(segment_since(&[], 1), None);
}

#[test]
fn a_log_that_is_being_written_is_ok_whatever_was_read_first() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    writer.events(2);
    writer.publish();
    let before = writer.disk.head.clone();
    writer.events(2);
    writer.checkpoint();
    let mut verifier = Verifier::new(Trust { head: before, ..Trust::default() }).expect("a head");
    verifier.segment(1, writer.disk.segments[&1].as_slice()).expect("read");
    writer.events(2);
    writer.publish();
    assert_ok(&verifier.finish(writer.disk.head.as_deref()));
}

#[test]
fn nothing_but_the_log_says_little_and_says_so() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    writer.events(2);
    let report = writer.disk.verify(Trust::default());
    assert_ok(&report);
    assert_eq!(report.limits.len(), 3, "{:#?}", report.limits);
    let empty = Disk::default().verify(Trust::default());
    assert_eq!(empty.verdict, Verdict::Unverifiable);
    let gone = Disk::default().verify(Trust { head: writer.disk.head, ..Trust::default() });
    assert_eq!(gone.findings[0].code, Code::LinesMissing);
}

#[test]
fn what_is_trusted_has_to_be_of_one_log() {
    let keys = BTreeMap::from([(1, root_key(ORIGIN, 1))]);
    let other = story("enforcer/other", 1);
    let trust = Trust { keys, checkpoints: other.off_host, ..Trust::default() };
    assert!(Verifier::new(trust).is_err());
    let trust = Trust { checkpoints: vec!["no note".to_owned()], ..Trust::default() };
    assert!(Verifier::new(trust).is_err());
}

#[test]
fn every_record_can_be_proven_without_the_log() {
    let story = story(ORIGIN, 1);
    let report = story.disk.verify(story.disk.trust(&story.root));
    let newest = report.newest.expect("a note");
    let trust = Trust { keys: BTreeMap::from([(1, story.root.clone())]), ..Trust::default() };
    for (leaf, (segment, _, record)) in (report.first_leaf..).zip(story.disk.records()) {
        let uid = record["metadata"]["uid"].as_str().expect("a uid");
        let mut prover = Prover::new(uid, &newest.note, &newest.vkey, story.disk.epochs.clone()).expect("a note");
        for (number, bytes) in story.disk.segments.range(segment..) {
            prover.segment(*number, bytes.as_slice()).expect("read");
        }
        let proof = prover.finish().expect("a proof");
        let text = serde_json::to_string(&proof).expect("JSON");
        let proof: prove::Proof = serde_json::from_str(&text).expect("a proof");
        let proven = proof.verify(&trust).expect("it holds");
        assert_eq!((proven.leaf, &proven.record, proven.voucher), (leaf, &record, Voucher::Key));
        // Nothing of it can be changed.
        let mut other = proof.clone();
        other.line = other.line.replacen("enforcer", "enforced", 1);
        assert!(matches!(other.verify(&trust), Err(Unproven::NotIncluded { .. })));
        let mut other = proof.clone();
        other.leaf ^= 1;
        assert!(other.verify(&trust).is_err());
        let strange = Trust { keys: BTreeMap::from([(1, root_key(ORIGIN, 77))]), ..Trust::default() };
        assert!(matches!(proof.verify(&strange), Err(Unproven::Transitions(_))));
        let nobody = proof.verify(&Trust::default()).expect("it holds in itself");
        assert_eq!(nobody.voucher, Voucher::Nobody);
    }
}

#[test]
fn a_record_is_proven_against_a_checkpoint_that_was_kept_off_the_host() {
    let story = story(ORIGIN, 1);
    let report = story.disk.verify(story.disk.trust(&story.root));
    let kept = story.off_host.last().expect("one");
    let vkey = &report.epochs.last().expect("one").vkey;
    let records = story.disk.records();
    let uid = |record: &Value| record["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let prove = |uid: &str| {
        let mut prover = Prover::new(uid, kept, vkey, Vec::new()).expect("a note");
        for (number, bytes) in &story.disk.segments {
            prover.segment(*number, bytes.as_slice()).expect("read");
        }
        prover.finish()
    };
    let proof = prove(&uid(&records[10].2)).expect("a proof");
    let trust = Trust { checkpoints: story.off_host.clone(), ..Trust::default() };
    assert_eq!(proof.verify(&trust).expect("it holds").voucher, Voucher::OffHost);
    let newer = uid(&records.last().expect("one").2);
    assert!(matches!(prove(&newer), Err(ProveError::NotFound { .. })));
}

#[test]
fn payloads_are_read_back_from_their_records() {
    let codes = |disk: &Disk| {
        let of = |record: &Value| Payload::of(record).expect("a payload").map(|_| record["metadata"]["event_code"].as_str().expect("a code").to_owned());
        disk.records().iter().filter_map(|(_, _, record)| of(record)).collect::<std::collections::BTreeSet<_>>()
    };
    let all = [payload::CHECKPOINT, payload::EPOCH, payload::SEGMENT, payload::REMOVED, payload::TORN];
    assert_eq!(codes(&story(ORIGIN, 1).disk), all.map(str::to_owned).into());
}

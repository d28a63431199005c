//! Logs as they are written, and what a verifier says of them.

mod common;

use std::{collections::BTreeMap, path::Path, process::Command};

use common::{Disk, ORIGIN, Writer, assert_ok, root_key, story};
use enforcer_evidence::{
    Hash, Verifier, canonical, chain,
    payload::{self, Payload},
    verify::{Code, Trust, Verdict, segment_since},
};
use serde_json::{Value, json};

#[test]
fn a_log_that_nobody_touched_is_ok() {
    let story = story(ORIGIN, 1);
    let mut trust = story.disk.trust(&story.root);
    trust.checkpoints = story.off_host.clone();
    let report = story.disk.verify(trust);
    assert_ok(&report);
    assert!(report.segments.len() >= 4, "{:#?}", report.segments);
    assert_eq!(
        report
            .epochs
            .iter()
            .map(|epoch| epoch.epoch)
            .collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert!(
        report.epochs.iter().all(|epoch| epoch.vouched),
        "{:#?}",
        report.epochs
    );
    // The three events of the crash, and the checkpoint's record, of which no head was published.
    assert_eq!(report.adopted, 4);
    assert_eq!(
        (
            report.removed.len(),
            report.torn.len(),
            report.unsigned_tail
        ),
        (1, 1, 0)
    );
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
    let all: Vec<u8> = story
        .disk
        .segments
        .into_values()
        .chain(writer.disk.segments.into_values())
        .flatten()
        .collect();
    if checker.exists() {
        let file = std::env::temp_dir().join(format!("evidence-{}.jsonl", std::process::id()));
        std::fs::write(&file, &all).expect("a file");
        let output = Command::new("python3")
            .arg(checker)
            .arg(&file)
            .output()
            .expect("python3");
        std::fs::remove_file(&file).expect("it is there");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    for line in String::from_utf8(all).expect("UTF-8").lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        assert!(record["attestation_list"][0]["fingerprint"]["value"].is_string());
        assert!(
            record["metadata"]["profiles"]
                .as_array()
                .expect("profiles")
                .contains(&"record_integrity".into())
        );
    }
}

#[test]
fn a_line_is_the_canonical_form_of_its_record() {
    for (_, _, record) in story(ORIGIN, 1).disk.records() {
        let mut line = Vec::new();
        canonical::append_line(&mut line, &record).expect("canonical");
        let attestation = chain::Attestation::of(&record).expect("an attestation");
        assert_eq!(
            chain::hold(line.trim_ascii_end(), &mut record.clone(), &attestation),
            chain::Held::True
        );
        // The fingerprint is what the documentation says that it is.
        let mut without = record.clone();
        without["attestation_list"][0]
            .as_object_mut()
            .expect("an object")
            .remove("fingerprint");
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
    assert_eq!(
        read["metadata"]["profiles"],
        json!(["host", "record_integrity", "security_control"])
    );
    assert_eq!(read["z"], record["z"]);
    assert!(read["attestation_list"][0].get("prev_event").is_none());
}

#[test]
fn verification_can_begin_at_any_segment() {
    let story = story(ORIGIN, 1);
    let numbers: Vec<u64> = story.disk.segments.keys().copied().collect();
    for from in &numbers {
        let mut disk = story.disk.clone();
        disk.segments.retain(|number, _| number >= from);
        let trust = Trust {
            from: Some(*from),
            ..disk.trust(&story.root)
        };
        let report = disk.verify(trust.clone());
        assert_ok(&report);
        assert!(
            report.epochs.iter().all(|epoch| epoch.vouched),
            "{from}: {:#?}",
            report.epochs
        );
        assert_eq!(report.first_leaf + report.lines, report.size);
        // Without the notes between, the first key leads nowhere.
        let alone = disk.verify(Trust {
            transitions: Vec::new(),
            ..trust.clone()
        });
        let first_epoch = report.epochs[0].epoch;
        let expected = if first_epoch == 1 {
            Verdict::Ok
        } else {
            Verdict::Unverifiable
        };
        assert_eq!(alone.verdict, expected, "{from}: {:#?}", alone.findings);
        // With a checkpoint of these lines from elsewhere they are not needed.
        let kept = disk.verify(Trust {
            transitions: Vec::new(),
            checkpoints: story.off_host.clone(),
            ..trust
        });
        let expected = if kept.off_host_agreed > 0 {
            Verdict::Ok
        } else {
            expected
        };
        assert_eq!(kept.verdict, expected, "{from}: {:#?}", kept.findings);
    }
}

#[test]
fn a_time_is_found_in_the_segment_before_the_first_later_one() {
    let openings = [
        (3, Some(100)),
        (4, None),
        (5, Some(200)),
        (6, Some(150)),
        (7, Some(300)),
    ];
    for (since, from) in [
        (50, 3),
        (100, 4),
        (150, 4),
        (199, 4),
        (200, 6),
        (299, 6),
        (300, 7),
        (999, 7),
    ] {
        assert_eq!(segment_since(&openings, since), Some(from), "{since}");
    }
    assert_eq!(segment_since(&[], 1), None);
}

/// A verifier that was given a head, and then the log's segment as it is now.
fn reading(writer: &Writer, head: Option<String>) -> Verifier {
    let mut verifier = Verifier::new(Trust {
        head,
        ..Trust::default()
    })
    .expect("a head");
    verifier
        .segment(1, writer.disk.segments[&1].as_slice())
        .expect("read");
    verifier
}

#[test]
fn a_log_that_is_being_written_is_ok_whatever_was_read_first() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    writer.events(2);
    writer.publish();
    let before = writer.disk.head.clone();
    writer.events(2);
    writer.checkpoint();
    let verifier = reading(&writer, before);
    writer.events(2);
    writer.publish();
    assert_ok(&verifier.finish(writer.disk.head.as_deref()));
}

#[test]
fn an_epoch_may_begin_while_the_log_is_read() {
    let mut writer = Writer::start(ORIGIN, Disk::default(), 1 << 20, 1);
    writer.events(2);
    writer.publish();
    let before = writer.disk.head.clone();
    writer.events(1);
    writer.next_epoch();
    writer.events(2);
    writer.publish();
    writer.next_epoch();
    writer.events(2);
    writer.publish();
    let verifier = reading(&writer, before);
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
    let gone = Disk::default().verify(Trust {
        head: writer.disk.head,
        ..Trust::default()
    });
    assert_eq!(gone.findings[0].code, Code::LinesMissing);
}

#[test]
fn what_is_trusted_has_to_be_of_one_log() {
    let keys = BTreeMap::from([(1, root_key(ORIGIN, 1))]);
    let other = story("enforcer/other", 1);
    let trust = Trust {
        keys,
        checkpoints: other.off_host,
        ..Trust::default()
    };
    assert!(Verifier::new(trust).is_err());
    let trust = Trust {
        checkpoints: vec!["no note".to_owned()],
        ..Trust::default()
    };
    assert!(Verifier::new(trust).is_err());
}

#[test]
fn payloads_are_read_back_from_their_records() {
    let codes = |disk: &Disk| {
        let of = |record: &Value| {
            Payload::of(record).expect("a payload").map(|_| {
                record["metadata"]["event_code"]
                    .as_str()
                    .expect("a code")
                    .to_owned()
            })
        };
        disk.records()
            .iter()
            .filter_map(|(_, _, record)| of(record))
            .collect::<std::collections::BTreeSet<_>>()
    };
    let all = [
        payload::CHECKPOINT,
        payload::EPOCH,
        payload::SEGMENT,
        payload::REMOVED,
        payload::TORN,
    ];
    assert_eq!(codes(&story(ORIGIN, 1).disk), all.map(str::to_owned).into());
}

//! What holds of any record, any text, any log.

mod common;

use common::{Disk, Writer, root_key};
use enforcer_evidence::{
    chain::{Attestation, Held, append_record, hold},
    checkpoint::Checkpoint,
    epoch::{EpochKey, SignedCheckpoint},
    note::{Note, Signed, SignerKey, VerifierKey, sign},
    payload::Payload,
    verify::{Trust, Verdict, Verifier},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// JSON of integers and text, a few levels deep.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn records() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        Just("actor".to_owned()),
        Just("attestation".to_owned()),
        Just("time".to_owned()),
        any::<String>()
    ];
    (
        prop::collection::btree_map(names, values(), 0..5),
        any::<String>(),
        0_u64..1 << 53,
    )
        .prop_map(|(members, uid, type_uid)| {
            let mut record: Map<String, Value> = members.into_iter().collect();
            record.remove("attestation_list");
            record.insert(
                "metadata".to_owned(),
                json!({"uid": uid, "profiles": ["record_integrity"]}),
            );
            record.insert("type_uid".to_owned(), type_uid.into());
            record.into()
        })
}

proptest! {
    #[test]
    fn any_record_is_held_to_what_it_was(record in records(), other in records(), uid in any::<String>()) {
        let mut lines = Vec::new();
        let first = append_record(&mut lines, &other, &uid, None).expect("a record");
        let start = lines.len();
        let link = append_record(&mut lines, &record, &uid, Some(&first)).expect("a record");
        let line = lines[start..].strip_suffix(b"\n").expect("a line");
        prop_assert!(!line.contains(&b'\n'));
        let mut read: Value = serde_json::from_slice(line).expect("JSON");
        let attestation = Attestation::of(&read).expect("an attestation");
        prop_assert_eq!(&attestation.previous, &Some(first));
        prop_assert_eq!(attestation.fingerprint, link.fingerprint);
        prop_assert_eq!(hold(line, &mut read, &attestation), Held::True);
        prop_assert_eq!(read, record);
    }

    #[test]
    fn any_other_byte_in_a_line_is_seen(record in records(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut line = Vec::new();
        append_record(&mut line, &record, "origin", None).expect("a record");
        line.pop();
        let at = at.index(line.len());
        prop_assume!(line[at] != byte);
        line[at] = byte;
        let Ok(mut read) = serde_json::from_slice::<Value>(&line) else { return Ok(()) };
        let Some(attestation) = Attestation::of(&read) else { return Ok(()) };
        prop_assert_ne!(hold(&line, &mut read, &attestation), Held::True);
    }

    #[test]
    fn any_checkpoint_is_read_back(size in any::<u64>(), epoch in 0..u64::MAX, time_ms in any::<i64>(), last in any::<bool>(), seed in any::<[u8; 32]>()) {
        let key = SignerKey::new("enforcer/host", &seed).expect("a name");
        let next = last.then(|| key.verifier().clone());
        let root = enforcer_evidence::Hash(seed);
        let checkpoint = Checkpoint { origin: "enforcer/host".to_owned(), size, root, epoch, time_ms, next };
        let note = sign(&checkpoint.to_string(), &[&key]).expect("a text");
        let note = Note::parse(&note).expect("a note");
        prop_assert_eq!(note.signed_by(key.verifier()), Signed::Valid);
        prop_assert_eq!(note.text().parse(), Ok(checkpoint));
    }

    #[test]
    fn any_text_is_read_or_refused_without_panicking(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Note::parse(&text);
        let _ = text.parse::<Checkpoint>();
        let _ = text.parse::<VerifierKey>();
        let _ = EpochKey::from_file(&text);
        let mut verifier = Verifier::new(Trust { head: Some(text), ..Trust::default() }).expect("nothing is trusted");
        verifier.segment(1, bytes.as_slice()).expect("read");
        prop_assert_ne!(verifier.finish(None).verdict, Verdict::Ok);
    }

    #[test]
    fn any_payload_is_read_or_refused_without_panicking(unmapped in values(), code in 0_usize..5) {
        let code = ["log-segment", "log-epoch", "log-checkpoint", "log-segment-removed", "log-torn"][code];
        let _ = Payload::of(&json!({"metadata": {"event_code": code}, "unmapped": unmapped}));
    }
}

/// What the daemon does, one step of it.
#[derive(Clone, Debug)]
enum Step {
    Events(u64),
    Checkpoint,
    Publish,
    Epoch,
    Remove,
    Stop,
    /// The power fails, and this many of the lines that were not signed yet did not reach the disk.
    Crash(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u64..6).prop_map(Step::Events),
        2 => Just(Step::Checkpoint),
        2 => Just(Step::Publish),
        1 => Just(Step::Epoch),
        1 => Just(Step::Remove),
        1 => Just(Step::Stop),
        2 => (0_u64..8).prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..25)
}

/// The disk without the last lines of its last segment, as far as the head does not cover them.
fn without_last(mut disk: Disk, lost: u64) -> Disk {
    let head = SignedCheckpoint::parse(disk.head.as_ref().expect("a head")).expect("a note");
    let last = *disk.segments.keys().next_back().expect("one");
    let mut lines = disk.lines(last);
    if lines.is_empty() {
        return disk;
    }
    let (first, count) = (disk.first_leaf(last), lines.len() as u64);
    let kept = count
        .saturating_sub(lost)
        .max(head.checkpoint.size.saturating_sub(first))
        .min(count);
    lines.truncate(usize::try_from(kept).expect("small"));
    disk.set_lines(last, &lines);
    disk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_life_of_a_daemon_leaves_a_log_that_verifies(steps in steps(), segment_bytes in 3_000_usize..20_000) {
        const ORIGIN: &str = "enforcer/host";
        let mut seed = 1;
        let mut writer = Writer::start(ORIGIN, Disk::default(), segment_bytes, seed);
        let (mut off_host, mut removed) = (Vec::new(), 0);
        for step in steps {
            match step {
                Step::Events(count) => writer.events(count),
                Step::Checkpoint => off_host.push(writer.checkpoint()),
                Step::Publish => writer.publish(),
                Step::Epoch => writer.next_epoch(),
                Step::Remove if writer.disk.segments.len() > 2 => {
                    writer.remove_oldest();
                    removed += 1;
                }
                Step::Remove => {}
                Step::Stop => {
                    seed += 1;
                    writer = Writer::start(ORIGIN, writer.stop(), segment_bytes, seed);
                }
                Step::Crash(lost) => {
                    seed += 1;
                    let disk = without_last(writer.disk, lost);
                    writer = Writer::start(ORIGIN, disk, segment_bytes, seed);
                }
            }
        }
        let mut trust = writer.disk.trust(&root_key(ORIGIN, 1));
        trust.checkpoints = off_host.clone();
        let report = writer.disk.verify(trust);
        prop_assert_eq!(report.verdict, Verdict::Ok, "{:#?} {:?}", report.findings, report.unverifiable);
        prop_assert_eq!(report.off_host_agreed + report.off_host_unread, off_host.len() as u64);
        prop_assert!(removed == 0 || !report.removed.is_empty());
    }
}

//! Whole segments, and the records about them.

use enforcer_evidence::{
    epoch::SignedCheckpoint,
    verify::{Code, Trust, Verdict},
};

use serde_json::Value;

use crate::{
    At, Dice, REMOVAL, STORY, assert_found, codes,
    common::Disk,
    forge::{Notes, forged},
    lines, put_back, with_all, with_head,
};

fn numbers() -> Vec<u64> {
    STORY.disk.segments.keys().copied().collect()
}

/// The first line of a segment.
fn first(segment: u64) -> At {
    At {
        segment,
        line: 1,
        leaf: STORY.disk.first_leaf(segment),
    }
}

#[test]
fn a_missing_segment_is_found() {
    let numbers = numbers();
    for (place, number) in numbers.iter().enumerate() {
        let mut disk = STORY.disk.clone();
        disk.segments.remove(number);
        let report = disk.verify(with_head(&disk));
        assert_eq!(report.verdict, Verdict::Tampered, "segment {number}");
        let (expected, code) = match place {
            0 => (*number, Code::RemovalMissing),
            _ if place + 1 == numbers.len() => (number - 1, Code::LinesMissing),
            _ => (*number, Code::Hole),
        };
        let finding = report
            .findings
            .iter()
            .find(|finding| finding.code == code)
            .expect("found");
        assert_eq!(finding.segment, Some(expected), "{:#?}", report.findings);
        let others = report.findings.iter().filter(|other| other.code != code);
        let with_it =
            others.filter(|other| other.code != Code::RemovalMissing || *number != REMOVAL.segment);
        assert_eq!(with_it.count(), 0, "{:#?}", report.findings);
    }
}

#[test]
fn the_newest_segment_removed_with_its_head_is_found_by_what_is_kept_elsewhere() {
    let size = |note: &String| {
        SignedCheckpoint::parse(note)
            .expect("a note")
            .checkpoint
            .size
    };
    let kept = STORY.off_host.iter().map(size).max().expect("one");
    let mut disk = STORY.disk.clone();
    while disk
        .segments
        .pop_last()
        .is_some_and(|(_, _)| disk.verify(Trust::default()).size >= kept)
    {}
    let (disk, _) = put_back(disk);
    assert_eq!(disk.verify(with_head(&disk)).verdict, Verdict::Ok);
    let report = disk.verify(with_all(&disk));
    assert_eq!(report.verdict, Verdict::Tampered);
    assert!(
        codes(&report)
            .iter()
            .all(|code| *code == Code::LinesMissing),
        "{:?}",
        codes(&report)
    );
}

#[test]
fn segments_in_another_order_are_found() {
    let numbers = numbers();
    for (place, a) in numbers.iter().enumerate() {
        for b in &numbers[place + 1..] {
            let mut disk = STORY.disk.clone();
            let (of_a, of_b) = (disk.segments[a].clone(), disk.segments[b].clone());
            disk.segments.insert(*a, of_b);
            disk.segments.insert(*b, of_a);
            let report = disk.verify(with_head(&disk));
            assert_eq!(report.verdict, Verdict::Tampered);
            for number in [a, b] {
                let found = report.findings.iter().any(|finding| {
                    finding.code == Code::SegmentNumber && finding.segment == Some(*number)
                });
                assert!(found, "{a} and {b}: {:#?}", report.findings);
            }
        }
    }
}

#[test]
fn a_segment_that_was_emptied_is_found() {
    let numbers = numbers();
    for number in &numbers {
        let mut disk = STORY.disk.clone();
        disk.segments.insert(*number, Vec::new());
        let report = disk.verify(with_head(&disk));
        assert_found(&report, first(*number), "emptied");
    }
}

#[test]
fn a_segment_of_another_host_is_found() {
    for number in numbers() {
        let mut disk = STORY.disk.clone();
        let Some(other) = crate::OTHER.disk.segments.get(&number) else {
            continue;
        };
        disk.segments.insert(number, other.clone());
        let report = disk.verify(with_head(&disk));
        assert_found(&report, first(number), "another host's");
        assert!(codes(&report).contains(&Code::ForeignRecord));
    }
}

#[test]
fn a_removal_that_is_not_on_record_is_found() {
    let records = STORY.disk.records();
    let removal = records
        .iter()
        .position(|(_, _, record)| record["metadata"]["event_code"] == "log-segment-removed");
    let removal = removal.expect("a removal");
    let dropped = forged(
        |records| {
            records.remove(removal);
        },
        Notes::Left,
    );
    let other = forged(
        |records| records[removal].1["unmapped"]["last_leaf"] = 7.into(),
        Notes::Left,
    );
    for (disk, code) in [
        (dropped, Code::RemovalMissing),
        (other, Code::RemovalMismatch),
    ] {
        let report = disk.verify(with_head(&disk));
        assert!(codes(&report).contains(&code), "{:#?}", report.findings);
        // It is in signed lines too.
        let at = lines()[removal];
        let root = report
            .findings
            .iter()
            .any(|finding| crate::touches(finding, at));
        assert!(root, "{:#?}", report.findings);
    }
}

#[test]
fn more_segments_than_were_removed_on_record_are_missed() {
    let numbers = numbers();
    for first in &numbers[1..numbers.len() - 1] {
        let mut disk = STORY.disk.clone();
        disk.segments.retain(|number, _| number >= first);
        let report = disk.verify(with_head(&disk));
        assert_eq!(
            codes(&report),
            [Code::RemovalMissing],
            "{:#?}",
            report.findings
        );
        assert_eq!(report.findings[0].segment, Some(first - 1));
    }
}

#[test]
fn a_removed_segment_whose_file_stayed_is_no_fault() {
    // The record was durable, and a crash came before the file went.
    let mut writer = crate::common::Writer::start(crate::common::ORIGIN, Disk::default(), 4_000, 1);
    for _ in 0..5 {
        writer.events(3);
    }
    let removed = writer.disk.segments[&1].clone();
    writer.remove_oldest();
    let mut disk = writer.stop();
    let trust = disk.trust(&STORY.root);
    assert_eq!(disk.verify(trust.clone()).verdict, Verdict::Ok);
    disk.segments.insert(1, removed.clone());
    assert_eq!(disk.verify(trust.clone()).verdict, Verdict::Ok);
    let cut = removed
        .iter()
        .rposition(|byte| *byte == b'{')
        .expect("a brace");
    disk.segments.insert(1, removed[..cut].to_vec());
    assert_eq!(disk.verify(trust).verdict, Verdict::Tampered);
}

#[test]
fn whatever_is_changed_in_what_the_log_says_of_itself_is_found() {
    let mut dice = Dice(6);
    for (index, at) in lines().into_iter().enumerate() {
        let record = &STORY.disk.records()[index].2;
        let code = record["metadata"]["event_code"].as_str().expect("a code");
        if !code.starts_with("log-") {
            continue;
        }
        for (name, value) in record["unmapped"].as_object().expect("a payload") {
            let other = other_than(value, &mut dice);
            let disk = forged(
                |records| records[index].1["unmapped"][name] = other.clone(),
                Notes::Left,
            );
            assert_found(
                &disk.verify(with_head(&disk)),
                at,
                &format!("{code}: {name} became {other}"),
            );
            let disk = forged(
                |records| {
                    records[index].1["unmapped"]
                        .as_object_mut()
                        .expect("an object")
                        .remove(name);
                },
                Notes::Left,
            );
            assert_found(
                &disk.verify(with_head(&disk)),
                at,
                &format!("{code}: {name} was taken away"),
            );
        }
    }
}

fn other_than(value: &Value, dice: &mut Dice) -> Value {
    match value {
        Value::Number(number) => (number.as_u64().expect("a number") + 1).into(),
        Value::String(text) => {
            let mut letters: Vec<char> = text.chars().collect();
            let at = dice.roll(letters.len());
            letters[at] = if letters[at] == '1' { '2' } else { '1' };
            letters.into_iter().collect::<String>().into()
        }
        Value::Array(items) => items[..items.len() - 1].into(),
        Value::Null | Value::Bool(_) | Value::Object(_) => serde_json::json!([value]),
    }
}

#[test]
fn a_torn_line_is_told_of_only_where_the_log_was_gone_on_with() {
    let records = STORY.disk.records();
    let torn = records
        .iter()
        .position(|(_, _, record)| record["metadata"]["event_code"] == "log-torn")
        .expect("one");
    let disk = forged(
        |records| records[torn].1["unmapped"]["offset"] = 5.into(),
        Notes::Left,
    );
    let report = disk.verify(with_head(&disk));
    assert_found(&report, lines()[torn], "another offset");
    assert!(codes(&report).contains(&Code::Torn), "{:?}", codes(&report));
}

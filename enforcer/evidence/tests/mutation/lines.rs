//! Lines: bits, fields, whole lines, and the end.

use enforcer_evidence::{
    epoch::SignedCheckpoint,
    verify::{Code, Trust, Verdict},
};
use serde_json::Value;

use crate::{
    At, Dice, OTHER, REMOVAL, STORY, assert_found, codes,
    common::Disk,
    forge::{Notes, forged},
    lines, put_back, with_all, with_head,
};

/// Lines of the story's disk with a change made to those of one segment.
fn edited(segment: u64, edit: impl FnOnce(&mut Vec<Vec<u8>>)) -> Disk {
    let mut disk = STORY.disk.clone();
    let mut lines = disk.lines(segment);
    edit(&mut lines);
    disk.set_lines(segment, &lines);
    disk
}

fn index(at: At) -> usize {
    usize::try_from(at.line - 1).expect("small")
}

fn is_last_of_segment(at: At) -> bool {
    STORY.disk.lines(at.segment).len() == index(at) + 1
}

#[test]
fn a_flipped_bit_is_found() {
    let mut dice = Dice(1);
    let lines = lines();
    for _ in 0..1500 {
        let at = lines[dice.roll(lines.len())];
        let before: usize = STORY
            .disk
            .lines(at.segment)
            .iter()
            .take(index(at))
            .map(|line| line.len() + 1)
            .sum();
        let length = STORY.disk.lines(at.segment)[index(at)].len() + 1;
        let (offset, bit) = (dice.roll(length), dice.roll(8));
        let mut disk = STORY.disk.clone();
        let bytes = disk.segments.get_mut(&at.segment).expect("there");
        bytes[before + offset] ^= 1 << bit;
        let report = disk.verify(with_head(&disk));
        assert_found(&report, at, &format!("bit {bit} of byte {offset}"));
    }
}

#[test]
fn a_changed_field_is_found_also_when_all_that_follows_is_linked_anew() {
    for (index, at) in lines().into_iter().enumerate() {
        for (place, value) in [
            ("/message", "harmless"),
            ("/time", "0"),
            ("/metadata/uid", "another"),
        ] {
            let disk = forged(
                |records| set(&mut records[index].1, place, value),
                Notes::Left,
            );
            assert_found(&disk.verify(with_head(&disk)), at, place);
        }
    }
}

/// Changes a field, one that is not there too.
fn set(record: &mut Value, place: &str, value: &str) {
    let (parent, name) = place.rsplit_once('/').expect("a pointer");
    record.pointer_mut(parent).expect("there")[name] = match value.parse::<i64>() {
        Ok(number) => number.into(),
        Err(_) => value.into(),
    };
}

#[test]
fn a_line_whose_own_fingerprint_alone_was_made_anew_is_found() {
    for (index, at) in lines().into_iter().enumerate() {
        let disk = forged(
            |records| set(&mut records[index].1, "/message", "harmless"),
            Notes::Left,
        );
        let line = disk.lines(at.segment).swap_remove(self::index(at));
        let disk = edited(at.segment, |lines| lines[self::index(at)] = line);
        assert_found(&disk.verify(with_head(&disk)), at, "one line linked anew");
    }
}

#[test]
fn a_dropped_line_is_found() {
    for at in lines() {
        let disk = edited(at.segment, |lines| {
            lines.remove(index(at));
        });
        assert_found(&disk.verify(with_head(&disk)), at, "dropped");
    }
}

#[test]
fn a_line_dropped_from_a_chain_that_was_closed_again_is_found() {
    for (index, at) in lines().into_iter().enumerate() {
        let disk = forged(
            |records| {
                records.remove(index);
            },
            Notes::Left,
        );
        assert_found(&disk.verify(with_head(&disk)), at, "dropped, linked anew");
    }
}

#[test]
fn a_duplicated_line_is_found() {
    for at in lines() {
        let disk = edited(at.segment, |lines| {
            let line = lines[index(at)].clone();
            lines.insert(index(at), line);
        });
        assert_found(&disk.verify(with_head(&disk)), at, "duplicated");
    }
}

#[test]
fn swapped_lines_are_found() {
    let mut dice = Dice(2);
    for at in lines() {
        let count = STORY.disk.lines(at.segment).len();
        let other = dice.roll(count);
        if other == index(at) {
            continue;
        }
        let disk = edited(at.segment, |lines| lines.swap(index(at), other));
        let first = index(at).min(other);
        let lower = At {
            line: first as u64 + 1,
            leaf: at.leaf + first as u64 - (at.line - 1),
            ..at
        };
        assert_found(&disk.verify(with_head(&disk)), lower, "swapped");
    }
}

#[test]
fn an_inserted_line_is_found() {
    let records = STORY.disk.records();
    let mut dice = Dice(3);
    for (index, at) in lines().into_iter().enumerate() {
        let other = records[dice.roll(records.len())].2.clone();
        for place in [false, true] {
            let disk = if place {
                let segment = records[index].0;
                forged(
                    |records| records.insert(index, (segment, other.clone())),
                    Notes::Left,
                )
            } else {
                let mut line = Vec::new();
                enforcer_evidence::canonical::append_line(&mut line, &other).expect("canonical");
                edited(at.segment, |lines| {
                    lines.insert(self::index(at), line.trim_ascii_end().to_vec())
                })
            };
            assert_found(&disk.verify(with_head(&disk)), at, "inserted");
        }
    }
}

#[test]
fn records_of_another_host_are_found() {
    let mut dice = Dice(4);
    let foreign: Vec<Vec<u8>> = OTHER
        .disk
        .segments
        .keys()
        .flat_map(|segment| OTHER.disk.lines(*segment))
        .collect();
    for at in lines() {
        for replaced in [true, false] {
            let line = foreign[dice.roll(foreign.len())].clone();
            let disk = edited(at.segment, |lines| match replaced {
                true => lines[index(at)] = line,
                false => lines.insert(index(at), line),
            });
            let report = disk.verify(with_head(&disk));
            assert_found(&report, at, "spliced in");
            assert!(
                codes(&report).contains(&Code::ForeignRecord),
                "{at:?}: {:?}",
                codes(&report)
            );
        }
    }
}

/// The log without what is behind a place.
fn cut(at: At, bytes: usize) -> Disk {
    let mut disk = STORY.disk.clone();
    disk.segments.retain(|number, _| *number <= at.segment);
    let lines = disk.lines(at.segment);
    let whole: usize = lines
        .iter()
        .take(index(at) + 1)
        .map(|line| line.len() + 1)
        .sum();
    disk.segments
        .get_mut(&at.segment)
        .expect("there")
        .truncate(whole - bytes);
    disk
}

#[test]
fn an_end_that_was_cut_off_is_found_by_the_head() {
    let lines = lines();
    let mut dice = Dice(5);
    for (at, next) in lines.iter().zip(&lines[1..]) {
        for bytes in [0, 1 + dice.roll(100)] {
            let disk = cut(*at, bytes);
            let report = disk.verify(with_head(&disk));
            let gone = if bytes == 0 { *next } else { *at };
            assert_eq!(report.verdict, Verdict::Tampered, "{at:?}");
            let end = report
                .findings
                .iter()
                .find(|finding| finding.code == Code::LinesMissing)
                .expect("missing");
            // Without one whole line it is not known how many there were.
            let known = (gone.leaf > lines[0].leaf).then_some(gone.leaf);
            assert_eq!(end.leaves.map(|leaves| leaves.first), known, "{at:?}");
            assert_eq!(report.torn_tail.is_some(), bytes > 0, "{at:?}");
        }
    }
}

#[test]
fn an_end_that_was_cut_off_together_with_the_head_is_found_by_what_is_kept_elsewhere() {
    let size = |note: &String| {
        SignedCheckpoint::parse(note)
            .expect("a note")
            .checkpoint
            .size
    };
    let kept = STORY.off_host.iter().map(size).max().expect("one");
    for at in lines().into_iter().filter(|at| at.leaf >= REMOVAL.leaf) {
        let (disk, newest) = put_back(cut(at, 0));
        let on_host = disk.verify(with_head(&disk));
        assert_eq!(
            on_host.verdict,
            Verdict::Ok,
            "{at:?}: {:#?}",
            on_host.findings
        );
        assert!(
            on_host
                .limits
                .iter()
                .any(|limit| limit.contains("cut off the end")),
            "{:?}",
            on_host.limits
        );
        assert_eq!(
            on_host.unsigned_tail,
            at.leaf + 1 - newest,
            "what was not signed is told"
        );
        let without = disk.verify(Trust {
            head: None,
            ..with_head(&disk)
        });
        assert!(
            without.limits.iter().any(|limit| limit.contains("no head")),
            "{:?}",
            without.limits
        );
        let off_host = disk.verify(with_all(&disk));
        let expected = if at.leaf + 1 < kept {
            Verdict::Tampered
        } else {
            Verdict::Ok
        };
        assert_eq!(
            off_host.verdict, expected,
            "{at:?}: {:#?}",
            off_host.findings
        );
    }
}

#[test]
fn a_line_that_is_spelled_otherwise_is_found() {
    for at in lines() {
        let disk = edited(at.segment, |lines| {
            let text = String::from_utf8(lines[index(at)].clone()).expect("UTF-8");
            lines[index(at)] = text.replacen("\":", "\": ", 1).into_bytes();
        });
        let report = disk.verify(with_head(&disk));
        assert_found(&report, at, "spelled otherwise");
        assert!(
            codes(&report).contains(&Code::Respelled),
            "{:?}",
            codes(&report)
        );
    }
}

#[test]
fn a_segment_that_ends_in_no_whole_line_is_found() {
    let ends = lines().into_iter().filter(|at| is_last_of_segment(*at));
    let last = *STORY.disk.segments.keys().next_back().expect("one");
    for at in ends.filter(|at| at.segment != last) {
        let mut disk = STORY.disk.clone();
        disk.segments
            .get_mut(&at.segment)
            .expect("there")
            .extend_from_slice(b"{\"torn\":");
        assert_found(&disk.verify(with_head(&disk)), at, "torn in the middle");
    }
}

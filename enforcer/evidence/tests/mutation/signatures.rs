//! Notes, keys, epochs and the head: what a forger can do who has a key, and which.

use enforcer_evidence::{
    epoch::{SignedCheckpoint, transition},
    verify::{Code, Trust, Verdict},
};
use serde_json::Value;

use crate::{
    At, OTHER, STORY, assert_found, codes,
    common::{Disk, ORIGIN},
    forge::{Notes, forged, key, signed},
    lines, with_all, with_head,
};

/// The name under which a record holds a note.
const NOTES: [&str; 3] = ["checkpoint", "transition", "former_head"];

/// Every note in the log: its record's index, its name in that, its text.
fn notes() -> Vec<(usize, &'static str, SignedCheckpoint)> {
    let records = STORY.disk.records();
    let of = |index: usize, record: &Value, name: &'static str| {
        let note = record["unmapped"][name].as_str()?;
        Some((index, name, SignedCheckpoint::parse(note).expect("a note")))
    };
    let all = records.iter().enumerate();
    all.flat_map(|(index, (_, _, record))| NOTES.map(|name| of(index, record, name)))
        .flatten()
        .collect()
}

/// The log with one note replaced, and everything after it linked anew.
fn with_note(index: usize, name: &str, note: String) -> Disk {
    forged(
        |records| records[index].1["unmapped"][name] = note.into(),
        Notes::Left,
    )
}

#[test]
fn a_note_signed_by_another_epochs_key_is_found() {
    for (index, name, read) in notes() {
        let at = lines()[index];
        for epoch in (1..=5).filter(|epoch| *epoch != read.checkpoint.epoch) {
            // The last one is of nobody.
            let mut keys = vec![key(epoch)];
            if name == "transition" {
                keys.push(key(read.checkpoint.epoch + 1));
            }
            let disk = with_note(
                index,
                name,
                signed(read.note.text(), &keys.iter().collect::<Vec<_>>()),
            );
            // The notes between epochs would vouch for the key that the record does not.
            let report = disk.verify(Trust {
                transitions: Vec::new(),
                ..with_head(&disk)
            });
            assert_found(
                &report,
                at,
                &format!("{name} signed by the key of epoch {epoch}"),
            );
            let here = report
                .findings
                .iter()
                .filter(|finding| finding.line == Some(at.line));
            let codes: Vec<Code> = here
                .filter(|finding| finding.segment == Some(at.segment))
                .map(|f| f.code)
                .collect();
            let expected = [Code::WrongEpochKey, Code::ForeignKey, Code::Unvouched];
            assert!(
                codes.iter().any(|code| expected.contains(code)),
                "{name} {epoch}: {codes:?}"
            );
        }
    }
}

#[test]
fn a_note_that_says_that_it_is_of_the_epoch_whose_key_signed_it_is_found() {
    // As the one before, and the text is made to fit the key.
    for (index, name, read) in notes() {
        for epoch in (1..=5).filter(|epoch| *epoch != read.checkpoint.epoch) {
            let mut other = read.checkpoint.clone();
            other.epoch = epoch;
            let text = other.to_string();
            let disk = with_note(
                index,
                name,
                signed(&text, &[&key(epoch), &key(read.checkpoint.epoch + 1)]),
            );
            assert_found(
                &disk.verify(with_head(&disk)),
                lines()[index],
                &format!("{name} of epoch {epoch}"),
            );
        }
    }
}

#[test]
fn a_note_of_another_log_or_of_another_place_is_found() {
    let foreign = OTHER.off_host[2].clone();
    let all = notes();
    for (index, name, read) in &all {
        let mut others = vec![foreign.clone(), "no note".to_owned()];
        let others_of_log = all
            .iter()
            .filter(|(_, _, other)| other.checkpoint.size != read.checkpoint.size);
        others.extend(others_of_log.map(|(index, name, _)| {
            STORY.disk.records()[*index].2["unmapped"][*name]
                .as_str()
                .expect("a note")
                .to_owned()
        }));
        for other in others {
            let disk = with_note(*index, name, other.clone());
            assert_found(
                &disk.verify(with_head(&disk)),
                lines()[*index],
                &format!("{name} became {other}"),
            );
        }
    }
}

#[test]
fn who_has_a_later_key_cannot_rewrite_an_earlier_epoch() {
    let records = STORY.disk.records();
    let mut epoch = 1;
    for (index, at) in lines().into_iter().enumerate() {
        let code = &records[index].2["metadata"]["event_code"];
        let begun = records[index].2["unmapped"]["epoch"].as_u64();
        epoch = begun
            .filter(|_| code == "log-epoch" || code == "log-segment")
            .unwrap_or(epoch);
        if code != "exec" {
            continue;
        }
        for mine in 1..=5 {
            // Everything from here on is signed anew, by the one key that the forger has and, where it
            // is that of the epoch, rightly.
            let disk = forged(
                |records| records[index].1["message"] = "harmless".into(),
                Notes::Signed(&|_| key(mine)),
            );
            let report = disk.verify(with_head(&disk));
            // A note of his own epoch is good only if the change is in that, and it is the last.
            if epoch == 4 && mine == 4 {
                assert_eq!(report.verdict, Verdict::Ok, "{at:?} {:#?}", report.findings);
                let off_host = disk.verify(with_all(&disk));
                let last =
                    SignedCheckpoint::parse(STORY.off_host.last().expect("one")).expect("a note");
                let expected = if at.leaf < last.checkpoint.size {
                    Verdict::Tampered
                } else {
                    Verdict::Ok
                };
                assert_eq!(off_host.verdict, expected, "{at:?}");
            } else {
                assert_eq!(
                    report.verdict,
                    Verdict::Tampered,
                    "{at:?}, epoch {epoch}, key {mine}"
                );
                // What the forger can sign is not found; the first note that he cannot sign is.
                assert!(
                    report
                        .findings
                        .iter()
                        .all(|finding| crate::is_not_before(finding, at)),
                    "{at:?} {:#?}",
                    report.findings
                );
            }
        }
    }
}

#[test]
fn a_log_that_was_written_anew_with_new_keys_is_found_by_the_kept_key_and_by_kept_notes() {
    let other = crate::common::story(ORIGIN, 77);
    let trusted = other.disk.verify(Trust {
        transitions: Vec::new(),
        ..with_head(&other.disk)
    });
    assert_eq!(codes(&trusted), [Code::EpochKey], "{:#?}", trusted.findings);
    let report = other.disk.verify(with_head(&other.disk));
    assert_eq!(
        codes(&report)[0],
        Code::Succession,
        "{:#?}",
        report.findings
    );
    let kept = Trust {
        head: other.disk.head.clone(),
        checkpoints: STORY.off_host.clone(),
        ..Trust::default()
    };
    let report = other.disk.verify(kept);
    assert_eq!(report.verdict, Verdict::Tampered);
    assert!(
        codes(&report).contains(&Code::ForeignKey),
        "{:?}",
        codes(&report)
    );
    let writer = crate::common::Writer::start(ORIGIN, Disk::default(), 16_000, 88);
    let report = writer.disk.verify(writer.disk.trust(&STORY.root));
    assert_eq!(codes(&report), [Code::EpochKey], "{:#?}", report.findings);
    // In itself it is as good as the first.
    let alone = writer.disk.verify(Trust {
        head: writer.disk.head.clone(),
        ..Trust::default()
    });
    assert_eq!(alone.verdict, Verdict::Ok);
    assert!(
        alone
            .limits
            .iter()
            .any(|limit| limit.contains("written anew")),
        "{:?}",
        alone.limits
    );
}

#[test]
fn an_epochs_record_that_names_a_forgers_key_is_found() {
    let records = STORY.disk.records();
    for (index, at) in lines().into_iter().enumerate() {
        if records[index].2["metadata"]["event_code"] != "log-epoch" {
            continue;
        }
        let epoch = records[index].2["unmapped"]["epoch"]
            .as_u64()
            .expect("a number");
        let forger = |number: u64| {
            enforcer_evidence::epoch::EpochKey::generate(ORIGIN, number, &[251; 32])
                .expect("an origin")
        };
        let tree = tree_before(at);
        for former in [Ok(&forger(epoch - 1)), Err(epoch - 1), Ok(&key(5))] {
            let note = transition(former, &forger(epoch), &tree, 0)
                .replace("epoch 5", &format!("epoch {}", epoch - 1));
            let note = note.replace("next 6", &format!("next {epoch}"));
            let named = |records: &mut Vec<(u64, Value)>| {
                let payload = &mut records[index].1["unmapped"];
                payload["vkey"] = forger(epoch).verifier().to_string().into();
                payload["transition"] = note.into();
            };
            let disk = forged(named, Notes::Left);
            let report = disk.verify(Trust {
                transitions: Vec::new(),
                ..with_head(&disk)
            });
            assert_found(&report, at, "a forger's epoch");
            let report = disk.verify(with_head(&disk));
            assert!(
                codes(&report).contains(&Code::EpochKey),
                "the notes between tell it too: {:?}",
                codes(&report)
            );
        }
    }
}

/// The tree up to a line.
fn tree_before(at: At) -> enforcer_evidence::Tree {
    let lines = STORY.disk.lines(at.segment);
    let first: Value = serde_json::from_slice(&lines[0]).expect("JSON");
    let roots = serde_json::from_value(first["unmapped"]["tree_roots"].clone()).expect("roots");
    let mut tree = enforcer_evidence::Tree::from_parts(STORY.disk.first_leaf(at.segment), roots)
        .expect("a tree");
    let before = usize::try_from(at.line - 1).expect("small");
    lines
        .iter()
        .take(before)
        .for_each(|line| tree.append(enforcer_evidence::tree::leaf_hash(line)));
    tree
}

#[test]
fn a_head_that_was_put_back_is_found() {
    let newest = notes()
        .into_iter()
        .filter(|(_, name, _)| *name != "former_head")
        .map(|(_, _, read)| read.checkpoint.size)
        .max()
        .expect("one");
    for (index, name, read) in notes() {
        if read.checkpoint.size >= newest {
            continue;
        }
        let records = STORY.disk.records();
        let head = records[index].2["unmapped"][name].as_str().expect("a note");
        let disk = Disk {
            head: Some(head.to_owned()),
            ..STORY.disk.clone()
        };
        let report = disk.verify(with_head(&disk));
        assert_eq!(
            codes(&report),
            [Code::HeadRolledBack],
            "{:#?}",
            report.findings
        );
        let last = STORY.disk.segments.keys().next_back().copied();
        assert_eq!(report.findings[0].segment, last);
    }
}

#[test]
fn a_head_of_another_key_or_log_or_none_is_found() {
    let head = STORY.disk.head.clone().expect("a head");
    let read = SignedCheckpoint::parse(&head).expect("a note");
    let mut others = vec![
        (OTHER.disk.head.clone().expect("a head"), Code::ForeignNote),
        ("no note".to_owned(), Code::HeadMissing),
        (
            head.replace("\u{2014} enforcer", "\u{2014} enforcex"),
            Code::ForeignKey,
        ),
        (head.replacen("time 1", "time 2", 1), Code::Signature),
    ];
    others.extend([1, 2, 3].map(|epoch| {
        (
            signed(read.note.text(), &[&key(epoch)]),
            Code::WrongEpochKey,
        )
    }));
    others.push((signed(read.note.text(), &[&key(5)]), Code::ForeignKey));
    for (head, code) in others {
        let disk = Disk {
            head: Some(head),
            ..STORY.disk.clone()
        };
        let report = disk.verify(with_head(&disk));
        assert_eq!(codes(&report), [code], "{:#?}", report.findings);
    }
}

#[test]
fn what_was_cut_off_between_two_runs_stays_on_record() {
    // The log is cut below its head while the daemon is down, and then gone on with.
    let mut disk = STORY.disk.clone();
    let last = *disk.segments.keys().next_back().expect("one");
    let mut lines = disk.lines(last);
    let kept = lines.len() - 3;
    lines.truncate(kept);
    disk.set_lines(last, &lines);
    let cut = STORY.disk.first_leaf(last) + kept as u64;
    let mut writer = crate::common::Writer::start(ORIGIN, disk, 1 << 20, 9);
    writer.events(20);
    let disk = writer.stop();
    let report = disk.verify(with_head(&disk));
    let missing = report
        .findings
        .iter()
        .find(|finding| finding.code == Code::LinesMissing)
        .expect("found");
    assert!(
        missing
            .leaves
            .is_some_and(|leaves| leaves.first <= cut && cut <= leaves.last),
        "{missing:#?}"
    );
    assert_eq!(
        (missing.segment, missing.line),
        (Some(last), Some(kept as u64 + 1))
    );
}

#[test]
fn who_has_the_current_key_cannot_claim_the_past_for_it() {
    // The whole log as if the last epoch, whose key the forger has, had been in force all along.
    let claimed = |records: &mut Vec<(u64, Value)>| {
        records.retain(|(_, record)| record["metadata"]["event_code"] != "log-epoch");
        records.retain(|(_, record)| record["metadata"]["event_code"] != "log-torn");
        for (_, record) in records {
            let payload = &mut record["unmapped"];
            if let Some(note) = payload["checkpoint"].as_str() {
                let read = SignedCheckpoint::parse(note).expect("a note").checkpoint;
                let text = read
                    .to_string()
                    .replace(&format!("epoch {}", read.epoch), "epoch 4");
                payload["checkpoint"] = signed(&text, &[&key(4)]).into();
                payload["epoch"] = 4.into();
            }
            if !payload["vkey"].is_null() {
                payload["vkey"] = key(4).verifier().to_string().into();
            }
        }
    };
    let disk = forged(claimed, Notes::Signed(&|_| key(4)));
    let report = disk.verify(with_head(&disk));
    assert!(
        codes(&report).contains(&Code::Root),
        "{:#?}",
        report.findings
    );
    let told = report
        .findings
        .iter()
        .all(|finding| finding.what.contains("the note that ends epoch"));
    assert!(told, "{:#?}", report.findings);
    // Who trusts that key without knowing where its epoch begins is not told.
    let alone = Trust {
        keys: [(4, key(4).verifier().clone())].into(),
        transitions: Vec::new(),
        ..with_head(&disk)
    };
    assert_eq!(disk.verify(alone.clone()).verdict, Verdict::Ok);
    let kept = Trust {
        checkpoints: STORY.off_host.clone(),
        ..alone
    };
    assert_eq!(disk.verify(kept).verdict, Verdict::Tampered);
}

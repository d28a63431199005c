//! Reading what was written, and what is being written.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use enforcer_common::event::Kind;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::{
    Directory, Facts, exec_event, exec_records, host, numbered, open, plain_event,
};
use crate::record::{
    Cursor, Entry, Filter, Follower, Log, ReadError, Recorder,
    log::segment,
    read::{moment, records, resume, tail},
};

/// A log of records 0..20 in segments of a few each.
fn written(directory: &Path) -> Log {
    let (mut log, _) = open(directory, 30).expect("a log");
    for n in 0..20 {
        let mut record = numbered(n);
        record["firewall_rule"] = json!({"uid": format!("r{}", n % 2)});
        log.append(&[record]).expect("durable");
    }
    log
}

fn number(entry: &Entry) -> u64 {
    entry.record["n"].as_u64().expect("n")
}

/// Whether it is none of the log's own.
fn is_numbered(entry: &Entry) -> bool {
    entry.record["n"].is_u64()
}

fn polled(follower: &mut Follower) -> Vec<u64> {
    let entries = follower.poll().expect("a log");
    let entries = entries
        .iter()
        .map(|entry| entry.as_ref().expect("a record"));
    entries
        .filter(|entry| is_numbered(entry))
        .map(number)
        .collect()
}

fn odd() -> Filter {
    Filter {
        rule: Some("r1".to_owned()),
        ..Filter::default()
    }
}

#[test]
fn records_come_in_order_across_segments() {
    let temporary = Directory::new();
    written(&temporary.log());
    assert!(segment::list(&temporary.log()).expect("segments").len() > 5);
    let all: Vec<Entry> = records(&temporary.log())
        .expect("a log")
        .map(|e| e.expect("a record"))
        .filter(is_numbered)
        .collect();
    assert_eq!(
        all.iter().map(number).collect::<Vec<_>>(),
        (0..20).collect::<Vec<_>>()
    );
    assert!(all.is_sorted_by_key(|entry| entry.at));
    let read: Value = serde_json::from_str(&all[3].line).expect("JSON");
    assert_eq!(read, all[3].record);
}

#[test]
fn the_tail_is_the_last_that_match_and_a_follower_goes_on_from_it() {
    let temporary = Directory::new();
    let mut log = written(&temporary.log());
    let (entries, end) = tail(&temporary.log(), 3, &odd()).expect("a log");
    assert_eq!(entries.iter().map(number).collect::<Vec<_>>(), [15, 17, 19]);
    let (all, _) = tail(&temporary.log(), 100, &Filter::default()).expect("a log");
    assert_eq!(all.iter().filter(|entry| is_numbered(entry)).count(), 20);
    let (none, same_end) = tail(&temporary.log(), 0, &odd()).expect("a log");
    assert_eq!((none.len(), same_end), (0, end));

    let mut follower = Follower::new(&temporary.log(), end);
    assert_eq!(polled(&mut follower), [0; 0]);
    log.append(&[numbered(20), numbered(21)]).expect("durable");
    assert_eq!(polled(&mut follower), [20, 21]);
    assert_eq!(polled(&mut follower), [0; 0]);
}

#[test]
fn a_follower_sees_each_record_once_over_rotation() {
    let temporary = Directory::new();
    let (mut log, _) = open(&temporary.log(), 30).expect("a log");
    let mut follower = Follower::new(&temporary.log(), Cursor::default());
    let mut seen = Vec::new();
    for n in 0..50 {
        log.append(&[numbered(n)]).expect("durable");
        if n % 7 == 0 {
            seen.extend(polled(&mut follower));
        }
    }
    seen.extend(polled(&mut follower));
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    let mut again = Follower::new(&temporary.log(), follower.cursor());
    assert_eq!(polled(&mut again), [0; 0]);
}

#[test]
fn a_follower_passes_over_segments_that_are_gone() {
    let temporary = Directory::new();
    written(&temporary.log());
    let segments = segment::list(&temporary.log()).expect("segments");
    for number in [1, 2, 3, 5] {
        fs::remove_file(&segments[&number]).expect("removed");
    }
    let mut follower = Follower::new(&temporary.log(), Cursor::default());
    let seen = polled(&mut follower);
    assert_eq!((seen.first(), seen.last()), (Some(&2), Some(&19)));
}

#[test]
fn a_line_without_its_end_is_not_shown_until_it_has_it() {
    let temporary = Directory::new();
    let log = written(&temporary.log());
    let (_, end) = tail(&temporary.log(), 0, &Filter::default()).expect("a log");
    let mut follower = Follower::new(&temporary.log(), end);
    let mut file = OpenOptions::new()
        .append(true)
        .open(log.segment())
        .expect("a segment");
    file.write_all(b"{\"n\":").expect("written");
    assert_eq!(polled(&mut follower), [0; 0]);
    assert_eq!(
        tail(&temporary.log(), 1, &Filter::default())
            .expect("a log")
            .1,
        end
    );
    file.write_all(b"99}\n").expect("written");
    assert_eq!(polled(&mut follower), [99]);
}

#[test]
fn a_batch_that_was_taken_back_does_not_stop_a_follower() {
    let temporary = Directory::new();
    let log = written(&temporary.log());
    let mut follower = Follower::new(&temporary.log(), Cursor::default());
    assert_eq!(polled(&mut follower).len(), 20);
    let file = OpenOptions::new()
        .append(true)
        .open(log.segment())
        .expect("a segment");
    let before = file.metadata().expect("there").len();
    (&file).write_all(b"{\"n\":98}\n").expect("written");
    assert_eq!(polled(&mut follower), [98]);
    file.set_len(before).expect("taken back");
    assert_eq!(polled(&mut follower), [0; 0]);
    (&file).write_all(b"{\"n\":99}\n").expect("written");
    assert_eq!(polled(&mut follower), [99]);
}

#[test]
fn a_line_that_is_no_record_is_told_and_hides_nothing() {
    let temporary = Directory::new();
    let log = written(&temporary.log());
    let mut file = OpenOptions::new()
        .append(true)
        .open(log.segment())
        .expect("a segment");
    file.write_all(b"\xff\n17\n\n{\"n\":20}\n")
        .expect("written");
    let (good, bad): (Vec<_>, Vec<_>) = records(&temporary.log())
        .expect("a log")
        .partition(Result::is_ok);
    let good = good.iter().flatten().filter(|entry| is_numbered(entry));
    assert_eq!((good.count(), bad.len()), (21, 3));
    assert!(
        bad.iter()
            .all(|fault| matches!(fault, Err(ReadError::Malformed { .. })))
    );
    let (last, _) = tail(&temporary.log(), 2, &Filter::default()).expect("a log");
    assert_eq!(last.iter().map(number).collect::<Vec<_>>(), [19, 20]);
}

#[test]
fn no_directory_is_an_error_and_an_empty_one_is_no_record() {
    let temporary = Directory::new();
    assert!(matches!(
        records(&temporary.log()).err(),
        Some(ReadError::Directory { .. })
    ));
    assert_eq!(records(temporary.path()).expect("a log").count(), 0);
    let (none, end) = tail(temporary.path(), 5, &Filter::default()).expect("a log");
    assert_eq!((none.len(), end), (0, Cursor::default()));
}

#[test]
fn each_criterion_filters() {
    let record = &exec_records(1..2)[0];
    let matches = |filter: Value| {
        serde_json::from_value::<Filter>(filter)
            .expect("a filter")
            .matches(record)
    };
    let time = record["time"].as_i64().expect("a time");
    for (name, right, wrong) in [
        ("agent", json!("release-bot"), json!("release")),
        ("session", json!("feed000000000001"), json!("feed")),
        ("task", json!("REL-17"), json!("REL")),
        ("verdict", json!("allow"), json!("deny")),
        ("reason", json!("rule-allows"), json!("not-listed")),
        ("rule", json!("tools"), json!("tool")),
        ("kind", json!("exec"), json!("connect")),
        ("binary", json!("/usr/bin/git"), json!("git")),
        ("since", json!(time), json!(time + 1)),
        (
            "until",
            json!((time + 1).to_string()),
            json!(time.to_string()),
        ),
    ] {
        assert!(matches(json!({ name: right })), "{name}");
        assert!(!matches(json!({ name: wrong })), "{name}");
    }
    assert!(matches(json!({})));
    assert!(!matches(json!({"destination": "10.0.0.1"})));
    assert!(!matches(json!({"kind": "exec", "rule": "other"})));
}

#[test]
fn moments_are_times_or_ages() {
    let now = Timestamp::from_second(1_795_510_980).expect("a time");
    let ago = |seconds: i64| Ok((1_795_510_980 - seconds) * 1000);
    assert_eq!(moment("2026-11-24T09:03:00Z", now), ago(0));
    assert_eq!(moment("2026-11-24T10:03:00+01:00", now), ago(0));
    assert_eq!(moment("15m", now), ago(900));
    assert_eq!(moment("2h 30m", now), ago(9000));
    assert_eq!(moment("7d", now), ago(7 * 86_400));
    for text in ["", "yesterday", "-5m", "5"] {
        assert!(moment(text, now).is_err(), "{text}");
    }
}

#[test]
fn the_log_teaches_a_restarted_daemon_what_this_boot_ran() {
    let temporary = Directory::new();
    let mut old_host = host();
    old_host.boot_id = "old-boot".to_owned();
    let (mut log, _) = Log::open(&temporary.log(), &old_host, 3000).expect("a log");
    let (mut before, mut now) = (Recorder::new(old_host), Recorder::new(host()));
    let facts = Facts::all();
    for n in 1..10 {
        let event = exec_event(900 + n, 0, 1, "/bin/old");
        log.append(&[before.record(&event, &facts)])
            .expect("durable");
    }
    drop(log);
    let (mut log, _) = open(&temporary.log(), 3000).expect("a log");
    for n in 1..10 {
        let event = exec_event(n, n - 1, 1, "/bin/now");
        log.append(&[now.record(&event, &facts)]).expect("durable");
    }
    let fork = now.record(&plain_event(17, 9, Kind::Fork), &facts);
    log.append(&[fork]).expect("durable");
    let mut restarted = Recorder::new(host());
    assert_eq!(resume(&temporary.log(), &mut restarted).expect("a log"), 17);
    assert_eq!(restarted.lineage().len(), 9);
    assert_eq!(restarted.lineage().ancestry(9).known.len(), 8);
    assert_eq!(resume(temporary.path(), &mut restarted).expect("no log"), 0);
}

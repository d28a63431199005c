//! Who started whom.

use enforcer_common::{event::Kind, verdict::Verdict};

use super::common::{BOOT, Facts, exec_event, host, plain_event};
use crate::record::{Lineage, Recorder, event::Object};

fn learn(lineage: &mut Lineage, sequence: u64, parent: u64, pid: u32, path: &str) {
    let event = exec_event(sequence, parent, pid, path);
    let Object::Executable(executable) = &event.object else {
        panic!("no executable");
    };
    lineage.learn(&event.head, executable, 0, BOOT, None);
}

fn paths(lineage: &Lineage, sequence: u64) -> Vec<&str> {
    let known = lineage.ancestry(sequence).known;
    known
        .iter()
        .map(|e| e.path.as_deref().expect("a path"))
        .collect()
}

fn tree() -> Lineage {
    let mut lineage = Lineage::default();
    learn(&mut lineage, 1, 0, 10, "/opt/agent");
    learn(&mut lineage, 5, 1, 11, "/bin/sh");
    learn(&mut lineage, 9, 5, 12, "/usr/bin/git");
    learn(&mut lineage, 12, 1, 13, "/usr/bin/curl");
    lineage
}

#[test]
fn ancestry_reaches_the_sessions_root() {
    let lineage = tree();
    assert_eq!(paths(&lineage, 9), ["/bin/sh", "/opt/agent"]);
    assert_eq!(paths(&lineage, 1), [""; 0]);
    assert!(lineage.ancestry(9).to_root && lineage.ancestry(0).to_root);
}

#[test]
fn a_gap_is_not_hidden() {
    let mut lineage = tree();
    learn(&mut lineage, 20, 17, 14, "/usr/bin/make");
    assert!(!lineage.ancestry(20).to_root);
    assert!(!lineage.ancestry(99).to_root);
    // No exec starts before the one that made it.
    learn(&mut lineage, 30, 30, 14, "/usr/bin/loop");
    assert!(!lineage.ancestry(30).to_root);
}

#[test]
fn a_denied_exec_starts_nothing() {
    let mut lineage = Lineage::default();
    let mut event = exec_event(3, 0, 10, "/usr/bin/nc");
    event.head.verdict = Verdict::Deny;
    let Object::Executable(executable) = &event.object else {
        panic!("no executable");
    };
    lineage.learn(&event.head, executable, 0, BOOT, None);
    assert!(lineage.is_empty());
    event.head.verdict = Verdict::WouldDeny;
    lineage.learn(&event.head, executable, 0, BOOT, None);
    assert_eq!(lineage.len(), 1);
}

#[test]
fn what_lives_keeps_its_ancestors_and_nothing_else_is_kept() {
    let mut lineage = tree();
    lineage.retain(12, |sequence| sequence == 9);
    assert_eq!(lineage.len(), 3);
    assert_eq!(paths(&lineage, 9), ["/bin/sh", "/opt/agent"]);
    assert!(lineage.get(12).is_none());
    lineage.retain(4, |_| false);
    assert_eq!(lineage.len(), 3, "newer than the look at what lives");
    lineage.retain(12, |_| false);
    assert!(lineage.is_empty());
}

#[test]
fn a_restarted_daemon_learns_the_same_tree_from_its_records() {
    let facts = Facts::all();
    let mut recorder = Recorder::new(host());
    let mut restarted = Recorder::new(host());
    let mut rebooted = host();
    rebooted.boot_id.push('0');
    let mut rebooted = Recorder::new(rebooted);
    for event in [
        exec_event(1, 0, 10, "/opt/agent"),
        exec_event(5, 1, 11, "/bin/sh\u{7}"),
        plain_event(6, 5, Kind::Fork),
        exec_event(9, 5, 12, "/usr/bin/git"),
    ] {
        let record = recorder.record(&event, &facts);
        restarted.relearn(&record);
        rebooted.relearn(&record);
    }
    assert_eq!(recorder.lineage().len(), 3);
    for sequence in [1, 5, 9] {
        assert_eq!(
            recorder.lineage().get(sequence),
            restarted.lineage().get(sequence)
        );
    }
    assert!(rebooted.lineage().is_empty());

    let end = recorder.record(&plain_event(20, 9, Kind::SessionEnd), &facts);
    restarted.relearn(&end);
    assert!(recorder.lineage().is_empty() && restarted.lineage().is_empty());
}

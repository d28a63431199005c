//! The file for a tailing agent.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use enforcer_sinks::TextRender;

use crate::support::{Rig, record, spool, uid, uid_of};

fn sink(path: &Path, more: &str) -> String {
    format!("type = \"file\"\npath = {path:?}\nbatch = 100\n{more}")
}

/// The uids in the file and in those set aside, oldest first.
fn uids(path: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> = (1..1_000)
        .map(|number| PathBuf::from(format!("{}.{number}", path.display())))
        .take_while(|path| path.exists())
        .collect();
    files.reverse();
    files.push(path.to_owned());
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        assert!(text.is_empty() || text.ends_with('\n'));
        found.extend(
            text.lines()
                .map(|line| uid_of(line.as_bytes()).expect("a record")),
        );
    }
    found
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(uid).collect()
}

#[test]
fn every_record_is_a_line_and_full_files_are_set_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records.jsonl");
    let more = "rotate_bytes = 100000\nkeep = 100";
    let mut rig = Rig::new(spool(2_000), &sink(&path, more)).started();
    rig.drained();
    rig.stop();
    assert_eq!(uids(&path), expected(2_000));
    assert!(folder.path().join("records.jsonl.3").exists());
}

#[test]
fn no_more_than_the_configured_files_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records.jsonl");
    let more = "rotate_bytes = 100000\nkeep = 2";
    let mut rig = Rig::new(spool(2_000), &sink(&path, more)).started();
    rig.drained();
    rig.stop();
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
    assert_eq!(uids(&path).last(), Some(&uid(1_999)));
}

#[test]
fn a_batch_that_was_written_and_not_counted_is_not_written_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records.jsonl");
    let spool = spool(500);
    let mut rig = Rig::new(spool.clone(), &sink(&path, "")).started();
    rig.drained();
    rig.stop();
    // As if it had been killed after writing: the cursor of an earlier moment.
    let cursor = rig.state().join("it.cursor");
    let saved = "{\"cursor\":{\"segment\":0,\"offset\":420000},\"uid\":null,\"acked_ms\":null}";
    fs::write(&cursor, saved).expect("written");
    spool.append((500..700).map(record));
    rig.start();
    rig.drained();
    rig.stop();
    assert_eq!(uids(&path), expected(700));
}

#[test]
fn a_line_that_was_cut_is_completed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records.jsonl");
    let spool = spool(50);
    let mut rig = Rig::new(spool.clone(), &sink(&path, "")).started();
    rig.drained();
    rig.stop();
    let mut bytes = fs::read(&path).expect("readable");
    let line = record(50).line().to_vec();
    bytes.extend_from_slice(&line[..line.len() / 2]);
    fs::write(&path, bytes).expect("written");
    spool.append((50..60).map(record));
    rig.start();
    rig.drained();
    rig.stop();
    assert_eq!(uids(&path), expected(60));
}

#[test]
fn a_cut_line_of_another_form_is_ended_and_hides_no_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records.jsonl");
    fs::write(&path, "something that nobody en").expect("written");
    let mut rig = Rig::new(spool(10), &sink(&path, "")).started();
    rig.drained();
    rig.stop();
    let text = fs::read_to_string(&path).expect("readable");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[0], "something that nobody en");
    assert!(
        lines[1..]
            .iter()
            .all(|line| uid_of(line.as_bytes()).is_ok())
    );
}

#[test]
fn a_folder_that_is_not_there_yet_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("later").join("records.jsonl");
    let mut rig = Rig::new(spool(10), &sink(&path, "")).started();
    let status = rig.wait("failing", |status| status.last_error.is_some());
    assert!(status.last_error.expect("an error").text.contains("later"));
    fs::create_dir(folder.path().join("later")).expect("created");
    rig.drained();
    rig.stop();
    assert_eq!(uids(&path), expected(10));
}

#[test]
fn what_a_renderer_cannot_make_one_line_of_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records.txt");
    let render = TextRender(|record: &enforcer_sinks::Record| match record.uid() {
        "boot-1:000003" => Err("no form for it".to_owned()),
        "boot-1:000005" => Ok("two\nlines".to_owned()),
        "boot-1:000007" => Ok(String::new()),
        uid => Ok(uid.to_owned()),
    });
    let mut rig = Rig::with(spool(10), &sink(&path, ""), Arc::new(render)).started();
    let status = rig.drained();
    rig.stop();
    assert_eq!(rig.refused(), [3, 5, 7].map(uid));
    assert_eq!((status.refused, status.acked), (3, 7));
    let text = fs::read_to_string(&path).expect("readable");
    let others: Vec<String> = [0, 1, 2, 4, 6, 8, 9].map(uid).to_vec();
    assert_eq!(text.lines().collect::<Vec<_>>(), others);
}

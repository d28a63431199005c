//! The log shows that it was changed, and daemons that are killed leave one that does not.
#![forbid(unsafe_code)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    thread,
    time::Duration,
};

use enforcer_tests::{
    Policy, TcpServer,
    cli::{enforcer, told},
    fault::{Daemon, Flood, program, stderr},
    long, place, record,
    server::LOOPBACK,
    wait::eventually,
};
use serde_json::Value;

/// Exit status of a log that was changed.
const TAMPERED: Option<i32> = Some(11);

/// A daemon with a log of its own.
struct Scene {
    log: PathBuf,
    daemon: Option<Daemon>,
}

impl Scene {
    fn new(label: &str) -> Self {
        let log = place::directory(label).join("log");
        let mut scene = Self { log, daemon: None };
        scene.start();
        scene
    }

    fn start(&mut self) {
        self.daemon = Some(Daemon::with(&["--log-dir", place::text(&self.log)]));
    }

    fn kill(&mut self) {
        self.daemon.take().expect("a daemon").kill();
    }

    fn stop(&mut self) {
        let status = self.daemon.take().expect("a daemon").terminate();
        assert!(status.success(), "{status}");
        record::keep(&self.log);
    }

    /// A session that is recorded.
    fn act(&self, label: &str) {
        let server = TcpServer::on(LOOPBACK);
        let agent = Policy::new(label)
            .connect("server", &[&server.destination()])
            .apply();
        let run = agent.probe(&[format!("connect tcp {}", server.address)]);
        assert_eq!((run.answers[0].errno, server.arrived()), (0, 1));
        eventually("its end is in the log", || {
            let said = enforcer(["log", "show", "--task", &run.task, "--kind", "session-end"]);
            !said.stdout.is_empty()
        });
    }

    /// The log's first key.
    fn key(&self) -> String {
        let output = enforcer(["log", "key", "--dir", place::text(&self.log)]);
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout)
            .expect("a key")
            .trim()
            .to_owned()
    }

    /// A copy, as an auditor has one.
    fn copy(&self, label: &str) -> PathBuf {
        let copy = place::directory(label);
        for file in fs::read_dir(&self.log).expect("the log") {
            let file = file.expect("a file");
            let name = file.file_name();
            if !name.to_string_lossy().starts_with("epoch.key") {
                fs::copy(file.path(), copy.join(name)).expect("a copy");
            }
        }
        copy
    }
}

fn verify(log: &Path, more: &[&str]) -> (Output, Value) {
    let words = [
        "--output",
        "json",
        "log",
        "verify",
        "--dir",
        place::text(log),
    ];
    let output = enforcer(words.iter().chain(more));
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

/// The segments, oldest first.
fn segments(log: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(log)
        .expect("a log")
        .map(|file| file.expect("a file").path());
    let mut segments: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    segments.sort();
    segments
}

#[test]
fn a_log_verifies_against_the_key_that_was_kept_and_every_change_of_it_shows() {
    let mut scene = Scene::new("chain");
    scene.act("chain-one");
    let key = scene.key();
    scene.stop();
    scene.start();
    scene.act("chain-two");
    // While a daemon writes it too.
    let (output, report) = verify(&scene.log, &["--key", &key]);
    assert_eq!(report["verdict"], "ok", "{}", told(&output));
    scene.stop();
    let (output, report) = verify(&scene.log, &["--key", &key]);
    assert_eq!(
        (output.status.code(), &report["verdict"]),
        (Some(0), &"ok".into())
    );
    assert_eq!(
        report["epochs"].as_array().map(Vec::len),
        Some(2),
        "{report}"
    );
    assert_eq!(report["unsigned_tail"], 0, "{report}");
    // What left the host: checkpoints among the records.
    let kept = place::directory("chain-kept").join("records");
    let text = fs::read_to_string(&segments(&scene.log)[0]).expect("a segment");
    fs::write(&kept, &text).expect("a copy");
    let kept = ["--key", &key, "--checkpoint", place::text(&kept)];
    let (output, report) = verify(&scene.log, &kept);
    assert_eq!(report["verdict"], "ok", "{}", told(&output));
    assert!(report["off_host_agreed"].as_u64() > Some(0), "{report}");

    let middle = text.lines().count() / 2;
    let lines: Vec<&str> = text.lines().collect();
    let without = |gone: usize| {
        let rest = lines.iter().enumerate().filter(|(n, _)| *n != gone);
        rest.map(|(_, line)| format!("{line}\n"))
            .collect::<String>()
    };
    let verdict = "\"verdict\":\"allow\"";
    assert!(text.contains(verdict));
    for (what, changed) in [
        (
            "a verdict",
            text.replacen(verdict, "\"verdict\":\"deny\"", 1),
        ),
        ("a record taken out", without(middle)),
        ("the last record taken out", without(lines.len() - 1)),
        ("half of it", lines[..middle].join("\n") + "\n"),
        ("two exchanged", {
            let mut lines = lines.clone();
            lines.swap(middle, middle + 1);
            lines.join("\n") + "\n"
        }),
        ("one twice", {
            let mut lines = lines.clone();
            lines.insert(middle, lines[middle]);
            lines.join("\n") + "\n"
        }),
    ] {
        let copy = scene.copy("chain-changed");
        fs::write(&segments(&copy)[0], changed).expect("changed");
        let (output, report) = verify(&copy, &["--key", &key]);
        assert_eq!(output.status.code(), TAMPERED, "{what}: {report}");
        assert!(
            report["findings"]
                .as_array()
                .is_some_and(|found| !found.is_empty())
        );
    }
    // Put back to an earlier state, as root can: what was kept off the host shows it.
    let copy = scene.copy("chain-cut");
    fs::remove_file(copy.join("head")).expect("gone");
    fs::write(&segments(&copy)[0], lines[..3].join("\n") + "\n").expect("cut");
    let (output, _) = verify(&copy, &kept);
    assert_eq!(output.status.code(), TAMPERED, "{}", told(&output));
}

#[test]
fn a_record_is_proven_without_the_log() {
    let mut scene = Scene::new("proof");
    scene.act("proof");
    let key = scene.key();
    let started = enforcer(["--output", "json", "log", "show", "--kind", "daemon-start"]);
    let record: Value = serde_json::from_slice(&started.stdout).expect("one record");
    let event = record["metadata"]["uid"].as_str().expect("an id");
    scene.stop();
    let dir = place::text(&scene.log).to_owned();
    let proof = enforcer(["log", "prove", event, "--dir", &dir]);
    assert!(proof.status.success(), "{}", told(&proof));
    let document = place::directory("proof-out").join("proof.json");
    fs::write(&document, &proof.stdout).expect("written");
    let check = |document: &Path| enforcer(["log", "check", place::text(document), "--key", &key]);
    let output = check(&document);
    assert!(output.status.success(), "{}", told(&output));
    let text = String::from_utf8(proof.stdout).expect("JSON");
    let forged = text.replacen("enforcing", "ENFORCING", 1);
    assert_ne!(text, forged);
    fs::write(&document, forged).expect("written");
    assert_eq!(check(&document).status.code(), TAMPERED);
    let missing = enforcer(["log", "prove", "no-such-event", "--dir", &dir]);
    assert_eq!(missing.status.code(), Some(7), "{}", told(&missing));
}

#[test]
fn daemons_that_are_killed_while_they_write_leave_a_log_that_verifies() {
    let rounds = if long() { 50 } else { 5 };
    let mut scene = Scene::new("killed");
    let key = scene.key();
    let agent = Policy::new("killed")
        .exec("flood", &[place::text(&program())])
        .connect("open", &["udp:127.0.0.1:9"])
        .apply();
    let mut flood = Flood::of(&agent.name);
    flood.tell("load 127.0.0.1:9 127.0.0.1:10");
    for round in 0..rounds {
        scene.kill();
        let (output, report) = verify(&scene.log, &["--key", &key]);
        assert_eq!(report["verdict"], "ok", "round {round}: {}", told(&output));
        scene.start();
        thread::sleep(Duration::from_millis(round * 53 % 307));
    }
    flood.order("stop");
    let _ = flood.end();
    scene.stop();
    let (output, report) = verify(&scene.log, &["--key", &key]);
    assert_eq!(report["verdict"], "ok", "{}", told(&output));
    assert_eq!(
        report["epochs"].as_array().map(Vec::len),
        usize::try_from(rounds + 1).ok()
    );
    assert!(report["lines"].as_u64() > Some(rounds), "{report}");
}

#[test]
fn a_log_that_was_cut_while_no_daemon_ran_is_told_and_shows() {
    let mut scene = Scene::new("cut");
    scene.act("cut");
    scene.stop();
    let segment = segments(&scene.log).remove(0);
    let text = fs::read_to_string(&segment).expect("a segment");
    let keep: Vec<&str> = text.lines().take(4).collect();
    fs::write(&segment, keep.join("\n") + "\n").expect("cut");
    let daemon = Daemon::with(&["--log-dir", place::text(&scene.log)]);
    assert!(
        daemon.said().contains("shorter than what was signed"),
        "{}",
        daemon.said()
    );
    scene.daemon = Some(daemon);
    scene.stop();
    let (output, report) = verify(&scene.log, &[]);
    assert_eq!(output.status.code(), TAMPERED, "{report}");
}

#[test]
fn a_log_that_cannot_be_gone_on_with_keeps_the_daemon_from_starting() {
    let mut scene = Scene::new("broken");
    scene.act("broken");
    scene.stop();
    let segment = segments(&scene.log).remove(0);
    let text = fs::read_to_string(&segment).expect("a segment");
    fs::write(&segment, text.replacen("log-segment", "log-sermon", 1)).expect("changed");
    let output = enforcer_tests::fault::refused(&["--log-dir", place::text(&scene.log)]);
    assert!(
        stderr(&output).contains("cannot be gone on with"),
        "{}",
        told(&output)
    );
}

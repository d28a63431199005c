//! What stands in the daemon's way: another daemon, an occupied path, a host or a user that cannot, files that are
//! broken, a log that cannot be written.
#![forbid(unsafe_code)]

use std::{
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use enforcer_tests::{
    Live, Policy, TcpServer,
    cli::{ENFORCER, enforcer, json, told},
    fault::{Daemon, LOG, Ledger, Small, await_true, ended, lines, refused, stderr},
    place, record,
    server::LOOPBACK,
};

/// A folder of the test's own, where nothing is yet.
fn fresh(name: &str) -> PathBuf {
    place::directory("fault").join(name)
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    ended(command)
}

fn must_run(program: &str, arguments: &[&str]) {
    let output = run(program, arguments);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        told(&output)
    );
}

/// A worker with an open and a closed door, which it tries.
struct Worker {
    live: Live,
    open: TcpServer,
    closed: TcpServer,
}

impl Worker {
    fn new() -> Self {
        let (open, closed) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
        let live = Policy::new("worker")
            .connect("open", &[&open.destination()])
            .apply()
            .live();
        let mut worker = Self { live, open, closed };
        // Inside from here on: `enforcer run` needs the daemon no more.
        let _ = worker.live.ask("pid");
        worker
    }

    fn is_held(&mut self) {
        assert_eq!(
            self.live
                .ask(&format!("connect tcp {}", self.open.address))
                .errno,
            0
        );
        assert!(
            self.live
                .ask(&format!("connect tcp {}", self.closed.address))
                .denied()
        );
        assert_eq!((self.open.arrived(), self.closed.arrived()), (1, 0));
    }
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let daemon = Daemon::start();
    let mut worker = Worker::new();
    let output = refused(&[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(8), "{}", told(&output));
    assert!(
        said.contains(&format!(
            "another enforcer daemon runs (pid {})",
            daemon.pid()
        )),
        "{said}"
    );
    assert_eq!(json(["status"])["pid"], daemon.pid());
    worker.is_held();
}

#[test]
fn a_second_daemon_with_other_places_is_refused_the_kernel_objects_of_the_first() {
    let daemon = Daemon::start();
    let mut worker = Worker::new();
    let before = json(["status"]);
    let other = fresh("other");
    let socket = other.join("run/control.sock");
    let options = [
        ("--socket", socket),
        ("--log-dir", other.join("log")),
        ("--state-dir", other.join("state")),
        ("--config-dir", other.join("etc")),
    ];
    let options: Vec<&str> = options
        .iter()
        .flat_map(|(name, path)| [*name, place::text(path)])
        .collect();
    let output = refused(&options);
    assert_eq!(output.status.code(), Some(8), "{}", told(&output));
    assert!(
        stderr(&output).contains("/sys/fs/bpf/enforcer"),
        "{}",
        told(&output)
    );
    let after = json(["status"]);
    assert_eq!(
        (&after["pid"], &after["generation"]),
        (&daemon.pid().into(), &before["generation"])
    );
    worker.is_held();
}

#[test]
fn a_socket_path_that_is_taken_is_left_alone() {
    let folder = fresh("taken");
    fs::create_dir_all(&folder).expect("the folder is made");
    let file = folder.join("file.sock");
    fs::write(&file, "not a socket").expect("the file is written");
    let output = refused(&["--socket", place::text(&file)]);
    assert_eq!(output.status.code(), Some(8), "{}", told(&output));
    assert!(
        stderr(&output).contains("is not a socket: it is left alone"),
        "{}",
        told(&output)
    );
    assert_eq!(
        fs::read_to_string(&file).expect("it is still there"),
        "not a socket"
    );

    let other = folder.join("other.sock");
    let listener = UnixListener::bind(&other).expect("another program listens");
    let output = refused(&["--socket", place::text(&other)]);
    assert_eq!(output.status.code(), Some(8), "{}", told(&output));
    let pid = format!("another program (pid {})", std::process::id());
    assert!(stderr(&output).contains(&pid), "{}", told(&output));
    drop(
        listener
            .accept()
            .expect("it was only asked whether somebody listens"),
    );
    let _still = std::os::unix::net::UnixStream::connect(&other).expect("it listens on");

    // What a killed daemon leaves is no such thing: takeover.rs starts daemons on it again and again.
    let daemon = Daemon::start();
    assert_eq!(json(["status"])["pid"], daemon.pid());
}

#[test]
fn whoever_is_not_root_is_told_what_is_missing() {
    let as_agent = ["--reuid=1000", "--regid=1000", "--clear-groups", ENFORCER];
    let output = run("setpriv", &[&as_agent[..], &["daemon"]].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    for text in ["CAP_BPF", "CAP_PERFMON", "hint: privileges: run as root"] {
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn a_kernel_that_does_not_describe_its_types_is_refused() {
    let hidden = "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" \"$@\"";
    let without = ["--mount", "bash", "-c", hidden, ENFORCER];
    let output = run("unshare", &[&without[..], &["daemon"]].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(
        said.contains("/sys/kernel/btf/vmlinux cannot be opened"),
        "{said}"
    );
    assert!(
        said.contains("hint: btf: boot a kernel that is built with CONFIG_DEBUG_INFO_BTF=y"),
        "{said}"
    );
    let output = run("unshare", &[&without[..], &["doctor"]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.lines().last(), Some("not enforcing"), "{said}");
    assert!(said.contains("fix btf: "), "{said}");
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
}

#[test]
fn a_log_folder_that_cannot_be_trusted_or_written_is_refused_and_what_runs_stays_held() {
    let daemon = Daemon::start();
    let mut worker = Worker::new();
    daemon.kill();
    let (file, open) = (fresh("file"), fresh("open"));
    fs::write(&file, "").expect("the file is written");
    fs::create_dir_all(&open).expect("the folder is made");
    place::mode(&open, 0o777);
    let read_only = Small::new(64);
    must_run("mount", &["-o", "remount,ro", read_only.text()]);
    for (folder, why) in [
        (place::text(&file), "is not a directory"),
        (
            place::text(&open),
            "can be written by others (mode 777, expected 700)",
        ),
        (read_only.text(), "Read-only file system"),
    ] {
        let output = refused(&["--log-dir", folder]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(said.contains(folder) && said.contains(why), "{said}");
        assert_eq!(enforcer(["status"]).status.code(), Some(4));
        worker.is_held();
    }
    let _daemon = Daemon::start();
    worker.is_held();
}

#[test]
fn while_the_log_is_full_events_wait_and_none_is_lost() {
    let small = Small::new(512);
    let daemon = Daemon::with(&["--log-dir", small.text()]);
    let ledger = Ledger::open(&[small.path()]);
    let mut worker = Worker::new();
    worker.is_held();
    let _ = ledger.balance();
    small.fill();
    for _ in 0..20 {
        worker.is_held();
    }
    let log = || json(["status"])["log"].clone();
    await_true("the log's failure is told", || {
        log()["last_error"].is_string()
    });
    let error = log()["last_error"].to_string();
    assert!(error.contains("No space left on device"), "{error}");
    assert!(
        daemon
            .said()
            .contains("the log cannot be written; events wait in the kernel"),
        "{}",
        daemon.said()
    );
    let output = enforcer(["doctor"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.lines()
            .any(|line| line.starts_with("log ") && line.contains("failed")),
        "{said}"
    );
    assert!(
        said.contains("fix log: free or repair the log's file system"),
        "{said}"
    );
    // A torn line is no record; whatever is there is whole.
    assert!(
        lines(small.path())
            .iter()
            .all(|line| line.starts_with('{') && line.ends_with('}'))
    );

    small.give_room();
    await_true("the log is well again", || log()["last_error"].is_null());
    worker.is_held();
    let balance = ledger.balance();
    assert_eq!(balance.lost, 0, "{balance:?}");
    let all = lines(small.path());
    let mine = all.iter().filter(|line| line.contains(&worker.live.task));
    let mine = mine
        .filter(|line| line.contains("\"event_code\":\"connect\""))
        .count();
    assert_eq!(mine, 2 * 22);
    drop(daemon);
}

#[test]
fn a_daemon_that_starts_on_a_full_log_enforces_once_there_is_room() {
    let small = Small::new(256);
    small.fill();
    let mut daemon = Daemon::spawn(&["--log-dir", small.text()]);
    daemon.await_status("No space left on device");
    small.give_room();
    daemon.await_enforcing();
    let ledger = Ledger::open(&[small.path()]);
    let mut worker = Worker::new();
    worker.is_held();
    assert_eq!(ledger.balance().lost, 0);
}

#[test]
fn a_segment_that_cannot_be_written_holds_the_events_back_and_one_that_was_removed_is_replaced() {
    let daemon = Daemon::start();
    let ledger = Ledger::open(&[Path::new(LOG)]);
    let mut worker = Worker::new();
    let segment = json(["status"])["log"]["path"]
        .as_str()
        .expect("a path")
        .to_owned();
    must_run("chattr", &["+i", &segment]);
    worker.is_held();
    await_true("the failure is told", || {
        json(["status"])["log"]["last_error"].is_string()
    });
    worker.is_held();
    must_run("chattr", &["-i", &segment]);
    worker.is_held();
    assert_eq!(ledger.balance().lost, 0);

    record::keep(Path::new(&segment));
    fs::remove_file(&segment).expect("it can be removed");
    let ledger = Ledger::open(&[Path::new(LOG)]);
    worker.is_held();
    assert_eq!(ledger.balance().lost, 0);
    assert_ne!(json(["status"])["log"]["path"], segment);
    assert!(
        daemon
            .said()
            .contains("log segment was removed or changed by someone else"),
        "{}",
        daemon.said()
    );
}

#[test]
fn a_torn_last_line_is_set_aside_and_told() {
    let daemon = Daemon::start();
    let segment = json(["status"])["log"]["path"]
        .as_str()
        .expect("a path")
        .to_owned();
    daemon.kill();
    let torn = "{\"activity_id\":1,\"cut";
    let whole = fs::read_to_string(&segment).expect("it is read");
    fs::write(&segment, format!("{whole}{torn}")).expect("it is written");
    let _daemon = Daemon::start();
    let records = record::show(&["--kind", "log-torn"]);
    let told = records.last().expect("it is told");
    assert_eq!(told.text("/unmapped/segment"), segment);
    let aside = told.text("/unmapped/set_aside");
    assert_eq!(fs::read_to_string(aside).expect("it is kept"), torn);
}

#[test]
fn broken_state_is_named_and_nothing_is_opened() {
    let daemon = Daemon::start();
    let mut worker = Worker::new();
    daemon.kill();
    for file in [
        "/var/lib/enforcer/policy.json",
        "/run/enforcer/sessions.json",
        "/run/enforcer/slots.json",
    ] {
        let good = fs::read(file).expect("it is there");
        fs::write(file, "{\"half of").expect("it is written");
        let output = refused(&[]);
        fs::write(file, good).expect("it is written");
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(stderr(&output).contains(file), "{}", told(&output));
        worker.is_held();
    }
    let _daemon = Daemon::start();
    worker.is_held();
}

#[test]
fn a_policy_that_is_not_good_at_one_start_denies_everything_and_is_tried_again_at_the_next() {
    let daemon = Daemon::start();
    let door = TcpServer::on(LOOPBACK);
    let folder = place::directory("not-good");
    let (tool, away) = (folder.join("tool"), folder.join("away"));
    place::copy("/usr/bin/true", &tool);
    let agent = Policy::new("not-good")
        .exec("tool", &[place::text(&tool)])
        .connect("door", &[&door.destination()])
        .apply();
    let mut live = agent.live();
    let attempt = format!("connect tcp {}", door.address);
    assert_eq!(live.ask(&attempt).errno, 0);
    daemon.kill();
    fs::rename(&tool, &away).expect("it is moved");
    let daemon = Daemon::start();
    assert!(live.ask(&attempt).denied());
    assert_eq!(door.arrived(), 1);
    let rejected = || {
        record::show(&[]).iter().any(|record| {
            record.kind() == "policy-rejected" && record.0["entity"]["name"] == agent.name
        })
    };
    await_true("a record of it", rejected);
    // Another policy comes into force meanwhile, and the one that is not good is not lost by that.
    let _other = Policy::new("other").apply();
    daemon.kill();
    fs::rename(&away, &tool).expect("it is moved");
    let _daemon = Daemon::start();
    assert_eq!(live.ask(&attempt).errno, 0);
    assert_eq!(door.arrived(), 1);
}

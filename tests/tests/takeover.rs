//! Death opens nothing: daemons that are stopped, killed, and killed again while sessions run.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use enforcer_tests::{
    Agent, Answer, Live, Policy, TcpServer,
    cli::{ENFORCER, enforcer, helper, json, probe, told, unique},
    fault::{Daemon, Flood, LOG, Ledger, lines, program, stderr},
    long, place, record,
    server::LOOPBACK,
    wait::eventually,
};
use nix::libc::EPERM;
use serde_json::Value;

/// A worker, what it may reach and what not.
struct Scene {
    agent: Agent,
    open: TcpServer,
    closed: TcpServer,
    /// Is there once the program that may not run has run.
    marker: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let (open, closed) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
        let agent = Policy::new("worker")
            .exec("tools", &["/usr/bin/true", place::text(&program())])
            .connect("open", &[&open.destination()])
            .apply();
        let marker = place::directory("marker").join("it-ran");
        Self {
            agent,
            open,
            closed,
            marker,
        }
    }

    /// Has a worker do what it may and what it may not, and sees that the one happens and the other does not.
    fn is_held(&self, worker: &mut Live) {
        let Self {
            open,
            closed,
            marker,
            ..
        } = self;
        assert_eq!(
            worker.ask(&format!("connect tcp {}", open.address)).errno,
            0
        );
        assert!(
            worker
                .ask(&format!("connect tcp {}", closed.address))
                .denied()
        );
        assert_eq!(worker.ask("exec /usr/bin/true").status, Some(0));
        assert!(
            worker
                .ask(&format!("exec /usr/bin/touch {}", marker.display()))
                .denied()
        );
        assert_eq!((open.arrived(), closed.arrived()), (1, 0));
        assert!(!marker.exists(), "what was denied has run");
    }

    /// The records of that, done `rounds` times: each of the four as often.
    fn is_recorded(&self, task: &str, rounds: usize) {
        let records = record::until(task, |records| {
            self.counts(records).iter().all(|count| *count >= rounds)
        });
        assert_eq!(
            self.counts(&records),
            [rounds; 4],
            "{:#?}",
            record::lines(&records)
        );
    }

    fn counts(&self, records: &[enforcer_tests::Record]) -> [usize; 4] {
        [
            (self.open.destination(), "allow"),
            (self.closed.destination(), "deny"),
            ("/usr/bin/true".to_owned(), "allow"),
            ("/usr/bin/touch".to_owned(), "deny"),
        ]
        .map(|(target, verdict)| {
            let same = records.iter().filter(|one| one.target() == target);
            same.filter(|one| one.verdict() == verdict).count()
        })
    }
}

/// The running session of a task, as `enforcer session list` has it.
fn session(task: &str) -> Option<Value> {
    let sessions = json(["session", "list"]);
    let mut sessions = sessions.as_array().expect("a list").iter();
    sessions.find(|one| one["task"]["id"] == task).cloned()
}

fn generation() -> u64 {
    json(["status"])["generation"].as_u64().expect("a number")
}

#[test]
fn sessions_stay_held_while_no_daemon_lives_and_the_next_one_has_all_of_it() {
    let daemon = Daemon::start();
    let ledger = Ledger::open(&[Path::new(LOG)]);
    let scene = Scene::new();
    let mut worker = scene.agent.live();
    scene.is_held(&mut worker);
    scene.is_recorded(&worker.task, 1);
    let (before, generation_before) = (session(&worker.task).expect("it runs"), generation());

    daemon.kill();
    assert_eq!(
        enforcer(["status"]).status.code(),
        Some(4),
        "no daemon answers"
    );
    scene.is_held(&mut worker);
    scene.is_held(&mut worker);

    let daemon = Daemon::start();
    assert!(daemon.said().contains("taken over"), "{}", daemon.said());
    scene.is_held(&mut worker);
    let after = session(&worker.task).expect("the new daemon knows it");
    for fact in [
        "id", "agent", "task", "state", "pid", "uid", "command", "started",
    ] {
        assert_eq!(after[fact], before[fact], "{fact}");
    }
    assert_eq!(
        (&after["state"], &after["pid"]),
        (&"running".into(), &worker.pid().into())
    );
    assert!(generation() >= generation_before, "generations only grow");
    assert!(json(["policy", "show", &scene.agent.name])["source"]["text"].is_string());
    scene.is_recorded(&worker.task, 4);
    let balance = ledger.balance();
    assert_eq!(balance.lost, 0, "{balance:?}");

    let task = worker.task.clone();
    let records = worker.records();
    let ends = records
        .iter()
        .filter(|one| one.kind() == "session-end")
        .count();
    assert_eq!(ends, 1, "{:#?}", record::lines(&records));
    let sessions: Vec<&str> = records.iter().map(|one| one.session()).collect();
    assert!(
        sessions.iter().all(|one| before["id"] == *one),
        "{sessions:?}"
    );
    assert_eq!(session(&task), None);
}

#[test]
fn a_session_that_ends_while_no_daemon_lives_is_ended_by_the_next_one() {
    let daemon = Daemon::start();
    let scene = Scene::new();
    let mut worker = scene.agent.live();
    scene.is_held(&mut worker);
    let (task, id) = (worker.task.clone(), worker.session());
    daemon.kill();
    scene.is_held(&mut worker);
    worker.end();

    let _daemon = Daemon::start();
    let records = record::of_ended_task(&task);
    let ends = records.iter().filter(|one| one.kind() == "session-end");
    assert_eq!(ends.count(), 1, "{:#?}", record::lines(&records));
    scene.is_recorded(&task, 2);
    assert_eq!(session(&task), None);
    assert_eq!(json(["session", "show", &id])["state"], "ended");
}

#[test]
fn without_a_daemon_run_starts_nothing() {
    let daemon = Daemon::start();
    let scene = Scene::new();
    daemon.kill();
    let marker = scene.marker.display().to_string();
    let output = enforcer([
        "run",
        "--agent",
        &scene.agent.name,
        "--",
        "/usr/bin/touch",
        &marker,
    ]);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert!(
        stderr(&output).contains("hint: the command was not started"),
        "{}",
        told(&output)
    );
    assert!(!scene.marker.exists());

    let _daemon = Daemon::start();
    assert!(
        scene
            .agent
            .probe(&["exec /usr/bin/true"])
            .output
            .status
            .success(),
        "its twin with a daemon"
    );
}

#[test]
fn a_daemon_that_is_told_to_stop_writes_everything_and_opens_nothing() {
    let daemon = Daemon::start();
    let scene = Scene::new();
    let mut worker = scene.agent.live();
    scene.is_held(&mut worker);
    let status = daemon.terminate();
    assert!(status.success(), "{status}");
    let log = lines(Path::new(LOG));
    // Behind it the log signs itself.
    let is_own = |line: &&String| line.contains("\"event_code\":\"log-");
    let last = log.iter().rfind(|line| !is_own(line));
    let last = last.expect("there are records");
    assert!(last.contains("\"event_code\":\"daemon-stop\""), "{last}");
    assert!(!Path::new("/run/enforcer/control.sock").exists());
    scene.is_held(&mut worker);

    let _daemon = Daemon::start();
    scene.is_held(&mut worker);
    scene.is_recorded(&worker.task, 3);
    worker.end();
}

#[test]
fn a_session_that_was_granted_begins_although_the_daemon_died_before_its_exec() {
    let daemon = Daemon::start();
    let scene = Scene::new();
    let task = unique("task");
    let mut child = Command::new(helper("launch"))
        .args(["/run/enforcer/control.sock", &scene.agent.name, &task])
        .args([place::text(&probe()), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut orders = child.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut hear = || {
        let mut line = String::new();
        answers.read_line(&mut line).expect("it answers");
        line
    };
    let granted = hear();
    assert!(granted.contains("\"session\""), "{granted}");
    daemon.kill();
    let denied = format!("connect tcp {}", scene.closed.address);
    writeln!(orders, "\n{denied}").expect("it reads");
    let answer = Answer::from_line(&hear()).expect("an answer");
    assert!(answer.denied(), "it is inside: {answer:?}");
    assert_eq!(scene.closed.arrived(), 0);

    let _daemon = Daemon::start();
    let taken_over = session(&task).expect("the new daemon knows it");
    assert_eq!(taken_over["state"], "running");
    drop(orders);
    child.wait().expect("it ends");
    let records = record::of_ended_task(&task);
    let starts = records.iter().filter(|one| one.kind() == "session-start");
    assert_eq!(starts.count(), 1, "{:#?}", record::lines(&records));
}

/// Two sessions that do what they may and what they may not, again and again, until they are told to stop.
fn under_load(label: &str) -> [Flood; 2] {
    let agent = Policy::new(label)
        .exec("flood", &[place::text(&program())])
        .connect("open", &["udp:127.0.0.1:9"])
        .apply();
    let mut floods = [Flood::of(&agent.name), Flood::of(&agent.name)];
    floods
        .iter_mut()
        .for_each(|flood| flood.tell("load 127.0.0.1:9 127.0.0.1:10"));
    floods
}

#[test]
fn killed_again_and_again_under_load_no_event_is_lost_or_told_twice() {
    let rounds = if long() { 50 } else { 6 };
    let mut daemon = Daemon::start();
    let ledger = Ledger::open(&[Path::new(LOG)]);
    let scene = Scene::new();
    let mut worker = scene.agent.live();
    let mut floods = under_load("load");
    for round in 0..rounds {
        daemon.kill();
        scene.is_held(&mut worker);
        daemon = Daemon::spawn(&[]);
        // Every one dies at another moment: some before they enforce, some amidst writing.
        if round % 3 > 0 {
            daemon.await_enforcing();
        }
        thread::sleep(Duration::from_millis(round * 37 % 211));
    }
    daemon.kill();
    let _daemon = Daemon::start();
    let done: Vec<_> = floods.iter_mut().map(|flood| flood.order("stop")).collect();
    let balance = ledger.balance();
    assert_eq!(balance.lost, 0, "{balance:?}");
    scene.is_recorded(&worker.task, usize::try_from(rounds).expect("few"));

    let log = lines(Path::new(LOG));
    for (flood, tallies) in floods.iter().zip(done) {
        let [allowed, denied] = &tallies[..] else {
            panic!("{tallies:?}")
        };
        assert_eq!(
            (allowed.of(0), denied.of(EPERM)),
            (allowed.tries(), denied.tries())
        );
        let of_task = |verdict: &str| {
            let verdict = format!("\"verdict\":\"{verdict}\"");
            let mine = log.iter().filter(|line| line.contains(&flood.task));
            let connects = mine.filter(|line| line.contains("\"event_code\":\"connect\""));
            connects.filter(|line| line.contains(&verdict)).count() as u64
        };
        assert_eq!(
            (of_task("allow"), of_task("deny")),
            (allowed.tries(), denied.tries())
        );
        assert!(allowed.tries() > 4 * rounds, "that is no load: {tallies:?}");
    }
    for flood in floods {
        let _ = flood.end();
    }
    worker.end();
}

/// Has the next daemon find programs that it takes for another version's.
fn as_if_of_another_version() {
    const PINS: &str = "/sys/fs/bpf/enforcer";
    let markers = fs::read_dir(PINS).expect("the pins").flatten();
    for marker in markers.filter(|one| one.file_name().as_encoded_bytes().starts_with(b"programs_"))
    {
        fs::remove_dir(marker.path()).expect("whose programs they are is forgotten");
    }
}

#[test]
fn while_programs_are_replaced_under_load_every_action_is_judged() {
    let rounds = if long() { 10 } else { 1 };
    let daemon = Daemon::start();
    let scene = Scene::new();
    let mut worker = scene.agent.live();
    let floods = under_load("upgrade");
    let mut daemon = Some(daemon);
    for _ in 0..rounds {
        daemon.take().expect("it runs").terminate();
        as_if_of_another_version();
        let next = Daemon::start();
        assert!(next.said().contains("replaced"), "{}", next.said());
        scene.is_held(&mut worker);
        daemon = Some(next);
    }
    for mut flood in floods {
        let [allowed, denied] = &flood.order("stop")[..] else {
            panic!("two tallies")
        };
        assert!(allowed.tries() > 4 * rounds, "that is no load: {allowed:?}");
        assert_eq!(
            (allowed.of(0), denied.of(EPERM)),
            (allowed.tries(), denied.tries())
        );
        flood.end();
    }
    // What was begun before goes on: the session is the same to the programs that came after.
    let task = worker.task.clone();
    let records = worker.records();
    assert!(!records.is_empty());
    assert_eq!(session(&task), None);
}

#[test]
fn a_daemon_killed_while_it_applies_leaves_one_policy_or_the_other() {
    let mut daemon = Daemon::start();
    let servers = [TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK)];
    let base = Policy::new("either");
    // Many rules, so that there is something to be killed amidst.
    let filler: Vec<String> = (0..1_500)
        .map(|n| format!("tcp:10.0.{}.{}:443", n / 250, n % 250))
        .collect();
    let filler: Vec<&str> = filler.iter().map(String::as_str).collect();
    let policies = [0, 1].map(|which| {
        let policy = base
            .clone()
            .connect("one", &[&servers[which].destination()]);
        policy.connect("more", &filler)
    });
    let agent = policies[0].apply();
    let mut worker = agent.live();
    // Which of the two servers the worker reaches: one of them.
    let mut reached = || {
        let answers = [0, 1]
            .map(|which: usize| worker.ask(&format!("connect tcp {}", servers[which].address)));
        let [one, other] =
            [0, 1].map(|which: usize| (answers[which].errno, servers[which].arrived()));
        match (one, other) {
            ((0, 1), (EPERM, 0)) => 0,
            ((EPERM, 0), (0, 1)) => 1,
            _ => panic!("half of one policy and half of another: {one:?} {other:?}"),
        }
    };
    let mut now = reached();
    assert_eq!(now, 0);
    let folder = place::directory("either");
    // A policy that is never good tells whether another one is being applied, and changes nothing.
    let never = Policy::bare("never").exec("nothing", &["/nothing/is/here"]);
    let is_under_way = || never.try_apply().status.code() == Some(8);
    let mut hit = 0;
    for round in 0..6 {
        let next = 1 - now;
        let file = folder.join("policy.toml");
        fs::write(&file, policies[next].text()).expect("the policy is written");
        let mut applying = Command::new(ENFORCER)
            .args(["policy", "apply", place::text(&file)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("enforcer starts");
        eventually("it is applied, or was", || {
            is_under_way() || applying.try_wait().expect("it can be waited for").is_some()
        });
        thread::sleep(Duration::from_millis(60 * round));
        daemon.kill();
        let output = applying.wait_with_output().expect("it ends");
        hit += u32::from(!output.status.success());
        let without = reached();
        if output.status.success() {
            assert_eq!(without, next, "applied is applied");
        }
        daemon = Daemon::start();
        now = reached();
        assert!(
            now == without || now == next,
            "round {round}: {}",
            told(&output)
        );
    }
    assert!(hit > 0, "no daemon was killed while it applied");
    worker.end();
}

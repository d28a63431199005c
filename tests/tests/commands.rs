//! What the command line tells before and after: `policy plan` and `policy test`, which change nothing, and
//! `log follow`, which shows what happens while it happens.
#![forbid(unsafe_code)]

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use enforcer_tests::{
    Policy, Record, TcpServer,
    cli::{ENFORCER, enforcer, json, told},
    fault::stderr,
    place, record,
    server::LOOPBACK,
};

/// Longest that a record is waited for: far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

fn written(text: &str) -> PathBuf {
    let file = place::directory("commands").join("policy.toml");
    std::fs::write(&file, text).expect("the policy is written");
    file
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn in_force() -> (serde_json::Value, serde_json::Value) {
    (
        json(["status"])["generation"].clone(),
        json(["policy", "list"]),
    )
}

#[test]
fn a_plan_says_what_applying_would_change_and_changes_nothing() {
    let servers = [TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK)];
    let connect = |server: &TcpServer| format!("connect tcp {}", server.address);
    let first = Policy::new("planned").connect("first", &[&servers[0].destination()]);
    let second = first
        .clone()
        .connect("second", &[&servers[1].destination()]);
    let before = in_force();
    let output = first.plan(&[]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        stdout(&output).starts_with(&format!("+ {}\n", first.name)),
        "{}",
        told(&output)
    );
    assert!(
        stderr(&output).contains("1 agent would change"),
        "{}",
        told(&output)
    );
    assert_eq!(in_force(), before);

    let mut live = first.apply().live();
    let applied = in_force();
    let output = first.plan(&[]);
    assert_eq!(stdout(&output), "", "{}", told(&output));
    assert!(
        stderr(&output).contains("nothing would change"),
        "{}",
        told(&output)
    );

    let output = second.plan(&[]);
    assert!(output.status.success(), "{}", told(&output));
    let said = stdout(&output);
    assert!(said.starts_with(&format!("~ {}\n", first.name)), "{said}");
    assert!(said.contains("second") && !said.contains("first"), "{said}");
    assert_eq!(in_force(), applied);
    assert_eq!(live.ask(&connect(&servers[0])).errno, 0);
    assert!(live.ask(&connect(&servers[1])).denied());
    assert_eq!(servers.each_ref().map(TcpServer::arrived), [1, 0]);

    // The twin: the same policy, applied.
    second.apply();
    assert_eq!(live.ask(&connect(&servers[1])).errno, 0);
    assert_eq!(servers[1].arrived(), 1);
    live.end();
}

#[test]
fn a_plan_tells_of_agents_that_would_be_removed_and_refuses_what_applying_would() {
    let (kept, removed) = (Policy::new("kept"), Policy::new("removed"));
    kept.apply();
    removed.apply();
    let before = in_force();
    let output = kept.plan(&["--prune"]);
    assert!(output.status.success(), "{}", told(&output));
    let said = stdout(&output);
    assert!(
        said.contains(&format!("- {}\n", removed.name)) && !said.contains(&kept.name),
        "{said}"
    );
    let output = kept.plan(&["--expected-generation", "4000000000"]);
    assert_eq!(output.status.code(), Some(8), "{}", told(&output));
    let missing = kept.clone().exec("missing", &["/nowhere/at/all"]);
    let output = missing.plan(&[]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        stderr(&output).contains("/nowhere/at/all"),
        "{}",
        told(&output)
    );
    assert_eq!(in_force(), before);
}

#[test]
fn a_policy_is_tested_by_its_examples_and_not_applied() {
    let before = in_force();
    let example = |expect: &str| {
        format!(
            "[[example]]\nby = \"/usr/bin/curl\"\nconnect = \"tcp:192.0.2.1:443\"\nexpect = \"{expect}\"\n"
        )
    };
    let policy = Policy::new("tested")
        .exec("curl", &["/usr/bin/curl"])
        .connect("one", &["tcp:192.0.2.1:443"]);
    for (expect, status, summary) in [
        ("allow", 0, "1 example: 1 passed, 0 failed"),
        ("deny", 3, "1 example: 0 passed, 1 failed"),
    ] {
        let file = written(&policy.clone().rules(&example(expect)).text());
        let output = enforcer(["policy", "test", place::text(&file)]);
        assert_eq!(output.status.code(), Some(status), "{}", told(&output));
        assert!(stderr(&output).contains(summary), "{}", told(&output));
        let said = stdout(&output);
        let row = said.lines().nth(1).expect("a row");
        assert_eq!(row.starts_with("FAILED"), status != 0, "{row}");
    }
    assert_eq!(in_force(), before);
}

/// `enforcer log follow` at work. It ends with the value.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn new(options: &[&str]) -> Self {
        let mut child = Command::new(ENFORCER)
            .args(["--output", "json", "log", "follow"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("enforcer starts");
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line); // the test may be over
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> Record {
        let line = self.lines.recv_timeout(PATIENCE).expect("a record comes");
        Record(serde_json::from_str(&line).expect("a record is JSON"))
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

#[test]
fn a_follower_is_shown_a_denied_action_while_it_follows_and_no_other_one() {
    let servers = [(); 3].map(|()| TcpServer::on(LOOPBACK));
    let agent = Policy::new("followed")
        .connect("open", &[&servers[0].destination()])
        .apply();
    let mut live = agent.live();
    let task = live.task.clone();
    let mut connect = |which: usize| live.ask(&format!("connect tcp {}", servers[which].address));
    assert!(connect(1).denied());
    let first = servers[1].destination();
    record::until(&task, |records| {
        records.iter().any(|one| one.target() == first)
    });
    // It has the past's last one to tell before it can follow: so it follows from here on.
    let mut follower = Follower::new(&["--agent", &agent.name, "--verdict", "deny", "--tail", "1"]);
    assert_eq!(follower.next().target(), servers[1].destination());

    assert_eq!(connect(0).errno, 0);
    assert!(connect(2).denied());
    let record = follower.next();
    assert_eq!(record.target(), servers[2].destination());
    assert_eq!((record.verdict(), record.reason()), ("deny", "not-listed"));
    assert_eq!(record.text("/unmapped/task_id"), live.task);
    assert!(follower.is_running());
    assert_eq!(servers.each_ref().map(TcpServer::arrived), [1, 0, 0]);
    live.end();
}

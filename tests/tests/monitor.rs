//! Monitor mode: everything goes on, and the records say what would have failed.
#![forbid(unsafe_code)]

use enforcer_tests::{
    Policy, Run, TcpServer, UdpServer, UnixServer, cli, cli::unique, maps::ChangedAgent, place,
    record::lines, server::LOOPBACK,
};

/// One attempt of each kind of action, none of them listed.
struct Everything {
    tcp: TcpServer,
    udp: UdpServer,
    unix: UnixServer,
    tool: String,
    mark: String,
}

impl Everything {
    fn new() -> Self {
        let directory = place::directory("monitor");
        let tool = place::copy("/usr/bin/touch", directory.join("tool"));
        Self {
            tcp: TcpServer::on(LOOPBACK),
            udp: UdpServer::on(LOOPBACK),
            unix: UnixServer::at(&format!("@{}", unique("monitor"))),
            tool: place::text(&tool).to_owned(),
            mark: place::text(&directory.join("mark")).to_owned(),
        }
    }

    fn attempts(&self) -> [String; 5] {
        [
            format!("connect tcp {}", self.tcp.address),
            format!("sendto {}", self.udp.address),
            format!("unix stream {}", self.unix.name),
            format!("exec {} {}", self.tool, self.mark),
            "socket 16 3 0".to_owned(),
        ]
    }

    /// How many of the first four came about.
    fn came_about(&self) -> usize {
        let ran = usize::from(std::fs::remove_file(&self.mark).is_ok());
        self.tcp.arrived() + self.udp.arrived() + self.unix.arrived() + ran
    }

    fn expected(&self, verdict: &str) -> [String; 5] {
        let udp = self.udp.destination();
        [
            format!("connect {} {verdict} not-listed", self.tcp.destination()),
            format!("send {udp} {verdict} not-listed"),
            format!("unix {} {verdict} not-listed", self.unix.name),
            format!("exec {} {verdict} not-listed", self.tool),
            format!("socket family 16 type 3 protocol 0 {verdict} socket-kind-not-allowed"),
        ]
    }
}

/// The decisions about the attempts: what follows the exec of the probe, up to the session's end.
fn told(run: &Run) -> Vec<String> {
    let records = run.records();
    lines(&records[2..records.len() - 1])
}

#[test]
fn monitor_mode_and_enforce_mode_differ_in_the_verdict_alone() {
    let everything = Everything::new();
    let policy = Policy::new("modes");
    let run = policy
        .clone()
        .monitor()
        .apply()
        .probe(&everything.attempts());
    assert!(
        run.answers.iter().all(|answer| answer.errno == 0),
        "{:?}",
        run.answers
    );
    assert_eq!(everything.came_about(), 4);
    assert_eq!(told(&run), everything.expected("would-deny"));
    let run = policy.apply().probe(&everything.attempts());
    assert!(
        run.answers.iter().all(|answer| answer.denied()),
        "{:?}",
        run.answers
    );
    assert_eq!(everything.came_about(), 0);
    assert_eq!(told(&run), everything.expected("deny"));
}

#[test]
fn monitor_mode_whose_end_has_passed_enforces() {
    let everything = Everything::new();
    let agent = Policy::new("past")
        .monitor_until("2001-01-01T00:00:00Z")
        .apply();
    let run = agent.probe(&everything.attempts());
    assert!(
        run.answers.iter().all(|answer| answer.denied()),
        "{:?}",
        run.answers
    );
    assert_eq!(everything.came_about(), 0);
    assert_eq!(told(&run), everything.expected("deny"));
}

#[test]
fn monitor_mode_ends_while_a_session_runs_and_nothing_is_applied() {
    let everything = Everything::new();
    let [attempt, ..] = everything.attempts();
    let mut live = Policy::new("ending").monitor().apply().live();
    assert_eq!(live.ask(&attempt).errno, 0);
    assert_eq!(everything.came_about(), 1);
    // The end comes: no time passes for a test's sake.
    let _ended = ChangedAgent::new(&live.session(), |one| one.monitor_until_ns = 1);
    assert!(live.ask(&attempt).denied());
    assert_eq!(everything.came_about(), 0);
    let mut records = live.records();
    records.retain(|record| record.kind() == "connect");
    let ended = records
        .iter()
        .position(|record| record.verdict() == "deny")
        .unwrap();
    assert!(
        records[..ended]
            .iter()
            .all(|record| record.verdict() == "would-deny")
    );
    assert!(
        records[ended..]
            .iter()
            .all(|record| record.verdict() == "deny")
    );
}

#[test]
fn a_session_goes_from_monitor_to_enforce_and_back_when_the_policy_does() {
    let everything = Everything::new();
    let policy = Policy::new("to-and-fro");
    let mut live = policy.clone().monitor().apply().live();
    for round in 0..3 {
        for attempt in everything.attempts() {
            assert_eq!(live.ask(&attempt).errno, 0, "{round}: {attempt}");
        }
        assert_eq!(everything.came_about(), 4);
        policy.apply();
        for attempt in everything.attempts() {
            assert!(live.ask(&attempt).denied(), "{round}: {attempt}");
        }
        assert_eq!(everything.came_about(), 0);
        policy.clone().monitor().apply();
    }
}

#[test]
fn monitor_mode_without_an_end_is_refused() {
    let output = Policy::new("endless")
        .agent("mode = \"monitor\"")
        .try_apply();
    assert_eq!(output.status.code(), Some(3), "{}", cli::told(&output));
}

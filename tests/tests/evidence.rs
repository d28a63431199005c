//! What auditors and agents' owners ask of the log: why something was denied, and what happened over a period.
#![forbid(unsafe_code)]

use std::fs;

use enforcer_tests::{
    Agent, Policy, TcpServer,
    cli::{enforcer, json, must, told, unique},
    place,
    server::LOOPBACK,
    wait::eventually,
};

/// The folder of the daemon's log.
const LOG: &str = "/var/log/enforcer";

/// An agent that reached one server and was kept from another.
struct Scene {
    policy: Policy,
    agent: Agent,
    allowed: TcpServer,
    denied: TcpServer,
}

impl Scene {
    fn new(label: &str) -> Self {
        let (allowed, denied) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
        let policy = Policy::new(label).connect("allowed", &[&allowed.destination()]);
        let agent = policy.apply();
        let scene = Self {
            policy,
            agent,
            allowed,
            denied,
        };
        assert_eq!(scene.attempt(), (1, 0));
        eventually("the record of the denial", || {
            enforcer(["why", "--agent", &scene.agent.name])
                .status
                .success()
        });
        scene
    }

    /// Who came where.
    fn attempt(&self) -> (usize, usize) {
        let attempts =
            [&self.allowed, &self.denied].map(|server| format!("connect tcp {}", server.address));
        self.agent.probe(&attempts);
        (self.allowed.arrived(), self.denied.arrived())
    }
}

#[test]
fn what_why_suggests_allows_what_was_denied_once_it_is_in_the_policy() {
    let scene = Scene::new("why");
    let why = json(["why", "--agent", &scene.agent.name]);
    assert_eq!(
        (why["verdict"].as_str(), why["reason"].as_str()),
        (Some("deny"), Some("not-listed")),
        "{why}"
    );
    let lines = why["remedy"]["toml"].as_str().expect("lines to add");
    let widened = scene.policy.clone().rules(&format!("\n{lines}"));
    let agent = widened.apply();
    assert_eq!(agent.name, scene.agent.name);
    assert_eq!(scene.attempt(), (1, 1), "{lines}");
    // Of the same denial it is said now that the policy in force allows it.
    let event = why["event"].as_str().expect("an id");
    let now = json(["why", event]);
    assert_eq!(now["remedy"]["kind"], "nothing-to-do", "{now}");
}

#[test]
fn why_tells_people_what_was_tried_and_what_would_allow_it() {
    let scene = Scene::new("why-text");
    let text = must(["why", "--agent", &scene.agent.name]);
    let address = scene.denied.address;
    for part in [
        format!("connect to {}, port {} (tcp)", address.ip(), address.port()),
        "denied: not-listed".to_owned(),
        scene.agent.name.clone(),
        "[[connect]]".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
}

#[test]
fn of_what_is_not_there_why_says_so() {
    for words in [
        vec!["why", "no-such-event"],
        vec!["why", "--agent", "nobody-of-this-name"],
    ] {
        let output = enforcer(&words);
        assert_eq!(output.status.code(), Some(7), "{}", told(&output));
    }
    let started = json(["log", "show", "--kind", "daemon-start", "--tail", "1"]);
    let event = started["metadata"]["uid"].as_str().expect("an id");
    let output = enforcer(["why", event]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
}

#[test]
fn a_report_counts_what_was_used_denied_and_never_used() {
    let scene = Scene::new("report");
    let unused = scene
        .policy
        .clone()
        .connect("unused", &["tcp:192.0.2.7:443"]);
    unused.apply();
    scene.attempt();
    let of_agent = |report: &serde_json::Value| {
        let agents = report["agents"].as_array().expect("agents");
        let own = agents
            .iter()
            .find(|agent| agent["agent"] == scene.agent.name.as_str());
        own.cloned().expect("the agent")
    };
    eventually("both attempts are in it", || {
        let own = of_agent(&json(["report", "--since", "1h"]));
        own["denied"] == 2
    });
    let report = json(["report", "--since", "1h"]);
    let own = of_agent(&report);
    assert_eq!(own["sessions_started"], 2, "{own}");
    let text = own.to_string();
    assert!(text.contains("tcp:192.0.2.7:443"), "never used: {own}");

    // The same of the log's files and the policy's, without asking the daemon.
    let copy = place::directory("report-copy");
    for file in fs::read_dir(LOG).expect("the log").map(Result::unwrap) {
        if file.path().extension().is_some_and(|end| end == "jsonl") {
            fs::copy(file.path(), copy.join(file.file_name())).expect("a copy");
        }
    }
    let policy = copy.join("policy.toml");
    fs::write(&policy, unused.text()).expect("the policy");
    let offline = json([
        "report",
        "--since",
        "1h",
        "--dir",
        place::text(&copy),
        "--policy",
        place::text(&policy),
    ]);
    let offline = of_agent(&offline);
    for member in ["allowed", "denied", "sessions_started"] {
        assert_eq!(offline[member], own[member], "{member}");
    }
}

#[test]
fn a_report_is_one_page_that_needs_nothing_else() {
    let scene = Scene::new("page");
    let page = place::directory("page").join(unique("report.html"));
    must(["report", "--since", "1h", "--html", place::text(&page)]);
    let html = fs::read_to_string(&page).expect("the page");
    assert!(html.starts_with("<!doctype html>") || html.starts_with("<!DOCTYPE html>"));
    assert!(html.contains(&scene.agent.name) && html.contains("<svg"));
    for outward in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!html.contains(outward), "{outward}");
    }
}

//! Applying a policy: it comes into force whole, and when `policy apply` returns no older verdict is given.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use enforcer_tests::{Live, Policy, Record, UdpServer, cli, long, place, server::LOOPBACK};

/// Between two rounds of the connect loop. Each round is two records, which an emulated machine must be
/// able to write while it also swaps.
const BREATH: &str = "sleep 10";

/// Swaps of one test.
fn swaps() -> usize {
    if long() { 500 } else { 12 }
}

/// A policy of which one of two destinations, and one of two executables, is allowed.
struct Halves {
    servers: [UdpServer; 2],
    tools: [String; 2],
    policy: Policy,
}

impl Halves {
    fn new(label: &str) -> Self {
        let directory = place::directory(label);
        let tools = ["one", "two"].map(|name| {
            let tool = place::copy("/usr/bin/true", directory.join(name));
            place::text(&tool).to_owned()
        });
        Self {
            servers: [UdpServer::on(LOOPBACK), UdpServer::on(LOOPBACK)],
            tools,
            policy: Policy::new(label),
        }
    }

    /// Puts the policy in force that allows one half; gives its generation.
    fn apply(&self, half: usize) -> u64 {
        self.policy
            .clone()
            .exec("tool", &[&self.tools[half]])
            .connect("server", &[&self.servers[half].destination()])
            .apply();
        let policies = cli::json(["policy", "list"]);
        let mut policies = policies.as_array().unwrap().iter();
        let mine = policies.find(|policy| policy["agent"] == *self.policy.name);
        mine.expect("it is in force")["generation"]
            .as_u64()
            .unwrap()
    }

    fn connect(&self, half: usize) -> String {
        format!("connect udp {}", self.servers[half].address)
    }

    /// Which of the halves a session reaches now.
    fn reached(&self, live: &mut Live) -> [bool; 2] {
        [0, 1].map(|half| {
            let connect = live.ask(&self.connect(half)).errno == 0;
            let exec = live.ask(&format!("exec {}", self.tools[half])).errno == 0;
            assert_eq!(connect, exec, "half of a policy");
            connect
        })
    }
}

#[test]
fn after_an_apply_no_older_verdict_is_given() {
    let halves = Halves::new("swap");
    halves.apply(0);
    let mut live = Live::of_program(&halves.policy.name, cli::probe());
    for swap in 1..=swaps() {
        let half = swap % 2;
        halves.apply(half);
        let expected = [half == 0, half == 1];
        assert_eq!(halves.reached(&mut live), expected, "swap {swap}");
    }
}

/// Each decision about a half, checked against what its generation allows; gives how many there were.
fn checked(records: &[Record], halves: &Halves, allows: &BTreeMap<u64, usize>) -> usize {
    let mut last = 0;
    let decisions: Vec<_> = records.iter().filter(|r| r.kind() == "connect").collect();
    for record in &decisions {
        let generation = record.generation();
        assert!(generation >= last, "generation {generation} after {last}");
        last = generation;
        // Another agent's policy may have come into force since, which changes nothing for this one.
        let (_, allowed) = allows
            .range(..=generation)
            .next_back()
            .expect("a generation");
        let half = halves
            .servers
            .iter()
            .position(|s| s.destination() == record.target());
        let (verdict, rule) = if half == Some(*allowed) {
            ("allow", "server")
        } else {
            ("deny", "")
        };
        let said = (record.verdict(), record.rule());
        assert_eq!(said, (verdict, rule), "generation {generation}: {record}");
    }
    decisions.len()
}

/// Ends the loops, also when a swap fails.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn under_a_connect_loop_every_verdict_is_that_of_one_whole_generation() {
    let halves = Halves::new("loop");
    let mut allows = BTreeMap::from([(halves.apply(0), 0)]);
    let mut live = Live::of_program(&halves.policy.name, cli::probe());
    let done = AtomicBool::new(false);
    let records = thread::scope(|scope| {
        let (halves, done) = (&halves, &done);
        let connecting = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                live.ask(&halves.connect(0));
                live.ask(&halves.connect(1));
                live.ask(BREATH);
            }
            live.records()
        });
        let end = AtEnd(done);
        for swap in 1..=swaps() {
            allows.insert(halves.apply(swap % 2), swap % 2);
        }
        drop(end);
        connecting.join().unwrap()
    });
    assert_eq!(allows.len(), swaps() + 1, "each swap is a generation");
    let decisions = checked(&records, &halves, &allows);
    assert!(
        decisions > swaps(),
        "{decisions} decisions in {} swaps",
        swaps()
    );
    let seen: BTreeSet<_> = records.iter().map(Record::generation).collect();
    assert!(
        seen.len() > swaps() / 2,
        "the loop met {} generations",
        seen.len()
    );
}

#[test]
fn a_policy_that_is_refused_changes_nothing() {
    let halves = Halves::new("refused");
    let generation = halves.apply(0);
    let mut live = Live::of_program(&halves.policy.name, cli::probe());
    let bad = halves
        .policy
        .clone()
        .connect("bad", &["tcp:10.0.0.1/8:443"]);
    assert_eq!(bad.try_apply().status.code(), Some(3));
    let missing = halves.policy.clone().exec("missing", &["/nowhere/at/all"]);
    assert_eq!(missing.try_apply().status.code(), Some(3));
    assert_eq!(halves.reached(&mut live), [true, false]);
    let mut records = live.records();
    records.retain(|record| record.kind() == "connect");
    assert!(
        records
            .iter()
            .all(|record| record.generation() == generation)
    );
}

#[test]
fn an_executable_that_is_no_longer_listed_does_nothing_any_more() {
    let halves = Halves::new("unlisted");
    let server = halves.servers[0].destination();
    let listing = halves.policy.clone().connect("server", &[&server]);
    listing.apply();
    let mut live = Live::of_program(&halves.policy.name, cli::probe());
    assert_eq!(live.ask(&halves.connect(0)).errno, 0);
    let bare = halves.policy.replaced_by(Policy::bare("bare"));
    let bare = bare.connect("server", &[&server]);
    bare.exec("another", &[&halves.tools[0]]).apply();
    assert!(live.ask(&halves.connect(0)).denied());
    assert!(live.ask(&format!("exec {}", halves.tools[0])).denied());
    assert!(live.ask("socket 2 3 1").denied());
    listing.apply();
    assert_eq!(live.ask(&halves.connect(0)).errno, 0);
    let records = live.records();
    let denied = records.iter().filter(|record| record.verdict() == "deny");
    let reasons: Vec<_> = denied.map(Record::reason).collect();
    assert_eq!(reasons, ["executable-not-listed"; 3]);
}

//! What must hold when much happens at once, on a kernel that preempts anywhere (`preempt=full`), and
//! when the table of labels is full.
#![forbid(unsafe_code)]

use std::process::Command;

use enforcer_common::{label::Label, maps::MAX_LABELS};
use enforcer_tests::{
    Live, Policy, TcpServer, UdpServer,
    cli::told,
    fault::{Tally, counter},
    long,
    maps::Full,
    server::LOOPBACK,
    session::start,
};
use nix::libc::{EAGAIN, EPERM};

/// Processes that fork at once.
const PROCESSES: u64 = 8;

/// Forks of a storm.
fn forks() -> u64 {
    if long() { 20_000 } else { 2_000 }
}

/// Has every child of a storm send a datagram; gives what came of it.
fn storm(live: &mut Live, forks: u64, server: &UdpServer) -> Tally {
    let each = forks / PROCESSES;
    let answer = live.ask(&format!(
        "storm {PROCESSES} {each} sendto {}",
        server.address
    ));
    assert_eq!(answer.errno, 0, "{answer:?}");
    Tally::parse(&answer.output).expect("a tally")
}

#[test]
fn i01_in_a_storm_of_forks_no_child_is_without_its_label() {
    let parameters = std::fs::read_to_string("/proc/cmdline").expect("the command line");
    assert!(parameters.contains("preempt=full"), "{parameters}");
    let server = UdpServer::on(LOOPBACK);
    let closed = Policy::new("storm").apply();
    let mut live = closed.live();
    let tally = storm(&mut live, forks(), &server);
    assert_eq!((tally.of(EPERM), tally.tries()), (forks(), forks()));
    assert_eq!(server.arrived(), 0);
    live.end();

    // Children of a session that may, and of none, do send.
    let few = 64;
    let open = Policy::new("storm-open").connect("server", &[&server.destination()]);
    for mut live in [open.apply().live(), Live::outside()] {
        assert_eq!(storm(&mut live, few, &server).of(0), few);
        assert_eq!(server.arrived() as u64, few);
        live.end();
    }
}

#[test]
fn with_its_table_of_labels_full_a_fork_is_denied_and_nothing_else_breaks() {
    let servers = [TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK)];
    let policy = Policy::new("full").connect("server", &[&servers[0].destination()]);
    let agent = policy.apply();
    let mut live = agent.live();
    let [open, shut] = servers
        .each_ref()
        .map(|server| format!("connect tcp {}", server.address));
    let forked = format!("fork {open}");
    assert_eq!(live.ask(&forked).errno, 0);
    assert_eq!(servers[0].arrived(), 1);

    let denied = counter("enrolments-denied");
    // No task lies at so low an address.
    let full = Full::<u64, Label>::new("LABELS", 1..=u64::from(MAX_LABELS));
    assert!(
        full.added() < MAX_LABELS as usize,
        "none of ours is among them"
    );
    let answer = live.ask(&forked);
    assert_eq!(answer.errno, EAGAIN, "{answer:?}");
    assert_eq!(servers[0].arrived(), 0, "no child has run");
    // The session itself goes on as it was, and so does everything outside.
    assert_eq!(live.ask(&open).errno, 0);
    assert!(live.ask(&shut).denied());
    assert_eq!(servers.each_ref().map(TcpServer::arrived), [1, 0]);
    assert!(
        Command::new("/usr/bin/true")
            .status()
            .expect("a process")
            .success()
    );
    // A session that would begin now does not run unlabelled.
    let output = start(&agent.name, "full")
        .args(["/usr/bin/true"])
        .output()
        .expect("enforcer");
    assert!(!output.status.success(), "{}", told(&output));
    assert!(counter("enrolments-denied") > denied);
    drop(full);

    assert_eq!(live.ask(&forked).errno, 0);
    assert_eq!(servers[0].arrived(), 1);
    let records = live.records();
    let forks: Vec<_> = records
        .iter()
        .filter(|record| record.kind() == "fork")
        .map(|record| (record.verdict(), record.reason()))
        .collect();
    assert_eq!(forks, [("deny", "label-table-full")]);
}

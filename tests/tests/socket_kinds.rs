//! Which kinds of sockets exist in a session: those whose destinations can be judged.
#![forbid(unsafe_code)]

use enforcer_tests::{Policy, Run, record::lines};
use nix::libc::EPERM;

/// Families, types and protocols by number; what is not built into a kernel is denied all the same.
const CLOSED: &[(&str, &str)] = &[
    ("raw IPv4, ICMP", "2 3 1"),
    ("raw IPv4, TCP", "2 3 6"),
    ("raw IPv4, headers too", "2 3 255"),
    ("raw IPv6", "10 3 58"),
    ("ping", "2 2 1"),
    ("ping, IPv6", "10 2 58"),
    ("multipath TCP", "2 1 262"),
    ("multipath TCP, IPv6", "10 1 262"),
    ("SCTP, one to one", "2 1 132"),
    ("SCTP, one to many", "2 5 132"),
    ("SCTP, IPv6", "10 5 132"),
    ("DCCP", "2 6 33"),
    ("UDP-Lite", "2 2 136"),
    ("packets", "17 3 768"),
    ("packets without header", "17 2 768"),
    ("netlink, routes", "16 3 0"),
    ("netlink, netfilter", "16 3 12"),
    ("netlink, datagram", "16 2 0"),
    ("crypto", "38 5 0"),
    ("virtual machines", "40 1 0"),
    ("virtual machines, datagram", "40 2 0"),
    ("XDP", "44 3 0"),
    ("TIPC", "30 5 0"),
    ("RDS", "21 5 0"),
    ("SMC", "43 1 0"),
    ("KCM", "41 5 0"),
    ("CAN", "29 3 1"),
    ("Bluetooth", "31 5 0"),
    ("Qualcomm IPC", "42 2 0"),
    ("RxRPC", "33 2 2"),
    ("PPP over X", "24 1 0"),
    ("key management", "15 3 2"),
    ("unix, raw", "1 3 0"),
    ("no family", "0 1 0"),
    ("a family that is none", "77 1 0"),
];

const OPEN: &[&str] = &[
    "2 1 0", "2 1 6", "10 1 0", "10 1 6", "2 2 0", "2 2 17", "10 2 0", "10 2 17", "1 1 0", "1 2 0",
    "1 5 0",
];

fn attempts<'a>(kinds: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    kinds
        .into_iter()
        .map(|kind| format!("socket {kind}"))
        .collect()
}

fn closed() -> Vec<String> {
    attempts(CLOSED.iter().map(|(_, kind)| *kind))
}

fn told(run: &Run) -> Vec<String> {
    let mut records = run.records();
    records.retain(|record| record.kind() == "socket");
    lines(&records)
}

fn record(attempt: &str, verdict: &str) -> String {
    let numbers: Vec<_> = attempt.split(' ').collect();
    let [_, family, kind, protocol] = numbers[..] else {
        panic!("{attempt}")
    };
    format!(
        "socket family {family} type {kind} protocol {protocol} {verdict} socket-kind-not-allowed"
    )
}

#[test]
fn sockets_that_cannot_be_judged_are_not_made() {
    let attempts = closed();
    let run = Policy::new("kinds").apply().probe(&attempts);
    for (answer, (name, _)) in run.answers.iter().zip(CLOSED) {
        // The kernel refuses a number beyond its families before it asks anybody.
        let none = answer.attempt == "socket 77 1 0";
        assert!(
            answer.denied() || none && answer.errno != 0,
            "{name}: {answer:?}"
        );
    }
    let judged = run.answers.iter().filter(|answer| answer.errno == EPERM);
    let expected: Vec<_> = judged
        .map(|answer| record(&answer.attempt, "deny"))
        .collect();
    assert_eq!(told(&run), expected);
}

#[test]
fn sockets_that_can_be_judged_are_made_and_not_recorded() {
    let run = Policy::new("open-kinds")
        .apply()
        .probe(&attempts(OPEN.iter().copied()));
    for answer in &run.answers {
        assert_eq!(answer.errno, 0, "{}", answer.attempt);
    }
    assert!(told(&run).is_empty());
}

#[test]
fn outside_a_session_no_kind_is_denied() {
    let run = Run::outside(&closed());
    for (answer, (name, _)) in run.answers.iter().zip(CLOSED) {
        assert!(!answer.denied(), "{name}");
    }
    let made = run
        .answers
        .iter()
        .filter(|answer| answer.errno == 0)
        .count();
    assert!(made >= 8, "the twin proves nothing: {:?}", run.answers);
}

#[test]
fn in_monitor_mode_every_kind_is_made_and_the_record_says_what_would_be_denied() {
    let attempts = attempts(["2 3 1", "16 3 0", "17 3 768"]);
    let run = Policy::new("kinds-monitor")
        .monitor()
        .apply()
        .probe(&attempts);
    let expected: Vec<_> = attempts
        .iter()
        .map(|attempt| record(attempt, "would-deny"))
        .collect();
    assert_eq!(told(&run), expected);
    let made = run.answers.iter().all(|answer| answer.errno == 0);
    assert!(made, "{:?}", run.answers);
}

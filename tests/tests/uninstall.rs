//! The way out: `enforcer uninstall`.
#![forbid(unsafe_code)]

use std::{fs, path::Path};

use enforcer_tests::{
    Policy, TcpServer,
    cli::{enforcer, told},
    fault::{Daemon, LOG, lines},
    server::LOOPBACK,
};

const PINS: &str = "/sys/fs/bpf/enforcer";
const REASON: &str = "the host is handed back";

/// Records of the log that say so.
fn removals() -> Vec<String> {
    let mut lines = lines(Path::new(LOG));
    lines.retain(|line| line.contains("\"event_code\":\"daemon-remove\""));
    lines
}

#[test]
fn enforcement_is_removed_only_on_the_record_and_while_nothing_runs() {
    let mut daemon = Daemon::start();
    let server = TcpServer::on(LOOPBACK);
    let agent = Policy::new("uninstall").apply();
    let connect = format!("connect tcp {}", server.address);
    let mut live = agent.live();
    live.ask("pid"); // it has begun

    let output = enforcer(["uninstall", "--reason", " "]);
    assert!(!output.status.success(), "a reason that says nothing");
    let output = enforcer(["uninstall", "--reason", REASON]);
    assert_eq!(output.status.code(), Some(8), "{}", told(&output));
    assert!(live.ask(&connect).denied());
    assert_eq!(server.arrived(), 0);
    assert!(removals().is_empty() && Path::new(PINS).exists());
    live.end();
    enforcer_tests::wait::eventually("the session ends", || {
        enforcer_tests::cli::json(["session", "list"])
            .as_array()
            .is_some_and(Vec::is_empty)
    });

    let output = enforcer(["uninstall", "--reason", REASON]);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(daemon.ended().code(), Some(10));
    assert!(!Path::new(PINS).exists(), "{:?}", fs::read_dir(PINS));
    let removals = removals();
    assert!(
        removals.len() == 1 && removals[0].contains(REASON),
        "{removals:?}"
    );
    // Nothing is held any more, and nothing claims to be.
    let output = enforcer(["run", "--agent", &agent.name, "--", "/usr/bin/true"]);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));

    // The next daemon begins anew.
    let _daemon = Daemon::start();
    let mut live = Policy::new("anew").apply().live();
    assert!(live.ask(&connect).denied());
    assert_eq!(server.arrived(), 0);
    live.end();
}

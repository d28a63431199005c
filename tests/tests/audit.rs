//! No evidence, no action; and no silent loss: the rings are filled while the daemon sleeps.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use enforcer_tests::{
    Agent, Policy, TcpServer,
    fault::{Daemon, Flood, LOG, Ledger, Tally, await_true, counter, lines, program},
    place,
    server::LOOPBACK,
};
use nix::libc::{ENOEXEC, EPERM};

/// More tries than the rings hold events of an exec: 16 MiB, and 4 MiB for denials, at more than 1 KiB each.
const MORE_THAN_FITS: u64 = 20_000;
const MORE_DENIALS_THAN_FIT: u64 = 5_000;
/// Events of an exec that fit in either ring.
const SOME: u64 = 2_500;

/// A file that an agent may run and that is no program: the kernel decides, reports, and then finds out. No other
/// action makes as large an event in as short a time.
fn no_program() -> PathBuf {
    place::script(place::directory("files").join("no-program"), "no program\n")
}

fn agent(on_audit_failure: &str, file: &Path, server: &TcpServer) -> Agent {
    Policy::new(on_audit_failure)
        .agent(&format!("on_audit_failure = \"{on_audit_failure}\""))
        .exec("files", &[place::text(file), place::text(&program())])
        .connect("server", &[&server.destination(), "udp:127.0.0.1:9"])
        .apply()
}

/// Lines of a task in the log that have all these texts.
fn count(log: &[String], task: &str, texts: &[&str]) -> u64 {
    let mine = log.iter().filter(|line| line.contains(task));
    mine.filter(|line| texts.iter().all(|text| line.contains(text)))
        .count() as u64
}

#[test]
fn a_full_ring_stops_who_needs_evidence_and_nobody_else_and_the_gap_is_told_exactly() {
    let daemon = Daemon::start();
    let ledger = Ledger::open(&[Path::new(LOG)]);
    let (file, server) = (no_program(), TcpServer::on(LOOPBACK));
    let (strict, lax) = (
        agent("deny", &file, &server),
        agent("continue", &file, &server),
    );
    let mut fillers = [Flood::of(&strict.name), Flood::of(&lax.name)];
    let mut lives = [strict.live(), lax.live()];
    let connect = format!("connect tcp {}", server.address);
    for live in &mut lives {
        assert_eq!(
            live.ask(&connect).errno,
            0,
            "with room in the ring both may"
        );
    }
    assert_eq!(server.arrived(), 2);
    let denied_before = counter("audit-denied");

    daemon.pause();
    let fill = format!("exec-until-denied {MORE_THAN_FITS} {}", file.display());
    let [mut strict_did] = <[Tally; 1]>::try_from(fillers[0].order(&fill)).expect("one tally");
    assert_eq!(strict_did.of(EPERM), 1, "{strict_did:?}");
    assert!(
        strict_did.of(ENOEXEC) > 1_000,
        "denied before the ring can be full: {strict_did:?}"
    );
    // What an exec's event has no room for, a smaller one may have.
    let [connects] =
        <[Tally; 1]>::try_from(fillers[0].order("connect 64 127.0.0.1:9")).expect("one tally");
    assert!(
        connects.of(EPERM) > 0 && connects.of(0) + connects.of(EPERM) == 64,
        "{connects:?}"
    );
    let [lax_did] =
        <[Tally; 1]>::try_from(fillers[1].order(&format!("exec 500 {}", file.display())))
            .expect("one");
    assert_eq!(lax_did.of(ENOEXEC), 500, "{lax_did:?}");
    assert!(lives[0].ask(&connect).denied());
    assert_eq!(server.arrived(), 0, "what could not be told of was done");
    assert_eq!(lives[1].ask(&connect).errno, 0);
    assert_eq!(server.arrived(), 1);
    daemon.resume();

    let balance = ledger.balance();
    let denied = strict_did.of(EPERM) + connects.of(EPERM) + 1;
    assert_eq!(counter("audit-denied") - denied_before, denied);
    // Lost: the actions that were denied for it, and all of the other agent's.
    assert_eq!(balance.lost, denied + 500 + 1, "{balance:?}");
    let log = lines(Path::new(LOG));
    let execs = ["\"event_code\":\"exec\"", place::text(&file)];
    assert_eq!(
        count(&log, &fillers[0].task, &execs),
        strict_did.of(ENOEXEC)
    );
    assert_eq!(count(&log, &fillers[1].task, &execs), 0);

    // With room again, the same action is done again, and told of.
    strict_did = fillers[0]
        .order(&format!("exec 3 {}", file.display()))
        .remove(0);
    assert_eq!(strict_did.of(ENOEXEC), 3);
    assert_eq!(lives[0].ask(&connect).errno, 0);
    assert_eq!(server.arrived(), 1);
    assert_eq!(ledger.balance().lost, balance.lost);
}

#[test]
fn with_their_ring_full_denials_are_still_denied_and_counted() {
    let daemon = Daemon::start();
    let ledger = Ledger::open(&[Path::new(LOG)]);
    let (file, open, closed) = (
        no_program(),
        TcpServer::on(LOOPBACK),
        TcpServer::on(LOOPBACK),
    );
    let agent = agent("continue", &file, &open);
    let (mut filler, mut live) = (Flood::of(&agent.name), agent.live());
    let unlisted = no_program();
    let _ = live.ask("pid"); // inside from here on, which needs the daemon

    daemon.pause();
    let fill = format!("exec {MORE_DENIALS_THAN_FIT} {}", unlisted.display());
    let tally = filler.order(&fill).remove(0);
    assert_eq!(tally.of(EPERM), MORE_DENIALS_THAN_FIT, "{tally:?}");
    let tally = filler.order("connect 64 127.0.0.1:10").remove(0);
    assert_eq!(tally.of(EPERM), 64, "{tally:?}");
    assert!(
        live.ask(&format!("connect tcp {}", closed.address))
            .denied()
    );
    assert_eq!(closed.arrived(), 0);
    // The other ring has room: what is allowed goes on and is told of.
    assert_eq!(live.ask(&format!("connect tcp {}", open.address)).errno, 0);
    assert_eq!(open.arrived(), 1);
    daemon.resume();

    let balance = ledger.balance();
    let log = lines(Path::new(LOG));
    let told = count(&log, &filler.task, &["\"verdict\":\"deny\""])
        + count(&log, &live.task, &["\"verdict\":\"deny\""]);
    assert_eq!(
        told + balance.lost,
        MORE_DENIALS_THAN_FIT + 64 + 1,
        "{balance:?}"
    );
    assert!(balance.lost > 0 && told > 0, "{balance:?}");
    assert_eq!(
        count(
            &log,
            &live.task,
            &["\"event_code\":\"connect\"", "\"verdict\":\"allow\""]
        ),
        1
    );
}

#[test]
fn a_daemon_killed_while_it_writes_a_backlog_down_leaves_the_rest_to_the_next_one() {
    let mut daemon = Daemon::start();
    let ledger = Ledger::open(&[Path::new(LOG)]);
    let (file, unlisted) = (no_program(), no_program());
    let agent = agent("deny", &file, &TcpServer::on(LOOPBACK));
    let mut filler = Flood::of(&agent.name);
    daemon.pause();
    for (listed, errno) in [(&file, ENOEXEC), (&unlisted, EPERM), (&file, ENOEXEC)] {
        let tally = filler
            .order(&format!("exec {SOME} {}", listed.display()))
            .remove(0);
        assert_eq!(tally.of(errno), SOME, "{tally:?}");
    }
    daemon.resume();
    for _ in 0..3 {
        // Killed as soon as something of the next batch is on its way.
        let before = size_of_log();
        await_true("the log grows", || size_of_log() > before);
        daemon.kill();
        daemon = Daemon::spawn(&[]);
    }
    daemon.kill();
    let _daemon = Daemon::start();
    let balance = ledger.balance();
    assert_eq!(balance.lost, 0, "{balance:?}");
    let log = lines(Path::new(LOG));
    for (listed, times) in [(&file, 2), (&unlisted, 1)] {
        let texts = ["\"event_code\":\"exec\"", place::text(listed)];
        assert_eq!(count(&log, &filler.task, &texts), times * SOME);
    }
}

fn size_of_log() -> u64 {
    let log = std::fs::read_dir(LOG).expect("the log's folder is read");
    log.map(|file| {
        let file = file.and_then(|file| file.metadata());
        file.expect("a segment").len()
    })
    .sum()
}

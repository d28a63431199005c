//! A host on which nobody has mounted bpffs: the daemon does it, for root alone, and enforces.
#![forbid(unsafe_code)]

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use enforcer_tests::{
    Policy, TcpServer,
    cli::{enforcer, told},
    fault::Daemon,
    server::LOOPBACK,
};

const BPFFS: &str = "/sys/fs/bpf";

fn mounts() -> usize {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts are readable");
    mounts
        .lines()
        .filter(|line| line.split(' ').nth(1) == Some(BPFFS))
        .count()
}

#[test]
fn the_daemon_mounts_it_once_and_enforces() {
    assert_eq!(mounts(), 0, "this boot is for another test");
    let before = enforcer(["doctor"]);
    let said = String::from_utf8_lossy(&before.stdout);
    assert!(
        said.contains("fix bpffs: mount -t bpf bpf /sys/fs/bpf"),
        "{}",
        told(&before)
    );
    assert_eq!(mounts(), 0, "looking changes nothing");

    let daemon = Daemon::start();
    assert_eq!(mounts(), 1);
    for folder in [BPFFS, "/sys/fs/bpf/enforcer", "/sys/fs/bpf/enforcer/links"] {
        let mode = fs::metadata(Path::new(folder)).expect("it is there").mode();
        assert_eq!(mode & 0o077, 0, "{folder} is open to others: {mode:o}");
    }
    let (open, closed) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
    let agent = Policy::new("bpffs")
        .connect("open", &[&open.destination()])
        .apply();
    let attempts = [
        format!("connect tcp {}", open.address),
        format!("connect tcp {}", closed.address),
    ];
    let mut live = agent.live();
    assert_eq!(live.ask(&attempts[0]).errno, 0);
    assert!(live.ask(&attempts[1]).denied());

    // A new daemon finds the mount and what is pinned there.
    daemon.kill();
    assert!(live.ask(&attempts[1]).denied(), "without a daemon");
    let daemon = Daemon::start();
    assert_eq!(mounts(), 1, "it was mounted over");
    assert!(daemon.said().contains("taken over"), "{}", daemon.said());
    assert_eq!(live.ask(&attempts[0]).errno, 0);
    assert!(live.ask(&attempts[1]).denied());
    assert_eq!((open.arrived(), closed.arrived()), (2, 0));
    live.end();
}

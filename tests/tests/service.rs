//! The product as it is installed, under systemd: its unit with all its restrictions, and units of agents.
#![forbid(unsafe_code)]

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use enforcer_tests::{
    Answer, Policy, TcpServer,
    cli::{enforcer, must, probe, told, unique},
    place,
    server::LOOPBACK,
    wait::eventually,
};

fn systemctl(arguments: &[&str]) -> String {
    let output = Command::new("/usr/bin/systemctl")
        .args(arguments)
        .output()
        .expect("systemctl starts");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_packaged_unit_enforces_and_goes_on_after_a_restart() {
    assert_eq!(systemctl(&["is-active", "enforcer"]), "active");
    assert!(must(["doctor"]).trim_end().ends_with("enforcing"));
    systemctl(&["restart", "enforcer"]);
    assert_eq!(systemctl(&["is-active", "enforcer"]), "active");
    assert!(must(["doctor"]).trim_end().ends_with("enforcing"));
}

#[test]
fn a_session_is_held_while_the_packaged_daemon_is_killed_and_restarted() {
    let [open, closed] = [TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK)];
    let mut live = Policy::new("packaged")
        .connect("open", &[&open.destination()])
        .apply()
        .live();
    let session = live.session();
    let mut is_held = || {
        let open_to = live.ask(&format!("connect tcp {}", open.address));
        assert_eq!(open_to.errno, 0, "{open_to:?}");
        let closed_to = live.ask(&format!("connect tcp {}", closed.address));
        assert!(closed_to.denied(), "{closed_to:?}");
        assert_eq!((open.arrived(), closed.arrived()), (1, 0));
    };
    let pid = || systemctl(&["show", "--property", "MainPID", "--value", "enforcer"]);
    is_held();
    for way in [
        &["kill", "--signal", "KILL", "enforcer"][..],
        &["restart", "enforcer"],
    ] {
        let before = pid();
        systemctl(way);
        is_held();
        eventually("another daemon", || {
            pid() != before && enforcer(["doctor"]).status.success()
        });
        is_held();
        assert!(must(["session", "list"]).contains(&session), "{way:?}");
    }
    live.end();
}

#[test]
fn what_a_unit_in_an_agents_slice_prints_reaches_the_journal() {
    let [slice, unit] = ["slice", "service"].map(|kind| {
        let name = unique("printing").replace('-', "x");
        format!("{name}.{kind}")
    });
    let _agent = Policy::new("printing")
        .agent(&format!("[agent.enrol]\nslice = \"{slice}\""))
        .apply();
    let started = Command::new("/usr/bin/systemd-run")
        .args(["--quiet", "--wait", "--slice", &slice, "--unit", &unit])
        .args([place::text(&probe()), "pid"])
        .status();
    assert!(started.expect("systemd-run starts").success());
    eventually("its line in the journal", || {
        let journal = Command::new("/usr/bin/journalctl")
            .args(["--unit", &unit, "--output", "cat", "--no-pager"])
            .output()
            .expect("journalctl starts");
        String::from_utf8_lossy(&journal.stdout).contains("\"attempt\":\"pid\"")
    });
}

#[test]
fn a_unit_in_an_agents_slice_is_a_session() {
    let servers = [TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK)];
    let slice = format!("{}.slice", unique("unit").replace('-', "x"));
    let agent = Policy::new("unit")
        .agent(&format!("[agent.enrol]\nslice = \"{slice}\""))
        .connect("one", &[&servers[0].destination()])
        .apply();
    let attempts = servers
        .each_ref()
        .map(|server| format!("connect tcp {}", server.address));
    // With restrictions that the service manager sets up in the slice before the program is executed.
    let run = |slice: &str| {
        Command::new("/usr/bin/systemd-run")
            .args(["--quiet", "--wait", "--pipe", "--collect"])
            .args([
                "--property",
                "PrivateTmp=yes",
                "--property",
                "ProtectSystem=strict",
            ])
            .args(["--slice", slice, place::text(&probe())])
            .args(&attempts)
            .output()
            .expect("systemd-run starts")
    };
    for (slice, denied) in [
        (slice.as_str(), [false, true]),
        ("otherx.slice", [false, false]),
    ] {
        let output = run(slice);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answers: Vec<bool> = text
            .lines()
            .filter_map(Answer::from_line)
            .map(|answer| answer.denied())
            .collect();
        assert_eq!(answers, denied, "{slice}: {}", told(&output));
    }
    let arrived = servers.each_ref().map(TcpServer::arrived);
    assert_eq!(arrived, [2, 1]);
    let log = must(["log", "show", "--agent", &agent.name, "--output", "json"]);
    assert!(log.contains("\"event_code\":\"session-start\""), "{log}");
}

/// Lines of a file of records, once each.
fn shipped(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_packaged_shipper_reads_the_log_without_privileges_and_hands_all_of_it_over() {
    let folder = Path::new("/var/lib/enforcer-ship");
    let out = folder.join("out.jsonl");
    let config = format!(
        "[[sink]]\nname = \"agent\"\ntype = \"file\"\npath = \"{}\"\n\
         [[sink]]\nname = \"siem\"\ntype = \"file\"\npath = \"{}\"\nformat = \"ecs\"\n",
        place::text(&out),
        place::text(&folder.join("ecs.jsonl")),
    );
    fs::write("/etc/enforcer/ship.toml", config).expect("its configuration");
    let checked = enforcer(["ship", "--check"]);
    assert!(checked.status.success(), "{}", told(&checked));
    systemctl(&["start", "enforcer-ship"]);
    let journal = || {
        let said = Command::new("/usr/bin/journalctl")
            .args(["--unit", "enforcer-ship", "--output", "cat", "--no-pager"])
            .output()
            .expect("journalctl starts");
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    assert_eq!(
        systemctl(&["is-active", "enforcer-ship"]),
        "active",
        "{}",
        journal()
    );
    let server = TcpServer::on(LOOPBACK);
    let agent = Policy::new("shipped")
        .connect("server", &[&server.destination()])
        .apply();
    agent.probe(&[format!("connect tcp {}", server.address)]);
    eventually("the session's end is there", || {
        shipped(&out)
            .iter()
            .any(|line| line.contains(&agent.name) && line.contains("\"session-end\""))
    });
    // Every line of the log, as it stands.
    let log = fs::read_dir("/var/log/enforcer").expect("the log");
    let segments = log.map(|file| file.expect("a file").path());
    for segment in segments.filter(|path| path.extension().is_some_and(|end| end == "jsonl")) {
        let there = fs::read_to_string(&segment).expect("a segment");
        let all = |there: &BTreeSet<String>| there.is_subset(&shipped(&out));
        let there: BTreeSet<String> = there.lines().map(str::to_owned).collect();
        eventually("all of the log was shipped", || all(&there));
    }
    assert!(
        fs::read_to_string(folder.join("ecs.jsonl"))
            .is_ok_and(|text| text.contains("\"@timestamp\""))
    );
    eventually("status tells of it", || {
        must(["status"]).contains("ships to")
    });
    // Who ships has no way to the log's key.
    let key = fs::metadata("/var/log/enforcer/epoch.key").expect("the key");
    assert_eq!((key.mode() & 0o777, key.uid()), (0o600, 0));
    systemctl(&["stop", "enforcer-ship"]);
    fs::remove_file("/etc/enforcer/ship.toml").expect("removed");
}

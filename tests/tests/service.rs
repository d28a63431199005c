//! The product as it is installed, under systemd: its unit with all its restrictions, and units of agents.
#![forbid(unsafe_code)]

use std::process::Command;

use enforcer_tests::{
    Answer, Policy, TcpServer,
    cli::{must, probe, told, unique},
    place,
    server::LOOPBACK,
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

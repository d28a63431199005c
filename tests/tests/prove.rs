//! `enforcer doctor --prove`: the catalogue of attacks, on this kernel.
#![forbid(unsafe_code)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use enforcer_common::{label::AGENT_ENFORCE, maps::CANARY_AGENT};
use enforcer_tests::{
    cli::{ENFORCER, enforcer, told},
    maps::ChangedAgent,
};
use serde_json::Value;

/// Attacks that do not work in the test VM outside a session either, with the reason.
const NOT_HERE: &[(&str, &str)] = &[(
    "n07-ping",
    "no group may have ping sockets (net.ipv4.ping_group_range)",
)];

/// Why an attack does not get through in monitor mode either.
const IN_MONITOR_TOO: &[&str] = &["enforcer-guard"];

/// Has the kernel what the attacks need; where it cannot, the attack shows it.
fn prepare() {
    let modules = [
        "vsock",
        "af_alg",
        "sctp",
        "af_packet",
        "tun",
        "binfmt_misc",
        "overlay",
    ];
    for module in modules {
        let _ = Command::new("modprobe").arg(module).output(); // some are built in
    }
    let folder = "/proc/sys/fs/binfmt_misc";
    if !Path::new(folder).join("register").exists() {
        let mounted = Command::new("mount")
            .args(["-t", "binfmt_misc", "none", folder])
            .status();
        assert!(mounted.is_ok_and(|status| status.success()));
    }
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(output)))
}

/// All that a prover could leave behind.
fn left_behind() -> Vec<String> {
    let folders = [
        "/run",
        "/var/tmp",
        "/tmp",
        "/sys/fs/bpf",
        "/var/log/enforcer",
        "/var/lib/enforcer",
        "/run/enforcer",
        "/etc/enforcer",
    ];
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let mut found: Vec<String> = entries
        .flatten()
        .map(|entry| entry.expect("an entry").path().display().to_string())
        .filter(|path| path.contains("enforcer-prove"))
        .collect();
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts");
    let own = |line: &&str| line.contains("enforcer-prove");
    found.extend(mounts.lines().filter(own).map(str::to_owned));
    found
}

#[test]
fn every_attack_comes_out_as_the_catalogue_says_and_nothing_is_left() {
    prepare();
    let output = enforcer(["--output", "json", "doctor", "--prove"]);
    let report = parsed(&output);
    let rows = report["rows"].as_array().expect("rows");
    assert!(rows.len() > 100, "{}", rows.len());
    for row in rows {
        let (name, state) = (row["attack"].as_str().expect("a name"), &row["state"]);
        if NOT_HERE.iter().any(|(attack, _)| *attack == name) {
            continue;
        }
        let expected = if row["known_open"] == true {
            "open"
        } else {
            "closed"
        };
        assert_eq!(state, expected, "{row:#}");
        // The hardest case is there: root.
        assert!(row["as_root"].is_object(), "{row:#}");
    }
    let as_user = rows.iter().filter(|row| row["as_user"].is_object()).count();
    assert!(as_user > 60, "{as_user} as an ordinary user");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(report["as_told"], true);
    assert!(report["denials"].as_u64() > Some(150));
    assert!(left_behind().is_empty(), "{:?}", left_behind());
}

#[test]
fn in_monitor_mode_every_attack_gets_through_and_is_recorded_but_for_those_on_the_enforcer() {
    prepare();
    let monitor = ChangedAgent::of_slot(CANARY_AGENT, |prover| {
        prover.flags &= !AGENT_ENFORCE;
        prover.monitor_until_ns = u64::MAX;
    });
    let output = enforcer(["--output", "json", "doctor", "--prove"]);
    drop(monitor);
    let report = parsed(&output);
    for row in report["rows"].as_array().expect("rows") {
        let name = row["attack"].as_str().expect("a name");
        if NOT_HERE.iter().any(|(attack, _)| *attack == name) {
            continue;
        }
        if row["state"] == "closed" {
            assert!(
                IN_MONITOR_TOO.iter().any(|why| row["why"] == *why),
                "{row:#}"
            );
            continue;
        }
        assert_eq!(row["state"], "open", "{row:#}");
        assert_eq!(row["as_root"]["effect"], true, "{row:#}");
        if row["known_open"] == false {
            assert!(row["as_root"]["denials"].as_u64() > Some(0), "{row:#}");
        }
    }
    assert!(left_behind().is_empty(), "{:?}", left_behind());
}

#[test]
fn the_last_line_counts() {
    let output = enforcer([
        "doctor",
        "--prove",
        "--only",
        "n01-connect",
        "--only",
        "x06-heap",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last();
    assert_eq!(last, Some("2 closed, 1 open, 0 not applicable"), "{text}");
}

#[test]
fn who_has_no_role_proves_nothing() {
    let output = Command::new("/usr/sbin/runuser")
        .args(["-u", "nobody", "--", ENFORCER, "doctor", "--prove"])
        .output()
        .expect("runuser starts");
    assert_eq!(output.status.code(), Some(6), "{}", told(&output));
    assert!(output.stdout.is_empty());
    assert!(left_behind().is_empty(), "{:?}", left_behind());
}

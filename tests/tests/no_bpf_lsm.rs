//! A kernel whose security modules do not have `bpf` among them: nothing is enforced, so nothing is started, and the
//! one line that puts it right is said.
#![forbid(unsafe_code)]

use std::{fs, path::Path};

use enforcer_tests::{
    cli::{enforcer, told},
    fault::{refused, stderr},
};

/// The security modules that are active in this boot.
fn active() -> String {
    let active = fs::read_to_string("/sys/kernel/security/lsm").expect("the list is readable");
    assert!(
        !active.contains("bpf"),
        "this boot is for another test: {active}"
    );
    active.trim().to_owned()
}

/// That list and `bpf`: what was there is kept.
fn fix() -> String {
    format!("`lsm={},bpf`", active())
}

#[test]
fn the_daemon_refuses_and_prints_the_list_with_bpf_added() {
    let output = refused(&[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(
        said.contains("error: this host cannot enforce; lsm: "),
        "{said}"
    );
    let hints: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("hint: "))
        .collect();
    assert_eq!(hints.len(), 1, "one thing is wrong: {said}");
    assert!(hints[0].contains(&fix()), "{said}");
    assert!(!said.contains("enforcing:"), "{said}");
}

#[test]
fn a_daemon_that_refuses_leaves_nothing_behind() {
    let _ = refused(&[]);
    for path in [
        "/run/enforcer/control.sock",
        "/sys/fs/bpf/enforcer",
        "/var/log/enforcer",
    ] {
        assert!(!Path::new(path).exists(), "{path}");
    }
}

#[test]
fn run_starts_nothing() {
    let marker = Path::new("/run/it-ran");
    let output = enforcer([
        "run",
        "--agent",
        "any",
        "--",
        "/usr/bin/touch",
        "/run/it-ran",
    ]);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert!(
        stderr(&output).contains("hint: the command was not started"),
        "{}",
        told(&output)
    );
    assert!(!marker.exists(), "the command was run without enforcement");
}

#[test]
fn doctor_says_not_enforcing_and_how_to_put_it_right() {
    let output = enforcer(["doctor"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert_eq!(said.lines().last(), Some("not enforcing"), "{said}");
    let fix = said.lines().find(|line| line.starts_with("fix lsm: "));
    assert!(fix.is_some_and(|fix| fix.contains(&self::fix())), "{said}");
    assert!(!said.lines().any(|line| line == "enforcing"), "{said}");
}

#[test]
fn status_says_that_there_is_no_daemon() {
    let output = enforcer(["status"]);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert_eq!(output.stdout, b"", "{}", told(&output));
}

#[test]
fn policies_can_be_checked_all_the_same() {
    let output = enforcer([
        "policy",
        "check",
        "--assume-files",
        "/usr/share/enforcer/policies",
    ]);
    assert!(output.status.success(), "{}", told(&output));
}

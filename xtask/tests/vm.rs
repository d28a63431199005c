//! What `cargo xtask vm` promises of its options. Each test boots VMs, so that none runs unless it is asked for:
//! `cargo xtask test vm`.
#![forbid(unsafe_code)]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

fn vm(options: &[&str], script: &str) -> Output {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("vm")
        .args(options)
        .args(["--", "bash", "-c", script])
        .current_dir(workspace)
        .stdin(Stdio::null())
        .output()
        .expect("xtask starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The console that an unsuccessful run names: it is kept, to be looked at.
fn console(said: &str) -> String {
    let named = said
        .lines()
        .find(|line| line.starts_with("vm: ") && line.contains("above: "));
    let named = named.or_else(|| said.lines().find(|line| line.contains("limit; console: ")));
    let path = named.and_then(|line| line.rsplit(": ").next());
    let path = path.unwrap_or_else(|| panic!("no console is named: {said}"));
    std::fs::read_to_string(path).expect("the console is kept")
}

#[test]
#[ignore = "boots a VM"]
fn output_and_status_are_the_commands_own_with_the_daemon_enforcing() {
    let script = "enforcer doctor | tail -n 1; uname -r; echo aside >&2; exit 7";
    let ended = vm(&["--kernel", "6.1"], script);
    let said = text(&ended.stdout);
    assert_eq!(
        ended.status.code(),
        Some(7),
        "{said}{}",
        text(&ended.stderr)
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[2]), ("enforcing", "aside"), "{said}");
    assert!(lines[1].starts_with("6.1."), "{said}");
}

#[test]
#[ignore = "boots a VM"]
fn without_the_daemon_none_runs_and_what_is_appended_reaches_the_kernel() {
    let script = "enforcer status; echo status $?; pidof enforcer || echo none; cat /proc/cmdline";
    let ended = vm(
        &[
            "--no-daemon",
            "--append",
            "first=1",
            "--append",
            "second=2 third",
        ],
        script,
    );
    let said = text(&ended.stdout);
    assert_eq!(
        ended.status.code(),
        Some(0),
        "{said}{}",
        text(&ended.stderr)
    );
    assert!(said.contains("status 4\nnone\n"), "{said}");
    assert!(
        said.trim_end().ends_with(" first=1 second=2 third"),
        "{said}"
    );
}

#[test]
#[ignore = "boots a VM"]
fn on_its_time_limit_it_is_ended_and_the_console_kept() {
    let ended = vm(&["--no-daemon", "--time-limit", "10"], "sleep infinity");
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(124), "{said}");
    let _ = console(&said);
}

#[test]
#[ignore = "boots a VM"]
fn a_panic_of_the_guest_is_shown_and_no_status_of_the_command() {
    let ended = vm(
        &["--no-daemon"],
        "echo c >/proc/sysrq-trigger; sleep infinity",
    );
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(125), "{said}");
    assert!(
        said.contains("Kernel panic - not syncing: sysrq triggered crash"),
        "{said}"
    );
    assert!(console(&said).contains("Kernel panic"), "{said}");
}

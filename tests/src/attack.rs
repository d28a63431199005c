//! Attacks in Python, run as root, which is the hardest case. Each is made inside, where its effect must
//! not happen, and outside, where it must work: else it proves nothing.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
};

use nix::libc::{EACCES, EPERM};

use crate::{Policy, Record, Run};

/// The interpreter of the attacks.
pub const PYTHON: &str = "/usr/bin/python3";

/// What every attack has at hand. `t` makes an attempt and says how it ended.
const PRELUDE: &str = r#"
import array, ctypes, os, signal, socket, struct, subprocess, sys, time
C = ctypes.CDLL(None, use_errno=True)
def sys_(*a):
    r = C.syscall(*a)
    if r < 0: raise OSError(ctypes.get_errno(), "")
    return r
def libc(f, *a):
    r = getattr(C, f)(*a)
    if r < 0: raise OSError(ctypes.get_errno(), "")
    return r
def t(name, attempt):
    try: attempt(); errno = 0
    except OSError as e: errno = e.errno or -1
    print(name, errno, flush=True)
"#;

/// An attack with its prelude.
#[must_use]
pub fn script(attack: &str) -> String {
    format!("{PRELUDE}{attack}")
}

/// Error numbers by attempt.
///
/// From what an attack printed.
#[must_use]
pub fn answers(stdout: &[u8]) -> BTreeMap<String, i32> {
    let text = String::from_utf8_lossy(stdout);
    let pair = |line: &str| {
        let (name, errno) = line.rsplit_once(' ')?;
        Some((name.to_owned(), errno.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// A policy that allows the interpreter, and nothing else.
#[must_use]
pub fn policy(label: &str) -> Policy {
    Policy::bare(label).exec("python", &[PYTHON])
}

/// Makes the attack inside; gives its answers and the records of what was denied.
///
/// # Panics
/// When it gives no answer.
pub fn inside(policy: &Policy, attack: &str) -> (BTreeMap<String, i32>, Vec<Record>) {
    told(&policy.apply().run(&[PYTHON, "-c", &script(attack)]))
}

/// The same as the user `agent`, in a session in which nothing ever ran as root.
///
/// # Panics
/// When it gives no answer.
pub fn inside_by_user(policy: &Policy, attack: &str) -> (BTreeMap<String, i32>, Vec<Record>) {
    let launched = policy
        .clone()
        .agent("[agent.enrol]\nlaunch = { group = \"games\" }");
    let command = [PYTHON, "-c", &script(attack)];
    told(&launched.apply().run_by_user("games", &command))
}

fn told(run: &Run) -> (BTreeMap<String, i32>, Vec<Record>) {
    let mut records = run.records();
    records.retain(|record| record.verdict() != "allow");
    let found = answers(&run.output.stdout);
    assert!(
        !found.is_empty(),
        "{}",
        String::from_utf8_lossy(&run.output.stderr)
    );
    (found, records)
}

/// Makes the attack outside; gives its answers.
///
/// # Panics
/// When the interpreter does not start.
#[must_use]
pub fn outside(attack: &str) -> BTreeMap<String, i32> {
    let run = Command::new(PYTHON).args(["-c", &script(attack)]).output();
    answers(&run.expect("python starts").stdout)
}

/// The attack is denied throughout inside, and works outside.
///
/// # Panics
/// When it is not so.
#[must_use]
pub fn denied_inside_only(label: &str, attack: &str) -> Vec<Record> {
    let twin = outside(attack);
    assert!(
        !twin.is_empty() && twin.values().all(|errno| *errno == 0),
        "outside: {twin:?}"
    );
    let (found, records) = inside(&policy(label), attack);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        twin.keys().collect::<Vec<_>>()
    );
    for (name, errno) in found {
        assert!([EPERM, EACCES].contains(&errno), "{name}: {errno}");
    }
    records
}

/// A process outside any session, for attacks that act on one.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn bystander() -> Child {
    Command::new("/usr/bin/sleep")
        .arg("600")
        .stdin(Stdio::null())
        .spawn()
        .expect("a process outside")
}

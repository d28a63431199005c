//! `enforcer doctor --prove` on a host where a program is not attached although all looks well.
#![forbid(unsafe_code)]

use std::{fs, path::Path};

use aya::programs::links::{FdLink, PinnedLink};
use enforcer_tests::{
    cli::{enforcer, told},
    fault::Daemon,
};
use serde_json::Value;

const LINKS: &str = "/sys/fs/bpf/enforcer/links";

/// The program behind `hook` is attached no longer, and a pin of its name is still there: another's.
fn detach(hook: &str) {
    let links = Path::new(LINKS);
    let pin = links.join(hook);
    fs::remove_file(&pin).expect("the pin is removed");
    let other = PinnedLink::from_pin(links.join("sb_remount")).expect("another pin");
    FdLink::from(other).pin(&pin).expect("it has a second name");
}

#[test]
fn an_attack_whose_program_is_not_attached_is_shown_as_open() {
    let _daemon = Daemon::start();
    let prove = [
        "--output", "json", "doctor", "--prove", "--only", "i10-kill",
    ];
    assert_eq!(enforcer(prove).status.code(), Some(0));
    detach("task_kill");
    let output = enforcer(prove);
    // For the daemons of other tests: one that finds a pin missing attaches its programs anew.
    fs::remove_file(Path::new(LINKS).join("task_kill")).expect("the false pin is removed");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["rows"][0]["state"], "open", "{}", told(&output));
    assert_eq!(report["rows"][0]["known_open"], false);
    assert_eq!(output.status.code(), Some(9), "{}", told(&output));
}

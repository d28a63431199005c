//! What this host truly enforces now: checks of the host, of what is attached, and the canary.

#![forbid(unsafe_code)]

use super::core::Core;
use crate::{
    control::api::{Posture, State},
    posture::{Check, Host},
};

/// The posture as it is.
#[must_use]
pub fn posture(core: &Core) -> Posture {
    let standing = core.standing();
    let mut checks = Host::read().checks();
    checks.push(hooks(core.pins.hooks(), &core.pins.attached()));
    let log = core.log().clone();
    checks.push(match log.last_error {
        None => Check::ok("log", log.path),
        Some(error) => Check::failed(
            "log",
            error,
            "free or repair the log's file system; events wait in the kernel meanwhile",
        ),
    });
    Posture {
        enforcing: standing.state == State::Enforcing,
        canary: standing.canary,
        checks,
    }
}

fn hooks(needed: &[&'static str], attached: &[&str]) -> Check {
    let missing: Vec<&str> = needed
        .iter()
        .copied()
        .filter(|hook| !attached.contains(hook))
        .collect();
    if missing.is_empty() {
        Check::ok(
            "hooks",
            format!("{} attached: {}", attached.len(), attached.join(", ")),
        )
    } else {
        Check::failed(
            "hooks",
            format!("not attached: {}", missing.join(", ")),
            "systemctl restart enforcer",
        )
    }
}

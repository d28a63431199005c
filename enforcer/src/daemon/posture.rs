//! What this host truly enforces now: checks of the host, of what is attached, and the canary.

#![forbid(unsafe_code)]

use super::core::Core;
use crate::{
    control::api::{Posture, State},
    posture::{Check, CheckState, Host, reentry},
};

/// Ways round that no hook of a supported kernel closes, or none of ours yet.
pub const OPEN: [(&str, &str); 6] = [
    (
        "open-sendmmsg",
        "sendmmsg(2): of datagrams to one address the kernel asks about the first only, so that a source route given with a later one is not seen",
    ),
    (
        "open-udp-reconnect",
        "a datagram socket that one thread connects while another sends: the address of one allowed destination may be used with the port of another",
    ),
    (
        "open-personality",
        "personality(READ_IMPLIES_EXEC): a process can have its heap made executable, about which the kernel asks nobody; what such code runs and reaches is judged all the same",
    ),
    (
        "open-own-trace",
        "ptrace(2) among processes of one session: code of one program can be changed by another of the session, whatever `jit` says",
    ),
    (
        "open-ipc",
        "System V shared memory, semaphores and message queues: a session reaches those that others of its user left open to it",
    ),
    (
        "open-replaced",
        "a file that root in a session holds open for writing since before it was listed, or puts in the place of one in the moment after an upgrade, is trusted when it is looked at again",
    ),
];

/// The posture as it is.
#[must_use]
pub fn posture(core: &Core) -> Posture {
    let standing = core.standing();
    let mut checks = Host::read().checks();
    checks.push(reentry());
    let attached = hooks(core.pins.hooks(), &core.pins.attached());
    let enforcing = standing.state == State::Enforcing && attached.state == CheckState::Ok;
    checks.push(attached);
    checks.extend(
        OPEN.iter()
            .map(|(name, detail)| Check::open(name, *detail, None)),
    );
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
        enforcing,
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

//! The way out: an administrator takes enforcement away, on the record.
//!
//! What would be let go is looked for first, and who does it and why is written down before anything is
//! detached. The record says that it is done next; a log that cannot be written keeps it from being done.

#![forbid(unsafe_code)]

use std::{sync::Arc, thread, time::Duration};

use super::{clock, core::Core, daemon_change};
use crate::{
    control::api::{ErrorCode, Problem, Removal, Removed},
    kernel::KernelError,
    record::ocsf::{self, By, Lifecycle},
};

/// Pause between two looks whether the record is written.
const PAUSE: Duration = Duration::from_millis(20);

/// Detaches every program and gives up every map. The daemon ends afterwards.
///
/// # Errors
/// `bad-request` without a reason; `conflict` while sessions run or another removal is under way.
pub fn uninstall(core: &Arc<Core>, removal: &Removal, by: By) -> Result<Removed, Problem> {
    let reason = removal.reason.trim();
    if reason.is_empty() {
        return Err(Problem::new(
            ErrorCode::BadRequest,
            "the reason says nothing",
        ));
    }
    close_the_door(core)?;
    let change = ocsf::DaemonChange {
        removal: Some((by, reason.to_owned())),
        ..daemon_change(core, Lifecycle::Remove)
    };
    core.post(ocsf::daemon(&core.host, &change));
    await_written(core);
    let programs = core.pins.attached().len();
    let result = core.pins.remove();
    if let Err(error) = result {
        core.open_the_door();
        return Err(failed(&error));
    }
    tracing::warn!("nothing is enforced any more: {reason}");
    core.end();
    Ok(Removed {
        programs,
        at: clock::now_text(),
    })
}

/// From here on no session begins. None runs: agents would go on without anything that holds them.
fn close_the_door(core: &Core) -> Result<(), Problem> {
    let sessions = core.sessions();
    let running = sessions.living().count();
    if running > 0 {
        return Err(Problem::new(
            ErrorCode::Conflict,
            format!("{running} sessions run, and would go on without being held"),
        )
        .hint("end them first: `enforcer session list`"));
    }
    if !core.close_the_door() {
        return Err(Problem::new(
            ErrorCode::Conflict,
            "enforcement is being removed already",
        ));
    }
    Ok(())
}

/// Waits until what was posted is in the log. A turn of the pump that begins after the post writes it;
/// the turn after that one has begun only once it was written.
fn await_written(core: &Core) {
    let turns = core.emptied() + 2;
    while core.emptied() < turns && !core.is_stopping() {
        thread::sleep(PAUSE);
    }
}

fn failed(error: &KernelError) -> Problem {
    Problem::new(
        ErrorCode::Internal,
        format!("not everything could be removed: {error}"),
    )
    .hint("`enforcer doctor` says what is still attached; `systemctl restart enforcer` attaches the rest")
}

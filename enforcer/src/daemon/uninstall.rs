//! The way out: an administrator takes enforcement away, on the record.
//!
//! What would be let go is looked for first, and who does it and why is written down before anything is
//! detached. The record says that it is done next; a log that cannot be written keeps it from being done.

#![forbid(unsafe_code)]

use std::{sync::Arc, thread, time::Duration};

use super::{core::Core, daemon_change};
use crate::{
    clock,
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
    let removed = remove(core, reason, by);
    if removed.is_err() {
        core.open_the_door();
    }
    removed
}

fn remove(core: &Core, reason: &str, by: By) -> Result<Removed, Problem> {
    // What enrols by itself is denied from here on; what has begun just before is known once its
    // events were read.
    core.drain_spares().map_err(|error| failed(&error))?;
    await_turns(core)?;
    none_runs(core.sessions().living().count())?;
    let change = ocsf::DaemonChange {
        removal: Some((by, reason.to_owned())),
        ..daemon_change(core, Lifecycle::Remove)
    };
    core.post(ocsf::daemon(&core.host, &change));
    await_turns(core)?;
    let programs = core.pins.attached().len();
    core.pins.remove().map_err(|error| failed(&error))?;
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
    none_runs(sessions.living().count())?;
    if !core.close_the_door() {
        return Err(Problem::new(
            ErrorCode::Conflict,
            "enforcement is being removed already",
        ));
    }
    Ok(())
}

fn none_runs(running: usize) -> Result<(), Problem> {
    if running == 0 {
        return Ok(());
    }
    Err(Problem::new(
        ErrorCode::Conflict,
        format!("{running} sessions run, and would go on without being held"),
    )
    .hint("end them first: `enforcer session list`"))
}

/// Waits until what was in the rings and what was posted is in the log. A turn of the pump that begins
/// after this writes it; the turn after that one has begun only once it was written.
fn await_turns(core: &Core) -> Result<(), Problem> {
    let turns = core.emptied() + 2;
    while core.emptied() < turns {
        if core.is_stopping() {
            return Err(Problem::new(
                ErrorCode::Internal,
                "the daemon stops before this was in the log; nothing was removed",
            ));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn failed(error: &KernelError) -> Problem {
    Problem::new(
        ErrorCode::Internal,
        format!("not everything could be removed: {error}"),
    )
    .hint("`enforcer doctor` says what is still attached; `systemctl restart enforcer` attaches the rest")
}

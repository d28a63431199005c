//! Labels follow tasks: every child of a labelled task is labelled before it can run.
//!
//! `task_alloc` is the one place that fork, vfork, clone, threads and io_uring workers all pass
//! (`copy_process` calls it before the child is visible to anyone).

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::{Header, Kind},
    label::{GONE, Label},
    maps::Counter,
    verdict::{Reason, Verdict},
};

use crate::{
    arch::fetch_add,
    decide::Finding,
    emit::{GO_ON, conclude_reported, count, session_ended},
    label::{Acting, of_current, session_at},
    maps::LABELS,
};

/// The fork fails as one does that finds no room: programs know that answer.
const TRY_AGAIN: i32 = -11;

/// The child joins its parent's thread group: `linux/sched.h`.
const CLONE_THREAD: u64 = 0x0001_0000;

/// `task_alloc(task, clone_flags)`
#[lsm(hook = "task_alloc")]
pub fn task_alloc(ctx: LsmContext) -> i32 {
    let Some(parent) = of_current() else {
        return GO_ON;
    };
    // SAFETY: a live map value that only this task writes.
    let mut child = unsafe { *parent };
    child.next.levels = 0;
    if ctx.arg::<u64>(1) & CLONE_THREAD == 0 {
        child.tgid = 0; // not given out yet; the child's first decision fills it in
    }
    let key: u64 = ctx.arg(0);
    if LABELS.insert(key, child, 0).is_err() {
        return refuse_fork();
    }
    if let Some(tasks) = tasks_of(&child) {
        fetch_add(tasks, 1);
    }
    GO_ON
}

/// A child without a label would be outside its session, so there is no child. This holds in
/// monitor mode too: what is not labelled is not monitored either.
#[inline(always)]
fn refuse_fork() -> i32 {
    count(Counter::ForksDenied);
    if let Some(acting) = Acting::current() {
        let finding = Finding::of(Reason::LabelTableFull);
        conclude_reported(
            &acting,
            Kind::Fork,
            finding,
            Verdict::Deny,
            |_: *mut Header| (),
        );
    }
    TRY_AGAIN
}

/// `task_free(task)`: runs when the last reference to the task is gone, in any context.
#[lsm(hook = "task_free")]
pub fn task_free(ctx: LsmContext) -> i32 {
    let key: u64 = ctx.arg(0);
    let Some(stays) = LABELS.get_ptr_mut(key) else {
        return GO_ON;
    };
    // SAFETY: the value is copied before anything can reuse it: the task is gone.
    let label = unsafe { *stays };
    // An interrupt between a table's taking note of its user and its lock is refused (`htab_lock_bucket`).
    // What stays must not hold whoever is given the address next.
    if LABELS.remove(key).is_err() {
        // SAFETY: nobody else writes the label of a task that is gone.
        unsafe { (*stays).session = GONE };
    }
    if let Some(tasks) = tasks_of(&label)
        && fetch_add(tasks, 1u64.wrapping_neg()) == 1
    {
        session_ended(&label);
    }
    GO_ON
}

/// The number of tasks of a label's session; `None` when its slot is another's by now.
#[inline(always)]
fn tasks_of(label: &Label) -> Option<*mut u64> {
    let session = session_at(label.slot)?;
    // SAFETY: a live map value of integers; `tasks` is only changed atomically.
    unsafe { ((*session).id == label.session).then_some(&raw mut (*session).tasks) }
}

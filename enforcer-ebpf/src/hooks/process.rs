//! Other processes: a session may look into, control and signal its own, and no other.
//! Who is signalled about a file is in `owner.rs`.
//!
//! `ptrace_access_check` also guards `/proc/PID/mem`, `/proc/PID/environ`, `/proc/PID/fd`,
//! process_vm_readv(2), process_vm_writev(2) and pidfd_getfd(2).

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::event::Kind;

use crate::{
    decide,
    emit::{GO_ON, conclude_other},
    kernel::{Ptr, TASK_TGID},
    label::Acting,
};

/// `PTRACE_MODE_NOAUDIT`: the kernel asks how much to show, and nothing was attempted. The answer is
/// the same, but listing processes is no event for each of them.
const NO_AUDIT: u32 = 0x04;

/// `ptrace_access_check(child, mode)`
#[lsm(hook = "ptrace_access_check")]
pub fn ptrace_access_check(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let mode: u32 = ctx.arg(1);
    let child = Ptr::new(ctx.arg(0));
    let finding = decide::other_task(&acting, child.address());
    if mode & NO_AUDIT != 0 {
        return decide::quietly(&acting, finding);
    }
    conclude_other(&acting, Kind::Trace, finding, child.load(&TASK_TGID), mode)
}

/// `ptrace_traceme(parent)`: an outside parent would control a process of the session.
#[lsm(hook = "ptrace_traceme")]
pub fn ptrace_traceme(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let parent = Ptr::new(ctx.arg(0));
    let finding = decide::other_task(&acting, parent.address());
    conclude_other(&acting, Kind::Trace, finding, parent.load(&TASK_TGID), 0)
}

/// `task_kill(p, info, sig, cred)`: the kernel asks only about signals that a process sends.
#[lsm(hook = "task_kill")]
pub fn task_kill(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let signal: u32 = ctx.arg(2);
    if signal == 0 {
        return GO_ON; // asks whether the process exists, and sends nothing
    }
    let target = Ptr::new(ctx.arg(0));
    let finding = decide::other_task(&acting, target.address());
    conclude_other(
        &acting,
        Kind::Signal,
        finding,
        target.load(&TASK_TGID),
        signal,
    )
}

/// What of a process was to be changed: `Other::detail` of [`Kind::ProcessControl`].
const LIMIT: u32 = 1;
const SCHEDULER: u32 = 2;
const NICE: u32 = 3;
const IO_PRIORITY: u32 = 4;

#[inline(always)]
fn controls(ctx: &LsmContext, what: u32) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let target = Ptr::new(ctx.arg(0));
    let finding = decide::other_task(&acting, target.address());
    conclude_other(
        &acting,
        Kind::ProcessControl,
        finding,
        target.load(&TASK_TGID),
        what,
    )
}

/// `task_setrlimit(p, resource, new_rlim)`: prlimit(2) sets limits of other processes.
#[lsm(hook = "task_setrlimit")]
pub fn task_setrlimit(ctx: LsmContext) -> i32 {
    controls(&ctx, LIMIT)
}

/// `task_setscheduler(p)`: sched_setscheduler(2), sched_setattr(2), sched_setaffinity(2).
#[lsm(hook = "task_setscheduler")]
pub fn task_setscheduler(ctx: LsmContext) -> i32 {
    controls(&ctx, SCHEDULER)
}

/// `task_setnice(p, nice)`
#[lsm(hook = "task_setnice")]
pub fn task_setnice(ctx: LsmContext) -> i32 {
    controls(&ctx, NICE)
}

/// `task_setioprio(p, ioprio)`
#[lsm(hook = "task_setioprio")]
pub fn task_setioprio(ctx: LsmContext) -> i32 {
    controls(&ctx, IO_PRIORITY)
}

//! Other processes: a session may look into, control and signal its own, and no other.
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

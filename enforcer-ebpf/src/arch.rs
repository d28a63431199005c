//! What depends on the processor: where a system call keeps its arguments, and atomic arithmetic
//! that `core` does not offer for this target.

use core::arch::asm;

use aya_ebpf::helpers::bpf_task_pt_regs;
use enforcer_common::fields::arch::{SYS_EXECVE, SYS_EXECVEAT};

use crate::kernel::{Ptr, REGS_ARGUMENT_2, REGS_ARGUMENT_3, REGS_SYSCALL, current};

/// User-space address of the argument vector of the exec call that `current` is in, or `None` when
/// the call is not one whose arguments are known here (32-bit calls).
#[inline(always)]
pub fn exec_arguments() -> Option<u64> {
    // SAFETY: the helper takes the task that `bpf_get_current_task_btf` gave and always succeeds
    // for the current task.
    let regs = unsafe { bpf_task_pt_regs(current().raw()) };
    let regs = Ptr::new(regs as *const core::ffi::c_void);
    match regs.load::<u64>(&REGS_SYSCALL) {
        SYS_EXECVE => Some(regs.load(&REGS_ARGUMENT_2)),
        SYS_EXECVEAT => Some(regs.load(&REGS_ARGUMENT_3)),
        _ => None,
    }
}

/// Adds to a map value that other processors may be changing; gives what was there before.
#[inline(always)]
pub fn fetch_add(target: *mut u64, amount: u64) -> u64 {
    let mut value = amount;
    // SAFETY: `target` is an aligned map value, as the verifier checks; the instruction is atomic.
    // It is written out because `AtomicU64` has no arithmetic on this target.
    unsafe {
        asm!(
            "{value} = atomic_fetch_add((u64 *)({target} + 0), {value})",
            target = in(reg) target,
            value = inout(reg) value,
        );
    }
    value
}

/// `-EPERM`, as a constant that the compiler cannot compute with: it would turn "1 if denied" into
/// "minus 1 if denied" by a negation, whose range the verifier of 6.12 does not follow.
#[inline(always)]
pub fn eperm() -> i32 {
    let value: u64;
    // SAFETY: moves a constant into a register.
    unsafe { asm!("{value} = -1", value = out(reg) value, options(pure, nomem, nostack)) };
    value as i32
}

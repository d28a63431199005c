//! Who is signalled when a file has something to say: the kernel sends that signal itself and asks
//! `task_kill` nothing, so a session names its own process and no other.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::lsm, programs::LsmContext};
use enforcer_common::{event::Kind, verdict::Reason};

use crate::{
    decide::{self, Finding},
    emit::{GO_ON, conclude_other},
    kernel::{FILE_INODE, Ptr, S_IFCHR, file_type},
    label::Acting,
};

/// `F_SETOWN` and `F_SETOWN_EX` of `asm-generic/fcntl.h`.
const F_SETOWN: u32 = 8;
const F_SETOWN_EX: u32 = 15;
/// `F_SETFL` and `O_ASYNC` of the same.
const F_SETFL: u32 = 4;
const O_ASYNC: u64 = 0o20_000;

/// `file_fcntl(file, cmd, arg)`: of `F_SETOWN_EX` and of the ioctls that do the same the process is
/// in the caller's memory, which can change after it was looked at; so they are denied whole.
#[lsm(hook = "file_fcntl")]
pub fn file_fcntl(ctx: LsmContext) -> i32 {
    let command: u32 = ctx.arg(1);
    if command == F_SETFL && ctx.arg::<u64>(2) & O_ASYNC != 0 {
        return by_device(Ptr::new(ctx.arg(0)), command);
    }
    if command != F_SETOWN && command != F_SETOWN_EX {
        return GO_ON;
    }
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    if command == F_SETOWN_EX {
        return by_memory(&acting, command);
    }
    let (owner, own) = (
        ctx.arg::<u64>(2) as u32,
        (bpf_get_current_pid_tgid() >> 32) as u32,
    );
    if owner == 0 || owner == own {
        return GO_ON; // nobody, or the process itself
    }
    let finding = Finding::of(acting.fault.unwrap_or(Reason::TargetOutsideSession));
    // A negative number names a process group.
    let target = if owner as i32 > 0 { owner } else { 0 };
    conclude_other(&acting, Kind::SignalOwner, finding, target, command)
}

/// Being signalled about a device: a terminal names its foreground processes for that by itself,
/// whoever asks (`__tty_fasync`).
#[inline(always)]
pub fn by_device(file: Ptr, command: u32) -> i32 {
    if file_type(file.follow(&FILE_INODE)) != S_IFCHR {
        return GO_ON;
    }
    match Acting::current() {
        Some(acting) => by_memory(&acting, command),
        None => GO_ON,
    }
}

/// The owner stands in the caller's memory.
#[inline(always)]
pub fn by_memory(acting: &Acting, command: u32) -> i32 {
    conclude_other(acting, Kind::SignalOwner, decide::never(acting), 0, command)
}

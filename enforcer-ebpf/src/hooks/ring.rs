//! io_uring: what is asked through a ring comes to the same hooks as a system call, and its workers carry
//! the label of their maker. A ring is large and new all the same, so an agent has none unless its
//! policy says so; programs that probe for it take EPERM for an answer and do without.
//!
//! The hook that sees rings made sees other files without a name too. By one of userfaultfd(2) a process
//! fills its own pages, those of mapped code among them: it is for agents with `jit = true`.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::{FILE_ANONYMOUS, Kind},
    label::AGENT_IO_URING,
    verdict::Reason,
};

use super::code;
use crate::{
    decide,
    emit::{GO_ON, conclude_other, refuse},
    kernel::{Ptr, QSTR_NAME},
    label::Acting,
};

/// The name by which the kernel makes the file of a ring, with its NUL (`io_uring_get_file`).
const RING: [u8; 11] = *b"[io_uring]\0";
/// The beginning of that of userfaultfd(2) (`new_userfaultfd`).
const FAULTS: [u8; 11] = *b"[userfaultf";
/// What was to be done: `Other::detail` of [`Kind::IoUring`].
const SETUP: u32 = 1;
const COMMAND: u32 = 2;

/// `inode_init_security_anon(inode, name, context_inode)`: a file that stands in no folder is made.
#[lsm(hook = "inode_init_security_anon")]
pub fn inode_init_security_anon(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let name: Option<[u8; 11]> = Ptr::new(ctx.arg(1)).follow(&QSTR_NAME).copy();
    let finding = match name {
        Some(FAULTS) => return code::without_file(&acting, FILE_ANONYMOUS),
        Some(name) if name != RING => return GO_ON,
        Some(_) => decide::by_flag(&acting, AGENT_IO_URING, Reason::IoUringNotAllowed),
        None => decide::Finding::of(acting.fault.unwrap_or(Reason::ReadFailed)),
    };
    conclude_other(&acting, Kind::IoUring, finding, 0, SETUP)
}

/// `uring_cmd(ioucmd)`: a driver's own command, such as one to a disk past its file system.
#[lsm(hook = "uring_cmd")]
pub fn uring_cmd(_ctx: LsmContext) -> i32 {
    refuse(Kind::IoUring, COMMAND)
}

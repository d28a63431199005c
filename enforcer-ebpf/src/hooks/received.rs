//! Sockets that a session did not make: those sent by another process, and those that splice(2)
//! writes to behind `socket_sendmsg`'s back.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::event::Kind;

use super::socket::judge_written;
use crate::{
    decide,
    emit::{GO_ON, conclude_other},
    kernel::{FILE_INODE, Ptr, S_IFSOCK, file_type, socket_of},
    label::Acting,
};

/// `MAY_WRITE` of `linux/fs.h`.
const MAY_WRITE: u32 = 2;

#[inline(always)]
fn is_socket(file: Ptr) -> bool {
    file_type(file.follow(&FILE_INODE)) == S_IFSOCK
}

/// `file_receive(file)`: a descriptor that arrives by SCM_RIGHTS or pidfd_getfd(2). A socket carries
/// a peer that nobody has judged, so none is taken.
#[lsm(hook = "file_receive")]
pub fn file_receive(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    if !is_socket(Ptr::new(ctx.arg(0))) {
        return GO_ON;
    }
    conclude_other(&acting, Kind::Receive, decide::never(&acting), 0, 0)
}

/// `file_permission(file, mask)`, on kernels before 6.5 only: `sock_sendpage` asks nobody else.
#[lsm(hook = "file_permission")]
pub fn file_permission(ctx: LsmContext) -> i32 {
    if ctx.arg::<u32>(1) & MAY_WRITE == 0 {
        return GO_ON;
    }
    let file = Ptr::new(ctx.arg(0));
    if !is_socket(file) {
        return GO_ON;
    }
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    match socket_of(file) {
        Some(socket) => judge_written(&acting, socket),
        None => GO_ON, // a socket's inode, and no socket's file
    }
}

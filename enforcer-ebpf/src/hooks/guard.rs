//! The enforcer's own: the pins that hold the programs in place. Whoever unlinks one ends a part of
//! what is enforced, so no session changes a bpf file system, in monitor mode neither.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::{Kind, Other},
    verdict::{Reason, Verdict},
};

use crate::{
    decide::Finding,
    emit::{GO_ON, conclude_reported},
    kernel::{INODE_SUPER, Ptr, SUPER_MAGIC},
    label::Acting,
};

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS: u64 = 0xcafe_4a11;

/// `inode_unlink(dir, dentry)`
#[lsm(hook = "inode_unlink")]
pub fn inode_unlink(ctx: LsmContext) -> i32 {
    guard(Ptr::new(ctx.arg(0)))
}

/// `inode_rmdir(dir, dentry)`
#[lsm(hook = "inode_rmdir")]
pub fn inode_rmdir(ctx: LsmContext) -> i32 {
    guard(Ptr::new(ctx.arg(0)))
}

/// `inode_rename(old_dir, old_dentry, new_dir, new_dentry)`: within one file system, so one folder
/// tells.
#[lsm(hook = "inode_rename")]
pub fn inode_rename(ctx: LsmContext) -> i32 {
    guard(Ptr::new(ctx.arg(0)))
}

#[inline(always)]
fn guard(folder: Ptr) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    if folder.follow(&INODE_SUPER).load::<u64>(&SUPER_MAGIC) != BPF_FS {
        return GO_ON;
    }
    let finding = Finding::of(Reason::EnforcerGuard);
    conclude_reported(
        &acting,
        Kind::Guard,
        finding,
        Verdict::Deny,
        |event: *mut Other| {
            // SAFETY: the reservation is as large as the type.
            unsafe {
                (*event).target_tgid = 0;
                (*event).detail = 0;
            }
        },
    )
    .1
}

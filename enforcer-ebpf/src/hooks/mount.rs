//! Mounts and user namespaces: what others trust by name stays what it is, and the enforcer's own
//! file systems stay where they are. An agent that has `namespaces = true` changes mounts of its own
//! user namespaces only, for outside them `capable` withholds what a mount needs.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{event::Kind, label::AGENT_NAMESPACES, verdict::Reason};

use crate::{
    decide,
    emit::{GO_ON, conclude_other},
    label::Acting,
};

/// What was asked for: `Other::detail` of [`Kind::Mount`].
const MOUNT: u32 = 1;
const UMOUNT: u32 = 2;
const REMOUNT: u32 = 3;
const PIVOT_ROOT: u32 = 4;
const MOVE: u32 = 5;

#[inline(always)]
fn refuse(kind: Kind, detail: u32) -> i32 {
    match Acting::current() {
        Some(acting) => {
            let finding = decide::by_flag(&acting, AGENT_NAMESPACES, Reason::NamespaceNotAllowed);
            conclude_other(&acting, kind, finding, 0, detail)
        }
        None => GO_ON,
    }
}

/// `sb_mount(dev_name, path, type, flags, data)`: mount(2), binds among it.
#[lsm(hook = "sb_mount")]
pub fn sb_mount(_ctx: LsmContext) -> i32 {
    refuse(Kind::Mount, MOUNT)
}

/// `sb_umount(mnt, flags)`
#[lsm(hook = "sb_umount")]
pub fn sb_umount(_ctx: LsmContext) -> i32 {
    refuse(Kind::Mount, UMOUNT)
}

/// `sb_remount(sb, mnt_opts)`
#[lsm(hook = "sb_remount")]
pub fn sb_remount(_ctx: LsmContext) -> i32 {
    refuse(Kind::Mount, REMOUNT)
}

/// `sb_pivotroot(old_path, new_path)`
#[lsm(hook = "sb_pivotroot")]
pub fn sb_pivotroot(_ctx: LsmContext) -> i32 {
    refuse(Kind::Mount, PIVOT_ROOT)
}

/// `move_mount(from_path, to_path)`: the new mount interface, and detached mounts.
#[lsm(hook = "move_mount")]
pub fn move_mount(_ctx: LsmContext) -> i32 {
    refuse(Kind::Mount, MOVE)
}

/// `userns_create(cred)`: with it come all capabilities inside, and mounts.
#[lsm(hook = "userns_create")]
pub fn userns_create(_ctx: LsmContext) -> i32 {
    refuse(Kind::UserNamespace, 0)
}

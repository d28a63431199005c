//! The daemon learns what the kernel calls a file: the identity and stamp that exec and unix
//! decisions will see, which `stat(2)` does not tell on every file system.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::lsm, programs::LsmContext};
use enforcer_common::object::Learned;

use crate::{
    emit::GO_ON,
    kernel::{DENTRY_INODE, Ptr, file_of},
    maps::LEARN,
};

/// `inode_listxattr(dentry)`: a call that hardly anyone makes, and that reaches every kind of inode.
#[lsm(hook = "inode_listxattr")]
pub fn inode_listxattr(ctx: LsmContext) -> i32 {
    let Some(entry) = LEARN.get_ptr_mut(bpf_get_current_pid_tgid()) else {
        return GO_ON;
    };
    // SAFETY: a live map value that belongs to this thread.
    if unsafe { (*entry).filled } != 0 {
        return GO_ON; // the lower inode of a stacked file system
    }
    let inode = Ptr::new(ctx.arg(0)).follow(&DENTRY_INODE);
    if !inode.is_null() {
        let (file, stamp) = file_of(inode);
        // SAFETY: as above.
        unsafe {
            *entry = Learned {
                file,
                stamp,
                filled: 1,
                pad: 0,
            }
        };
    }
    GO_ON
}

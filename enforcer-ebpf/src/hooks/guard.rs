//! What no session changes, root neither: the enforcer's own pins, folders and files, in monitor mode
//! too; and what is trusted as code because of where it stands, for a file that a session puts in
//! the place of a listed one would be looked at again and trusted by the next.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::{FILE_ENTRY, Kind, Other},
    maps::{GUARDED_CLOSED, GUARDED_OWN, GUARDED_TREE},
    object::{FileId, FileStamp},
    verdict::{Reason, Verdict},
};

use crate::{
    decide::{self, Finding, guarded_as},
    emit::{Act, GO_ON, conclude_file, conclude_reported, no_path},
    kernel::{
        DENTRY_FLAGS, DENTRY_INODE, DENTRY_PARENT, FILE_DENTRY, INODE_SUPER, PATH_DENTRY, Ptr,
        SUPER_MAGIC, read_file_id,
    },
    label::Acting,
};

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS: u64 = 0xcafe_4a11;
/// `DCACHE_DISCONNECTED` of `linux/dcache.h`.
const DISCONNECTED: u32 = 0x20;
/// Folders up that are looked at. What lies deeper in its file system is taken for guarded.
const DEPTH: u32 = 32;

/// How the file behind a directory entry is guarded itself: 0, or `GUARDED_*`.
#[inline(always)]
fn of_entry(entry: Ptr) -> u32 {
    let Some(inode) = entry.read_pointer(&DENTRY_INODE) else {
        return 0; // there is none yet
    };
    match read_file_id(inode) {
        Some(file) => guarded_as(&file),
        None => GUARDED_TREE, // what cannot be read is taken for guarded
    }
}

/// What holds for everything below a folder: 0, `GUARDED_OWN` or `GUARDED_TREE`. A function of its
/// own, since a rename asks twice; a whole register, since of half of one the verifier would not know
/// that a 0 which was found is the 0 that is returned.
#[inline(never)]
fn of_tree(folder: Ptr) -> u64 {
    let mut at = folder;
    for _ in 0..DEPTH {
        let known = of_entry(at);
        if known == GUARDED_OWN || known == GUARDED_TREE {
            return u64::from(known);
        }
        let parent = at.follow(&DENTRY_PARENT);
        if parent.address() == at.address() {
            // A file that was opened by its handle may stand in no folder that is known yet.
            return if at.load::<u32>(&DENTRY_FLAGS) & DISCONNECTED == 0 {
                0
            } else {
                u64::from(GUARDED_TREE)
            };
        }
        at = parent;
    }
    u64::from(GUARDED_TREE)
}

/// The answer to a change of something guarded.
#[inline(always)]
fn answer(acting: &Acting, entry: Ptr, known: u64) -> i32 {
    if known == 0 {
        return GO_ON;
    }
    if known == u64::from(GUARDED_OWN) {
        return deny_own(acting, GUARDED_OWN);
    }
    let inode = entry.read_pointer(&DENTRY_INODE);
    let act = Act {
        kind: Kind::Write,
        how: FILE_ENTRY,
        file: (inode.and_then(read_file_id).unwrap_or(NOT_YET), NO_STAMP),
    };
    conclude_file(acting, decide::listed_place(acting), &act, no_path)
}

const NOT_YET: FileId = FileId {
    inode: 0,
    device: 0,
    generation: 0,
};
const NO_STAMP: FileStamp = FileStamp {
    ctime_sec: 0,
    ctime_nsec: 0,
    pad: 0,
    size: 0,
};

/// The denial of a change of the enforcer's own. `detail` is how the file is known.
#[inline(always)]
fn deny_own(acting: &Acting, detail: u32) -> i32 {
    let finding = Finding::of(Reason::EnforcerGuard);
    conclude_reported(
        acting,
        Kind::Guard,
        finding,
        Verdict::Deny,
        |event: *mut Other| {
            // SAFETY: the reservation is as large as the type.
            unsafe {
                (*event).target_tgid = 0;
                (*event).detail = detail;
            }
        },
    )
    .1
}

/// An entry's content is changed. The caller judges single listed files.
#[inline(always)]
pub fn changed(acting: &Acting, entry: Ptr) -> i32 {
    let known = of_entry(entry);
    if known == GUARDED_OWN {
        return answer(acting, entry, u64::from(known));
    }
    answer(acting, entry, of_tree(entry.follow(&DENTRY_PARENT)))
}

/// `file_lock(file, cmd)`: locks and leases. By one of its own on the enforcer's files a session would keep
/// the next daemon from starting, or from reading its state.
#[lsm(hook = "file_lock")]
pub fn file_lock(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let entry = Ptr::new(ctx.arg(0)).follow(&FILE_DENTRY);
    let own = u64::from(GUARDED_OWN);
    if u64::from(of_entry(entry)) == own || of_tree(entry.follow(&DENTRY_PARENT)) == own {
        return deny_own(&acting, GUARDED_OWN);
    }
    GO_ON
}

/// An entry is taken away, or its owner, mode or attributes are changed, by which others get to change
/// its content.
#[inline(always)]
fn own_or_listed(acting: &Acting, entry: Ptr) -> i32 {
    let known = of_entry(entry);
    if known != 0 {
        return answer(acting, entry, u64::from(known));
    }
    answer(acting, entry, of_tree(entry.follow(&DENTRY_PARENT)))
}

/// An entry is made in a folder.
#[inline(always)]
fn made(entry: Ptr) -> i32 {
    match Acting::current() {
        Some(acting) => added(&acting, entry),
        None => GO_ON,
    }
}

#[inline(always)]
fn added(acting: &Acting, entry: Ptr) -> i32 {
    let folder = entry.follow(&DENTRY_PARENT);
    if of_entry(folder) == GUARDED_CLOSED {
        return answer(acting, entry, u64::from(GUARDED_CLOSED));
    }
    answer(acting, entry, of_tree(folder))
}

/// An entry is taken out of a folder.
#[inline(always)]
fn taken(acting: &Acting, folder: Ptr, entry: Ptr) -> i32 {
    if folder.follow(&INODE_SUPER).load::<u64>(&SUPER_MAGIC) == BPF_FS {
        return deny_own(acting, GUARDED_OWN);
    }
    own_or_listed(acting, entry)
}

/// Owner or mode of what a path leads to are changed.
#[inline(always)]
fn at(path: Ptr) -> i32 {
    match Acting::current() {
        Some(acting) => own_or_listed(&acting, path.follow(&PATH_DENTRY)),
        None => GO_ON,
    }
}

/// `path_chmod(path, mode)`
#[lsm(hook = "path_chmod")]
pub fn path_chmod(ctx: LsmContext) -> i32 {
    at(Ptr::new(ctx.arg(0)))
}

/// An entry's extended attributes or access lists are changed: file capabilities among them.
#[inline(always)]
fn attributes(entry: Ptr) -> i32 {
    match Acting::current() {
        Some(acting) => own_or_listed(&acting, entry),
        None => GO_ON,
    }
}

/// `inode_setxattr(idmap, dentry, name, value, size, flags)`
#[lsm(hook = "inode_setxattr")]
pub fn inode_setxattr(ctx: LsmContext) -> i32 {
    attributes(Ptr::new(ctx.arg(1)))
}

/// `inode_removexattr(idmap, dentry, name)`
#[lsm(hook = "inode_removexattr")]
pub fn inode_removexattr(ctx: LsmContext) -> i32 {
    attributes(Ptr::new(ctx.arg(1)))
}

/// `inode_set_acl(idmap, dentry, acl_name, kacl)`: since 6.2; before, `inode_setxattr` is asked.
#[lsm(hook = "inode_set_acl")]
pub fn inode_set_acl(ctx: LsmContext) -> i32 {
    attributes(Ptr::new(ctx.arg(1)))
}

/// `inode_remove_acl(idmap, dentry, acl_name)`: since 6.2; before, `inode_removexattr` is asked.
#[lsm(hook = "inode_remove_acl")]
pub fn inode_remove_acl(ctx: LsmContext) -> i32 {
    attributes(Ptr::new(ctx.arg(1)))
}

/// `path_chown(path, uid, gid)`
#[lsm(hook = "path_chown")]
pub fn path_chown(ctx: LsmContext) -> i32 {
    at(Ptr::new(ctx.arg(0)))
}

/// `inode_create(dir, dentry, mode)`
#[lsm(hook = "inode_create")]
pub fn inode_create(ctx: LsmContext) -> i32 {
    made(Ptr::new(ctx.arg(1)))
}

/// `inode_mkdir(dir, dentry, mode)`
#[lsm(hook = "inode_mkdir")]
pub fn inode_mkdir(ctx: LsmContext) -> i32 {
    made(Ptr::new(ctx.arg(1)))
}

/// `inode_mknod(dir, dentry, mode, dev)`
#[lsm(hook = "inode_mknod")]
pub fn inode_mknod(ctx: LsmContext) -> i32 {
    made(Ptr::new(ctx.arg(1)))
}

/// `inode_symlink(dir, dentry, old_name)`
#[lsm(hook = "inode_symlink")]
pub fn inode_symlink(ctx: LsmContext) -> i32 {
    made(Ptr::new(ctx.arg(1)))
}

/// `inode_link(old_dentry, dir, new_dentry)`: by a second name outside its folder a file would be
/// written to unguarded.
#[lsm(hook = "inode_link")]
pub fn inode_link(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let linked = own_or_listed(&acting, Ptr::new(ctx.arg(0)));
    if linked != GO_ON {
        return linked;
    }
    made(Ptr::new(ctx.arg(2)))
}

#[inline(always)]
fn removed(ctx: &LsmContext) -> i32 {
    match Acting::current() {
        Some(acting) => taken(&acting, Ptr::new(ctx.arg(0)), Ptr::new(ctx.arg(1))),
        None => GO_ON,
    }
}

/// `inode_unlink(dir, dentry)`
#[lsm(hook = "inode_unlink")]
pub fn inode_unlink(ctx: LsmContext) -> i32 {
    removed(&ctx)
}

/// `inode_rmdir(dir, dentry)`
#[lsm(hook = "inode_rmdir")]
pub fn inode_rmdir(ctx: LsmContext) -> i32 {
    removed(&ctx)
}

/// `inode_rename(old_dir, old_dentry, new_dir, new_dentry)`: what is replaced is taken out too.
#[lsm(hook = "inode_rename")]
pub fn inode_rename(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let moved = taken(&acting, Ptr::new(ctx.arg(0)), Ptr::new(ctx.arg(1)));
    if moved != GO_ON {
        return moved;
    }
    let replaced = Ptr::new(ctx.arg(3));
    if replaced.read_pointer(&DENTRY_INODE).is_none() {
        return added(&acting, replaced);
    }
    taken(&acting, Ptr::new(ctx.arg(2)), replaced)
}

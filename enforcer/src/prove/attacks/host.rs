//! The host itself: mounts, roots, trusted files, the kernel.
#![forbid(unsafe_code)]

use std::{fs, io, os::unix::process::CommandExt, path::Path, process::Command};

use nix::{
    kmod::{ModuleInitFlags, finit_module, init_module},
    libc::{EAGAIN, EBUSY, ENOEXEC},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::pivot_root,
};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::{Doors, execution::runs, let_through, missing, opened_for_writing};
use crate::prove::{
    raw,
    ring::{self, By},
};

/// A mount namespace of its own, from which nothing gets out. That nothing does is asked for and not
/// needed: what the attacks mount is the scene's, which takes it away.
fn own_mounts() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let _ = private(); // a mount itself, and denied as one
    Ok(())
}

fn private() -> nix::Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
}

fn mount_memory(at: &Path) -> io::Result<()> {
    mount(
        Some("attack"),
        at,
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )?;
    Ok(())
}

pub fn mounts(doors: &Doors) -> io::Result<()> {
    own_mounts()?;
    mount_memory(&doors.mount)
}

pub fn binds(doors: &Doors) -> io::Result<()> {
    own_mounts()?;
    mount(
        Some(&doors.work),
        &doors.mount,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )?;
    Ok(())
}

pub fn moves_mount(doors: &Doors) -> io::Result<()> {
    own_mounts()?;
    let tree = open_tree(
        rustix::fs::CWD,
        &doors.work,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree, "", rustix::fs::CWD, &doors.mount, flags)?;
    Ok(())
}

pub fn overlays(doors: &Doors) -> io::Result<()> {
    own_mounts()?;
    let lower = format!("lowerdir={}:/etc", doors.folder.display());
    mount(
        Some("attack"),
        &doors.mount,
        Some("overlay"),
        MsFlags::empty(),
        Some(lower.as_str()),
    )?;
    let name = doors.program.file_name().unwrap_or_default();
    runs(doors.mount.join(name), doors)
}

/// The first of two steps of an expiry: the mount stays.
pub fn unmounts(_: &Doors) -> io::Result<()> {
    let result = umount2("/proc", MntFlags::MNT_EXPIRE);
    let_through(result.map_err(Into::into), &[EAGAIN, EBUSY])
}

pub fn user_namespace(_: &Doors) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER)?;
    Ok(())
}

pub fn changes_root(doors: &Doors) -> io::Result<()> {
    let inside = |path: &Path| {
        let below = path.strip_prefix(&doors.folder).map_err(io::Error::other)?;
        Ok::<_, io::Error>(Path::new("/").join(below))
    };
    let (program, mark) = (inside(&doors.program)?, inside(&doors.mark)?);
    std::os::unix::fs::chroot(&doors.folder)?;
    raw::in_child(|| Err(Command::new(&program).arg(&mark).exec()))
}

/// Works only where both mounts before it did; that they were denied does not keep the kernel from
/// asking about this one.
pub fn pivots_root(doors: &Doors) -> io::Result<()> {
    own_mounts()?;
    let _ = mount_memory(&doors.mount);
    let old = doors.mount.join("old");
    let _ = fs::create_dir(&old);
    pivot_root(&doors.mount, &old)?;
    Ok(())
}

/// A library that everything on the host uses, opened and closed.
pub fn opens_library(_: &Doors) -> io::Result<()> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let library = maps
        .lines()
        .filter_map(|line| line.split_once('/'))
        .map(|(_, path)| format!("/{path}"))
        .find(|path| path.contains("/libc.so"));
    opened_for_writing(library.ok_or_else(|| missing("no libc.so is mapped"))?)
}

pub fn registers_format(_: &Doors) -> io::Result<()> {
    opened_for_writing("/proc/sys/fs/binfmt_misc/register")
}

pub fn sets_core_pattern(_: &Doors) -> io::Result<()> {
    opened_for_writing("/proc/sys/kernel/core_pattern")
}

pub fn sets_core_pattern_by_ring(_: &Doors) -> io::Result<()> {
    ring::open_for_writing(By::Worker, c"/proc/sys/kernel/core_pattern")
}

pub fn sets_modprobe(_: &Doors) -> io::Result<()> {
    opened_for_writing("/proc/sys/kernel/modprobe")
}

/// Nothing that the kernel could take for a module.
pub fn loads_module(_: &Doors) -> io::Result<()> {
    let result = init_module(&[0; 64], c"");
    let_through(result.map_err(Into::into), &[ENOEXEC])
}

pub fn loads_module_file(doors: &Doors) -> io::Result<()> {
    let file = fs::File::open(&doors.script)?;
    let result = finit_module(&file, c"", ModuleInitFlags::empty());
    let_through(result.map_err(Into::into), &[ENOEXEC])
}

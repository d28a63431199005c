//! Running code.
#![forbid(unsafe_code)]

use std::{
    ffi::CString,
    fs::{self, OpenOptions},
    io::{self, Seek, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::{
            fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    kmod::{ModuleInitFlags, finit_module, init_module},
    libc::{
        self, EAGAIN, EBUSY, ENOEXEC, MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_READ,
        PROT_WRITE,
    },
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::{
        memfd::{MFdFlags, memfd_create},
        personality::{self, Persona},
    },
    unistd::{fexecve, pivot_root},
};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::{Doors, let_through, opened_for_writing, ran};
use crate::prove::{
    raw::{self, Page},
    ring::{self, By},
};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
/// A program of every host's that no policy of the prover's lists.
const TOUCH: &str = "/usr/bin/touch";

fn runs(program: impl AsRef<Path>, doors: &Doors) -> io::Result<()> {
    ran(Command::new(program.as_ref()).arg(&doors.mark))
}

pub fn unlisted(doors: &Doors) -> io::Result<()> {
    runs(&doors.program, doors)
}

/// A link of the name that is allowed.
pub fn by_link(doors: &Doors) -> io::Result<()> {
    let link = doors.work.join("enforcer");
    symlink(&doors.program, &link)?;
    runs(&link, doors)
}

/// By the first argument of what is allowed.
pub fn by_argument(doors: &Doors) -> io::Result<()> {
    ran(Command::new(&doors.program)
        .arg0("/usr/bin/enforcer")
        .arg(&doors.mark))
}

pub fn by_proc_root(doors: &Doors) -> io::Result<()> {
    let below = doors.program.strip_prefix("/").map_err(io::Error::other)?;
    runs(Path::new("/proc/self/root").join(below), doors)
}

pub fn by_loader(doors: &Doors) -> io::Result<()> {
    ran(Command::new(LOADER).arg(TOUCH).arg(&doors.mark))
}

pub fn map_unlisted(doors: &Doors) -> io::Result<()> {
    let file = fs::File::open(&doors.program)?;
    Page::of_file(file, PROT_READ | PROT_EXEC).map(drop)
}

pub fn script(doors: &Doors) -> io::Result<()> {
    ran(&mut Command::new(&doors.script))
}

pub fn inline(doors: &Doors) -> io::Result<()> {
    ran(Command::new("/bin/sh")
        .arg("-c")
        .arg(format!(": > '{}'", doors.mark.display())))
}

/// The file of a descriptor, by its number.
fn runs_descriptor(file: impl AsFd, doors: &Doors) -> io::Result<()> {
    runs(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()), doors)
}

pub fn memory_file(doors: &Doors) -> io::Result<()> {
    let mut file = fs::File::from(memfd_create(c"attack", MFdFlags::empty())?);
    file.write_all(&fs::read(&doors.program)?)?;
    runs_descriptor(&file, doors)
}

pub fn proc_descriptor(doors: &Doors) -> io::Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(&doors.program)?;
    // Without close-on-exec, or the program could not be found any more.
    let file = nix::unistd::dup(&file)?;
    runs_descriptor(&file, doors)
}

pub fn execveat(doors: &Doors) -> io::Result<()> {
    let file = fs::File::open(&doors.program)?;
    let mark = CString::new(doors.mark.as_os_str().as_encoded_bytes())?;
    raw::in_child(|| {
        fexecve(
            &file,
            &[c"attack", mark.as_c_str()],
            &[] as &[&std::ffi::CStr],
        )?;
        Ok(())
    })
}

pub fn nameless(doors: &Doors) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .mode(0o755)
        .open(&doors.work)?;
    file.write_all(&fs::read(&doors.program)?)?;
    // A file that somebody can write to does not run: the way on is a descriptor for reading.
    let number = file.as_raw_fd();
    let reading = fs::File::open(format!("/proc/self/fd/{number}"))?;
    drop(file);
    runs_kept(&reading, doors)
}

pub fn deleted(doors: &Doors) -> io::Result<()> {
    let copy = copied(doors, "deleted")?;
    let file = fs::File::open(&copy)?;
    fs::remove_file(&copy)?;
    runs_kept(&file, doors)
}

/// Runs a file of which there is only the descriptor.
fn runs_kept(file: &fs::File, doors: &Doors) -> io::Result<()> {
    let kept = nix::unistd::dup(file)?;
    runs_descriptor(&kept, doors)
}

fn copied(doors: &Doors, name: &str) -> io::Result<PathBuf> {
    let copy = doors.work.join(name);
    let _ = fs::remove_file(&copy); // of an earlier attack
    fs::write(&copy, fs::read(&doors.program)?)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}

pub fn own_copy(doors: &Doors) -> io::Result<()> {
    let copy = copied(doors, "copy")?;
    runs(&copy, doors)
}

pub fn anonymous(_: &Doors) -> io::Result<()> {
    Page::map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS).map(drop)
}

pub fn anonymous_shared(_: &Doors) -> io::Result<()> {
    Page::map(
        PROT_READ | PROT_WRITE | PROT_EXEC,
        MAP_SHARED | MAP_ANONYMOUS,
    )
    .map(drop)
}

pub fn made_executable(_: &Doors) -> io::Result<()> {
    Page::map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)?.protect(PROT_READ | PROT_EXEC)
}

pub fn code_made_writable(_: &Doors) -> io::Result<()> {
    raw::make_own_code_writable()
}

pub fn memory_file_mapped(doors: &Doors) -> io::Result<()> {
    let mut file = fs::File::from(memfd_create(c"attack", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&fs::read(&doors.program)?)?;
    file.rewind()?;
    Page::of_file(file, PROT_READ | PROT_EXEC).map(drop)
}

pub fn heap(_: &Doors) -> io::Result<()> {
    personality::set(Persona::READ_IMPLIES_EXEC)?;
    raw::grow_heap(1 << 20)?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let executable = |line: &str| line.contains("[heap]") && line.contains("rwxp");
    if maps.lines().any(executable) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EACCES))
    }
}

pub fn own_memory(_: &Doors) -> io::Result<()> {
    let number = Box::new(7u64);
    let memory = OpenOptions::new().write(true).open("/proc/self/mem")?;
    memory.write_all_at(&8u64.to_ne_bytes(), &raw const *number as u64)
}

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
    opened_for_writing(library.ok_or_else(|| super::missing("no libc.so is mapped"))?)
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

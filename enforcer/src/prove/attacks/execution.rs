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
    libc::{self, MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE},
    sys::{
        memfd::{MFdFlags, memfd_create},
        personality::{self, Persona},
    },
    unistd::fexecve,
};

use super::{Doors, ran};
use crate::prove::raw::{self, Page};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
/// A program of every host's that no policy of the prover's lists.
const TOUCH: &str = "/usr/bin/touch";

pub(super) fn runs(program: impl AsRef<Path>, doors: &Doors) -> io::Result<()> {
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

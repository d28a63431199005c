//! Running files: by name, by descriptor, from memory, without a name.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::{
        fd::AsRawFd,
        unix::{
            fs::{OpenOptionsExt, PermissionsExt},
            process::CommandExt,
        },
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    libc::{O_TMPFILE, SIGCHLD},
    sys::{
        memfd::{MFdFlags, memfd_create},
        wait::{WaitStatus, waitpid},
    },
    unistd::{Pid, dup2_stdout},
};

use crate::{
    Outcome,
    lineage::{answer_of_child, child, pipe},
    raw,
};

/// Runs a file by a path, under a name of the caller's choice.
pub fn by_path(path: &str, name: &str, arguments: &[&str]) -> io::Result<Outcome> {
    let output = Command::new(path)
        .arg0(name)
        .args(arguments)
        .stdin(Stdio::piped()) // empty, and no file that could be denied
        .stderr(Stdio::inherit())
        .output()?;
    Ok(Outcome {
        errno: 0,
        status: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}

/// Goes on as another program. Returns only when that failed.
pub fn replace(path: &str, arguments: &[&str]) -> io::Error {
    Command::new(path).args(arguments).exec()
}

/// Runs a file by a descriptor: `fexecve(3)`.
pub fn by_descriptor(path: &str, arguments: &[&str]) -> io::Result<Outcome> {
    run(&File::open(path)?, path, arguments)
}

/// Runs a copy that is in memory alone.
pub fn from_memory(path: &str, arguments: &[&str]) -> io::Result<Outcome> {
    let mut memory = File::from(memfd_create("copy", MFdFlags::MFD_CLOEXEC)?);
    io::copy(&mut File::open(path)?, &mut memory)?;
    run(&memory, path, arguments)
}

/// Runs a copy that never had a name.
pub fn unnamed(directory: &str, path: &str, arguments: &[&str]) -> io::Result<Outcome> {
    let mut writing = OpenOptions::new()
        .write(true)
        .custom_flags(O_TMPFILE)
        .open(directory)?;
    io::copy(&mut File::open(path)?, &mut writing)?;
    writing.set_permissions(fs::Permissions::from_mode(0o755))?;
    // A file that is open for writing cannot be run.
    let reading = File::open(format!("/proc/self/fd/{}", writing.as_raw_fd()))?;
    drop(writing);
    run(&reading, path, arguments)
}

/// Runs a copy whose name is gone.
pub fn deleted(directory: &str, path: &str, arguments: &[&str]) -> io::Result<Outcome> {
    let copy = Path::new(directory).join(format!("deleted-{}", std::process::id()));
    fs::copy(path, &copy)?;
    let file = File::open(&copy)?;
    fs::remove_file(&copy)?;
    run(&file, path, arguments)
}

fn run(file: &File, name: &str, arguments: &[&str]) -> io::Result<Outcome> {
    let words = [&[name], arguments].concat();
    let words: Result<Vec<CString>, _> = words.into_iter().map(CString::new).collect();
    let words = words.map_err(io::Error::other)?;
    let (output, said) = pipe()?;
    let (failure, told) = pipe()?;
    let pid = child(SIGCHLD, &told, || {
        dup2_stdout(&said)?;
        Err(raw::execveat(file, &words))
    })?;
    drop((said, told));
    let mut text = String::new();
    File::from(output).read_to_string(&mut text)?;
    // The pipe of failures is closed by a successful exec.
    let failed = answer_of_child(failure);
    let ended = waitpid(Pid::from_raw(pid), None)?;
    let status = if let WaitStatus::Exited(_, status) = ended {
        Some(status)
    } else {
        None
    };
    match failed {
        Ok(failed) => Ok(failed),
        Err(_) => Ok(Outcome {
            errno: 0,
            status,
            output: text,
        }),
    }
}

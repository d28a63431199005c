//! Leaving the session, and acting on processes outside.
#![forbid(unsafe_code)]

use std::{
    fs::{self, OpenOptions},
    io::{self, IoSlice, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{fs::FileExt, net::UnixStream},
    },
    process::{Command, Stdio},
    thread,
};

use nix::{
    libc,
    sched::{CloneFlags, unshare},
    sys::{
        ptrace,
        signal::{Signal, kill},
        uio::{RemoteIoVec, process_vm_readv, process_vm_writev},
        wait::waitpid,
    },
    unistd::{Pid, setsid},
};
use rustix::process::{self as rustix_process, PidfdFlags, PidfdGetfdFlags};

use super::{Doors, network::connect};
use crate::prove::raw;

fn victim(doors: &Doors) -> Pid {
    Pid::from_raw(doors.victim.pid.cast_signed())
}

fn victim_pid(doors: &Doors) -> io::Result<rustix_process::Pid> {
    rustix_process::Pid::from_raw(doors.victim.pid.cast_signed())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn victim_pidfd(doors: &Doors) -> io::Result<OwnedFd> {
    Ok(rustix_process::pidfd_open(
        victim_pid(doors)?,
        PidfdFlags::empty(),
    )?)
}

pub fn by_thread(doors: &Doors) -> io::Result<()> {
    let doors = doors.clone();
    let joined = thread::spawn(move || connect(&doors)).join();
    joined.unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
}

pub fn by_fork(doors: &Doors) -> io::Result<()> {
    raw::in_child(|| connect(doors))
}

pub fn by_daemon(doors: &Doors) -> io::Result<()> {
    raw::in_child(|| {
        setsid()?;
        raw::in_child(|| connect(doors))
    })
}

pub fn by_namespaces(doors: &Doors) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWCGROUP)?;
    connect(doors)
}

pub fn leaves_cgroup(_: &Doors) -> io::Result<()> {
    let mut members = OpenOptions::new()
        .write(true)
        .open("/sys/fs/cgroup/cgroup.procs")?;
    members.write_all(b"0")
}

pub fn traces(doors: &Doors) -> io::Result<()> {
    ptrace::attach(victim(doors))?;
    waitpid(victim(doors), None)?;
    ptrace::detach(victim(doors), None)?;
    Ok(())
}

pub fn reads_memory(doors: &Doors) -> io::Result<()> {
    let mut number = [0; 8];
    let remote = [RemoteIoVec {
        base: doors.victim.address,
        len: number.len(),
    }];
    let mut local = [io::IoSliceMut::new(&mut number)];
    process_vm_readv(victim(doors), &mut local, &remote)?;
    Ok(())
}

pub fn writes_memory(doors: &Doors) -> io::Result<()> {
    let number = 666u64.to_ne_bytes();
    let remote = [RemoteIoVec {
        base: doors.victim.address,
        len: number.len(),
    }];
    process_vm_writev(victim(doors), &[IoSlice::new(&number)], &remote)?;
    Ok(())
}

pub fn writes_proc_memory(doors: &Doors) -> io::Result<()> {
    let path = format!("/proc/{}/mem", doors.victim.pid);
    let memory = OpenOptions::new().write(true).open(path)?;
    memory.write_all_at(&666u64.to_ne_bytes(), doors.victim.address as u64)
}

pub fn reads_environment(doors: &Doors) -> io::Result<()> {
    fs::read(format!("/proc/{}/environ", doors.victim.pid)).map(drop)
}

pub fn takes_descriptor(doors: &Doors) -> io::Result<()> {
    let pidfd = victim_pidfd(doors)?;
    rustix_process::pidfd_getfd(pidfd, 1, PidfdGetfdFlags::empty())?;
    Ok(())
}

/// Code of one program of a session changed by another: a process of the attack's own.
pub fn traces_own(_: &Doors) -> io::Result<()> {
    let mut own = Command::new("/proc/self/exe")
        .args(["attack", "victim"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let pid = Pid::from_raw(own.id().cast_signed());
    let traced = ptrace::attach(pid).and_then(|()| waitpid(pid, None));
    own.kill()?;
    own.wait()?;
    traced?;
    Ok(())
}

pub fn signals(doors: &Doors) -> io::Result<()> {
    kill(victim(doors), Signal::SIGUSR1)?;
    Ok(())
}

pub fn signals_pidfd(doors: &Doors) -> io::Result<()> {
    let pidfd = victim_pidfd(doors)?;
    rustix_process::pidfd_send_signal(pidfd, rustix_process::Signal::USR1)?;
    Ok(())
}

/// The kernel signals whom a descriptor belongs to when something arrives.
pub fn signals_as_owner(doors: &Doors) -> io::Result<()> {
    let (mut sender, receiver) = UnixStream::pair()?;
    raw::fcntl(&receiver, libc::F_SETOWN, doors.victim.pid.cast_signed())?;
    raw::fcntl(&receiver, libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK)?;
    sender.write_all(b"x")
}

pub fn limits(doors: &Doors) -> io::Result<()> {
    let less = rustix_process::Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    let resource = rustix_process::Resource::Nofile;
    rustix_process::prlimit(Some(victim_pid(doors)?), resource, less)?;
    Ok(())
}

pub fn schedules(doors: &Doors) -> io::Result<()> {
    raw::make_batch(doors.victim.pid)
}

pub fn slows(doors: &Doors) -> io::Result<()> {
    rustix_process::setpriority_process(Some(victim_pid(doors)?), 10)?;
    Ok(())
}

pub fn slows_io(doors: &Doors) -> io::Result<()> {
    raw::make_io_idle(doors.victim.pid)
}

/// On a terminal of its own.
pub fn types_into_terminal(_: &Doors) -> io::Result<()> {
    let terminal = nix::pty::openpty(None, None)?;
    setsid()?;
    raw::ioctl(&terminal.slave, libc::TIOCSCTTY, &mut [0; 64])?;
    let mut key = [0; 64];
    key[0] = b'x';
    raw::ioctl(&terminal.slave, libc::TIOCSTI, &mut key)?;
    let _ = terminal.master.as_raw_fd(); // open until here, or there would be no terminal
    Ok(())
}

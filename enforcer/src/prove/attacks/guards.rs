//! The enforcer itself.
#![forbid(unsafe_code)]

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::{fs::symlink, net::UnixStream},
    path::Path,
};

use nix::{
    libc::ENOTEMPTY,
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Doors, let_through};
use crate::{
    config::{CONFIG_DIR, LOG_DIR, RUN_DIR, STATE_DIR},
    posture::BPFFS,
    prove::raw,
};

/// A signal that changes nothing of a process that runs.
pub fn signals_daemon(doors: &Doors) -> io::Result<()> {
    kill(Pid::from_raw(doors.daemon.cast_signed()), Signal::SIGCONT)?;
    Ok(())
}

pub fn lists_maps(_: &Doors) -> io::Result<()> {
    raw::first_map().map(drop)
}

/// Any map: the first that is not gone again.
pub fn opens_map(_: &Doors) -> io::Result<()> {
    raw::map_by_id(raw::first_map().unwrap_or(1)).map(drop)
}

pub fn opens_pin(doors: &Doors) -> io::Result<()> {
    raw::pinned(&doors.pins.join("maps/LABELS")).map(drop)
}

pub fn opens_perf_event(_: &Doors) -> io::Result<()> {
    raw::perf_event().map(drop)
}

/// Of a folder that is not empty, so that it stays.
pub fn removes_pins(doors: &Doors) -> io::Result<()> {
    let_through(fs::remove_dir(doors.pins.join("links")), &[ENOTEMPTY])
}

pub fn removes_own_folder(doors: &Doors) -> io::Result<()> {
    fs::remove_dir(doors.own_pins.join("folder"))
}

pub fn removes_own_link(doors: &Doors) -> io::Result<()> {
    fs::remove_file(doors.own_pins.join("link"))
}

pub fn moves_own_link(doors: &Doors) -> io::Result<()> {
    fs::rename(doors.own_pins.join("link"), doors.own_pins.join("moved"))
}

/// The first of two steps of an expiry: the mount stays.
pub fn unmounts_pins(_: &Doors) -> io::Result<()> {
    let result = umount2(BPFFS, MntFlags::MNT_EXPIRE);
    let_through(
        result.map_err(Into::into),
        &[nix::libc::EAGAIN, nix::libc::EBUSY],
    )
}

fn made(folder: &str, doors: &Doors) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(Path::new(folder).join(&doors.unique))
        .map(drop)
}

pub fn makes_log(doors: &Doors) -> io::Result<()> {
    made(LOG_DIR, doors)
}

pub fn makes_state(doors: &Doors) -> io::Result<()> {
    made(STATE_DIR, doors)
}

pub fn makes_run_file(doors: &Doors) -> io::Result<()> {
    made(RUN_DIR, doors)
}

pub fn makes_policy(doors: &Doors) -> io::Result<()> {
    made(CONFIG_DIR, doors)
}

pub fn links_into_log(doors: &Doors) -> io::Result<()> {
    symlink("/dev/null", Path::new(LOG_DIR).join(&doors.unique))
}

pub fn asks_daemon(doors: &Doors) -> io::Result<()> {
    let mut socket = UnixStream::connect(&doors.control)?;
    socket.write_all(b"GET /v1/status HTTP/1.0\r\n\r\n")?;
    let mut answer = [0; 5];
    socket.read_exact(&mut answer)
}

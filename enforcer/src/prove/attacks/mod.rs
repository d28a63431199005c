//! The attacks: each a small function that tries one thing and says what the kernel answered.
//!
//! - An attack runs in a process of its own, with one thread, outside and inside a session, as root
//!   and as an ordinary user.
//! - It harms nothing where it works: what it reaches, changes or leaves is the prover's own (see
//!   `scene.rs`), or it is something that changes nothing (a file opened and closed).
//! - What it says is not believed where something can be looked at from outside: see [`Effect`].

pub(super) mod execution;
pub(super) mod guards;
pub(super) mod host;
pub(super) mod network;
pub(super) mod processes;
pub(super) mod sockets;

use std::{
    io,
    net::SocketAddr,
    os::fd::RawFd,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::catalogue::Open;

/// What is there for an attack to knock at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Doors {
    /// TCP listeners.
    pub tcp: SocketAddr,
    /// Of IPv6, where the host has it.
    pub tcp6: Option<SocketAddr>,
    /// UDP sockets.
    pub udp: SocketAddr,
    /// Of IPv6, where the host has it.
    pub udp6: Option<SocketAddr>,
    /// A unix stream listener.
    pub stream: PathBuf,
    /// A unix datagram socket.
    pub datagram: PathBuf,
    /// A unix listener for sequenced packets.
    pub packet: PathBuf,
    /// A unix stream listener's abstract name.
    pub name: String,
    /// The prover's folder, which everybody may enter.
    pub folder: PathBuf,
    /// A folder in it that everybody may write to.
    pub work: PathBuf,
    /// A folder in it to mount at.
    pub mount: PathBuf,
    /// A program that no policy lists: it makes the file that it is given.
    pub program: PathBuf,
    /// A script that no policy lists: it makes [`Doors::mark`].
    pub script: PathBuf,
    /// The file that shows that a program ran.
    pub mark: PathBuf,
    /// A descriptor of a TCP connection made outside.
    pub connected: RawFd,
    /// A descriptor of a connection over a unix socket, made outside.
    pub connected_unix: RawFd,
    /// A descriptor of a unix socket by which such a connection is sent.
    pub gifts: RawFd,
    /// A process outside.
    pub victim: Victim,
    /// The daemon's process.
    pub daemon: u32,
    /// The daemon's control socket.
    pub control: PathBuf,
    /// The daemon's pins.
    pub pins: PathBuf,
    /// A folder of the prover's own beside the pins, with `folder` and `link` in it.
    pub own_pins: PathBuf,
    /// Name of a file that nobody else has.
    pub unique: String,
}

/// A process outside the session, of the same user as the attack.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Victim {
    /// Its process id.
    pub pid: u32,
    /// Where a number of its own lies in its memory.
    pub address: usize,
}

/// How it is known whether an attack got through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// By what the kernel answered: having the thing is all there is to it.
    Answer,
    /// Something arrived at one of the scene's sockets.
    Arrived,
    /// A program made its mark.
    Mark,
    /// The victim is not as it was.
    Victim,
    /// A file of the attack's own appeared among the enforcer's.
    Made,
    /// What the prover put beside the pins is gone.
    Taken,
}

/// An attack of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Its name, which begins with its row's: `n05-unspec-datagram`.
    pub id: &'static str,
    /// What it tries, in a few words.
    pub technique: &'static str,
    /// How it is known whether it got through.
    pub effect: Effect,
    /// What it does.
    pub run: fn(&Doors) -> io::Result<()>,
    /// Why it gets through, if it does.
    pub open: Option<Open>,
    /// Whether it wants a connection sent to it by [`Doors::gifts`].
    pub wants_gift: bool,
}

impl Attack {
    /// An attack that is to be denied.
    pub const fn new(
        id: &'static str,
        technique: &'static str,
        effect: Effect,
        run: fn(&Doors) -> io::Result<()>,
    ) -> Self {
        Self {
            id,
            technique,
            effect,
            run,
            open: None,
            wants_gift: false,
        }
    }

    /// One that is known to get through.
    pub const fn open(mut self, why: Open) -> Self {
        self.open = Some(why);
        self
    }

    /// One that receives a connection.
    pub const fn wants_gift(mut self) -> Self {
        self.wants_gift = true;
        self
    }
}

/// The answer of a call that the kernel's own checks end after the one that counts: these errors say
/// that it was let through.
fn let_through<T>(result: io::Result<T>, later: &[i32]) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error().is_some_and(|no| later.contains(&no)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens for writing, and writes nothing.
fn opened_for_writing(path: impl AsRef<Path>) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path).map(drop)
}

/// Runs a program to its end; what it says goes nowhere.
fn ran(command: &mut std::process::Command) -> io::Result<()> {
    use std::process::Stdio;
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(status.to_string()))
    }
}

fn missing(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what.to_owned())
}

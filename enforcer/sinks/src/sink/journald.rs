//! systemd's journal by its native protocol: one datagram an entry, or a sealed memory file where a
//! datagram would be too long (systemd.io/JOURNAL_NATIVE_PROTOCOL).
//!
//! A datagram that the system took waits in journald's socket, and systemd keeps that socket when
//! journald is started again. Nothing says that journald has stored it: see docs/shipping.md for
//! what that means.

use std::{
    fs::File,
    io::{self, IoSlice, Write},
    mem::MaybeUninit,
    os::{fd::AsFd, unix::net::UnixDatagram},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};

use super::{Failure, Item, Outcome, Sink};
use crate::{
    config::JournaldTarget,
    stop::{Stop, Until},
};

/// How often a wait for room in the socket looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);

pub(super) struct Journald {
    target: JournaldTarget,
    timeout: Duration,
    socket: Option<UnixDatagram>,
}

impl Journald {
    pub fn new(target: JournaldTarget, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            socket: None,
        }
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.target.socket)?;
        socket.set_write_timeout(Some(TICK))?;
        Ok(socket)
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let socket = self.target.socket.display();
        Failure::Broken(format!("journald at {socket}: {error}"))
    }

    fn send(&self, socket: &UnixDatagram, entry: &[u8], stop: &Stop) -> Result<(), Failure> {
        let until = Until::stopped(self.timeout, stop);
        loop {
            let error = match send_once(socket, entry) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) {
                return Err(self.broken(&error));
            }
            if until.is_stopped() {
                return Err(Failure::Stopped);
            }
            if until.left().is_zero() {
                let socket = self.target.socket.display();
                let why = format!("journald at {socket} reads nothing");
                return Err(Failure::busy(why));
            }
        }
    }
}

fn send_once(socket: &UnixDatagram, entry: &[u8]) -> io::Result<()> {
    match socket.send(entry) {
        Ok(_) => Ok(()),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
            send_by_memory(socket, entry)
        }
        Err(error) => Err(error),
    }
}

/// Sends the entry as a memory file that nobody can change any more.
fn send_by_memory(socket: &UnixDatagram, entry: &[u8]) -> io::Result<()> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut memory = File::from(memfd_create(c"enforcer-record", flags)?);
    memory.write_all(entry)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&memory, seals)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [memory.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for one descriptor"));
    }
    sendmsg(
        socket,
        &[IoSlice::new(&[])],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok(())
}

/// The record's fields. `MESSAGE` is the form that the sink is set to.
fn entry(item: &Item) -> Vec<u8> {
    let record = &item.record;
    let mut out = Vec::with_capacity(item.body.len() + 512);
    let severity = record.syslog_severity().to_string();
    field(&mut out, "MESSAGE", &item.body);
    field(&mut out, "PRIORITY", severity.as_bytes());
    field(&mut out, "SYSLOG_IDENTIFIER", b"enforcer");
    field(&mut out, "ENFORCER_UID", record.uid().as_bytes());
    let facts = [
        ("ENFORCER_VERDICT", record.verdict()),
        ("ENFORCER_AGENT", record.agent()),
        ("ENFORCER_SESSION", record.session()),
        ("ENFORCER_EVENT", record.event_code()),
        ("ENFORCER_SUMMARY", record.message()),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            field(&mut out, name, value.as_bytes());
        }
    }
    out
}

/// `NAME=value`, or with its length where the value has a line break.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

impl Sink for Journald {
    fn deliver(&mut self, batch: &[Item], stop: &Stop) -> Outcome {
        let socket = match self.socket.take() {
            Some(socket) => Ok(socket),
            None => self.connect(),
        };
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => return self.broken(&error).into(),
        };
        for (index, item) in batch.iter().enumerate() {
            if let Err(failure) = self.send(&socket, &entry(item), stop) {
                return Outcome::failed(index, failure);
            }
        }
        self.socket = Some(socket);
        Outcome::all(batch.len())
    }

    fn connected(&self) -> bool {
        self.socket.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_line_break_is_sent_by_its_length() {
        let mut out = Vec::new();
        field(&mut out, "A", b"x=y");
        field(&mut out, "B", b"1\n2");
        assert_eq!(out, b"A=x=y\nB\n\x03\0\0\0\0\0\0\x001\n2\n");
    }
}

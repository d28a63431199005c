//! Unix sockets.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
};

use nix::libc::{AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, c_int};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::{Outcome, raw};

const DATA: &[u8] = b"from the probe";

fn kind(word: &str) -> io::Result<(c_int, SockType)> {
    match word {
        "stream" => Ok((SOCK_STREAM, SockType::Stream)),
        "dgram" => Ok((SOCK_DGRAM, SockType::Datagram)),
        "seqpacket" => Ok((SOCK_SEQPACKET, SockType::SeqPacket)),
        _ => Err(io::Error::other(format!("{word} is no kind of socket"))),
    }
}

/// `struct sockaddr_un` of a path, or of an abstract name after `@`.
fn bytes(to: &str) -> Vec<u8> {
    let mut bytes = (AF_UNIX as u16).to_ne_bytes().to_vec();
    match to.strip_prefix('@') {
        Some(name) => {
            bytes.push(0);
            bytes.extend(name.bytes());
        }
        None => {
            bytes.extend(to.bytes());
            bytes.push(0);
        }
    }
    bytes
}

pub fn connect(word: &str, to: &str) -> io::Result<()> {
    let (kind, _) = kind(word)?;
    raw::connect(raw::socket(AF_UNIX, kind, 0)?, &bytes(to))
}

pub fn sendto(to: &str) -> io::Result<()> {
    raw::sendto(raw::socket(AF_UNIX, SOCK_DGRAM, 0)?, DATA, 0, &bytes(to))
}

/// A pair of sockets, through which something is said.
pub fn pair(word: &str) -> io::Result<Outcome> {
    let (_, kind) = kind(word)?;
    let (one, other) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)?;
    raw::sendto(&one, DATA, 0, &[])?;
    let mut heard = [0; 64];
    let length = nix::unistd::read(&other, &mut heard)?;
    Ok(Outcome::said(String::from_utf8_lossy(&heard[..length])))
}

/// The answer to a request, head and body. The request's body is JSON without spaces.
pub fn http(socket: &str, method: &str, path: &str, body: &[&str]) -> io::Result<Outcome> {
    let mut stream = UnixStream::connect(socket)?;
    let body = body.concat();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: enforcer\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(Outcome::said(String::from_utf8_lossy(&answer)))
}

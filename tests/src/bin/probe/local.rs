//! Unix sockets.

use std::{
    io::{self, Read, Write},
    iter,
    os::unix::net::{UnixDatagram, UnixListener, UnixStream},
};

use nix::{
    libc::{AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM, c_int},
    sys::socket::{AddressFamily, SockFlag, SockType, socketpair},
};

use crate::{Kept, Outcome, kept, raw};

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

/// Keeps a socket of its own to which others can send or connect.
pub fn serve(name: &str, word: &str, at: &str, sockets: &mut Kept) -> io::Result<()> {
    let (kind, _) = kind(word)?;
    let socket = raw::socket(AF_UNIX, kind | SOCK_NONBLOCK, 0)?;
    raw::bind(&socket, &bytes(at))?;
    if kind != SOCK_DGRAM {
        raw::listen(&socket)?;
    }
    sockets.insert(name.to_owned(), socket);
    Ok(())
}

/// Keeps a connection.
pub fn keep(name: &str, to: &str, sockets: &mut Kept) -> io::Result<()> {
    let socket = raw::socket(AF_UNIX, SOCK_STREAM, 0)?;
    raw::connect(&socket, &bytes(to))?;
    sockets.insert(name.to_owned(), socket);
    Ok(())
}

/// Says something to whoever has connected to it.
pub fn answer(name: &str, sockets: &Kept) -> io::Result<()> {
    let listener = UnixListener::from(kept(name, sockets)?.try_clone()?);
    let (connection, _) = listener.accept()?;
    raw::sendto(&connection, DATA, 0, &[])
}

/// How many connections or datagrams came to it.
pub fn arrived(name: &str, sockets: &Kept) -> io::Result<Outcome> {
    let socket = kept(name, sockets)?;
    let connections = UnixListener::from(socket.try_clone()?);
    let datagrams = UnixDatagram::from(socket.try_clone()?);
    let one = || connections.accept().is_ok() || datagrams.recv(&mut [0; 64]).is_ok();
    let count = iter::repeat_with(one).take_while(|came| *came).count();
    Ok(Outcome::said(count.to_string()))
}

pub fn bind(name: &str, at: &str, sockets: &Kept) -> io::Result<()> {
    raw::bind(kept(name, sockets)?, &bytes(at))
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

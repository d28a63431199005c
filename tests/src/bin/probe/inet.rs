//! Internet sockets: every way to reach an address.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
};

use nix::libc::{
    self, AF_INET, AF_INET6, AF_UNSPEC, MSG_FASTOPEN, SO_SNDTIMEO, SOCK_DGRAM, SOCK_STREAM,
    SOL_SOCKET, TCP_FASTOPEN_CONNECT, c_int, timeval,
};

use crate::{Kept, Outcome, kept, number, raw};

/// What is sent. Servers look for it.
const DATA: &[u8] = b"from the probe";
/// Longest that a connection may take, which on loopback takes no time.
const PATIENCE: timeval = timeval {
    tv_sec: 2,
    tv_usec: 0,
};

fn parse(to: &str) -> io::Result<SocketAddr> {
    to.parse()
        .map_err(|_| io::Error::other(format!("{to} is no address")))
}

fn family(to: &SocketAddr) -> c_int {
    if to.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// `struct sockaddr_in` or `struct sockaddr_in6`, with a family of the caller's choice.
fn bytes_as(to: &SocketAddr, family: c_int) -> Vec<u8> {
    let mut bytes = (family as u16).to_ne_bytes().to_vec();
    bytes.extend(to.port().to_be_bytes());
    match to.ip() {
        IpAddr::V4(ip) => {
            bytes.extend(ip.octets());
            bytes.extend([0; 8]);
        }
        IpAddr::V6(ip) => {
            bytes.extend([0; 4]);
            bytes.extend(ip.octets());
            bytes.extend([0; 4]);
        }
    }
    bytes
}

fn bytes(to: &SocketAddr) -> Vec<u8> {
    bytes_as(to, family(to))
}

fn open(family: c_int, protocol: &str) -> io::Result<OwnedFd> {
    let kind = match protocol {
        "tcp" => SOCK_STREAM,
        "udp" => SOCK_DGRAM,
        _ => return Err(io::Error::other(format!("{protocol} is no protocol"))),
    };
    let socket = raw::socket(family, kind, 0)?;
    raw::set_option(&socket, SOL_SOCKET, SO_SNDTIMEO, &PATIENCE)?;
    Ok(socket)
}

pub fn socket(family: &str, kind: &str, protocol: &str) -> io::Result<()> {
    raw::socket(number(family)?, number(kind)?, number(protocol)?).map(drop)
}

pub fn connect(protocol: &str, to: &str) -> io::Result<OwnedFd> {
    let to = parse(to)?;
    let socket = open(family(&to), protocol)?;
    raw::connect(&socket, &bytes(&to))?;
    Ok(socket)
}

pub fn connect_send(protocol: &str, to: &str) -> io::Result<()> {
    raw::sendto(connect(protocol, to)?, DATA, 0, &[])
}

/// An IPv4 address on an IPv6 socket.
pub fn connect_by_other_family(protocol: &str, to: &str) -> io::Result<()> {
    raw::connect(open(AF_INET6, protocol)?, &bytes(&parse(to)?))
}

/// A socket bound to an address of its own, then `connect PROTOCOL TO` or `sendto TO`.
pub fn from_address(from: &str, words: &[&str]) -> io::Result<()> {
    let from = parse(from)?;
    let (protocol, to) = match words {
        ["connect", protocol, to] => (*protocol, to),
        ["sendto", to] => ("udp", to),
        [..] => return Err(io::Error::other("no such attempt")),
    };
    let socket = open(family(&from), protocol)?;
    raw::bind(&socket, &bytes(&from))?;
    let to = bytes(&parse(to)?);
    if words[0] == "connect" {
        raw::connect(&socket, &to)
    } else {
        raw::sendto(&socket, DATA, 0, &to)
    }
}

pub fn sendto(to: &str) -> io::Result<()> {
    let to = parse(to)?;
    raw::sendto(open(family(&to), "udp")?, DATA, 0, &bytes(&to))
}

/// An IPv4 address on an IPv6 socket.
pub fn sendto_by_other_family(to: &str) -> io::Result<()> {
    raw::sendto(open(AF_INET6, "udp")?, DATA, 0, &bytes(&parse(to)?))
}

pub fn sendmsg(to: &str) -> io::Result<()> {
    let to = parse(to)?;
    raw::sendmsg(open(family(&to), "udp")?, DATA, &bytes(&to), false)
}

pub fn sendmmsg(to: &str) -> io::Result<()> {
    let to = parse(to)?;
    raw::sendmsg(open(family(&to), "udp")?, DATA, &bytes(&to), true)
}

/// An address of no family, which an IPv4 socket takes for its own.
pub fn sendto_unspecified_family(to: &str) -> io::Result<()> {
    let to = parse(to)?;
    let name = bytes_as(&to, AF_UNSPEC);
    raw::sendto(open(family(&to), "udp")?, DATA, 0, &name)
}

/// Opens a TCP connection by sending on it: no `connect(2)` is made.
pub fn fast_open(to: &str) -> io::Result<()> {
    let to = parse(to)?;
    raw::sendto(open(family(&to), "tcp")?, DATA, MSG_FASTOPEN, &bytes(&to))
}

/// `connect(2)` that sends nothing until the first write.
pub fn fast_open_connect(to: &str) -> io::Result<()> {
    let to = parse(to)?;
    let socket = open(family(&to), "tcp")?;
    raw::set_option(&socket, libc::IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &1_i32)?;
    raw::connect(&socket, &bytes(&to))?;
    raw::sendto(&socket, DATA, 0, &[])
}

/// Binds and, with TCP, listens; any address will do, local or not. That a TCP socket could not be bound
/// is said, since no listening was tried then.
pub fn listen(protocol: &str, at: &str) -> io::Result<Outcome> {
    let at = parse(at)?;
    let socket = open(family(&at), protocol)?;
    let (level, option) = if at.is_ipv4() {
        (libc::IPPROTO_IP, libc::IP_FREEBIND)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_FREEBIND)
    };
    raw::set_option(&socket, level, option, &1_i32)?;
    let bound = raw::bind(&socket, &bytes(&at));
    if protocol == "udp" {
        return bound.map(|()| Outcome::default());
    }
    if bound.is_err() {
        return Ok(Outcome::said("not bound"));
    }
    raw::listen(&socket)?;
    Ok(Outcome::default())
}

/// Connects and keeps the socket; `-` for the address keeps one that is not connected.
pub fn keep(name: &str, protocol: &str, to: &str, kept: &mut Kept) -> io::Result<()> {
    let socket = match to {
        "-" => open(AF_INET, protocol)?,
        to => connect(protocol, to)?,
    };
    kept.insert(name.to_owned(), socket);
    Ok(())
}

pub fn send(name: &str, sockets: &Kept) -> io::Result<()> {
    raw::sendto(kept(name, sockets)?, DATA, 0, &[])
}

pub fn write(name: &str, sockets: &Kept) -> io::Result<()> {
    raw::write(kept(name, sockets)?.as_fd(), DATA)
}

pub fn disconnect(name: &str, sockets: &Kept) -> io::Result<()> {
    let nobody = [(AF_UNSPEC as u16).to_ne_bytes().as_slice(), &[0; 14]].concat();
    raw::connect(kept(name, sockets)?, &nobody)
}

//! Sockets that are not to be, and what sockets are not to be told.
#![forbid(unsafe_code)]

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener, UdpSocket},
};

use nix::{
    libc::{self, c_int},
    sched::{CloneFlags, unshare},
};

use super::{
    Doors, missing,
    network::{tcp4, udp4},
};
use crate::prove::raw;

/// A loose source route by way of 127.0.0.1.
const SOURCE_ROUTE: [u8; 8] = [131, 7, 4, 127, 0, 0, 1, 1];

pub fn raw_socket(_: &Doors) -> io::Result<()> {
    raw::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).map(drop)
}

pub fn ping_socket(_: &Doors) -> io::Result<()> {
    raw::socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP).map(drop)
}

/// A socket of a protocol that may be a module: where it is not loaded, trying would load it.
fn loaded(protocol: &str, family: c_int, kind: c_int, number: c_int) -> io::Result<()> {
    let known = fs::read_to_string("/proc/net/protocols")?;
    let is_loaded = |line: &str| line.split_whitespace().next() == Some(protocol);
    if known.lines().any(is_loaded) {
        raw::socket(family, kind, number).map(drop)
    } else {
        Err(missing("the kernel has not loaded it"))
    }
}

pub fn packet_socket(_: &Doors) -> io::Result<()> {
    loaded("PACKET", libc::AF_PACKET, libc::SOCK_RAW, 0)
}

pub fn netlink_socket(_: &Doors) -> io::Result<()> {
    loaded("NETLINK", libc::AF_NETLINK, libc::SOCK_RAW, 0)
}

pub fn vsock_socket(_: &Doors) -> io::Result<()> {
    loaded("AF_VSOCK", libc::AF_VSOCK, libc::SOCK_STREAM, 0)
}

pub fn crypto_socket(_: &Doors) -> io::Result<()> {
    loaded("ALG", libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
}

pub fn multipath_socket(_: &Doors) -> io::Result<()> {
    loaded(
        "MPTCP",
        libc::AF_INET,
        libc::SOCK_STREAM,
        libc::IPPROTO_MPTCP,
    )
}

pub fn sctp_socket(_: &Doors) -> io::Result<()> {
    loaded("SCTP", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP)
}

/// In a network namespace of its own, which ends with the process.
pub fn tun_device(_: &Doors) -> io::Result<()> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    const IFF_TUN: u8 = 1;
    unshare(CloneFlags::CLONE_NEWNET)?;
    let tun = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    let mut request = [0; 64];
    request[16] = IFF_TUN;
    raw::ioctl(tun, TUNSETIFF, &mut request)
}

pub fn listen(_: &Doors) -> io::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop)
}

/// A port that was free a moment ago.
pub fn bind_datagrams(_: &Doors) -> io::Result<()> {
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    UdpSocket::bind(free).map(drop)
}

pub fn mark(_: &Doors) -> io::Result<()> {
    raw::set_option(
        udp4()?,
        libc::SOL_SOCKET,
        libc::SO_MARK,
        &7u32.to_ne_bytes(),
    )
}

pub fn source_route(_: &Doors) -> io::Result<()> {
    raw::set_option(udp4()?, libc::IPPROTO_IP, libc::IP_OPTIONS, &SOURCE_ROUTE)
}

pub fn repair(_: &Doors) -> io::Result<()> {
    raw::set_option(
        tcp4()?,
        libc::IPPROTO_TCP,
        libc::TCP_REPAIR,
        &1i32.to_ne_bytes(),
    )
}

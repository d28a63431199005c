//! Sending and being reached.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::{self, IoSliceMut, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixStream},
    },
};

use nix::{
    libc::{self, c_int},
    sched::{CloneFlags, unshare},
    sys::{
        sendfile::sendfile,
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, recvmsg,
        },
    },
};

use super::{Doors, missing};
use crate::prove::{
    raw,
    ring::{self, By},
};

/// What every attack sends.
const WORD: &[u8] = b"attack";

/// `struct sockaddr_in` or `sockaddr_in6`, with a family that may be another.
fn bytes(address: SocketAddr, family: c_int) -> Vec<u8> {
    let mut bytes = (family as u16).to_ne_bytes().to_vec();
    bytes.extend(address.port().to_be_bytes());
    match address.ip() {
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

fn v4(address: SocketAddr) -> Vec<u8> {
    bytes(address, libc::AF_INET)
}

pub(super) fn tcp4() -> io::Result<OwnedFd> {
    raw::socket(libc::AF_INET, libc::SOCK_STREAM, 0)
}

pub(super) fn udp4() -> io::Result<OwnedFd> {
    raw::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)
}

pub fn connect(doors: &Doors) -> io::Result<()> {
    TcpStream::connect(doors.tcp).map(drop)
}

pub fn connect_v6(doors: &Doors) -> io::Result<()> {
    TcpStream::connect(doors.tcp6.ok_or_else(|| missing("no IPv6"))?).map(drop)
}

fn by_ring(doors: &Doors, by: By) -> io::Result<()> {
    ring::connect(by, tcp4()?, &v4(doors.tcp))
}

pub fn connect_by_ring(doors: &Doors) -> io::Result<()> {
    by_ring(doors, By::Caller)
}

pub fn connect_by_worker(doors: &Doors) -> io::Result<()> {
    by_ring(doors, By::Worker)
}

pub fn connect_by_poller(doors: &Doors) -> io::Result<()> {
    by_ring(doors, By::Poller)
}

pub fn send_by_worker(doors: &Doors) -> io::Result<()> {
    ring::send(By::Worker, raw::inherited(doors.connected)?, WORD)
}

pub fn sendto(doors: &Doors) -> io::Result<()> {
    raw::sendto(udp4()?, WORD, 0, &v4(doors.udp))
}

pub fn sendto_v6(doors: &Doors) -> io::Result<()> {
    let to = doors.udp6.ok_or_else(|| missing("no IPv6"))?;
    let socket = raw::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
    raw::sendto(socket, WORD, 0, &bytes(to, libc::AF_INET6))
}

pub fn send_connected(doors: &Doors) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(doors.udp)?;
    socket.send(WORD).map(drop)
}

pub fn sendmsg(doors: &Doors) -> io::Result<()> {
    raw::sendmsg(udp4()?, WORD, &v4(doors.udp), false)
}

pub fn sendmmsg(doors: &Doors) -> io::Result<()> {
    raw::sendmsg(udp4()?, WORD, &v4(doors.udp), true)
}

pub fn fast_open(doors: &Doors) -> io::Result<()> {
    raw::sendto(tcp4()?, WORD, libc::MSG_FASTOPEN, &v4(doors.tcp))
}

pub fn fast_open_connect(doors: &Doors) -> io::Result<()> {
    let socket = tcp4()?;
    raw::set_option(
        &socket,
        libc::IPPROTO_TCP,
        libc::TCP_FASTOPEN_CONNECT,
        &1i32.to_ne_bytes(),
    )?;
    raw::connect(&socket, &v4(doors.tcp))?;
    TcpStream::from(socket).write_all(WORD)
}

pub fn unspec_datagram(doors: &Doors) -> io::Result<()> {
    raw::sendto(udp4()?, WORD, 0, &bytes(doors.udp, libc::AF_UNSPEC))
}

pub fn v4_name_on_v6_socket(doors: &Doors) -> io::Result<()> {
    let socket = raw::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
    raw::sendto(socket, WORD, 0, &v4(doors.udp))
}

pub fn mapped(doors: &Doors) -> io::Result<()> {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), doors.tcp.port()));
    TcpStream::connect(to).map(drop)
}

pub fn unspecified(doors: &Doors) -> io::Result<()> {
    TcpStream::connect((Ipv4Addr::UNSPECIFIED, doors.tcp.port())).map(drop)
}

pub fn unspecified_v6(doors: &Doors) -> io::Result<()> {
    let to = doors.tcp6.ok_or_else(|| missing("no IPv6"))?;
    TcpStream::connect((Ipv6Addr::UNSPECIFIED, to.port())).map(drop)
}

pub fn as_32_bit(doors: &Doors) -> io::Result<()> {
    raw::connect_as_32_bit(tcp4()?, &v4(doors.tcp))
}

pub fn send_inherited(doors: &Doors) -> io::Result<()> {
    let socket = TcpStream::from(raw::inherited(doors.connected)?);
    (&socket).write_all(WORD)
}

pub fn send_inherited_unix(doors: &Doors) -> io::Result<()> {
    let socket = UnixStream::from(raw::inherited(doors.connected_unix)?);
    (&socket).write_all(WORD)
}

pub fn sendfile_inherited(doors: &Doors) -> io::Result<()> {
    let socket = raw::inherited(doors.connected)?;
    let file = fs::File::open(&doors.program)?;
    sendfile(socket, file, None, WORD.len())?;
    Ok(())
}

pub fn splice_inherited(doors: &Doors) -> io::Result<()> {
    use nix::fcntl::{SpliceFFlags, splice};
    let socket = raw::inherited(doors.connected)?;
    let (reader, writer) = nix::unistd::pipe()?;
    nix::unistd::write(&writer, WORD)?;
    splice(
        reader,
        None,
        socket,
        None,
        WORD.len(),
        SpliceFFlags::empty(),
    )?;
    Ok(())
}

pub fn send_received(doors: &Doors) -> io::Result<()> {
    let gifts = raw::inherited(doors.gifts)?;
    let (mut byte, mut space) = ([0; 1], nix::cmsg_space!([std::os::fd::RawFd; 1]));
    let mut pieces = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<UnixAddr>(
        gifts.as_raw_fd(),
        &mut pieces,
        Some(&mut space),
        MsgFlags::MSG_DONTWAIT,
    )?;
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        // The message came, and the kernel kept what it carried: it does not say why.
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(found) = control
            && let Some(number) = found.first()
        {
            let socket = TcpStream::from(raw::inherited(*number)?);
            return (&socket).write_all(WORD);
        }
    }
    Err(missing("nothing was sent with the message"))
}

pub fn unix_stream(doors: &Doors) -> io::Result<()> {
    UnixStream::connect(&doors.stream).map(drop)
}

pub fn unix_abstract(doors: &Doors) -> io::Result<()> {
    UnixStream::connect_addr(&UnixAddress::from_abstract_name(&doors.name)?).map(drop)
}

pub fn unix_datagram(doors: &Doors) -> io::Result<()> {
    UnixDatagram::unbound()?
        .send_to(WORD, &doors.datagram)
        .map(drop)
}

pub fn unix_packet(doors: &Doors) -> io::Result<()> {
    use nix::sys::socket::{connect, socket};
    let socket = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    connect(socket.as_raw_fd(), &UnixAddr::new(&doors.packet)?)?;
    Ok(())
}

/// A socket keeps the namespace that it was made in.
pub fn other_namespace(doors: &Doors) -> io::Result<()> {
    let socket = tcp4()?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    raw::connect(socket, &v4(doors.tcp))
}

//! Listeners of every kind that an attack may reach, and whether something arrived.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::{self, IoSlice, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr as UnixAddress, UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind,
    listen, sendmsg, socket,
};

/// Comes after whatever an attack sent before.
const MARKER: &[u8] = b"\n";
/// Far beyond what a marker needs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listeners, and connections that attacks are given.
pub struct Sockets {
    pub tcp: TcpListener,
    pub tcp6: Option<TcpListener>,
    pub udp: UdpSocket,
    pub udp6: Option<UdpSocket>,
    stream: UnixListener,
    named: UnixListener,
    datagram: UnixDatagram,
    packet: OwnedFd,
    /// A connection to pass on, and its other end.
    pub near: TcpStream,
    far: TcpStream,
    /// The same over a unix socket.
    pub near_unix: UnixStream,
    far_unix: UnixStream,
    /// By which a connection is sent, and where it is received.
    giver: UnixStream,
    pub gifts: UnixStream,
}

/// Paths and names of unix sockets.
pub struct Names {
    pub stream: PathBuf,
    pub datagram: PathBuf,
    pub packet: PathBuf,
    pub name: String,
}

impl Names {
    pub fn below(folder: &Path, unique: &str) -> Self {
        Self {
            stream: folder.join("stream.sock"),
            datagram: folder.join("datagram.sock"),
            packet: folder.join("packet.sock"),
            name: unique.to_owned(),
        }
    }
}

impl Sockets {
    pub fn open(names: &Names) -> io::Result<Self> {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let tcp6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let udp6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).ok();
        let stream = UnixListener::bind(&names.stream)?;
        let named = UnixListener::bind_addr(&UnixAddress::from_abstract_name(&names.name)?)?;
        let datagram = UnixDatagram::bind(&names.datagram)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let packet = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        bind(packet.as_raw_fd(), &UnixAddr::new(&names.packet)?)?;
        listen(&packet, Backlog::new(8)?)?;
        for path in [&names.stream, &names.datagram, &names.packet] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
        }
        let near = TcpStream::connect(tcp.local_addr()?)?;
        let far = tcp.accept()?.0;
        far.set_read_timeout(Some(PATIENCE))?;
        let near_unix = UnixStream::connect(&names.stream)?;
        let far_unix = stream.accept()?.0;
        far_unix.set_nonblocking(true)?;
        let (giver, gifts) = UnixStream::pair()?;
        gifts.set_nonblocking(true)?;
        for listener in [Some(&tcp), tcp6.as_ref()].into_iter().flatten() {
            listener.set_nonblocking(true)?;
        }
        for socket in [Some(&udp), udp6.as_ref()].into_iter().flatten() {
            socket.set_read_timeout(Some(PATIENCE))?;
        }
        stream.set_nonblocking(true)?;
        named.set_nonblocking(true)?;
        datagram.set_nonblocking(true)?;
        Ok(Self {
            tcp,
            tcp6,
            udp,
            udp6,
            stream,
            named,
            datagram,
            packet,
            near,
            far,
            near_unix,
            far_unix,
            giver,
            gifts,
        })
    }

    /// Sends a connection to whoever receives next.
    pub fn give(&self) -> io::Result<()> {
        let descriptors = [self.near.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&descriptors)];
        sendmsg::<UnixAddr>(
            self.giver.as_raw_fd(),
            &[IoSlice::new(MARKER)],
            &control,
            MsgFlags::empty(),
            None,
        )?;
        Ok(())
    }

    /// Takes back what nobody received.
    fn take_back(&self) {
        while (&self.gifts)
            .read(&mut [0; 16])
            .is_ok_and(|count| count > 0)
        {}
    }

    /// Whether anything arrived anywhere since this was asked last.
    pub fn arrived(&self) -> io::Result<bool> {
        self.take_back();
        let mut found = self.arrived_connected()?;
        for listener in [Some(&self.tcp), self.tcp6.as_ref()].into_iter().flatten() {
            found |= somebody_connected(listener)?;
        }
        for socket in [Some(&self.udp), self.udp6.as_ref()].into_iter().flatten() {
            found |= somebody_sent(socket)?;
        }
        // Unix sockets have no way on which something could still be.
        while (&self.far_unix)
            .read(&mut [0; 64])
            .is_ok_and(|count| count > 0)
        {
            found = true;
        }
        while self.stream.accept().is_ok() {
            found = true;
        }
        while self.named.accept().is_ok() {
            found = true;
        }
        while self.datagram.recv(&mut [0; 64]).is_ok() {
            found = true;
        }
        while let Ok(number) = accept(self.packet.as_raw_fd()) {
            nix::unistd::close(number)?;
            found = true;
        }
        Ok(found)
    }

    fn arrived_connected(&self) -> io::Result<bool> {
        (&self.near).write_all(MARKER)?;
        let mut found = false;
        loop {
            let mut byte = [0; 1];
            (&self.far).read_exact(&mut byte)?;
            if byte == MARKER {
                return Ok(found);
            }
            found = true;
        }
    }
}

fn somebody_connected(listener: &TcpListener) -> io::Result<bool> {
    let marker = TcpStream::connect(listener.local_addr()?)?;
    let last = marker.local_addr()?;
    let mut found = false;
    loop {
        match listener.accept() {
            Ok((_, peer)) if peer == last => return Ok(found),
            Ok(_) => found = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

fn somebody_sent(socket: &UdpSocket) -> io::Result<bool> {
    let own = socket.local_addr()?;
    let marker = UdpSocket::bind(SocketAddr::new(own.ip(), 0))?;
    marker.send_to(MARKER, own)?;
    let last = marker.local_addr()?;
    let mut found = false;
    loop {
        let (_, from) = socket.recv_from(&mut [0; 64])?;
        if from == last {
            return Ok(found);
        }
        found = true;
    }
}

//! Servers that say what arrived.
//!
//! Nothing is waited for: to ask, a server is sent a marker of the test's own, and everything that
//! came before it stands before it in the server's queue. (Loopback and unix sockets keep the order.)

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream},
    },
    path::Path,
};

use crate::cli::unique;

/// 127.0.0.1.
pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// ::1.
pub const LOOPBACK6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A TCP server.
#[derive(Debug)]
pub struct TcpServer {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

impl TcpServer {
    /// On some free port of this address.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn on(ip: IpAddr) -> Self {
        Self::at(SocketAddr::new(ip, 0)).expect("a TCP server listens")
    }

    /// At this address; `None` when it is taken.
    #[must_use]
    pub fn at(address: SocketAddr) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let address = listener.local_addr().ok()?;
        Some(Self { listener, address })
    }

    /// Its destination as a policy writes it.
    #[must_use]
    pub fn destination(&self) -> String {
        format!("tcp:{}", self.address)
    }

    /// Connections that arrived since the last time it was asked.
    ///
    /// # Panics
    /// When the test's own connection fails.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.accept_all().len()
    }

    /// What came over those connections, each as far as it is there now.
    ///
    /// # Panics
    /// When the test's own connection fails.
    #[must_use]
    pub fn received(&self) -> Vec<Vec<u8>> {
        let connections = self.accept_all();
        connections
            .into_iter()
            .map(|stream| there(&stream))
            .collect()
    }

    fn accept_all(&self) -> Vec<TcpStream> {
        let marker = TcpStream::connect(self.address).expect("the marker connects");
        let marker = marker.local_addr().expect("it has an address");
        let mut connections = Vec::new();
        loop {
            let (stream, peer) = self.listener.accept().expect("a connection is there");
            if peer == marker {
                return connections;
            }
            connections.push(stream);
        }
    }
}

fn there(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.set_nonblocking(true).expect("it can be set");
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Vec::new(),
        Ok(_) | Err(_) => bytes,
    }
}

/// A UDP server.
#[derive(Debug)]
pub struct UdpServer {
    socket: UdpSocket,
    /// Where it listens.
    pub address: SocketAddr,
}

impl UdpServer {
    /// On some free port of this address.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn on(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("a UDP server listens");
        let address = socket.local_addr().expect("it has an address");
        Self { socket, address }
    }

    /// Its destination as a policy writes it.
    #[must_use]
    pub fn destination(&self) -> String {
        format!("udp:{}", self.address)
    }

    /// Datagrams that arrived since the last time it was asked.
    ///
    /// # Panics
    /// When the test's own datagram cannot be sent.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.received().len()
    }

    /// What they held.
    ///
    /// # Panics
    /// When the test's own datagram cannot be sent.
    #[must_use]
    pub fn received(&self) -> Vec<Vec<u8>> {
        let marker = UdpSocket::bind((self.address.ip(), 0)).expect("a socket");
        marker.send_to(b"marker", self.address).expect("it is sent");
        let marker = marker.local_addr().expect("it has an address");
        let mut datagrams = Vec::new();
        let mut buffer = [0; 2048];
        loop {
            let (length, peer) = self.socket.recv_from(&mut buffer).expect("a datagram");
            if peer == marker {
                return datagrams;
            }
            datagrams.push(buffer[..length].to_vec());
        }
    }
}

fn unix_address(name: &str) -> UnixAddr {
    match name.strip_prefix('@') {
        Some(name) => UnixAddr::from_abstract_name(name),
        None => UnixAddr::from_pathname(name),
    }
    .expect("a unix address")
}

/// Binding over what an earlier server left there makes a new inode.
fn unlink(name: &str) {
    if !name.starts_with('@') {
        let _ = fs::remove_file(Path::new(name));
    }
}

/// A unix stream server.
#[derive(Debug)]
pub struct UnixServer {
    listener: UnixListener,
    /// Its path, or `@` and its abstract name.
    pub name: String,
}

impl UnixServer {
    /// At a path, or at an abstract name after `@`.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn at(name: &str) -> Self {
        unlink(name);
        let listener = UnixListener::bind_addr(&unix_address(name)).expect("a unix server listens");
        Self {
            listener,
            name: name.to_owned(),
        }
    }

    /// The socket itself.
    #[must_use]
    pub const fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Connections that arrived since the last time it was asked. It must have its name still.
    ///
    /// # Panics
    /// When the test's own connection fails.
    #[must_use]
    pub fn arrived(&self) -> usize {
        let mark = unique("marker");
        let address = self.listener.local_addr().expect("it has an address");
        let mut marker = UnixStream::connect_addr(&address).expect("the marker connects");
        marker.write_all(mark.as_bytes()).expect("it is sent");
        let mut connections = 0;
        loop {
            let (mut stream, _) = self.listener.accept().expect("a connection is there");
            stream.set_nonblocking(true).expect("it can be set");
            let mut bytes = [0; 64];
            let length = stream.read(&mut bytes).unwrap_or(0);
            if bytes[..length] == *mark.as_bytes() {
                return connections;
            }
            connections += 1;
        }
    }
}

/// A unix datagram server.
#[derive(Debug)]
pub struct UnixDatagramServer {
    socket: UnixDatagram,
    /// Its path, or `@` and its abstract name.
    pub name: String,
}

impl UnixDatagramServer {
    /// At a path, or at an abstract name after `@`.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn at(name: &str) -> Self {
        unlink(name);
        let socket = UnixDatagram::bind_addr(&unix_address(name)).expect("a unix server listens");
        Self {
            socket,
            name: name.to_owned(),
        }
    }

    /// Datagrams that arrived since the last time it was asked.
    ///
    /// # Panics
    /// When the test's own datagram cannot be sent.
    #[must_use]
    pub fn arrived(&self) -> usize {
        let mark = unique("marker");
        let address = self.socket.local_addr().expect("it has an address");
        let marker = UnixDatagram::unbound().expect("a socket");
        marker
            .send_to_addr(mark.as_bytes(), &address)
            .expect("it is sent");
        let mut datagrams = 0;
        let mut bytes = [0; 2048];
        loop {
            let length = self.socket.recv(&mut bytes).expect("a datagram is there");
            if bytes[..length] == *mark.as_bytes() {
                return datagrams;
            }
            datagrams += 1;
        }
    }
}

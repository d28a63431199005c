//! A connection, plain or by TLS, that never waits past its time.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned};

use super::tls;
use crate::{config::Endpoint, sink::Failure, stop::Until};

/// How often a wait looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);

enum Way {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// What is said of an end that TLS does not vouch for.
const UNTOLD: &str = "the receiver ended TLS without `close_notify`, so that nobody knows whether it has read everything; rsyslog's driver `gtls` does so and its driver `ossl` does not; or use RELP; or accept it with `confirm = \"eof\"`";
/// How long a reset may take to come after the receiver's end.
const RESET: Duration = Duration::from_millis(200);

/// A connection to a receiver.
pub(crate) struct Stream {
    way: Way,
    peer: String,
}

impl Stream {
    /// Connects, with TLS where `tls` is given.
    pub fn open(
        endpoint: &Endpoint,
        tls: Option<tls::Client>,
        until: &Until,
    ) -> Result<Self, Failure> {
        let peer = endpoint.text.clone();
        let socket = connect(endpoint, until)?;
        let prepared = socket
            .set_nodelay(true)
            .and_then(|()| socket.set_read_timeout(Some(TICK)))
            .and_then(|()| socket.set_write_timeout(Some(TICK)));
        prepared.map_err(|error| Failure::Broken(format!("{peer}: {error}")))?;
        let stream = Self {
            way: Way::Plain(socket),
            peer,
        };
        match tls {
            None => Ok(stream),
            Some(client) => stream.secured(client, until),
        }
    }

    /// The same connection by TLS from here on; gives it once the handshake is done.
    pub fn secured(self, client: tls::Client, until: &Until) -> Result<Self, Failure> {
        let Way::Plain(socket) = self.way else {
            return Ok(self);
        };
        let connection = ClientConnection::new(client.config, client.name)
            .map_err(|error| Failure::Held(format!("{}: TLS: {error}", self.peer)))?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            match stream.conn.complete_io(&mut stream.sock) {
                Ok(_) => {}
                Err(error) => wait_or_fail(&self.peer, error, until)?,
            }
        }
        Ok(Self {
            way: Way::Tls(Box::new(stream)),
            peer: self.peer,
        })
    }

    /// Sends all of `bytes`.
    pub fn write_all(&mut self, bytes: &[u8], until: &Until) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = match &mut self.way {
                Way::Plain(socket) => socket.write(rest),
                Way::Tls(stream) => stream.write(rest),
            };
            match written {
                Ok(0) => return Err(self.closed()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if is_wait(&error) => wait_or_fail(&self.peer, error, until)?,
                Err(error) => return Err(self.reason(&error)),
            }
        }
        self.flush(until)
    }

    fn flush(&mut self, until: &Until) -> Result<(), Failure> {
        loop {
            let flushed = match &mut self.way {
                Way::Plain(socket) => socket.flush(),
                Way::Tls(stream) => stream.flush(),
            };
            match flushed {
                Ok(()) => return Ok(()),
                Err(error) if is_wait(&error) => wait_or_fail(&self.peer, error, until)?,
                Err(error) => return Err(self.reason(&error)),
            }
        }
    }

    /// Why nothing more can be sent: a receiver that refuses a client's certificate says so and
    /// closes, and the closing can be seen before what it said is read.
    fn reason(&mut self, error: &io::Error) -> Failure {
        let said = self.read_once(&mut [0; 4_096]).err();
        match said.map(|said| failure(&self.peer, &said)) {
            Some(held @ Failure::Held(_)) => held,
            _ => failure(&self.peer, error),
        }
    }

    /// What comes next; 0 when the receiver has ended its side.
    pub fn read(&mut self, buffer: &mut [u8], until: &Until) -> Result<usize, Failure> {
        loop {
            match self.read_once(buffer) {
                Ok(count) => return Ok(count),
                Err(error) => wait_or_fail(&self.peer, error, until)?,
            }
        }
    }

    fn read_once(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Plain(socket) => socket.read(buffer),
            Way::Tls(stream) => stream.read(buffer),
        }
    }

    /// What has come already, without waiting; `None` when that is nothing. An end of the connection
    /// is an error: it is asked between two exchanges, when the receiver has no reason to end it.
    pub fn poll(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
        self.set_nonblocking(true)?;
        let read = self.read_once(buffer);
        self.set_nonblocking(false)?;
        match read {
            Ok(0) => Err(self.closed()),
            Ok(count) => Ok(Some(count)),
            Err(error) if is_wait(&error) => Ok(None),
            Err(error) => Err(failure(&self.peer, &error)),
        }
    }

    fn set_nonblocking(&self, on: bool) -> Result<(), Failure> {
        self.socket()
            .set_nonblocking(on)
            .map_err(|error| failure(&self.peer, &error))
    }

    fn socket(&self) -> &TcpStream {
        match &self.way {
            Way::Plain(socket) => socket,
            Way::Tls(stream) => &stream.sock,
        }
    }

    /// Ends this side and waits for the receiver to end its own: it has then read everything that
    /// was sent. By TLS its end must be told by `close_notify` when `is_strict`, since anybody on the
    /// way can end a TCP connection.
    ///
    /// A receiver that ended its side by itself, before it had read our end, has perhaps not read
    /// all. When that was a while ago, it is seen before; when it crossed our end, what it had not
    /// read makes its system answer with a reset, for which is waited a little.
    pub fn finish(mut self, is_strict: bool, until: &Until) -> Result<(), Failure> {
        while self.poll(&mut [0; 4_096])?.is_some() {}
        if let Way::Tls(stream) = &mut self.way {
            stream.conn.send_close_notify();
        }
        self.flush(until)?;
        self.socket()
            .shutdown(Shutdown::Write)
            .map_err(|error| failure(&self.peer, &error))?;
        let mut buffer = [0; 4_096];
        loop {
            match self.read_once(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                // rustls's error for an end without `close_notify`.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    if is_strict {
                        return Err(Failure::Held(format!("{}: {UNTOLD}", self.peer)));
                    }
                    break;
                }
                Err(error) => wait_or_fail(&self.peer, error, until)?,
            }
        }
        std::thread::sleep(RESET.min(until.left()));
        match self.socket().take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(failure(&self.peer, &error)),
        }
    }

    /// The failure of a connection that the receiver closed.
    pub fn closed(&self) -> Failure {
        Failure::Broken(format!("{}: the receiver closed the connection", self.peer))
    }
}

fn connect(endpoint: &Endpoint, until: &Until) -> Result<TcpStream, Failure> {
    let peer = &endpoint.text;
    let addresses = (endpoint.host.as_str(), endpoint.port)
        .to_socket_addrs()
        .map_err(|error| {
            Failure::Broken(format!("{peer}: no address for {}: {error}", endpoint.host))
        })?;
    let mut last = format!("{peer}: no address for {}", endpoint.host);
    for address in addresses {
        let left = until.left();
        if until.is_stopped() {
            return Err(Failure::Stopped);
        }
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = format!("{peer} ({address}): {error}"),
        }
    }
    Err(Failure::Broken(last))
}

fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// Lets a wait go on that has time left.
fn wait_or_fail(peer: &str, error: io::Error, until: &Until) -> Result<(), Failure> {
    if !is_wait(&error) {
        return Err(failure(peer, &error));
    }
    if until.is_stopped() {
        return Err(Failure::Stopped);
    }
    if until.left().is_zero() {
        return Err(Failure::Broken(format!("{peer}: no answer in time")));
    }
    Ok(())
}

fn failure(peer: &str, error: &io::Error) -> Failure {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(inner) if tls::needs_somebody(inner) => Failure::Held(format!("{peer}: TLS: {inner}")),
        Some(inner) => Failure::Broken(format!("{peer}: TLS: {inner}")),
        None => Failure::Broken(format!("{peer}: {error}")),
    }
}

//! A receiver on a loopback port: connections, each by a thread of its own, plain or by TLS, and
//! what all receivers keep account of.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::uid;

/// What a receiver does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Ends the connection before the frame or request is read to its end.
    CloseMidFrame,
    /// Takes the records, and ends the connection without a word.
    TakeAndClose,
    /// Answers by an HTTP status, and how long it wants to be left alone.
    Status(u16, Option<&'static str>),
    /// Answers late.
    Slow(Duration),
    /// Answers this one record of a bulk with a status.
    Item(u16),
    /// Forgets what it has taken and not acknowledged.
    Forget,
}

/// What receivers keep account of.
#[derive(Default)]
pub struct Account {
    /// Uids in the order that they came in, each as often as it came.
    pub taken: Mutex<Vec<String>>,
    /// What was not as the protocol has it.
    pub malformed: Mutex<Vec<String>>,
    /// What to do wrong, and after how many more frames or requests.
    faults: Mutex<VecDeque<(usize, Fault)>>,
    /// Uids that are refused for ever.
    pub refused: Mutex<HashSet<String>>,
    /// Ends TLS without `close_notify`.
    pub is_rude: AtomicBool,
    pub connections: AtomicUsize,
    pub requests: AtomicUsize,
    down: AtomicBool,
}

impl Account {
    pub fn take(&self, uid: String) {
        self.taken.lock().expect("taken").push(uid);
    }

    pub fn malformed(&self, what: impl Into<String>) {
        self.malformed.lock().expect("malformed").push(what.into());
    }

    pub fn refuses(&self, uid: &str) -> bool {
        self.refused.lock().expect("refused").contains(uid)
    }

    /// The fault that is due with this frame or request.
    pub fn fault(&self) -> Option<Fault> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut faults = self.faults.lock().expect("faults");
        let (after, _) = faults.front_mut()?;
        if *after > 0 {
            *after -= 1;
            return None;
        }
        faults.pop_front().map(|(_, fault)| fault)
    }

    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    pub fn distinct(&self) -> BTreeSet<String> {
        self.taken.lock().expect("taken").iter().cloned().collect()
    }

    /// Holds the account to all of `expected`: each came, nothing was malformed, and the first
    /// arrivals are in order.
    pub fn assert_all(&self, expected: impl IntoIterator<Item = usize>) {
        let malformed = self.malformed.lock().expect("malformed");
        assert!(malformed.is_empty(), "malformed: {malformed:#?}");
        let expected: Vec<String> = expected.into_iter().map(uid).collect();
        let mut seen = HashSet::new();
        let mut firsts = self.taken.lock().expect("taken").clone();
        firsts.retain(|uid| seen.insert(uid.clone()));
        let missing: Vec<_> = expected.iter().filter(|uid| !seen.contains(*uid)).collect();
        assert!(missing.is_empty(), "lost: {missing:?}");
        assert_eq!(firsts, expected, "out of order");
    }

    /// Records that came more than once, counted.
    pub fn repeated(&self) -> usize {
        let taken = self.taken.lock().expect("taken");
        taken.len() - taken.iter().collect::<HashSet<_>>().len()
    }
}

/// A connection.
pub trait Connection: Read + Write {
    /// Begins TLS on it.
    fn secure(&mut self, config: Arc<ServerConfig>) -> io::Result<()>;
}

enum Way {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    None,
}

struct Link {
    way: Way,
    account: Arc<Account>,
}

impl Link {
    fn again<T>(&mut self, mut act: impl FnMut(&mut Way) -> io::Result<T>) -> io::Result<T> {
        loop {
            if self.account.is_down() {
                return Err(io::Error::other("down"));
            }
            match act(&mut self.way) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                result => return result,
            }
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.again(|way| match way {
            Way::Plain(socket) => socket.read(buffer),
            Way::Tls(stream) => stream.read(buffer),
            Way::None => Ok(0),
        })
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.again(|way| match way {
            Way::Plain(socket) => socket.write(bytes),
            Way::Tls(stream) => stream.write(bytes),
            Way::None => Ok(0),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.again(|way| match way {
            Way::Plain(socket) => socket.flush(),
            Way::Tls(stream) => stream.flush(),
            Way::None => Ok(()),
        })
    }
}

impl Connection for Link {
    fn secure(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let Way::Plain(socket) = std::mem::replace(&mut self.way, Way::None) else {
            return Err(io::Error::other("secure already"));
        };
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        self.way = Way::Tls(Box::new(StreamOwned::new(connection, socket)));
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.account.is_rude.load(Ordering::SeqCst) {
            return;
        }
        if let Way::Tls(stream) = &mut self.way {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }
}

/// What a receiver does with a connection.
pub type Serve = Arc<dyn Fn(&mut dyn Connection, &Account) -> io::Result<()> + Send + Sync>;

/// A receiver.
pub struct Server {
    pub address: SocketAddr,
    pub account: Arc<Account>,
    tls: Option<Arc<ServerConfig>>,
    serve: Serve,
    acceptor: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub fn new(
        tls: Option<Arc<ServerConfig>>,
        serve: impl Fn(&mut dyn Connection, &Account) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut server = Self {
            address: listener.local_addr().expect("its address"),
            account: Arc::default(),
            tls,
            serve: Arc::new(serve),
            acceptor: None,
        };
        server.accept(listener);
        server
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Does wrong: each after so many more frames or requests.
    pub fn faults(&self, faults: impl IntoIterator<Item = (usize, Fault)>) {
        self.account.faults.lock().expect("faults").extend(faults);
    }

    pub fn refuse(&self, number: usize) {
        let mut refused = self.account.refused.lock().expect("refused");
        refused.insert(uid(number));
    }

    fn accept(&mut self, listener: TcpListener) {
        listener.set_nonblocking(true).expect("nonblocking");
        let (account, tls, serve) = (self.account.clone(), self.tls.clone(), self.serve.clone());
        self.acceptor = Some(thread::spawn(move || {
            while !account.is_down() {
                let Ok((socket, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                account.connections.fetch_add(1, Ordering::SeqCst);
                let (account, tls, serve) = (account.clone(), tls.clone(), serve.clone());
                thread::spawn(move || {
                    socket.set_nonblocking(false).expect("blocking");
                    let tick = Some(Duration::from_millis(20));
                    socket.set_read_timeout(tick).expect("timeout");
                    socket.set_write_timeout(tick).expect("timeout");
                    let mut link = Link {
                        way: Way::Plain(socket),
                        account: account.clone(),
                    };
                    if let Some(tls) = tls {
                        let _ = link.secure(tls);
                    }
                    let _ = serve(&mut link, &account);
                });
            }
        }));
    }

    /// Goes away: no new connections, the old ones end.
    pub fn down(&mut self) {
        self.account.down.store(true, Ordering::SeqCst);
        self.acceptor.take().expect("up").join().expect("ended");
        thread::sleep(Duration::from_millis(60));
    }

    /// Comes back.
    pub fn up(&mut self) {
        self.account.down.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(self.address).expect("the same port");
        self.accept(listener);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.account.down.store(true, Ordering::SeqCst);
    }
}

/// Reads one byte; `None` at the end.
pub fn byte(connection: &mut dyn Connection) -> io::Result<Option<u8>> {
    let mut byte = [0];
    Ok((connection.read(&mut byte)? == 1).then_some(byte[0]))
}

/// Bytes buffered on the way in: one read call a byte is too slow by TLS.
pub struct Buffered<'a> {
    pub connection: &'a mut dyn Connection,
    bytes: VecDeque<u8>,
}

impl<'a> Buffered<'a> {
    pub fn new(connection: &'a mut dyn Connection) -> Self {
        Self {
            connection,
            bytes: VecDeque::new(),
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        let count = self.connection.read(&mut buffer)?;
        self.bytes.extend(&buffer[..count]);
        Ok(count > 0)
    }

    /// The next byte; `None` at the end.
    pub fn byte(&mut self) -> io::Result<Option<u8>> {
        if self.bytes.is_empty() && !self.fill()? {
            return Ok(None);
        }
        Ok(self.bytes.pop_front())
    }

    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.bytes.len() < count {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.bytes.drain(..count).collect())
    }

    /// Bytes up to a delimiter, which is taken too; `None` at the end before the first byte.
    pub fn until(&mut self, delimiter: u8) -> io::Result<Option<Vec<u8>>> {
        let mut found = Vec::new();
        loop {
            match self.byte()? {
                None if found.is_empty() => return Ok(None),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(byte) if byte == delimiter => return Ok(Some(found)),
                Some(byte) => found.push(byte),
            }
        }
    }
}

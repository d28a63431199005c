//! The canary: a process of the daemon's own, put into a session that allows nothing, tries what
//! must be denied. Only when the kernel has denied all of it is the word "enforcing" used.
//!
//! The daemon starts `enforcer canary`, which waits outside; gives it a pending label; and lets it
//! go. It then execs itself (which the canary's tables allow, so that enrolment and the exec
//! decision are seen to work), tries the rest, and says what came of it. The daemon compares that
//! with the denials that it reads from the ring: a denial without an event would be as bad.

#![forbid(unsafe_code)]

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            net::{UnixListener, UnixStream},
            process::CommandExt,
        },
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use enforcer_common::{
    object::FileId,
    permit::{ALWAYS, ExecPermit, NO_CELL, Permit},
};
use enforcer_policy::Tables;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::{core::Core, launch, policies::CANARY};
use crate::{
    clock,
    control::api::{Canary, LaunchRequest},
    kernel::learn::Learner,
};

/// How long the events of the canary may take to be read at least.
const EVENTS_TIME: Duration = Duration::from_secs(10);
/// How long the canary itself may take.
const CANARY_TIME: Duration = Duration::from_secs(30);
/// This program, whatever its path is by now.
const SELF: &str = "/proc/self/exe";

/// One thing that was tried inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Attempt {
    what: String,
    /// `errno` of the failure; `None` = it worked.
    errno: Option<i32>,
}

/// Where the canary is to knock.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Doors {
    tcp: SocketAddr,
    udp: SocketAddr,
    unix: std::path::PathBuf,
}

/// The canary's tables: the daemon's own binary may run, nothing else is listed.
///
/// # Errors
/// When the kernel does not tell the binary's identity.
pub fn tables(learner: &Learner) -> io::Result<Tables> {
    let (file, stamp) = learner.identify(Path::new(SELF))?;
    let permit = Permit {
        allow: ALWAYS,
        deny: 0,
        cell: NO_CELL,
        pad: 0,
    };
    let entry: (FileId, ExecPermit) = (
        file,
        ExecPermit {
            permit,
            conditions: ALWAYS,
            stamp,
        },
    );
    Ok(Tables {
        executables: vec![entry],
        ..Tables::default()
    })
}

/// One canary at a time: they share their listeners and the count of their denials.
static CAGE: Mutex<()> = Mutex::new(());

/// Runs a canary and says what it showed.
pub fn run(core: &Arc<Core>) -> Canary {
    let _alone = CAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let result = try_run(core);
    let at = Some(clock::now_text());
    match result {
        Ok(detail) => Canary {
            passed: true,
            at,
            detail,
        },
        Err(detail) => Canary {
            passed: false,
            at,
            detail,
        },
    }
}

fn try_run(core: &Arc<Core>) -> Result<String, String> {
    let failed = |what: &'static str| {
        move |error: io::Error| format!("the canary could not be run: {what}: {error}")
    };
    renew(core)?;
    let hall =
        Hall::open(&core.config.run_dir().join("canary.sock")).map_err(failed("its listeners"))?;
    let mut bird = Bird::start().map_err(failed("its process"))?;
    let terms = launch::Terms::of_canary(core.policies().generation());
    let request = LaunchRequest {
        agent: CANARY.to_owned(),
        task: None,
        command: vec![SELF.to_owned(), "canary".to_owned()],
    };
    let pid = bird.child.id();
    let launched =
        launch::begin(core, terms, request, pid, 0).map_err(|problem| problem.message)?;
    core.count_canary(launched.session);
    let told = bird.fly(&hall.doors());
    if told.is_err() {
        bird.end();
        core.drop_pending(launched.session, pid);
    }
    let attempts = told.map_err(failed("what it said"))?;
    judge(&attempts, hall.somebody_came())?;
    await_events(core, attempts.len())?;
    let what: Vec<&str> = attempts
        .iter()
        .map(|attempt| attempt.what.as_str())
        .collect();
    Ok(format!(
        "the kernel denied {} attempts of a process of the daemon's own: {}",
        attempts.len(),
        what.join(", ")
    ))
}

/// Has the tables list the daemon's binary as it is now.
fn renew(core: &Arc<Core>) -> Result<(), String> {
    let tables = tables(&core.learner)
        .map_err(|error| format!("the canary's policy cannot be made: {error}"))?;
    let mut policies = core.policies();
    let store_names = |generation, agents| core.names().add(generation, agents);
    policies
        .renew_canary(&tables, &core.busy_agents(), &store_names)
        .map_err(|problem| problem.message)
}

fn judge(attempts: &[Attempt], somebody_came: bool) -> Result<(), String> {
    let eperm = nix::errno::Errno::EPERM as i32;
    for attempt in attempts {
        match attempt.errno {
            Some(errno) if errno == eperm => {}
            Some(errno) => {
                let error = io::Error::from_raw_os_error(errno);
                return Err(format!(
                    "the kernel did not deny the canary: {} failed otherwise: {error}",
                    attempt.what
                ));
            }
            None => {
                return Err(format!(
                    "the kernel did not deny the canary: {} worked",
                    attempt.what
                ));
            }
        }
    }
    if attempts.is_empty() {
        return Err("the canary tried nothing".to_owned());
    }
    if somebody_came {
        return Err(
            "the canary was told it was denied, and its connection arrived all the same".to_owned(),
        );
    }
    Ok(())
}

/// Waits until each denial has been read from the ring as an event.
///
/// There may be many before it, of a time without a daemon, and a log that is full may hold them all
/// back: that the canary's own did not come is known only once all that was there has been read.
fn await_events(core: &Core, expected: usize) -> Result<(), String> {
    let (patience, emptied) = (Instant::now() + EVENTS_TIME, core.emptied());
    loop {
        let read = core.canary_denials();
        if read >= u64::try_from(expected).unwrap_or(u64::MAX) {
            return Ok(());
        }
        // The first time may have begun before the canary was through.
        if Instant::now() > patience && core.emptied() > emptied + 1 {
            return Err(format!(
                "the kernel denied the canary {expected} times, and {read} events of it came"
            ));
        }
        if core.is_stopping() {
            return Err("the daemon stops before the canary's events were read".to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The listeners that nobody must reach.
struct Hall {
    tcp: TcpListener,
    udp: UdpSocket,
    unix: UnixListener,
    path: std::path::PathBuf,
}

impl Hall {
    fn open(path: &Path) -> io::Result<Self> {
        let _ = std::fs::remove_file(path); // of a daemon that was killed
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        let unix = UnixListener::bind(path)?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        unix.set_nonblocking(true)?;
        Ok(Self {
            tcp,
            udp,
            unix,
            path: path.to_owned(),
        })
    }

    fn doors(&self) -> Doors {
        let none = SocketAddr::from(([127, 0, 0, 1], 9));
        Doors {
            tcp: self.tcp.local_addr().unwrap_or(none),
            udp: self.udp.local_addr().unwrap_or(none),
            unix: self.path.clone(),
        }
    }

    fn somebody_came(&self) -> bool {
        self.tcp.accept().is_ok()
            || self.unix.accept().is_ok()
            || self.udp.recv_from(&mut [0; 16]).is_ok()
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The canary's process.
struct Bird {
    child: Child,
}

impl Bird {
    /// Starts it outside; it waits for its doors.
    fn start() -> io::Result<Self> {
        let child = Command::new(SELF)
            .arg("canary")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child })
    }

    /// Lets it go in, and takes what it says.
    fn fly(&mut self, doors: &Doors) -> io::Result<Vec<Attempt>> {
        let watchdog = Watchdog::of(&self.child);
        let mut stdin = self.child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(format!("{}\n", serde_json::to_string(doors)?).as_bytes())?;
        drop(stdin);
        let mut said = String::new();
        self.child
            .stdout
            .take()
            .ok_or(io::ErrorKind::BrokenPipe)?
            .read_to_string(&mut said)?;
        let status = self.child.wait()?;
        drop(watchdog);
        if !status.success() {
            return Err(io::Error::other(format!("{status} after saying {said:?}")));
        }
        Ok(serde_json::from_str(&said)?)
    }

    fn end(&mut self) {
        let _ = self.child.kill(); // it may be gone
        let _ = self.child.wait();
    }
}

/// Ends a canary that hangs, so that the daemon does not hang with it.
struct Watchdog {
    done: std::sync::mpsc::Sender<()>,
}

impl Watchdog {
    fn of(child: &Child) -> Self {
        let (done, finished) = std::sync::mpsc::channel::<()>();
        let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
        thread::spawn(move || {
            if finished.recv_timeout(CANARY_TIME) == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        });
        Self { done }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.done.send(()); // the thread may be gone
    }
}

/// The verb `canary`, outside: waits for the doors, then goes in by an exec of itself.
///
/// # Errors
/// When the exec is denied, which it must not be.
pub fn outside() -> io::Result<()> {
    let mut doors = String::new();
    BufReader::new(io::stdin()).read_line(&mut doors)?;
    Err(Command::new(SELF)
        .arg("canary")
        .arg("--inside")
        .arg(doors.trim())
        .exec())
}

/// The verb `canary --inside`: tries everything and says what came of it.
///
/// # Errors
/// When it was not told where to knock, or cannot say it.
pub fn inside(doors: &str) -> io::Result<()> {
    let doors: Doors = serde_json::from_str(doors)?;
    let attempts = [
        attempt("exec of an unlisted file", exec_unlisted()),
        attempt("TCP connect", TcpStream::connect(doors.tcp).map(drop)),
        attempt("UDP send", send_datagram(doors.udp)),
        attempt("unix connect", UnixStream::connect(&doors.unix).map(drop)),
        attempt("netlink socket", netlink_socket().map(drop)),
    ];
    println!("{}", serde_json::to_string(&attempts)?);
    Ok(())
}

fn attempt(what: &str, result: io::Result<()>) -> Attempt {
    let errno = result
        .err()
        .map(|error| error.raw_os_error().unwrap_or_default());
    Attempt {
        what: what.to_owned(),
        errno,
    }
}

/// An exec of a file in memory that no policy can list. It returns only if it fails; did the kernel
/// let it through, it would fail otherwise (it is no program), and not with EPERM.
fn exec_unlisted() -> io::Result<()> {
    let file = memfd_create(c"canary", MFdFlags::empty())?;
    nix::unistd::write(&file, b"no program")?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Err(Command::new(path).exec())
}

fn send_datagram(to: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.send_to(b"canary", to).map(drop)
}

fn netlink_socket() -> io::Result<OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    Ok(socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::empty(),
        SockProtocol::NetlinkRoute,
    )?)
}

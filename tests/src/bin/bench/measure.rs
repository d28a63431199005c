//! The operations, and what one call of each costs this thread.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    libc::{EPERM, O_CLOEXEC},
    sys::{
        resource::{UsageWho, getrusage},
        socket::{setsockopt, sockopt},
    },
    time::{ClockId, clock_gettime},
};

use super::Numbers;

/// A program that ends at once, without a library: what is measured is the kernel's part.
pub const NOTHING: &str = "/opt/enforcer-tests/nothing";
/// Its twin, which no policy lists.
pub const UNLISTED: &str = "/opt/enforcer-tests/nothing-unlisted";
/// Listed code, which is not opened for writing.
pub const LISTED: &str = NOTHING;
/// Ports of the servers on 127.0.0.1, which policies name.
pub const TCP_PORT: u16 = 7001;
/// As [`TCP_PORT`].
pub const UDP_PORT: u16 = 7002;
/// Times that each operation is measured: the least disturbed one counts.
const ROUNDS: u32 = 9;

/// Makes the programs that are run.
pub fn prepare() -> Result<()> {
    let source = "/opt/enforcer-tests/nothing.S";
    fs::write(
        source,
        ".globl _start\n_start: mov $60, %eax\nxor %edi, %edi\nsyscall\n",
    )?;
    let gcc = Command::new("/usr/bin/gcc")
        .args(["-nostdlib", "-static", "-o", NOTHING, source])
        .status()?;
    ensure!(gcc.success(), "gcc: {gcc}");
    fs::copy(NOTHING, UNLISTED)?;
    fs::set_permissions(UNLISTED, fs::Permissions::from_mode(0o755)).context(UNLISTED)
}

/// Measures every operation; `denied` are those that a policy refuses.
pub fn all(denied: bool) -> Result<Numbers> {
    let mut numbers = Numbers::new();
    let mut note = |name: &str, number: u64| numbers.insert(name.to_owned(), number);
    if denied {
        note("tcp", tcp_denied()?);
        note("udp", udp(true)?);
        note("exec", exec(UNLISTED, true)?);
        note("open", open_denied()?);
    } else {
        note("tcp", tcp()?);
        note("udp", udp(false)?);
        note("exec", exec(NOTHING, false)?);
        note("open", open()?);
        note("read", read()?);
    }
    Ok(numbers)
}

/// Processor time of this thread so far.
fn thread_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// Processor time of this process's children so far.
fn children_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Ok(Duration::from_micros(
        micros.iter().sum::<i64>().try_into()?,
    ))
}

/// The cost of one call: the least of several rounds, since interrupts only add.
fn per_call(calls: u32, mut call: impl FnMut() -> Result<()>) -> Result<u64> {
    for _ in 0..calls / 10 {
        call()?; // caches of the kernel and of this process
    }
    let mut least = u64::MAX;
    for _ in 0..ROUNDS {
        let before = thread_time()? + children_time()?;
        for _ in 0..calls {
            call()?;
        }
        let spent = thread_time()? + children_time()? - before;
        least = least.min(u64::try_from(spent.as_nanos())? / u64::from(calls));
    }
    Ok(least)
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Connect, accept and close, on loopback. Closed by reset, so that no port waits.
fn tcp() -> Result<u64> {
    let listener = TcpListener::bind(at(TCP_PORT)).context("the TCP server")?;
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    per_call(1_000, || {
        let stream = TcpStream::connect(at(TCP_PORT))?;
        let (accepted, _) = listener.accept()?;
        setsockopt(&stream.as_fd(), sockopt::Linger, &linger)?;
        drop(stream);
        drop(accepted);
        Ok(())
    })
}

fn tcp_denied() -> Result<u64> {
    per_call(1_000, || {
        is_denied(&TcpStream::connect(at(TCP_PORT)).map(drop))
    })
}

/// A datagram of 64 bytes to a socket that nobody reads: once its buffer is full the kernel drops it.
fn udp(denied: bool) -> Result<u64> {
    let _server = UdpSocket::bind(at(UDP_PORT)).context("the UDP server")?;
    let socket = UdpSocket::bind(at(0))?;
    per_call(5_000, || {
        let sent = socket.send_to(&[0; 64], at(UDP_PORT)).map(drop);
        if denied { is_denied(&sent) } else { Ok(sent?) }
    })
}

/// vfork, exec, exit, wait: std's way to start a process.
fn exec(program: &str, denied: bool) -> Result<u64> {
    per_call(200, || {
        let ended = Command::new(program).stdin(Stdio::null()).status();
        if denied {
            return is_denied(&ended.map(drop));
        }
        ensure!(ended?.success(), "{program}");
        Ok(())
    })
}

fn open() -> Result<u64> {
    per_call(5_000, || {
        drop(File::open("/etc/hostname")?);
        Ok(())
    })
}

fn open_denied() -> Result<u64> {
    per_call(5_000, || {
        let opened = OpenOptions::new()
            .append(true)
            .custom_flags(O_CLOEXEC)
            .open(LISTED);
        is_denied(&opened.map(drop))
    })
}

/// 64 bytes that are in memory.
fn read() -> Result<u64> {
    let mut file = File::open("/usr/bin/true")?;
    let mut buffer = [0; 64];
    file.read_exact(&mut buffer)?;
    per_call(20_000, || {
        file.read_exact_at(&mut buffer, 0)?;
        Ok(())
    })
}

fn is_denied(result: &io::Result<()>) -> Result<()> {
    let errno = result.as_ref().err().and_then(io::Error::raw_os_error);
    ensure!(errno == Some(EPERM), "not denied: {result:?}");
    Ok(())
}

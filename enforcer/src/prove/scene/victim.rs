//! A process outside, and how it is seen that something was done to it.
#![forbid(unsafe_code)]

use std::{
    fs, io,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::FileExt, process::CommandExt},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use nix::sys::signal::SigSet;

use crate::prove::{SELF, USER, attacks};

/// The number that nobody else may change.
static NUMBER: AtomicU64 = AtomicU64::new(0x1234_5678_9abc_def0);

/// Is the victim: says where its number lies, and waits until it is told to end. Signals stay pending,
/// where they can be seen.
///
/// # Errors
/// When it cannot be one.
pub fn be() -> io::Result<()> {
    SigSet::all().thread_block()?;
    println!("{}", NUMBER.as_ptr() as usize);
    NUMBER.fetch_add(0, Ordering::Relaxed); // it stays a variable of the program's
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

/// A victim.
pub struct Victim {
    child: Child,
    address: usize,
    before: Seen,
}

/// All that can be done to it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    number: [u8; 8],
    signals: String,
    limits: String,
    priority: String,
    class: String,
}

impl Victim {
    /// Starts one, of root or of an ordinary user.
    ///
    /// # Errors
    /// When it cannot be started or looked at.
    pub fn start(as_user: bool) -> io::Result<Self> {
        let mut command = Command::new(SELF);
        command
            .args(["attack", "victim"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if as_user {
            command.uid(USER).gid(USER);
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().map_err(io::Error::other)?;
        let before = Seen::of(child.id(), address)?;
        Ok(Self {
            child,
            address,
            before,
        })
    }

    /// For who attacks it.
    pub fn door(&self) -> attacks::Victim {
        attacks::Victim {
            pid: self.child.id(),
            address: self.address,
        }
    }

    /// Whether it is no longer as it was.
    pub fn changed(&self) -> bool {
        !Seen::of(self.child.id(), self.address).is_ok_and(|now| now == self.before)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may be gone
        let _ = self.child.wait();
    }
}

impl Seen {
    fn of(pid: u32, address: usize) -> io::Result<Self> {
        let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
        let mut number = [0; 8];
        fs::File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut number, address as u64)?;
        let status = file("status")?;
        let signals: Vec<&str> = status
            .lines()
            .filter(|line| line.starts_with("SigPnd:") || line.starts_with("ShdPnd:"))
            .collect();
        let stat = file("stat")?;
        // proc(5): fields count from the command's last parenthesis; nice is 19, policy 41.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |number: usize| {
            let found = fields.split_whitespace().nth(number - 3);
            found.unwrap_or_default().to_owned()
        };
        Ok(Self {
            number,
            signals: signals.join(" "),
            limits: file("limits")?,
            priority: field(19),
            class: field(41),
        })
    }
}

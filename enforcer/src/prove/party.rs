//! Those who attack: a process that takes orders, and one more for each attack.
//!
//! The same program outside and inside. Inside it came by `enter`: it asks the daemon for a session of
//! the daemon's own agent, as `enforcer run` does, and executes itself.
#![forbid(unsafe_code)]

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Subcommand;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde::{Deserialize, Serialize};

use super::{SELF, USER, attacks::Doors, catalogue, scene::victim};
use crate::control::api::Launched;

/// How long an attack may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process of the party does.
#[derive(Clone, Debug, Subcommand)]
pub enum Part {
    /// Enter a session of the daemon's own agent, then serve.
    Enter,
    /// Have attacks made as they are ordered.
    Serve,
    /// Make one attack.
    Do {
        /// Number of the order, by which its records are found.
        serial: u32,
    },
    /// Be attacked.
    Victim,
}

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Its number.
    pub serial: u32,
    /// Name of the attack.
    pub attack: String,
    /// By an ordinary user instead of root.
    pub as_user: bool,
    /// Where to knock.
    pub doors: Doors,
}

/// What the kernel answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// `errno`, if it failed with one.
    pub errno: Option<i32>,
    /// The failure in words; absent when it worked.
    pub error: Option<String>,
}

impl Answer {
    fn of(result: io::Result<()>) -> Self {
        let error = result.err();
        Self {
            errno: error.as_ref().and_then(io::Error::raw_os_error),
            error: error.map(|error| error.to_string()),
        }
    }

    /// Whether it said that it worked.
    pub const fn worked(&self) -> bool {
        self.error.is_none()
    }
}

/// Plays a part, but for [`Part::Enter`], which begins with a request to the daemon.
///
/// # Errors
/// When an order cannot be read or answered.
pub fn perform(part: &Part) -> io::Result<()> {
    match part {
        Part::Enter | Part::Serve => serve(),
        Part::Do { .. } => attack(),
        Part::Victim => victim::be(),
    }
}

/// Says which session was granted, and enters it. Returns only when that failed.
pub fn enter(launched: &Launched) -> io::Error {
    match serde_json::to_string(launched) {
        Ok(line) => println!("{line}"),
        Err(error) => return error.into(),
    }
    Command::new(SELF).args(["attack", "serve"]).exec()
}

fn serve() -> io::Result<()> {
    for line in io::stdin().lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let answer = obeyed(&order).unwrap_or_else(|error| Answer::of(Err(error)));
        println!("{}", serde_json::to_string(&answer)?);
    }
    Ok(())
}

/// Has one attack made, by a process of its own.
fn obeyed(order: &Order) -> io::Result<Answer> {
    let mut command = Command::new(SELF);
    command
        .args(["attack", "do", &order.serial.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if order.as_user {
        command.uid(USER).gid(USER);
    }
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    writeln!(stdin, "{}", serde_json::to_string(order)?)?;
    drop(stdin);
    let status = await_end(&mut child)?;
    let mut said = String::new();
    let mut stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    stdout.read_to_string(&mut said)?;
    serde_json::from_str(&said).map_err(|_| io::Error::other(format!("it ended with {status}")))
}

fn await_end(child: &mut Child) -> io::Result<ExitStatus> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > end {
            child.kill()?;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn attack() -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(io::stdin()).read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line)?;
    let attack = catalogue::attack(&order.attack).ok_or(io::ErrorKind::NotFound)?;
    let answer = Answer::of((attack.run)(&order.doors));
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}

/// A party, as whoever gives the orders sees it.
pub struct Party {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Party {
    /// Starts one, with these descriptors under their own numbers.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(arguments: &[&str], kept: &[&dyn AsFd]) -> io::Result<Self> {
        let keep = |flags| -> io::Result<()> {
            for descriptor in kept {
                fcntl(descriptor, FcntlArg::F_SETFD(flags))?;
            }
            Ok(())
        };
        keep(FdFlag::empty())?;
        let child = Command::new(SELF)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        keep(FdFlag::FD_CLOEXEC)?;
        let mut child = child?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            orders,
            answers: BufReader::new(answers),
        })
    }

    /// What it says next.
    ///
    /// # Errors
    /// When it ended instead.
    pub fn hear<T: for<'a> Deserialize<'a>>(&mut self) -> io::Result<T> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Gives an order, and waits for what came of it.
    ///
    /// # Errors
    /// When the party ended.
    pub fn order(&mut self, order: &Order) -> io::Result<Answer> {
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(orders, "{}", serde_json::to_string(order)?)?;
        self.hear()
    }

    /// Lets it end, and waits for that.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        drop(self.orders.take());
        self.child.wait()
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        let _ = self.end(); // without orders it ends by itself
    }
}

//! Faults that tests bring about: a daemon of the test's own that is stopped, killed and started again, and the balance
//! that must come out all the same.
//!
//! Only for boots without a shared daemon.

mod flood;
mod ledger;
mod small;

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::cli::{ENFORCER, enforcer, json, told, unique};
pub use flood::{Flood, Tally, program};
pub use ledger::{Balance, Ledger, lines};
pub use small::Small;

/// Where a daemon without options keeps its log.
pub const LOG: &str = "/var/log/enforcer";
/// How long a daemon may take to enforce, or to refuse: far more than it needs, on an emulated processor.
const START_TIME: Duration = Duration::from_secs(90);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A daemon. It ends with the test, with -9 if it still runs then.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    said: PathBuf,
}

impl Daemon {
    /// Starts one with the default places; waits until it enforces.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with options.
    #[must_use]
    pub fn with(options: &[&str]) -> Self {
        let mut daemon = Self::spawn(options);
        daemon.await_enforcing();
        daemon
    }

    /// Starts one and does not wait.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(options: &[&str]) -> Self {
        let said = std::env::temp_dir().join(unique("daemon"));
        let file = File::create(&said).expect("a file for what the daemon says");
        let child = Command::new(ENFORCER)
            .arg("daemon")
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the daemon is started");
        Self { child, said }
    }

    /// Waits until it says that it enforces.
    ///
    /// # Panics
    /// When it ends, refuses, or takes too long.
    pub fn await_enforcing(&mut self) {
        self.await_status("\"enforcing\"");
    }

    /// Waits until `enforcer status` shows this text.
    ///
    /// # Panics
    /// When the daemon ends or it takes too long.
    pub fn await_status(&mut self, text: &str) {
        let end = Instant::now() + START_TIME;
        loop {
            let output = enforcer(["--output", "json", "status"]);
            if String::from_utf8_lossy(&output.stdout).contains(text) {
                return;
            }
            let ended = self.child.try_wait().expect("the daemon can be waited for");
            assert_eq!(ended, None, "the daemon has ended: {}", self.said());
            assert!(
                Instant::now() < end,
                "no {text}: {}\n{}",
                told(&output),
                self.said()
            );
            thread::sleep(PAUSE);
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard error.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Kills it with -9.
    pub fn kill(self) {
        drop(self);
    }

    /// Tells it to stop; waits until it has.
    ///
    /// # Panics
    /// When it cannot be told.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.child.wait().expect("the daemon can be waited for")
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().expect("the daemon can be waited for")
    }

    /// Stops its threads where they are.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed());
        kill(pid, signal).expect("the daemon is there");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
        if !thread::panicking() {
            let _ = fs::remove_file(&self.said);
        }
    }
}

/// Runs a daemon that must refuse to run; gives how it ended and what it said.
///
/// # Panics
/// When it runs on.
#[must_use]
pub fn refused(options: &[&str]) -> Output {
    let mut command = Command::new(ENFORCER);
    command.arg("daemon").args(options);
    ended(command)
}

/// Runs a command that must end by itself.
///
/// # Panics
/// When it runs on.
#[must_use]
pub fn ended(mut command: Command) -> Output {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the command starts");
    let pid = Pid::from_raw(child.id().cast_signed());
    let (done, finished) = std::sync::mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let late = finished.recv_timeout(START_TIME).is_err();
        if late {
            let _ = kill(pid, Signal::SIGKILL); // it may end just now
        }
        late
    });
    let output = child
        .wait_with_output()
        .expect("the command can be waited for");
    let _ = done.send(()); // the watchdog may have gone off
    let late = watchdog.join().expect("the watchdog does not panic");
    assert!(!late, "it ran on: {command:?}: {}", told(&output));
    output
}

/// What a command said on standard error.
#[must_use]
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A counter in `enforcer status`.
///
/// # Panics
/// When there is no such counter.
#[must_use]
pub fn counter(name: &str) -> u64 {
    counter_of(&json(["status"]), name)
}

fn counter_of(status: &Value, name: &str) -> u64 {
    status["counters"][name]
        .as_u64()
        .unwrap_or_else(|| panic!("no counter {name}: {status}"))
}

/// Waits until something is true.
///
/// # Panics
/// When it does not become so in time.
pub fn await_true(what: &str, mut is_true: impl FnMut() -> bool) {
    let end = Instant::now() + START_TIME;
    while !is_true() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(PAUSE);
    }
}

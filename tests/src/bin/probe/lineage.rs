//! Descendants of every kind, which make an attempt in this process's stead.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use enforcer_tests::{Answer, fault::Tally};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    libc::{CLONE_PARENT, SIGCHLD, c_int, pid_t},
    sys::wait::{WaitStatus, wait, waitpid},
    unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getpid, getppid, pipe2, setsid},
};

use crate::{Kept, Outcome, number, perform, raw};

/// A pipe that no exec inherits: its reading and its writing end.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe2(OFlag::O_CLOEXEC)?)
}

/// Has a child do something, which tells what came of it through `told`, and ends.
pub fn child(
    flags: c_int,
    told: &OwnedFd,
    what: impl FnOnce() -> io::Result<Outcome>,
) -> io::Result<pid_t> {
    let pid = raw::clone(flags)?;
    if pid == 0 {
        let Outcome {
            errno,
            status,
            output,
        } = what().into();
        let answer = Answer {
            attempt: String::new(),
            errno,
            status,
            output,
        };
        let _ = told
            .try_clone()
            .and_then(|told| File::from(told).write_all(answer.line().as_bytes()));
        raw::leave(0);
    }
    Ok(pid)
}

/// What a child has told; an error when it has told nothing.
pub fn answer_of_child(told: OwnedFd) -> io::Result<Outcome> {
    let mut line = String::new();
    File::from(told).read_to_string(&mut line)?;
    let answer =
        Answer::from_line(&line).ok_or_else(|| io::Error::other("the child told nothing"))?;
    Ok(Outcome {
        errno: answer.errno,
        status: answer.status,
        output: answer.output,
    })
}

/// By a child.
pub fn forked(words: &[&str], kept: &mut Kept) -> io::Result<Outcome> {
    let (answer, told) = pipe()?;
    child(SIGCHLD, &told, || perform(words, kept))?;
    drop(told);
    let outcome = answer_of_child(answer);
    reap()?;
    outcome
}

/// All children, a child's siblings too.
fn reap() -> io::Result<()> {
    loop {
        match wait() {
            Ok(_) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// By a process that shares this one's parent: to be asked of a child (`fork sibling ...`), whose
/// parent waits for it.
pub fn sibling(words: &[&str], kept: &mut Kept) -> io::Result<Outcome> {
    let (answer, told) = pipe()?;
    child(CLONE_PARENT | SIGCHLD, &told, || perform(words, kept))?;
    drop(told);
    answer_of_child(answer)
}

/// By a daemon: a grandchild in a session and process group of its own, whose parent is gone.
pub fn orphaned(words: &[&str], kept: &mut Kept) -> io::Result<Outcome> {
    let (answer, told) = pipe()?;
    let (_unused, unheard) = pipe()?;
    child(SIGCHLD, &unheard, || {
        setsid()?;
        let parent = getpid();
        child(SIGCHLD, &told, || {
            await_adoption(parent);
            perform(words, kept)
        })?;
        raw::leave(0)
    })?;
    drop(told);
    reap()?;
    answer_of_child(answer)
}

fn await_adoption(parent: Pid) {
    while getppid() == parent {
        sleep(1);
    }
}

/// By a child that shares this process's memory while this process stands still.
pub fn vforked(words: &[&str], kept: &mut Kept) -> io::Result<Outcome> {
    let mut result = Err(io::Error::other("the child did nothing"));
    raw::vfork(&mut || {
        result = perform(words, kept);
        0
    })?;
    result
}

/// By the children of several processes that fork at once; says how often it came back with which
/// error number, as [`Tally`] writes it. (Processes, since a child of one thread among others finds
/// locks held that nobody lets go of.)
pub fn storm(processes: &str, each: &str, words: &[&str]) -> io::Result<Outcome> {
    let (processes, each): (u64, u64) = (number(processes)?, number(each)?);
    let mut answers = Vec::new();
    for _ in 0..processes {
        let (answer, told) = pipe()?;
        child(SIGCHLD, &told, || forks(each, words))?;
        answers.push(answer);
    }
    let mut all = Tally::default();
    for answer in answers {
        let answer = answer_of_child(answer)?;
        let tally = Tally::parse(&answer.output).ok_or_else(|| io::Error::other("no tally"))?;
        for (errno, count) in tally.0 {
            *all.0.entry(errno).or_default() += count;
        }
    }
    reap()?;
    Ok(Outcome::said(all.text()))
}

fn forks(count: u64, words: &[&str]) -> io::Result<Outcome> {
    let mut tally = Tally::default();
    for _ in 0..count {
        let pid = raw::clone(SIGCHLD)?;
        if pid == 0 {
            let outcome: Outcome = perform(words, &mut Kept::new()).into();
            raw::leave(outcome.errno);
        }
        let WaitStatus::Exited(_, errno) = waitpid(Pid::from_raw(pid), None)? else {
            return Err(io::Error::other("a child did not end by itself"));
        };
        tally.add(errno);
    }
    Ok(Outcome::said(tally.text()))
}

/// By another thread, which knows no kept sockets.
pub fn thread(words: &[&str]) -> io::Result<Outcome> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| perform(words, &mut Kept::new()));
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
}

/// Leaves a child behind that lives for some seconds, and gives nobody a reason to wait for it; says
/// its process id.
pub fn leave_behind(seconds: &str) -> io::Result<Outcome> {
    let seconds: u64 = number(seconds)?;
    let pid = raw::clone(SIGCHLD)?;
    if pid == 0 {
        let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null");
        if let Ok(nowhere) = nowhere {
            let _ = dup2_stdin(&nowhere);
            let _ = dup2_stdout(&nowhere);
            let _ = dup2_stderr(&nowhere);
        }
        thread::sleep(Duration::from_secs(seconds));
        raw::leave(0);
    }
    Ok(Outcome::said(pid.to_string()))
}

pub fn sleep(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

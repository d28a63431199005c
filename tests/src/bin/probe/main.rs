//! Makes attempts, one after the other, and says of each what came of it: the agent of the tests.
//!
//! `probe ATTEMPT...` takes an attempt an argument; the attempt `-` takes one a line of its standard
//! input. (So a script `#!probe` is a probe too, with its own path for a first attempt, which none is.)
//! An attempt is words parted by spaces; `perform` lists them. Each is answered by one line of JSON
//! (`enforcer_tests::Answer`). That an attempt fails is no failure of the probe.

mod exec;
mod inet;
mod lineage;
mod local;
mod raw;

use std::{
    collections::HashMap,
    io::{self, BufRead, Write},
    os::fd::OwnedFd,
};

use enforcer_tests::Answer;

/// What came of an attempt.
#[derive(Debug, Default)]
pub struct Outcome {
    errno: i32,
    status: Option<i32>,
    output: String,
}

impl Outcome {
    fn said(output: impl Into<String>) -> Self {
        Self {
            output: output.into(),
            ..Self::default()
        }
    }
}

/// An error without a number is a mistake in the attempt's words; it must not pass for a verdict.
const NO_NUMBER: i32 = -1;

impl From<io::Result<Outcome>> for Outcome {
    fn from(result: io::Result<Outcome>) -> Self {
        result.unwrap_or_else(|error| Self {
            errno: error.raw_os_error().unwrap_or(NO_NUMBER),
            status: None,
            output: error.to_string(),
        })
    }
}

/// Sockets that attempts keep for later ones, by name.
pub type Kept = HashMap<String, OwnedFd>;

fn main() -> io::Result<()> {
    let mut kept = Kept::new();
    for attempt in std::env::args().skip(1) {
        if attempt == "-" {
            for attempt in io::stdin().lock().lines() {
                answer(&attempt?, &mut kept)?;
            }
        } else if !attempt.starts_with('/') {
            answer(&attempt, &mut kept)?;
        }
    }
    Ok(())
}

fn answer(attempt: &str, kept: &mut Kept) -> io::Result<()> {
    let words: Vec<&str> = attempt.split_whitespace().collect();
    let Outcome {
        errno,
        status,
        output,
    } = perform(&words, kept).into();
    let answer = Answer {
        attempt: attempt.to_owned(),
        errno,
        status,
        output,
    };
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", answer.line())?;
    stdout.flush()
}

/// Makes the attempt that these words name.
pub fn perform(words: &[&str], kept: &mut Kept) -> io::Result<Outcome> {
    let done = |result: io::Result<()>| result.map(|()| Outcome::default());
    match words {
        ["connect", protocol, to] => done(inet::connect(protocol, to).map(drop)),
        ["connect-send", protocol, to] => done(inet::connect_send(protocol, to)),
        ["connect6", protocol, to] => done(inet::connect_by_other_family(protocol, to)),
        ["bound", from, rest @ ..] => done(inet::from_address(from, rest)),
        ["sendto", to] => done(inet::sendto(to)),
        ["sendto6", to] => done(inet::sendto_by_other_family(to)),
        ["sendmsg", to] => done(inet::sendmsg(to)),
        ["sendmmsg", to] => done(inet::sendmmsg(to)),
        ["unspec-sendto", to] => done(inet::sendto_unspecified_family(to)),
        ["fastopen", to] => done(inet::fast_open(to)),
        ["fastopen-connect", to] => done(inet::fast_open_connect(to)),
        ["listen", protocol, at] => inet::listen(protocol, at),
        ["socket", family, kind, protocol] => done(inet::socket(family, kind, protocol)),
        ["keep", name, protocol, to] => done(inet::keep(name, protocol, to, kept)),
        ["send", name] => done(inet::send(name, kept)),
        ["write", name] => done(inet::write(name, kept)),
        ["disconnect", name] => done(inet::disconnect(name, kept)),
        ["adopt", name, descriptor] => done(raw::adopt(descriptor).map(|fd| {
            kept.insert((*name).to_owned(), fd);
        })),
        ["unix", kind, to] => done(local::connect(kind, to)),
        ["unix-sendto", to] => done(local::sendto(to)),
        ["unix-serve", name, kind, at] => done(local::serve(name, kind, at, kept)),
        ["unix-keep", name, to] => done(local::keep(name, to, kept)),
        ["unix-answer", name] => done(local::answer(name, kept)),
        ["unix-arrived", name] => local::arrived(name, kept),
        ["unix-bind", name, at] => done(local::bind(name, at, kept)),
        ["socketpair", kind] => local::pair(kind),
        ["http", socket, method, path, body @ ..] => local::http(socket, method, path, body),
        ["exec", path, arguments @ ..] => exec::by_path(path, path, arguments),
        ["exec-as", name, path, arguments @ ..] => exec::by_path(path, name, arguments),
        ["fexec", path, arguments @ ..] => exec::by_descriptor(path, arguments),
        ["memfd", path, arguments @ ..] => exec::from_memory(path, arguments),
        ["tmpfile", directory, path, arguments @ ..] => exec::unnamed(directory, path, arguments),
        ["deleted", directory, path, arguments @ ..] => exec::deleted(directory, path, arguments),
        ["copy", from, to] => done(std::fs::copy(from, to).map(drop)),
        ["rename", from, to] => done(std::fs::rename(from, to)),
        ["link", from, to] => done(std::fs::hard_link(from, to)),
        ["symlink", from, to] => done(std::os::unix::fs::symlink(from, to)),
        ["fork", rest @ ..] => lineage::forked(rest, kept),
        ["orphan", rest @ ..] => lineage::orphaned(rest, kept),
        ["sibling", rest @ ..] => lineage::sibling(rest, kept),
        ["vfork", rest @ ..] => lineage::vforked(rest, kept),
        ["storm", threads, each, rest @ ..] => lineage::storm(threads, each, rest),
        ["thread", rest @ ..] => lineage::thread(rest),
        ["new-session", rest @ ..] => lineage::forked(&[&["setsid"], rest].concat(), kept),
        ["setsid", rest @ ..] => {
            nix::unistd::setsid()?;
            perform(rest, kept)
        }
        ["become", path, arguments @ ..] => Err(exec::replace(path, arguments)),
        ["leave-behind", seconds] => lineage::leave_behind(seconds),
        ["pid"] => Ok(Outcome::said(std::process::id().to_string())),
        ["sleep", milliseconds] => done(number(milliseconds).map(lineage::sleep)),
        [] => Ok(Outcome::default()),
        [..] => Err(io::Error::other("no such attempt")),
    }
}

/// A socket that an earlier attempt kept.
pub fn kept<'a>(name: &str, kept: &'a Kept) -> io::Result<&'a OwnedFd> {
    kept.get(name)
        .ok_or_else(|| io::Error::other(format!("no socket {name} was kept")))
}

/// A number among an attempt's words.
pub fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    word.parse()
        .map_err(|_| io::Error::other(format!("{word} is no number")))
}

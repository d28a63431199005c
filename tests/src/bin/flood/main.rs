//! Does the same thing many times, as it is told on standard input, and tells how often it came back with which error.
//!
//! | order | does |
//! |---|---|
//! | `ready` | nothing |
//! | `exec COUNT PATH` | runs a file that is no program: ENOEXEC when it was allowed, and this process goes on |
//! | `exec-until-denied COUNT PATH` | the same until the first EPERM |
//! | `connect COUNT ADDRESS` | connects a datagram socket, which sends nothing |
//! | `load ALLOWED DENIED` | both connects in turn, until the next order, which is only read as the end |
//!
//! An answer is one line: `ERRNO=COUNT` words, for two kinds of action parted by `;`.
#![forbid(unsafe_code)]

use std::{
    convert::Infallible,
    ffi::CString,
    io::{self, BufRead},
    net::{SocketAddr, UdpSocket},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use enforcer_tests::fault::Tally;
use nix::{libc::EPERM, unistd::execve};

/// Between two rounds of a load, so that the reader of the events keeps up.
const PACE: Duration = Duration::from_millis(20);

fn main() {
    let (send, orders) = channel();
    // Orders are read beside, so that a load is ended by one.
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    while let Ok(order) = orders.recv() {
        let tallies = obey(&order, &orders);
        let texts: Vec<String> = tallies.iter().map(Tally::text).collect();
        println!("{}", texts.join(";"));
    }
}

fn obey(order: &str, orders: &Receiver<String>) -> Vec<Tally> {
    let words: Vec<&str> = order.split(' ').collect();
    match words[..] {
        ["ready"] => vec![Tally::default()],
        ["exec", count, path] => vec![exec(number(count), path, false)],
        ["exec-until-denied", count, path] => vec![exec(number(count), path, true)],
        ["connect", count, address] => vec![connects(number(count), address)],
        ["load", allowed, denied] => load(allowed, denied, orders),
        _ => panic!("no order: {order}"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn exec(count: u64, path: &str, until_denied: bool) -> Tally {
    let path = CString::new(path).expect("a path without NUL");
    let mut tally = Tally::default();
    for _ in 0..count {
        let Err::<Infallible, _>(error) = execve(&path, &[&path], &[] as &[CString]);
        tally.add(error as i32);
        if until_denied && error as i32 == EPERM {
            break;
        }
    }
    tally
}

fn connects(count: u64, address: &str) -> Tally {
    let (socket, address) = (socket(), parsed(address));
    let mut tally = Tally::default();
    for _ in 0..count {
        tally.add(connect(&socket, address));
    }
    tally
}

fn load(allowed: &str, denied: &str, orders: &Receiver<String>) -> Vec<Tally> {
    let (allowed, denied) = (parsed(allowed), parsed(denied));
    let socket = socket();
    let mut tallies = vec![Tally::default(), Tally::default()];
    while orders.try_recv().is_err() {
        tallies[0].add(connect(&socket, allowed));
        tallies[1].add(connect(&socket, denied));
        thread::sleep(PACE);
    }
    tallies
}

fn socket() -> UdpSocket {
    UdpSocket::bind(("127.0.0.1", 0)).expect("a socket")
}

fn parsed(address: &str) -> SocketAddr {
    address.parse().expect("an address")
}

fn connect(socket: &UdpSocket, address: SocketAddr) -> i32 {
    socket
        .connect(address)
        .map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0)
}

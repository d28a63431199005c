//! Asks for a session as `enforcer run` does, and waits before it executes its command.
//!
//! `launch SOCKET AGENT TASK COMMAND...`: says the daemon's answer in one line, waits for a line, goes in.
#![forbid(unsafe_code)]

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::Command,
};

use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [socket, agent, task, command @ ..] = words.as_slice() else {
        panic!("launch SOCKET AGENT TASK COMMAND...");
    };
    let request = json!({"agent": agent, "task": {"id": task}, "command": command});
    println!("{}", ask(socket, &request)?);
    // Byte by byte and without a buffer: what follows the line is for the command.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut byte = [0];
    while input.read(&mut byte)? == 1 {
        if byte == *b"\n" {
            return Err(Command::new(&command[0]).args(&command[1..]).exec());
        }
    }
    Ok(())
}

/// Asks, and gives the body of the answer.
fn ask(socket: &str, request: &Value) -> io::Result<String> {
    let body = request.to_string();
    let mut stream = UnixStream::connect(socket)?;
    write!(
        stream,
        "POST /v1/sessions HTTP/1.1\r\nhost: enforcer\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}

//! The user's terminal, given to the guest for the time of a shell.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Result, ensure};

use crate::command::run;

/// The terminal in raw mode, its keys going to the guest and the guest's output coming back. Dropping it restores the
/// terminal.
pub struct Terminal {
    /// What `stty` restores; nothing when standard input is no terminal.
    saved: Option<String>,
}

impl Terminal {
    /// Connects standard input and output with the guest's terminal.
    pub fn connect(guest: UnixStream) -> Result<Self> {
        let saved = stty(&["-g"]).ok().map(|saved| saved.trim().to_owned());
        if saved.is_some() {
            run(Command::new("stty").args(["raw", "-echo"]))?;
        }
        let keys = guest.try_clone()?;
        thread::spawn(move || copy(std::io::stdin(), keys));
        thread::spawn(move || copy(guest, std::io::stdout()));
        Ok(Self { saved })
    }

    /// Rows and columns, as the guest's `stty` takes them.
    pub fn size() -> (String, String) {
        let size = stty(&["size"]).unwrap_or_default();
        let (rows, columns) = size.trim().split_once(' ').unwrap_or(("24", "80"));
        (rows.to_owned(), columns.to_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            // A terminal that cannot be restored is gone.
            let _ = run(Command::new("stty").arg(saved));
        }
    }
}

/// What `stty` says of the terminal on standard input.
fn stty(arguments: &[&str]) -> Result<String> {
    let said = Command::new("stty")
        .args(arguments)
        .stdin(Stdio::inherit())
        .stderr(Stdio::null())
        .output()?;
    ensure!(said.status.success(), "standard input is no terminal");
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// Moves bytes until either side ends, without waiting for lines.
fn copy(mut from: impl Read, mut to: impl Write) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length])?;
        to.flush()?;
    }
}

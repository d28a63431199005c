//! A file of lines for an agent that tails it.
//!
//! Lines are acknowledged by `fdatasync`. A batch that was written and not yet counted when the
//! shipper was killed is found at the file's end by its bytes, and not written again; a line that
//! was cut there is completed. The file is only ever appended to, so that an agent's place in it
//! stays right.

mod tail;

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use super::{Failure, Item, Outcome, Sink};
use crate::{config::FileTarget, spool::Limit, stop::Stop};

/// Mode of a new file: for its owner and a group that the agent is in.
const MODE: u32 = 0o640;

pub(super) struct File {
    target: FileTarget,
    batch: Limit,
    open: Option<Open>,
}

struct Open {
    file: fs::File,
    length: u64,
    /// Lines that an earlier shipper wrote last, until a batch has none of them.
    written: HashSet<Vec<u8>>,
    /// The beginning of a line that it did not end.
    torn: Vec<u8>,
}

impl File {
    pub fn new(target: FileTarget, batch: Limit) -> Self {
        Self {
            target,
            batch,
            open: None,
        }
    }

    fn path(&self, number: u32) -> PathBuf {
        let mut name = self.target.path.clone().into_os_string();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        name.into()
    }

    /// Opens the file; `again` also looks for what was written before.
    fn open(&self, again: bool) -> io::Result<Open> {
        let path = self.path(0);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(MODE)
            .open(&path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut written = HashSet::new();
        let mut torn = Vec::new();
        if again {
            // Rendered lines can be longer than those of the log; a batch in doubt is found whole
            // in twice its bytes and one more line.
            let most = 2 * self.batch.bytes as u64 + (1 << 20);
            let mut left = most.saturating_sub(meta.len());
            torn = tail::read(&path, most, &mut written)?;
            for number in 1..=self.target.keep {
                let path = self.path(number);
                if left == 0 || !path.exists() {
                    break;
                }
                tail::read(&path, left, &mut written)?;
                left = left.saturating_sub(fs::metadata(&path)?.len());
            }
        }
        Ok(Open {
            file,
            length: meta.len(),
            written,
            torn,
        })
    }

    /// Sets the full file aside.
    fn rotate(&self) -> io::Result<()> {
        for number in (0..self.target.keep).rev() {
            match fs::rename(self.path(number), self.path(number + 1)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(folder) = self.target.path.parent() {
            fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &[Item]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) if open.length < self.target.rotate_bytes => open,
            Some(_) => {
                self.rotate()?;
                self.open(false)?
            }
            None => self.open(true)?,
        };
        let mut bytes = Vec::new();
        let mut repeated = 0;
        for item in batch {
            if open.written.remove(&item.body) {
                repeated += 1;
                continue;
            }
            let torn = std::mem::take(&mut open.torn);
            match item.body.strip_prefix(torn.as_slice()) {
                Some(rest) => bytes.extend_from_slice(rest),
                // Made by another format or by somebody else: a line of its own, which is no record.
                None => {
                    bytes.push(b'\n');
                    bytes.extend_from_slice(&item.body);
                }
            }
            bytes.push(b'\n');
        }
        if repeated == 0 {
            open.written = HashSet::new();
        }
        open.file.write_all(&bytes)?;
        open.file.sync_data()?;
        open.length += bytes.len() as u64;
        self.open = Some(open);
        Ok(())
    }
}

impl Sink for File {
    fn deliver(&mut self, batch: &[Item], _stop: &Stop) -> Outcome {
        match self.write(batch) {
            Ok(()) => Outcome::all(batch.len()),
            // What was written of the batch is found when the file is opened again.
            Err(error) => {
                Failure::Broken(format!("{}: {error}", self.target.path.display())).into()
            }
        }
    }

    fn connected(&self) -> bool {
        self.open.is_some()
    }
}

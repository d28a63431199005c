//! What a shipper keeps in its folder.
//!
//! ```text
//! <state>/lock             held while a shipper runs: two would send everything twice
//! <state>/SINK.cursor      how far the receiver has acknowledged (cursor.rs)
//! <state>/status.json      what `status` shows, for others to read (status.rs)
//! ```
//!
//! No database: a sink has one value, of some hundred bytes, that is only ever replaced whole.
//! `rename(2)` does that atomically, and the file can be read and repaired with an editor.

mod cursor;
mod status;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

pub use cursor::acknowledged;
pub(crate) use cursor::{CursorFile, Saved};
pub(crate) use status::{Board, now_ms, write_status};
pub use status::{LastAcked, LastError, Phase, SinkStatus, Status, read_status};

/// Bytes of a file in the folder, at most.
const MOST: u64 = 1 << 20;

/// Reads a file of the folder as somebody who does not trust whoever may write there: no link, no device
/// and no pipe, and no more than such a file has.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts `bytes` in place of the file; a reader sees the old ones or the new ones. `durable`: they
/// survive a power cut once this has returned.
fn replace(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let beside = path.with_extension("new");
    // What an earlier process left unfinished there may have another owner or mode.
    match fs::remove_file(&beside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)?;
    file.write_all(bytes)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&beside, path)?;
    if durable && let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

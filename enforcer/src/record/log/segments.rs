//! The segments as files: lines are appended to the last one, and durable when `write` returns.
//!
//! A failed write leaves nothing behind that counts: what of it reached the file is cut off, at once
//! or, when the file system cannot even do that, before the next one. After a failed `fdatasync` the
//! pages may have been dropped and marked clean, so that its data is written anew.
//!
//! Segments are named `enforcer-TIME-NUMBER.jsonl`; the number alone gives the order, and it is
//! never used twice, so that a clock that was set back does no harm ([`segment`]).
#![forbid(unsafe_code)]

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags};

use super::{
    LogError,
    segment::{self, Torn},
};

/// The segments of a log, open for writing. While it lives no other process can open them so.
#[derive(Debug)]
pub struct Segments {
    directory: PathBuf,
    /// Makes new names durable.
    handle: File,
    /// Held while this process writes the log. A file of root's own: who may read the directory could hold
    /// a lock on that.
    _lock: File,
    mode: u32,
    current: Current,
}

/// The segment that is written to.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: File,
    number: u64,
    /// Bytes that are durable. The file may be longer only while `dirty`.
    durable: u64,
    /// Whether bytes of a failed write may still be behind the durable ones.
    dirty: bool,
}

impl Segments {
    /// Opens the segments in `directory`, which is made when it is not there, behind the last whole line.
    /// A torn last line is moved aside and told.
    ///
    /// # Errors
    /// When the directory or the last segment cannot be used, or another process has the log open.
    pub fn open(directory: &Path) -> Result<(Self, Option<Torn>), LogError> {
        make_directory(directory)?;
        let handle = File::open(directory).map_err(|source| LogError::Directory {
            path: directory.to_owned(),
            source,
        })?;
        let lock = lock(directory)?;
        let mode = mode_for(&handle).map_err(at(directory, "look at"))?;
        for (_, path) in list(directory)? {
            // Of a log that was begun when nobody else read it.
            fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(at(&path, "open"))?;
        }
        let (current, torn) = match list(directory)?.pop() {
            Some(last) => Current::resume(last)?,
            None => (Current::create(directory, &handle, mode, 1)?, None),
        };
        let segments = Self {
            directory: directory.to_owned(),
            handle,
            _lock: lock,
            mode,
            current,
        };
        Ok((segments, torn))
    }

    /// Number and file of the last two segments, in their order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn last_two(&self) -> Result<Vec<(u64, PathBuf)>, LogError> {
        let mut all = list(&self.directory)?;
        Ok(all.split_off(all.len().saturating_sub(2)))
    }

    /// Mode of the log's files, its keys apart.
    pub const fn mode(&self) -> u32 {
        self.mode
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The segment that is written to.
    pub fn current(&self) -> &Path {
        &self.current.path
    }

    /// Its durable bytes.
    pub const fn durable(&self) -> u64 {
        self.current.durable
    }

    /// Whether the current segment is still the file that was written: someone may have removed it or
    /// changed its length.
    pub fn is_untouched(&self) -> bool {
        let current = &self.current;
        let untouched = current
            .file
            .metadata()
            .is_ok_and(|meta| meta.nlink() > 0 && meta.len() == current.durable);
        if !untouched {
            tracing::error!(segment = %current.path.display(), "log segment was removed or changed by someone else");
        }
        untouched
    }

    /// Begins the next segment.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn next(&mut self) -> Result<(), LogError> {
        self.current = Current::create(
            &self.directory,
            &self.handle,
            self.mode,
            self.current.number + 1,
        )?;
        Ok(())
    }

    /// Makes the current segment anew, to which nothing was written yet: what someone put into it is not
    /// the log's.
    ///
    /// # Errors
    /// When it cannot be cut, or made.
    pub fn renew(&mut self) -> Result<(), LogError> {
        let path = &self.current.path;
        let is_there = self.current.file.metadata().map_err(at(path, "read"))?;
        if is_there.nlink() == 0 {
            self.current = Current::create(
                &self.directory,
                &self.handle,
                self.mode,
                self.current.number,
            )?;
            return Ok(());
        }
        self.current.file.set_len(0).map_err(at(path, "repair"))
    }

    /// Appends lines: all of them are durable, or none of them count.
    ///
    /// # Errors
    /// When they cannot be written and synced.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), LogError> {
        self.current.write(lines)
    }

    /// Cuts off what a failed write left. A file that someone made shorter is not filled up.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn repair(&mut self) -> Result<(), LogError> {
        self.current.repair()
    }
}

impl Current {
    /// Makes the segment `number`, and its name durable.
    fn create(directory: &Path, handle: &File, mode: u32, number: u64) -> Result<Self, LogError> {
        let path = directory.join(segment::name(number, jiff::Timestamp::now()));
        // It gets its name when it is as it shall be: whoever reads the log can read all of it, and a
        // failure leaves no second segment of the number.
        let unnamed = path.with_extension("new");
        let made = OpenOptions::new()
            .append(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&unnamed)
            .and_then(|file| {
                file.set_len(0)?;
                file.set_permissions(Permissions::from_mode(mode))?; // whatever the umask
                rustix::fs::renameat_with(CWD, &unnamed, CWD, &path, RenameFlags::NOREPLACE)?;
                Ok(file)
            });
        let file = made.map_err(|source| {
            let _ = fs::remove_file(&unnamed);
            at(&path, "create")(source)
        })?;
        if let Err(error) = handle.sync_all() {
            // The number must stay free for the next try.
            let _ = fs::remove_file(&path);
            return Err(at(&path, "create")(error));
        }
        Ok(Self {
            path,
            file,
            number,
            durable: 0,
            dirty: false,
        })
    }

    /// Opens the last segment of an earlier writer behind its last whole line.
    fn resume((number, path): (u64, PathBuf)) -> Result<(Self, Option<Torn>), LogError> {
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(at(&path, "open"))?;
        let torn = segment::set_torn_aside(&path, &file).map_err(at(&path, "repair"))?;
        // What an earlier writer wrote and did not sync is made durable before it is built upon.
        file.sync_data().map_err(at(&path, "sync"))?;
        let durable = file.metadata().map_err(at(&path, "read"))?.len();
        let current = Self {
            path,
            file,
            number,
            durable,
            dirty: false,
        };
        Ok((current, torn))
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), LogError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        let written = self
            .file
            .write_all(lines)
            .map_err(at(&self.path, "write"))
            .and_then(|()| self.file.sync_data().map_err(at(&self.path, "sync")));
        if let Err(error) = written {
            // The first failure is the one to tell; when this fails too, `dirty` remembers.
            let _ = self.repair();
            return Err(error);
        }
        self.durable += lines.len() as u64;
        self.dirty = false;
        Ok(())
    }

    /// Cuts off what a failed batch left. A file that someone made shorter is not filled up.
    fn repair(&mut self) -> Result<(), LogError> {
        if self.dirty {
            let length = self.file.metadata().map_err(at(&self.path, "read"))?.len();
            if length > self.durable {
                self.file
                    .set_len(self.durable)
                    .map_err(at(&self.path, "repair"))?;
            }
            self.dirty = false;
        }
        Ok(())
    }
}

fn at(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> LogError {
    move |source| LogError::Segment {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Makes the directory for root alone, and checks one that is there.
fn make_directory(path: &Path) -> Result<(), LogError> {
    let failed = |source| LogError::Directory {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => Err(LogError::NotADirectory {
            path: path.to_owned(),
        }),
        Ok(meta) if meta.mode() & 0o022 != 0 => Err(LogError::WritableByOthers {
            path: path.to_owned(),
            mode: meta.mode() & 0o777,
        }),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Takes the lock that makes this process the log's one writer.
fn lock(directory: &Path) -> Result<File, LogError> {
    let path = directory.join("lock");
    let failed = |source| LogError::Directory {
        path: path.clone(),
        source,
    };
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(LogError::Busy {
            path: directory.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The segments by number.
fn list(directory: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let segments = segment::list(directory).map_err(|source| LogError::Directory {
        path: directory.to_owned(),
        source,
    })?;
    Ok(segments.into_iter().collect())
}

/// Who may read the directory's entries may read the log: root alone, or the group that ships it.
fn mode_for(directory: &File) -> io::Result<u32> {
    let is_groups = directory.metadata()?.mode() & 0o050 == 0o050;
    Ok(if is_groups { 0o640 } else { 0o600 })
}

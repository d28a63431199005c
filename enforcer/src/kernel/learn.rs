//! What the kernel calls a file: identity and stamp as the exec and unix hooks will see them.

#![forbid(unsafe_code)]

use std::{io, os::fd::AsRawFd, path::Path, sync::Mutex};

use aya::maps::{HashMap, Map, MapData};
use enforcer_common::object::{FileId, FileStamp, Learned};
use rustix::fs::{Mode, OFlags};

use super::KernelError;

/// Asks the kernel programs about files.
#[derive(Debug)]
pub struct Learner {
    map: Mutex<HashMap<MapData, u64, Learned>>,
}

impl Learner {
    /// Over the map `LEARN`.
    ///
    /// # Errors
    /// When the map is not of that form.
    pub fn new(map: Map) -> Result<Self, KernelError> {
        let map = HashMap::try_from(map).map_err(KernelError::map("LEARN"))?;
        Ok(Self {
            map: Mutex::new(map),
        })
    }

    /// Identity and stamp of what `path` leads to, symbolic links followed.
    ///
    /// # Errors
    /// When there is no such file, or the kernel program does not answer (it is not attached).
    pub fn identify(&self, path: &Path) -> io::Result<(FileId, FileStamp)> {
        self.ask(path, OFlags::empty())
    }

    /// Identity of the entry at `path`: of a symbolic link, the link's own.
    ///
    /// # Errors
    /// As [`Learner::identify`].
    pub fn identify_entry(&self, path: &Path) -> io::Result<FileId> {
        self.ask(path, OFlags::NOFOLLOW).map(|(file, _)| file)
    }

    fn ask(&self, path: &Path, how: OFlags) -> io::Result<(FileId, FileStamp)> {
        // The descriptor holds the file, so that the call below cannot reach another one; with
        // O_PATH nothing is opened that could block or act.
        let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC | how, Mode::empty())?;
        let key = this_thread();
        let mut map = self
            .map
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        map.insert(key, Learned::default(), 0)
            .map_err(io::Error::other)?;
        let mut names: [u8; 0] = [];
        // Only the hook counts, not whether the file system knows extended attributes.
        let _ = rustix::fs::listxattr(
            format!("/proc/self/fd/{}", file.as_raw_fd()),
            &mut names[..],
        );
        let learned = map.get(&key, 0).map_err(io::Error::other);
        map.remove(&key).map_err(io::Error::other)?;
        match learned? {
            Learned {
                filled: 1,
                file,
                stamp,
                ..
            } => Ok((file, stamp)),
            Learned { .. } => Err(io::Error::other("the kernel program did not answer")),
        }
    }
}

/// As `bpf_get_current_pid_tgid` gives it.
fn this_thread() -> u64 {
    let process = u64::from(std::process::id());
    let thread = nix::unistd::gettid().as_raw();
    (process << 32) | u64::try_from(thread).unwrap_or_default()
}

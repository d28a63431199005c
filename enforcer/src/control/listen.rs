//! Taking the control socket's path.
//!
//! A lock file beside the socket says whether a daemon lives, since the kernel lets go of the lock
//! however the holder dies. Under the lock a socket that nobody answers on is what a killed daemon
//! left, and is replaced. It is bound under its own name, not renamed there: the bound name is what
//! records show when an agent tries to reach it.
//!
//! The socket has mode 0666 in a folder of mode 0755: anyone may connect and be told who lacks what,
//! and roles are checked by the kernel's account of the peer. File modes could not tell an agent of
//! the same user from its user.
#![forbid(unsafe_code)]

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        net::UnixStream as StdUnixStream,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
};
use tokio::net::UnixListener;

/// Why the socket's path cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another daemon holds the lock.
    #[error("another enforcer daemon runs{} and has {path}", of_pid(*.pid))]
    AnotherDaemon {
        /// The socket's path.
        path: PathBuf,
        /// Its pid, when it wrote it.
        pid: Option<u32>,
    },
    /// A program that is no enforcer daemon answers on the path.
    #[error("another program{} listens on {path}", of_pid(*.pid))]
    AnotherProgram {
        /// The socket's path.
        path: PathBuf,
        /// Its pid, when the kernel tells.
        pid: Option<u32>,
    },
    /// Something that is not a socket has the path; it is not removed.
    #[error(
        "{path} exists and is not a socket: it is left alone; remove it or choose another --socket"
    )]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// A step failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// The step.
        what: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn of_pid(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

fn step<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> ListenError + use<'a> {
    move |source| ListenError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// The control socket, bound and locked. Dropping it removes the socket, if the path is still its.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    identity: (u64, u64),
    listener: UnixListener,
    // Held, not used: the lock lasts as long as the socket.
    _lock: Flock<File>,
}

impl ControlSocket {
    /// Takes `path`, making its folder when it is missing. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ListenError`]; nothing that is in use by another is touched.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        make_folder(path)?;
        let lock = take_lock(path)?;
        clear(path)?;
        let listener = UnixListener::bind(path).map_err(step("cannot listen on", path))?;
        fs::set_permissions(path, Permissions::from_mode(0o666))
            .map_err(step("cannot open to all users", path))?;
        let metadata = fs::symlink_metadata(path).map_err(step("cannot look at", path))?;
        Ok(Self {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
            listener,
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = |metadata: fs::Metadata| (metadata.dev(), metadata.ino()) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(ours) {
            // A socket that stays behind is replaced by the next daemon.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn make_folder(path: &Path) -> Result<(), ListenError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), |folder| {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(step("cannot make the folder", folder))
    })
}

/// Path of the lock file of the socket at `path`.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn take_lock(path: &Path) -> Result<Flock<File>, ListenError> {
    let at = lock_path(path);
    let mut options = OpenOptions::new();
    // Closed to others: whoever can open it, even for reading, can lock it.
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let file = options.open(&at).map_err(step("cannot open", &at))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            write_pid(&mut lock).map_err(step("cannot write", &at))?;
            Ok(lock)
        }
        Err((mut file, Errno::EWOULDBLOCK)) => Err(ListenError::AnotherDaemon {
            path: path.to_owned(),
            pid: read_pid(&mut file),
        }),
        Err((_, error)) => Err(step("cannot lock", &at)(error.into())),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Removes what a killed daemon left at `path`; refuses anything else.
fn clear(path: &Path) -> Result<(), ListenError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(step("cannot look at", path)(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket {
            path: path.to_owned(),
        });
    }
    match StdUnixStream::connect(path) {
        Ok(stream) => Err(ListenError::AnotherProgram {
            path: path.to_owned(),
            pid: listener_pid(&stream),
        }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(step("cannot remove the stale socket", path))
        }
        // EAGAIN: its backlog is full, so somebody listens; EPROTOTYPE: a datagram socket of another.
        Err(_) => Err(ListenError::AnotherProgram {
            path: path.to_owned(),
            pid: None,
        }),
    }
}

fn listener_pid(stream: &StdUnixStream) -> Option<u32> {
    let credentials = getsockopt(stream, PeerCredentials).ok()?;
    u32::try_from(credentials.pid())
        .ok()
        .filter(|&pid| pid != 0)
}

//! What the core must know of the host, and cannot find out itself.

use enforcer_common::object::{FileId, FileStamp};

use crate::check::CONTROL_SOCKET;

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Its path, as asked for or as found below the directory asked for.
    pub path: String,
    /// Its identity in the kernel.
    pub id: FileId,
    /// Its stamp.
    pub stamp: FileStamp,
    /// User id of its owner.
    pub owner_uid: u32,
    /// Its permission bits (`st_mode & 0o7777`).
    pub mode: u32,
    /// SHA-256 of its content, where that is known without reading it.
    pub sha256: Option<[u8; 32]>,
}

impl FileFact {
    /// Whether only root can have written it, as far as owner and mode tell.
    #[must_use]
    pub const fn is_roots(&self) -> bool {
        self.owner_uid == 0 && self.mode & 0o022 == 0
    }
}

/// What is at a path, symbolic links followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathFact {
    /// A regular file.
    File(FileFact),
    /// A directory.
    Directory {
        /// User id of its owner.
        owner_uid: u32,
        /// Its permission bits.
        mode: u32,
        /// Every regular file below it, also through symbolic links to files.
        files: Vec<FileFact>,
    },
    /// A unix socket.
    Socket {
        /// Its identity in the kernel.
        id: FileId,
    },
    /// Something else; what, in words.
    Other(&'static str),
    /// Nothing.
    Missing,
    /// It cannot be known; why.
    Unreadable(String),
}

/// What is known of the host's files.
///
/// A path is given as the policy writes it: a directory rule's path ends with `/`.
pub trait Facts {
    /// What is at this path.
    fn path(&self, path: &str) -> PathFact;

    /// The digest of this very file, by identity and stamp, asked only where a rule needs it.
    ///
    /// # Errors
    /// Why it cannot be read, or that another one is at its path by now.
    fn sha256(&self, file: &FileFact) -> Result<[u8; 32], String>;

    /// Whether the host has a user of this name or number. Where users are not known, it has.
    fn has_user(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// Whether the host has a group of this name. Where groups are not known, it has.
    fn has_group(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// Path of the enforcer's control socket, which no policy may allow.
    fn control_socket(&self) -> &str {
        CONTROL_SOCKET
    }

    /// The first directory on the way to `path` in which others than root can replace entries
    /// (writable by group or others, not sticky), for a lint. `None` when there is none, or when
    /// it is not known.
    fn writable_directory(&self, path: &str) -> Option<String> {
        let _ = path;
        None
    }
}

//! The files and sockets that random cases are about.

use enforcer_common::object::{FileId, FileStamp};

use crate::facts::{Facts, FileFact, PathFact};

/// A file or socket of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolEntry {
    /// Its path.
    pub path: String,
    /// It is a hard link to the entry with this path.
    pub same_as: Option<String>,
    /// It is a unix socket.
    pub is_socket: bool,
}

pub(super) const FILES: &[&str] = &[
    "bin/a",
    "bin/b",
    "bin/c",
    "bin/sub/d",
    "lib/e",
    "lib/f",
    "g",
];
pub(super) const LINKS: &[(&str, &str)] = &[("lib/a-again", "bin/a"), ("bin/g-again", "g")];
pub(super) const SOCKETS: &[&str] = &["run/one", "run/two", "run/three"];
pub(super) const DIRECTORIES: &[&str] = &["bin/", "bin/sub/", "lib/"];
pub(super) const ABSTRACT: &[&str] = &["one", "on", "one-more", "two"];
pub(super) const MISSING: &str = "bin/missing";

/// Every file and socket that a case under `base` (an absolute directory without `/` at its end)
/// can be about; `bin/missing` stays missing.
#[must_use]
pub fn pool(base: &str) -> Vec<PoolEntry> {
    let entry = |name: &str, same_as: Option<&str>, is_socket| PoolEntry {
        path: format!("{base}/{name}"),
        same_as: same_as.map(|name| format!("{base}/{name}")),
        is_socket,
    };
    let files = FILES.iter().map(|name| entry(name, None, false));
    let links = LINKS.iter().map(|(name, of)| entry(name, Some(of), false));
    let sockets = SOCKETS.iter().map(|name| entry(name, None, true));
    files.chain(links).chain(sockets).collect()
}

/// The pool as facts, for tests without a file system.
#[derive(Clone, Debug)]
pub struct PoolFacts {
    entries: Vec<PoolEntry>,
}

impl PoolFacts {
    /// The pool under `base`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self {
            entries: pool(base),
        }
    }

    fn id(&self, entry: &PoolEntry) -> FileId {
        let path = entry.same_as.as_ref().unwrap_or(&entry.path);
        let index = self
            .entries
            .iter()
            .position(|e| e.path == *path)
            .unwrap_or_default();
        FileId {
            inode: 100 + index as u64,
            device: 7,
            generation: 1,
        }
    }

    fn file(&self, entry: &PoolEntry) -> FileFact {
        FileFact {
            path: entry.path.clone(),
            id: self.id(entry),
            stamp: FileStamp {
                ctime_sec: 1,
                ctime_nsec: 2,
                pad: 0,
                size: 3,
            },
            owner_uid: 0,
            mode: 0o755,
            sha256: None,
        }
    }
}

impl Facts for PoolFacts {
    fn path(&self, path: &str) -> PathFact {
        if path.ends_with('/') {
            let files = self
                .entries
                .iter()
                .filter(|e| !e.is_socket && e.path.starts_with(path));
            let files = files.map(|entry| self.file(entry)).collect();
            return PathFact::Directory {
                owner_uid: 0,
                mode: 0o755,
                files,
            };
        }
        match self.entries.iter().find(|entry| entry.path == path) {
            Some(entry) if entry.is_socket => PathFact::Socket { id: self.id(entry) },
            Some(entry) => PathFact::File(self.file(entry)),
            None => PathFact::Missing,
        }
    }

    fn sha256(&self, file: &FileFact) -> Result<[u8; 32], String> {
        Err(format!("{} has no content", file.path))
    }
}

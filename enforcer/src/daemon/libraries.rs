//! The host's libraries: what most agents may map as code without listing it.
//!
//! A library of the host lies below one of [`FOLDERS`], is named like one, and only root can have
//! written it. The kernel's table holds each by its identity and the stamp of its content, so that a
//! library that changes is denied until it has been looked at again.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use enforcer_common::{
    maps::MAX_LIBRARIES,
    object::{FileId, FileStamp},
};

use crate::kernel::{KernelError, files::LibraryTable, learn::Learner, load::Pins};

/// Where packages and administrators put libraries: those that the host has count.
pub const FOLDERS: [&str; 6] = [
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/libexec",
    "/usr/local/lib",
];
/// Folders deep that a walk goes.
const MAX_DEPTH: usize = 32;

/// The libraries that the kernel knows.
pub struct Libraries {
    table: LibraryTable,
    learner: Arc<Learner>,
    /// Those of [`FOLDERS`] that were there at the daemon's start, and so are guarded.
    roots: Vec<&'static Path>,
    known: BTreeMap<PathBuf, Known>,
    /// Folders that hold libraries, or others that do; and those that were made since the daemon's start,
    /// into which a library may be put yet.
    folders: BTreeSet<PathBuf>,
    /// Folders without any that have been there since the daemon's start.
    bare: BTreeSet<PathBuf>,
}

/// A library as it was looked at: asked of the kernel again only when `seen` differs.
#[derive(Clone, Copy)]
struct Known {
    seen: (u64, u64, i64, i64),
    file: (FileId, FileStamp),
}

impl Libraries {
    /// Looks at the host, and brings the kernel's table in line, which may hold what an earlier
    /// daemon found.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn learn(pins: &Pins, learner: Arc<Learner>) -> Result<Self, KernelError> {
        let mut libraries = Self {
            table: LibraryTable::libraries(pins)?,
            learner,
            roots: FOLDERS
                .into_iter()
                .map(Path::new)
                .filter(|folder| folder.is_dir())
                .collect(),
            known: BTreeMap::new(),
            folders: BTreeSet::new(),
            bare: BTreeSet::new(),
        };
        libraries.bare = libraries.look().bare;
        let count = libraries.known.len();
        tracing::info!(count, "the host's libraries are known");
        Ok(libraries)
    }

    /// Looks at the host again and brings the kernel's table in line.
    pub fn refresh(&mut self) {
        let bare = self.look().bare;
        let made = bare.difference(&self.bare).cloned();
        self.folders.extend(made);
        self.bare.retain(|folder| bare.contains(folder));
    }

    /// Looks at the host; gives what was found, the files left out.
    fn look(&mut self) -> Found {
        let mut found = Found::default();
        for folder in &self.roots {
            found.walk(folder, MAX_DEPTH);
        }
        self.known = std::mem::take(&mut found.files)
            .into_iter()
            .filter_map(|(path, seen)| {
                let known = match self.known.get(&path) {
                    Some(known) if known.seen == seen => *known,
                    Some(_) | None => Known {
                        seen,
                        file: self.learner.identify(&path).ok()?, // it went away meanwhile
                    },
                };
                Some((path, known))
            })
            .collect();
        self.folders = std::mem::take(&mut found.folders);
        let wanted: BTreeMap<FileId, FileStamp> =
            self.known.values().map(|known| known.file).collect();
        if let Err(error) = self.table.hold(&wanted) {
            let (found, most) = (wanted.len(), MAX_LIBRARIES);
            tracing::error!(%error, found, most, "some libraries of this host cannot be mapped by agents");
        }
        found
    }

    /// The folders in which a change may be one of a library.
    #[must_use]
    pub const fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.folders
    }
}

/// What a walk finds.
#[derive(Default)]
struct Found {
    files: BTreeMap<PathBuf, (u64, u64, i64, i64)>,
    /// Folders that hold some, or others that do.
    folders: BTreeSet<PathBuf>,
    /// All others.
    bare: BTreeSet<PathBuf>,
}

impl Found {
    /// Walks a folder, links left aside: what they lead to is found where it lies. Says whether
    /// there was a library.
    fn walk(&mut self, folder: &Path, depth: usize) -> bool {
        let Ok(entries) = fs::read_dir(folder) else {
            return false; // not on this host, or gone
        };
        let mut holds = false;
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() && depth > 0 {
                holds |= self.walk(&entry.path(), depth - 1);
            } else if kind.is_file() && is_library(&entry.file_name()) {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if is_roots(&metadata) {
                    self.files.insert(entry.path(), seen(&metadata));
                    holds = true;
                }
            }
        }
        if holds || FOLDERS.iter().any(|root| Path::new(root) == folder) {
            self.folders.insert(folder.to_owned());
        } else {
            self.bare.insert(folder.to_owned());
        }
        holds
    }
}

fn is_roots(metadata: &fs::Metadata) -> bool {
    metadata.uid() == 0 && metadata.mode() & 0o022 == 0
}

fn seen(metadata: &fs::Metadata) -> (u64, u64, i64, i64) {
    (
        metadata.ino(),
        metadata.size(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

/// Whether a file is named like a library: `libc.so.6`, `_ssl.cpython-311-x86_64-linux-gnu.so`.
#[must_use]
pub fn is_library(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_known_by_their_names() {
        for name in [
            "libc.so.6",
            "ld-linux-x86-64.so.2",
            "libm.so",
            "_ssl.cpython-311-x86_64-linux-gnu.so",
        ] {
            assert!(is_library(OsStr::new(name)), "{name}");
        }
        for name in ["so", "libc.a", "x.sock", "liberty.sonar", "cc1"] {
            assert!(!is_library(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_walk_finds_what_is_roots_and_named_like_a_library() {
        if !nix::unistd::geteuid().is_root() {
            return; // what it makes would not be root's
        }
        let folder =
            std::env::temp_dir().join(format!("enforcer-libraries-{}", std::process::id()));
        let deep = folder.join("a/b");
        fs::create_dir_all(&deep).expect("folders");
        fs::create_dir_all(folder.join("none")).expect("folders");
        for name in ["a/b/libx.so.1", "a/liby.so", "a/other", "none/readme"] {
            fs::write(folder.join(name), name).expect("a file");
        }
        std::os::unix::fs::symlink("libx.so.1", deep.join("libx.so")).expect("a link");
        nix::unistd::chown(&folder.join("a/liby.so"), Some(1.into()), None).expect("an owner");
        let mut found = Found::default();
        assert!(found.walk(&folder, MAX_DEPTH));
        let files: Vec<_> = found.files.keys().cloned().collect();
        assert_eq!(files, [deep.join("libx.so.1")]);
        assert_eq!(
            found.folders,
            BTreeSet::from([folder.clone(), folder.join("a"), deep])
        );
        fs::remove_dir_all(&folder).expect("it was made above");
    }
}

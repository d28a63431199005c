//! The files and sockets that random cases are about, made on the disk, and what `judge` must know of them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use enforcer_common::object::{FileId, FileStamp};
use enforcer_policy::{Facts, FileFact, PathFact, arbitrary::pool};

use crate::{cli, place, server::UnixServer};

/// The files of the pool that are scripts, each with its interpreter; the others are programs.
const SCRIPTS: [(&str, &str); 2] = [("bin/c", "bin/a"), ("lib/f", "lib/e")];
/// Abstract names that requests are about.
const ABSTRACT: [&str; 4] = ["one", "on", "one-more", "two"];

/// The pool on the disk.
#[derive(Debug)]
pub struct Pool {
    /// The directory that holds its files.
    pub base: String,
    /// Its sockets, listening, and those of abstract names.
    pub servers: Vec<UnixServer>,
}

impl Pool {
    /// Makes it in a new directory.
    ///
    /// # Panics
    /// When a file cannot be made.
    #[must_use]
    pub fn make() -> Self {
        let base = place::directory("pool");
        // Others than root can change it: a changed file stays denied until a policy is applied.
        place::mode(&base, 0o777);
        let base = place::text(&base).to_owned();
        let mut servers = Vec::new();
        for entry in pool(&base) {
            fs::create_dir_all(Path::new(&entry.path).parent().expect("it has one"))
                .expect("it is made");
            let name = entry
                .path
                .strip_prefix(&base)
                .expect("it is below the base")
                .trim_start_matches('/');
            let script = SCRIPTS.iter().find(|(script, _)| *script == name);
            match (&entry.same_as, script) {
                (Some(same), _) => fs::hard_link(same, &entry.path).expect("it is linked"),
                (None, Some((_, interpreter))) => {
                    place::script(&entry.path, &format!("#!{base}/{interpreter}\n"));
                }
                (None, None) if entry.is_socket => servers.push(UnixServer::at(&entry.path)),
                (None, None) => {
                    place::copy(cli::probe(), &entry.path);
                }
            }
        }
        servers.extend(ABSTRACT.map(|name| UnixServer::at(&format!("@{name}"))));
        Self { base, servers }
    }

    /// Every executable, by one of its paths.
    #[must_use]
    pub fn executables(&self) -> Vec<String> {
        let entries = pool(&self.base).into_iter();
        let files = entries.filter(|entry| entry.same_as.is_none() && !entry.is_socket);
        files.map(|entry| entry.path).collect()
    }

    /// The interpreter of an executable that is a script.
    #[must_use]
    pub fn interpreter(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix(&self.base)?.trim_start_matches('/');
        let (_, interpreter) = SCRIPTS.iter().find(|(script, _)| *script == name)?;
        Some(format!("{}/{interpreter}", self.base))
    }

    /// The path by which [`Pool::executables`] knows the file of an entry.
    ///
    /// # Panics
    /// When the pool has no such path.
    #[must_use]
    pub fn known(&self, path: &str) -> String {
        let entries = pool(&self.base);
        let entry = entries.iter().find(|entry| entry.path == path);
        let entry = entry.expect("a path of the pool");
        entry.same_as.clone().unwrap_or_else(|| path.to_owned())
    }
}

/// The disk as facts.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Disk {
    /// A file as it is now. Its identity is its inode number: the pool is on one file system, and nothing of
    /// it is removed.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn file(path: &Path) -> FileFact {
        let meta = fs::metadata(path).expect("the file is there");
        FileFact {
            path: place::text(path).to_owned(),
            id: FileId {
                inode: meta.ino(),
                device: 0,
                generation: 0,
            },
            stamp: FileStamp {
                ctime_sec: meta.ctime(),
                ctime_nsec: meta.ctime_nsec().try_into().expect("below 10^9"),
                pad: 0,
                size: meta.size(),
            },
            owner_uid: meta.uid(),
            mode: meta.mode() & 0o7777,
            sha256: None,
        }
    }

    fn below(directory: &Path, files: &mut Vec<FileFact>) {
        let entries = fs::read_dir(directory).expect("it is read");
        let entries = entries.map(|entry| entry.expect("it is read").path());
        let mut entries: Vec<PathBuf> = entries.collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                Self::below(&path, files);
            } else if path.is_file() {
                files.push(Self::file(&path));
            }
        }
    }
}

impl Facts for Disk {
    fn path(&self, path: &str) -> PathFact {
        let at = Path::new(path);
        match fs::metadata(path) {
            Err(_) => PathFact::Missing,
            Ok(meta) if meta.is_dir() => {
                let mut files = Vec::new();
                Self::below(at, &mut files);
                PathFact::Directory {
                    owner_uid: meta.uid(),
                    mode: meta.mode() & 0o7777,
                    files,
                }
            }
            Ok(meta) if meta.is_file() => PathFact::File(Self::file(at)),
            Ok(meta) => PathFact::Socket {
                id: FileId {
                    inode: meta.ino(),
                    device: 0,
                    generation: 0,
                },
            },
        }
    }

    fn sha256(&self, file: &FileFact) -> Result<[u8; 32], String> {
        Err(format!("{} has no known content", file.path))
    }
}

/// The disk as it was when a policy was applied.
#[derive(Debug)]
pub struct Frozen(BTreeMap<String, PathFact>);

impl Frozen {
    /// As it is now.
    #[must_use]
    pub fn now(of: &Pool) -> Self {
        let base = &of.base;
        let entries = pool(base).into_iter().map(|entry| entry.path);
        let others = ["bin/", "bin/sub/", "lib/", "bin/missing", "run/missing"];
        let paths = entries.chain(others.map(|name| format!("{base}/{name}")));
        Self(paths.map(|path| (path.clone(), Disk.path(&path))).collect())
    }
}

impl Facts for Frozen {
    fn path(&self, path: &str) -> PathFact {
        self.0.get(path).cloned().unwrap_or(PathFact::Missing)
    }

    fn sha256(&self, file: &FileFact) -> Result<[u8; 32], String> {
        Disk.sha256(file)
    }
}

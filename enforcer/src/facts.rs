//! The host's files as the policy core asks for them.
#![forbid(unsafe_code)]

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::{self, File, Metadata},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use enforcer_common::object::{FileId, FileStamp};
use enforcer_policy::{CONTROL_SOCKET, Facts, FileFact, PathFact};
use nix::unistd::{Group, User};
use sha2::{Digest, Sha256};

/// Regular files that one directory rule may stand for. More than any table holds: the compiler
/// says which limit is passed; this one only ends the walk through a whole disk.
pub const MAX_FILES_BELOW: usize = 100_000;
/// Directories deep that a walk goes.
const MAX_DEPTH: usize = 64;

/// How a file's identity is found: by the kernel's account in the daemon, by `stat(2)` elsewhere.
pub type Identify = dyn Fn(&Path) -> io::Result<(FileId, FileStamp)> + Send;

/// One look at the host: what it found stays as it was found, so that everything that is decided
/// from it agrees. Make a new one for the next check.
pub struct HostFacts {
    identify: Box<Identify>,
    seen: RefCell<HashMap<String, Arc<PathFact>>>,
    digests: RefCell<HashMap<String, [u8; 32]>>,
    control_socket: String,
}

impl HostFacts {
    /// Facts whose identities `identify` gives. It follows symbolic links.
    pub fn new(
        identify: impl Fn(&Path) -> io::Result<(FileId, FileStamp)> + Send + 'static,
    ) -> Self {
        Self {
            identify: Box::new(identify),
            seen: RefCell::default(),
            digests: RefCell::default(),
            control_socket: CONTROL_SOCKET.to_owned(),
        }
    }

    /// The same, for a daemon whose control socket is at `path`.
    #[must_use]
    pub fn with_control_socket(self, path: &Path) -> Self {
        Self {
            control_socket: path.display().to_string(),
            ..self
        }
    }

    /// Facts by `stat(2)`: good for checking a policy, not for enforcing it ([`stat_identity`]).
    #[must_use]
    pub fn by_stat() -> Self {
        Self::new(stat_identity)
    }

    /// What is at this path, to be kept.
    pub fn at(&self, path: &str) -> Arc<PathFact> {
        if let Some(fact) = self.seen.borrow().get(path) {
            return fact.clone();
        }
        let fact = Arc::new(self.look(Path::new(path)).unwrap_or_else(|error| {
            if is_missing(&error) {
                PathFact::Missing
            } else {
                PathFact::Unreadable(error.to_string())
            }
        }));
        self.seen.borrow_mut().insert(path.to_owned(), fact.clone());
        fact
    }

    /// The digest of the file at this path, if it was asked for.
    pub fn known_digest(&self, path: &str) -> Option<[u8; 32]> {
        self.digests.borrow().get(path).copied()
    }

    fn look(&self, path: &Path) -> io::Result<PathFact> {
        let held = Held::open(path)?;
        let metadata = held.metadata()?;
        let kind = metadata.file_type();
        if kind.is_file() {
            return Ok(PathFact::File(self.file(path, &held, &metadata)?));
        }
        if kind.is_dir() {
            let mut files = Vec::new();
            self.walk(path, MAX_DEPTH, &mut files)?;
            return Ok(PathFact::Directory {
                owner_uid: metadata.uid(),
                mode: permissions(&metadata),
                files,
            });
        }
        if kind.is_socket() {
            return Ok(PathFact::Socket {
                id: (self.identify)(&held.path())?.0,
            });
        }
        Ok(PathFact::Other(if kind.is_fifo() {
            "a FIFO"
        } else if kind.is_block_device() || kind.is_char_device() {
            "a device"
        } else {
            "a file of an unknown kind"
        }))
    }

    fn file(&self, path: &Path, held: &Held, metadata: &Metadata) -> io::Result<FileFact> {
        let (id, stamp) = (self.identify)(&held.path())?;
        Ok(FileFact {
            path: text_of(path)?.to_owned(),
            id,
            stamp,
            owner_uid: metadata.uid(),
            mode: permissions(metadata),
            sha256: None,
        })
    }

    /// Adds every regular file below `folder`, by name. Symbolic links to directories are not
    /// followed: they lead out of the directory that the rule names.
    fn walk(&self, folder: &Path, depth: usize, files: &mut Vec<FileFact>) -> io::Result<()> {
        if depth == 0 {
            return Err(io::Error::other(format!(
                "{} is nested too deeply",
                folder.display()
            )));
        }
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                self.walk(&path, depth - 1, files)?;
                continue;
            }
            let looked = Held::open(&path).and_then(|held| Ok((held.metadata()?, held)));
            match looked {
                Ok((metadata, held)) if metadata.is_file() => {
                    files.push(self.file(&path, &held, &metadata)?);
                }
                Ok(_) => {}
                // A dangling link, or a file that went away meanwhile: nothing that could run.
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
            if files.len() > MAX_FILES_BELOW {
                return Err(io::Error::other(format!(
                    "more than {MAX_FILES_BELOW} files are below it"
                )));
            }
        }
        Ok(())
    }
}

impl Facts for HostFacts {
    fn path(&self, path: &str) -> PathFact {
        (*self.at(path)).clone()
    }

    /// Reads the file, and makes sure that it is the one that was looked at, before and after.
    fn sha256(&self, file: &FileFact) -> Result<[u8; 32], String> {
        let read = || {
            let at = Held::open(Path::new(&file.path))?;
            let before = (self.identify)(&at.path())?;
            let digest = digest_of(&at.path())?;
            let after = (self.identify)(&at.path())?;
            let known = (file.id, file.stamp);
            io::Result::Ok((before == known && after == known).then_some(digest))
        };
        match read().map_err(|error| error.to_string())? {
            Some(digest) => {
                self.digests.borrow_mut().insert(file.path.clone(), digest);
                Ok(digest)
            }
            None => Err("it changed since it was looked at".into()),
        }
    }

    fn has_user(&self, name: &str) -> bool {
        user_id(name).is_some()
    }

    fn has_group(&self, name: &str) -> bool {
        // A name service that does not answer is no reason for a doubt about the policy.
        !matches!(Group::from_name(name), Ok(None))
    }

    fn control_socket(&self) -> &str {
        &self.control_socket
    }

    fn writable_directory(&self, path: &str) -> Option<String> {
        let written = Path::new(path);
        let resolved = fs::canonicalize(written).ok();
        let ways = [Some(written), resolved.as_deref()].into_iter().flatten();
        ways.flat_map(|way| way.ancestors().skip(1))
            .find_map(|folder| {
                let metadata = fs::metadata(folder).ok()?;
                let replaceable = metadata.uid() != 0 || permissions(&metadata) & 0o022 != 0;
                let sticky = permissions(&metadata) & 0o1000 != 0;
                (replaceable && !sticky).then(|| folder.to_str().map(str::to_owned))?
            })
    }
}

/// What a path leads to, held: whatever comes to stand at the path, all that is asked of it is asked of one
/// file. It is not opened for anything that could block or act.
struct Held(File);

impl Held {
    fn open(path: &Path) -> io::Result<Self> {
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_PATH)
            .open(path)?;
        Ok(Self(file))
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// A path that leads to it and nowhere else.
    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

/// Identity and stamp by `stat(2)`, links followed.
///
/// The kernel may know the same file by another device (overlayfs), and `stat` does not tell the
/// inode's generation, which is 0 here.
///
/// # Errors
/// What `stat(2)` says.
pub fn stat_identity(path: &Path) -> io::Result<(FileId, FileStamp)> {
    let metadata = fs::metadata(path)?;
    let id = FileId {
        inode: metadata.ino(),
        device: kernel_device(metadata.dev()),
        generation: 0,
    };
    let stamp = FileStamp {
        ctime_sec: metadata.ctime(),
        // Less than 10^9 by definition.
        ctime_nsec: u32::try_from(metadata.ctime_nsec()).unwrap_or_default(),
        pad: 0,
        size: metadata.size(),
    };
    Ok((id, stamp))
}

/// `st_dev` (glibc's encoding) as the kernel keeps it in `s_dev`: 12 bits major, 20 bits minor
/// (`MKDEV` in `linux/kdev_t.h`).
#[must_use]
pub fn kernel_device(st_dev: u64) -> u32 {
    let (major, minor) = (nix::sys::stat::major(st_dev), nix::sys::stat::minor(st_dev));
    // Both fit: the kernel made them of 12 and 20 bits.
    ((major & 0xfff) << 20 | minor & 0xf_ffff) as u32
}

/// A user by name or number; `None` when this host has no such user.
#[must_use]
pub fn user_id(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let user = User::from_name(name).ok().flatten()?;
    Some(user.uid.as_raw())
}

fn digest_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = io::Read::read(&mut file, &mut buffer)?;
        match buffer.get(..count) {
            Some([]) | None => return Ok(hasher.finalize().into()),
            Some(bytes) => hasher.update(bytes),
        }
    }
}

fn permissions(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

fn text_of(path: &Path) -> io::Result<&str> {
    path.to_str()
        .ok_or_else(|| io::Error::other(format!("{path:?} is not UTF-8 text")))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt, net::UnixListener};

    use super::*;

    /// A folder of its own, removed at the end.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("enforcer-facts-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        fn path(&self, name: &str) -> String {
            self.0.join(name).to_str().expect("text").to_owned()
        }

        fn file(&self, name: &str, content: &str) -> String {
            let path = self.path(name);
            fs::write(&path, content).expect("a file");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn each_kind_of_file_is_told() {
        let folder = Folder::new("kinds");
        let file = folder.file("tool", "x");
        let _listener = UnixListener::bind(folder.path("socket")).expect("a socket");
        std::os::unix::fs::symlink(&file, folder.path("link")).expect("a link");
        std::os::unix::fs::symlink("nowhere", folder.path("dangling")).expect("a link");
        let facts = HostFacts::by_stat();
        let PathFact::File(fact) = facts.path(&file) else {
            panic!("{:?}", facts.path(&file))
        };
        let PathFact::File(through) = facts.path(&folder.path("link")) else {
            panic!("a link to a file")
        };
        assert_eq!((through.id, through.stamp), (fact.id, fact.stamp));
        assert_eq!(fact.stamp.size, 1);
        assert!(matches!(
            facts.path(&folder.path("socket")),
            PathFact::Socket { .. }
        ));
        for missing in ["dangling", "absent", "tool/below"] {
            assert_eq!(
                facts.path(&folder.path(missing)),
                PathFact::Missing,
                "{missing}"
            );
        }
        assert!(matches!(
            facts.path("/dev/null"),
            PathFact::Other("a device")
        ));
    }

    #[test]
    fn a_directory_is_every_file_below_it() {
        let folder = Folder::new("below");
        fs::create_dir_all(folder.path("deep/er")).expect("folders");
        folder.file("b", "");
        folder.file("deep/er/a", "");
        std::os::unix::fs::symlink(folder.path("b"), folder.path("c")).expect("a link");
        std::os::unix::fs::symlink("/usr", folder.path("elsewhere")).expect("a link");
        std::os::unix::fs::symlink("nowhere", folder.path("dangling")).expect("a link");
        let below = format!("{}/", folder.path(""));
        let PathFact::Directory { files, .. } = HostFacts::by_stat().path(&below) else {
            panic!("a directory")
        };
        let ends: Vec<_> = files
            .iter()
            .map(|file| file.path.rsplit('/').next().unwrap_or_default())
            .collect();
        assert_eq!(ends, ["b", "c", "a"]);
    }

    #[test]
    fn one_look_does_not_change_and_the_next_does() {
        let folder = Folder::new("look");
        let path = folder.path("late");
        let facts = HostFacts::by_stat();
        assert_eq!(facts.path(&path), PathFact::Missing);
        folder.file("late", "");
        assert_eq!(facts.path(&path), PathFact::Missing);
        assert!(matches!(
            HostFacts::by_stat().path(&path),
            PathFact::File(_)
        ));
    }

    #[test]
    fn identities_are_those_of_the_given_function() {
        let folder = Folder::new("identify");
        let path = folder.file("tool", "");
        let id = FileId {
            inode: 7,
            device: 8,
            generation: 9,
        };
        let facts = HostFacts::new(move |_| Ok((id, FileStamp::default())));
        assert!(matches!(facts.path(&path), PathFact::File(fact) if fact.id == id));
        let denied = HostFacts::new(|_| Err(io::ErrorKind::PermissionDenied.into()));
        assert!(matches!(denied.path(&path), PathFact::Unreadable(_)));
    }

    #[test]
    fn users_have_names_or_numbers() {
        assert_eq!(user_id("root"), Some(0));
        assert_eq!(user_id("4242"), Some(4242));
        assert_eq!(user_id("nobody-of-that-name"), None);
    }

    #[test]
    fn a_digest_is_of_the_content() {
        let folder = Folder::new("digest");
        let path = folder.file("tool", "abc");
        let facts = HostFacts::by_stat();
        let file = file_at(&facts, &path);
        let digest = facts.sha256(&file).expect("readable");
        assert_eq!(&digest[..4], [0xba, 0x78, 0x16, 0xbf]);
        fs::remove_file(&path).expect("removed");
        assert!(facts.sha256(&file).is_err());
    }

    #[test]
    fn a_digest_is_of_the_file_that_was_looked_at_and_not_of_what_stands_there_by_now() {
        let folder = Folder::new("swapped");
        fs::create_dir_all(folder.path("good")).expect("a folder");
        fs::create_dir_all(folder.path("evil")).expect("a folder");
        folder.file("good/tool", "abc");
        folder.file("evil/tool", "something else");
        let way = folder.path("way");
        std::os::unix::fs::symlink("evil", &way).expect("a link");
        let facts = HostFacts::by_stat();
        let PathFact::Directory { files, .. } = facts.path(&format!("{way}/")) else {
            panic!("a directory")
        };
        fs::remove_file(&way).expect("removed");
        std::os::unix::fs::symlink("good", &way).expect("a link");
        let found = facts.sha256(&files[0]);
        assert_eq!(found, Err("it changed since it was looked at".to_owned()));
        let anew = HostFacts::by_stat();
        let file = file_at(&anew, &format!("{way}/tool"));
        assert!(anew.sha256(&file).is_ok());
    }

    fn file_at(facts: &HostFacts, path: &str) -> FileFact {
        let PathFact::File(file) = facts.path(path) else {
            panic!("{path} is no file")
        };
        file
    }

    #[test]
    fn a_directory_that_others_can_write_is_found() {
        let folder = Folder::new("writable");
        let path = folder.file("tool", "");
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).expect("a mode");
        assert_eq!(
            HostFacts::by_stat().writable_directory(&path).as_deref(),
            folder.0.to_str()
        );
        assert_eq!(
            HostFacts::by_stat().writable_directory("/etc/hostname"),
            None
        );
    }

    #[test]
    fn device_numbers_are_in_the_kernels_encoding() {
        for (major, minor) in [(8, 1), (259, 0xf_ffff), (0xfff, 300)] {
            let st_dev = nix::sys::stat::makedev(major, minor);
            assert_eq!(u64::from(kernel_device(st_dev)), major << 20 | minor);
        }
    }
}

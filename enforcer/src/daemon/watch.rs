//! Files that change: a package upgrade gives a path another file, and what was judged is looked at
//! again at once, without anybody asking.
//!
//! The folders of everything that a policy names, and those of the host's libraries, are watched by
//! inotify(7). When something in one of them changes and it has been quiet for [`QUIET`], the
//! policies are compiled anew; an agent whose tables differ gets a new generation, as if its policy
//! had been applied again. Until then the changed file is denied (`file-changed`, `not-listed`).
//!
//! It is watched only while sessions run, or can begin without asking: a watch costs every open and
//! read of its file system something. A session that is to begin waits until it is.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor},
};

use super::{
    core::Core,
    libraries::{Libraries, is_library},
    places::Place,
};

/// What may mean that a name leads to another file, or a file to another content.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_ONLYDIR);
/// A package is unpacked file by file: it is looked at when nothing happened for so long...
const QUIET: Duration = Duration::from_millis(100);
/// ...or when so much time has gone by since the first change.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the thread looks whether other policies are in force, or the daemon stops.
const TICK: Duration = Duration::from_millis(200);

/// Starts the watch.
///
/// # Errors
/// When the kernel gives no inotify instance, or no thread.
pub fn start(core: &Arc<Core>, libraries: Libraries) -> io::Result<()> {
    let mut watch = Watch {
        inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?,
        core: core.clone(),
        libraries,
        generation: None,
        folders: BTreeMap::new(),
        watched: HashMap::new(),
        stale: Stale::default(),
    };
    thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            while !watch.core.is_stopping() {
                watch.turn();
            }
        })
        .map(drop)
}

struct Watch {
    inotify: Inotify,
    core: Arc<Core>,
    libraries: Libraries,
    /// Generation that `folders` belongs to.
    generation: Option<u32>,
    folders: BTreeMap<PathBuf, Interest>,
    watched: HashMap<WatchDescriptor, PathBuf>,
    /// What has to be looked at again.
    stale: Stale,
}

/// What of a folder matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Interest {
    /// Every entry, to a policy.
    all: bool,
    /// These entries, to a policy.
    names: BTreeSet<OsString>,
    /// Libraries in it.
    libraries: bool,
}

/// What has to be looked at again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stale {
    policies: bool,
    libraries: bool,
}

impl Stale {
    const ALL: Self = Self {
        policies: true,
        libraries: true,
    };

    const fn is_nothing(self) -> bool {
        !self.policies && !self.libraries
    }

    const fn with(self, other: Self) -> Self {
        Self {
            policies: self.policies || other.policies,
            libraries: self.libraries || other.libraries,
        }
    }
}

impl Watch {
    fn turn(&mut self) {
        if !self.core.needs_watch() {
            return self.rest();
        }
        let generation = self.core.policies().generation();
        if self.generation != Some(generation) {
            self.generation = Some(generation);
            self.watch_folders();
        }
        if self.stale.is_nothing() {
            self.core.watched.note(true);
            self.stale = self.changes();
        }
        let stale = std::mem::take(&mut self.stale);
        if stale.libraries {
            self.libraries.refresh();
        }
        if stale.policies {
            self.core.refresh_policies();
        }
        if !stale.is_nothing() {
            self.watch_folders();
        }
    }

    /// Watches nothing, for nobody is there to whom it would matter.
    fn rest(&mut self) {
        self.core.watched.note(false);
        for (descriptor, _) in self.watched.drain() {
            let _ = self.inotify.rm_watch(descriptor); // it may have gone with its folder
        }
        let _ = self.inotify.read_events(); // of the time before
        self.folders.clear();
        self.stale = Stale::default();
        self.generation = None;
        self.core.watched.rest();
    }

    /// Waits a tick for changes, and when there are some, until they are over.
    fn changes(&mut self) -> Stale {
        let mut stale = Stale::default();
        let (mut wait, mut since) = (TICK, None);
        while self.wait(wait) {
            stale = stale.with(self.read());
            if stale.is_nothing() {
                break; // in a watched folder, and of no interest
            }
            if since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                break;
            }
            wait = QUIET;
        }
        stale
    }

    fn wait(&self, time: Duration) -> bool {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
        let mut ready = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, timeout).is_ok_and(|count| count > 0)
    }

    fn read(&mut self) -> Stale {
        match self.inotify.read_events() {
            Ok(events) => {
                let stale = events.iter().map(|event| self.stale_by(event));
                stale.fold(Stale::default(), Stale::with)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Stale::default(),
            Err(error) => {
                tracing::error!(%error, "changed files are not seen until the policy is applied again");
                thread::sleep(TICK);
                Stale::ALL
            }
        }
    }

    fn stale_by(&self, event: &InotifyEvent) -> Stale {
        let lost = AddWatchFlags::IN_Q_OVERFLOW | AddWatchFlags::IN_IGNORED;
        if event.mask.intersects(lost) {
            return Stale::ALL;
        }
        let folder = self.watched.get(&event.wd);
        let interest = folder.and_then(|folder| self.folders.get(folder));
        match (interest, &event.name) {
            (None, _) => Stale::default(),       // no longer of interest
            (Some(_), None) => Stale::default(), // the folder itself: its own times or mode
            (Some(interest), Some(name)) => interest.stale_by(name, is_folder(event)),
        }
    }

    /// Watches what the policies in force and the libraries are about, and nothing else. What was not
    /// watched before has to be looked at again: what changed in it until now was not seen.
    fn watch_folders(&mut self) {
        let mut wanted: BTreeMap<PathBuf, Interest> = BTreeMap::new();
        for folder in self.libraries.folders() {
            wanted.entry(folder.clone()).or_default().libraries = true;
        }
        for path in self.policy_paths() {
            want(&path, &mut wanted);
        }
        for (folder, interest) in &wanted {
            if self.folders.get(folder) == Some(interest) {
                continue;
            }
            match self.inotify.add_watch(folder, CHANGES) {
                Ok(descriptor) => {
                    self.watched.insert(descriptor, folder.clone());
                    self.stale = self.stale.with(Stale {
                        policies: interest.all || !interest.names.is_empty(),
                        libraries: interest.libraries,
                    });
                }
                Err(Errno::ENOENT | Errno::ENOTDIR) => {} // the way there is watched too
                Err(error) => {
                    let folder = folder.display();
                    tracing::error!(%folder, %error, "changes in it are not seen until the policy is applied again");
                }
            }
        }
        let gone: Vec<WatchDescriptor> = self
            .watched
            .iter()
            .filter(|(_, folder)| !wanted.contains_key(*folder))
            .map(|(descriptor, _)| *descriptor)
            .collect();
        for descriptor in gone {
            let _ = self.inotify.rm_watch(descriptor); // it may have gone with its folder
            self.watched.remove(&descriptor);
        }
        self.folders = wanted;
    }

    fn policy_paths(&self) -> BTreeSet<String> {
        let policies = self.core.policies();
        policies
            .agents()
            .flat_map(|(_, agent)| agent.policy().paths())
            .map(str::to_owned)
            .collect()
    }
}

impl Interest {
    fn stale_by(&self, name: &OsStr, is_folder: bool) -> Stale {
        Stale {
            policies: self.all || self.names.contains(name),
            libraries: self.libraries && (is_folder || is_library(name)),
        }
    }
}

fn is_folder(event: &InotifyEvent) -> bool {
    event.mask.contains(AddWatchFlags::IN_ISDIR)
}

/// Adds the folders in which a change may give `path`, as a policy writes it, another meaning.
fn want(path: &str, wanted: &mut BTreeMap<PathBuf, Interest>) {
    let Ok(place) = Place::of(path) else {
        return; // it leads nowhere, until its policy is applied again
    };
    for entry in place.way.iter().chain(&place.ends).chain(&place.trees) {
        if let (Some(folder), Some(name)) = (entry.parent(), entry.file_name()) {
            let interest = wanted.entry(folder.to_owned()).or_default();
            interest.names.insert(name.to_owned());
        }
    }
    for tree in &place.trees {
        want_below(tree, wanted);
    }
}

/// Adds a folder and those below it, links left aside, as a directory rule does.
fn want_below(folder: &Path, wanted: &mut BTreeMap<PathBuf, Interest>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    wanted.entry(folder.to_owned()).or_default().all = true;
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            want_below(&entry.path(), wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(interest: Option<&Interest>) -> Vec<&str> {
        let names = interest.into_iter().flat_map(|interest| &interest.names);
        names.filter_map(|name| name.to_str()).collect()
    }

    #[test]
    fn a_path_is_watched_where_it_stands_and_where_it_leads() {
        let folder = std::env::temp_dir().join(format!("enforcer-watch-{}", std::process::id()));
        let folder = {
            fs::create_dir_all(folder.join("real/deep")).expect("folders");
            fs::canonicalize(&folder).expect("it was just made")
        };
        fs::write(folder.join("real/tool"), "").expect("a file");
        std::os::unix::fs::symlink("real/tool", folder.join("link")).expect("a link");
        let mut wanted = BTreeMap::new();
        want(folder.join("link").to_str().expect("text"), &mut wanted);
        assert_eq!(names(wanted.get(&folder)), ["link", "real"]);
        assert_eq!(names(wanted.get(&folder.join("real"))), ["tool"]);

        let mut wanted = BTreeMap::new();
        want(&format!("{}/real/", folder.display()), &mut wanted);
        assert_eq!(names(wanted.get(&folder)), ["real"]);
        assert!(wanted[&folder.join("real")].all && wanted[&folder.join("real/deep")].all);

        let mut wanted = BTreeMap::new();
        let missing = folder.join("none/yet/tool");
        want(missing.to_str().expect("text"), &mut wanted);
        assert_eq!(wanted, BTreeMap::new());
        fs::remove_dir_all(&folder).expect("it was made above");
    }

    #[test]
    fn only_what_was_asked_for_makes_anything_stale() {
        let interest = Interest {
            all: false,
            names: [OsString::from("git")].into(),
            libraries: true,
        };
        let stale = |name: &str, is_folder| interest.stale_by(OsStr::new(name), is_folder);
        assert!(stale("git.dpkg-new", false).is_nothing());
        assert!(stale("git", false).policies && !stale("git", false).libraries);
        assert!(stale("libz.so.1", false).libraries && !stale("libz.so.1", false).policies);
        assert!(stale("folder", true).libraries);
    }
}

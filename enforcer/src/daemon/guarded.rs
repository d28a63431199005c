//! What no session changes, told to the kernel: the enforcer's own files, and what is trusted as code
//! because of where it stands.
//!
//! The enforcer's own are its folders of configuration, state, log and run time with everything
//! below, and its binary. Trusted for their place are the files that policies name where only root can
//! put files ([`super::places`]), everything below the folders of the host's libraries, and what the host
//! is made of ([`HOSTS`]). The
//! folders and links on the way to each are guarded against being moved, and where one of them could be
//! made anew, nothing is.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use enforcer_common::{
    maps::{
        GUARDED_CLOSED, GUARDED_JOURNAL, GUARDED_LISTED, GUARDED_OWN, GUARDED_TREE, GUARDED_WAY,
        MAX_GUARDED,
    },
    object::FileId,
};

use super::{libraries, places::Place};
use crate::{
    config::DaemonConfig,
    kernel::{KernelError, files::GuardTable, learn::Learner, load::Pins},
};

/// What the host is: programs, configuration, what boots it and what it starts by itself. Whoever changes
/// anything there has it run, loaded or believed by processes outside, if not by root then by everybody.
/// `/bin`, `/sbin` and `/lib` lead to `/usr` or are folders of libraries. What is made of `/etc` by
/// replacing it (editors, package managers do) is guarded by its folder from the moment it is there.
const HOSTS: [&str; 10] = [
    "/bin/",
    "/boot/",
    "/etc/",
    "/sbin/",
    "/usr/",
    "/var/lib/dpkg/",
    "/var/lib/systemd/",
    "/var/lib/polkit-1/",
    "/var/spool/at/",
    "/var/spool/cron/",
];

/// The same, of the running system: made before this daemon starts, or never.
const HOSTS_NOW: [&str; 3] = ["/run/initctl", "/run/systemd/", "/run/udev/"];

/// Where the journal takes the output of what systemd starts (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/stdout";

/// Files that no session changes: `GUARDED_*` by identity.
pub type Guarded = BTreeMap<FileId, u32>;

/// The kernel's table, and what it is made of.
pub struct Guards {
    table: GuardTable,
    learner: Arc<Learner>,
    /// The enforcer's own, and the folders of libraries.
    own: Guarded,
    /// Of the policies in force.
    listed: Guarded,
    /// Whether `own` is known. Until then nothing that an earlier daemon guarded is let go.
    knows_own: bool,
}

impl Guards {
    /// Over the kernel's table, which may hold what an earlier daemon guarded.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn open(pins: &Pins, learner: Arc<Learner>) -> Result<Self, KernelError> {
        Ok(Self {
            table: GuardTable::guarded(pins)?,
            learner,
            own: Guarded::new(),
            listed: Guarded::new(),
            knows_own: false,
        })
    }

    /// Guards the enforcer's own, as far as it is there, before any policy is in force. Until then what an
    /// earlier daemon guarded stays so.
    ///
    /// # Errors
    /// When the kernel does not tell an identity or refuses an entry.
    pub fn guard_own(&mut self, config: &DaemonConfig) -> io::Result<()> {
        let folders = [
            &config.config_dir,
            &config.state_dir,
            &config.log_dir,
            &config.run_dir(),
        ];
        let mut own: Vec<PathBuf> = folders.into_iter().cloned().collect();
        own.extend(std::env::current_exe().ok());
        let mut guarded = Guarded::new();
        let libraries = libraries::FOLDERS.map(|path| format!("{path}/"));
        let lasting = libraries.iter().map(String::as_str).chain(HOSTS);
        for path in lasting.clone().chain(HOSTS_NOW) {
            if let Ok(place) = Place::of(path) {
                add(&self.learner, &place, &mut guarded)?;
            }
        }
        for missing in lasting.map(Path::new).filter(|path| !path.exists()) {
            let folder = missing.parent().unwrap_or(missing);
            if let Ok(folder) = self.learner.identify_entry(folder) {
                put(&mut guarded, folder, GUARDED_CLOSED);
            }
        }
        for path in &own {
            let Some(place) = path.to_str().and_then(|path| Place::of(path).ok()) else {
                continue; // it is not there
            };
            add(&self.learner, &place, &mut guarded)?;
            for end in place.ends {
                put(
                    &mut guarded,
                    self.learner.identify_entry(&end)?,
                    GUARDED_OWN,
                );
            }
        }
        if let Ok(journal) = self.learner.identify_entry(Path::new(JOURNAL)) {
            put(&mut guarded, journal, GUARDED_JOURNAL);
        }
        self.own = guarded;
        self.knows_own = true;
        let wanted = self.with(&self.listed);
        self.table.hold(&wanted).map_err(io::Error::other)
    }

    /// Guards what policies name that are about to come into force, beside what is guarded already.
    ///
    /// # Errors
    /// When there is more than the table holds, or the kernel refuses an entry. What was guarded
    /// before still is.
    pub fn extend(&mut self, listed: &Guarded) -> Result<(), KernelError> {
        let mut wanted = self.with(listed);
        for (file, value) in &self.listed {
            put(&mut wanted, *file, *value);
        }
        if wanted.len() > MAX_GUARDED as usize {
            return Err(KernelError::Full {
                what: "guarded file",
                limit: MAX_GUARDED,
            });
        }
        self.table.add(&wanted)
    }

    /// Guards what the policies in force name, and no more.
    pub fn settle(&mut self, listed: Guarded) {
        self.listed = listed;
        if !self.knows_own {
            return;
        }
        let wanted = self.with(&self.listed);
        if let Err(error) = self.table.hold(&wanted) {
            // All of it was let in by `extend`: what stays behind is guarded without need.
            tracing::warn!(%error, "more files are guarded than need be");
        }
    }

    fn with(&self, listed: &Guarded) -> Guarded {
        let mut all = self.own.clone();
        for (file, value) in listed {
            put(&mut all, *file, *value);
        }
        all
    }
}

/// Adds what a place has to be guarded for, by the identities that `learner` tells.
///
/// # Errors
/// When the kernel does not tell an identity.
pub fn add(learner: &Learner, place: &Place, guarded: &mut Guarded) -> io::Result<()> {
    let kinds = [
        (&place.way, GUARDED_WAY),
        (&place.ends, GUARDED_LISTED),
        (&place.trees, GUARDED_TREE),
    ];
    for (paths, value) in kinds {
        for path in paths {
            put(guarded, learner.identify_entry(path)?, value);
        }
    }
    Ok(())
}

/// Adds one file; what guards more wins.
pub fn put(guarded: &mut Guarded, file: FileId, value: u32) {
    match guarded.entry(file) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) if rank(*entry.get()) < rank(value) => {
            entry.insert(value);
        }
        Entry::Occupied(_) => {}
    }
}

const fn rank(value: u32) -> u32 {
    match value {
        GUARDED_WAY => 1,
        GUARDED_CLOSED => 2,
        GUARDED_LISTED => 3,
        GUARDED_JOURNAL => 4,
        GUARDED_TREE => 5,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guards_more_wins() {
        let mut guarded = Guarded::new();
        let file = FileId::default();
        for (value, known) in [
            (GUARDED_WAY, GUARDED_WAY),
            (GUARDED_TREE, GUARDED_TREE),
            (GUARDED_LISTED, GUARDED_TREE),
            (GUARDED_OWN, GUARDED_OWN),
            (GUARDED_TREE, GUARDED_OWN),
        ] {
            put(&mut guarded, file, value);
            assert_eq!(guarded[&file], known);
        }
    }
}

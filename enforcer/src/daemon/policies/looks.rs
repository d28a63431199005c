//! What a policy's paths were found to lead to, and which of them may be looked at again by itself.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use enforcer_policy::{Facts, FileFact, PathFact, Policy};

use crate::{daemon::places::Place, facts::HostFacts};

/// What was found at each path of a policy when its tables were made.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    paths: BTreeMap<String, Arc<PathFact>>,
    digests: BTreeMap<String, [u8; 32]>,
    /// Paths that are guarded since they were found: only root could change them, and no session.
    closed: BTreeSet<String>,
}

/// The host's files for one policy: as they are now where only an administrator can have changed
/// them or where they can only be denied, and else as they were.
pub struct Looking<'a> {
    host: &'a HostFacts,
    before: Option<&'a Looks>,
    /// Paths that are looked at again.
    fresh: BTreeSet<String>,
}

impl<'a> Looking<'a> {
    /// At an apply (`before` is `None`) everything is looked at. `guard` is given each place that is
    /// to be guarded so that it may be looked at again; one that cannot be guarded will not be.
    pub fn new(
        policy: &Policy,
        host: &'a HostFacts,
        before: Option<&'a Looks>,
        mut guard: impl FnMut(&Place) -> io::Result<()>,
    ) -> Self {
        // A denial that was of nobody when it was last looked at must not stay so.
        let mut fresh: BTreeSet<String> = policy
            .denied_paths()
            .into_iter()
            .map(str::to_owned)
            .collect();
        for path in policy.paths() {
            let is_roots = Place::of(path).is_ok_and(|place| {
                // Guarded or not, what stands open was not an administrator's word.
                !place.is_open && guard(&place).is_ok()
            });
            // What was open, led nowhere, or was lost meanwhile, was guarded by nobody all the time.
            let was_closed = before.is_none_or(|looks| looks.is_closed(path));
            if is_roots && was_closed {
                fresh.insert(path.to_owned());
            }
        }
        Self {
            host,
            before,
            fresh,
        }
    }

    /// Keeps what was found.
    pub fn keep(&self, policy: &Policy) -> Looks {
        let paths = policy
            .paths()
            .into_iter()
            .map(|path| (path.to_owned(), self.at(path)))
            .collect();
        let digests = policy.paths().into_iter().filter_map(|path| {
            let digest = self
                .host
                .known_digest(path)
                .or_else(|| self.before?.digests.get(path).copied());
            Some((path.to_owned(), digest?))
        });
        Looks {
            paths,
            digests: digests.collect(),
            closed: self.fresh.clone(),
        }
    }

    fn at(&self, path: &str) -> Arc<PathFact> {
        let kept = self.before.and_then(|looks| looks.paths.get(path));
        match kept {
            Some(kept) if !self.fresh.contains(path) => kept.clone(),
            Some(_) | None => self.host.at(path),
        }
    }
}

impl Looks {
    fn is_closed(&self, path: &str) -> bool {
        let kept = self.paths.get(path);
        let was_there =
            kept.is_some_and(|fact| !matches!(**fact, PathFact::Missing | PathFact::Unreadable(_)));
        was_there && self.closed.contains(path)
    }

    /// The same, without the paths that lead nowhere now: whatever comes to stand there, nobody has
    /// guarded it. `None` when there are none.
    pub fn without_lost(&self) -> Option<Self> {
        let is_lost = |path: &&String| Place::of(path).is_err();
        let lost: Vec<&String> = self.closed.iter().filter(is_lost).collect();
        if lost.is_empty() {
            return None;
        }
        let mut looks = self.clone();
        looks.closed.retain(|path| !lost.contains(&path));
        Some(looks)
    }
}

impl Facts for Looking<'_> {
    fn path(&self, path: &str) -> PathFact {
        (*self.at(path)).clone()
    }

    fn sha256(&self, file: &FileFact) -> Result<[u8; 32], String> {
        let kept = self.before.and_then(|looks| looks.digests.get(&file.path));
        match kept {
            Some(kept) if !self.fresh.contains(&file.path) => Ok(*kept),
            Some(_) | None => self.host.sha256(file),
        }
    }

    fn has_user(&self, name: &str) -> bool {
        self.host.has_user(name)
    }

    fn writable_directory(&self, path: &str) -> Option<String> {
        self.host.writable_directory(path)
    }
}

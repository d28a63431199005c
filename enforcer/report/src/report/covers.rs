//! Entries of policies, and which objects of records they cover.

use std::collections::HashSet;

use enforcer_common::object::FileId;
use enforcer_policy::{Address, Destination, Facts, PathFact, Peer};

use crate::object::{Endpoint, FileRef, Object, UnixName, reached};

/// An entry of a rule.
#[derive(Debug)]
pub(super) struct Entry {
    pub text: String,
    pub covers: Covers,
    pub used: bool,
}

/// What an entry is about.
#[derive(Debug)]
pub(super) enum Covers {
    /// A file, or those below a directory: by path, and by the identities that it leads to.
    Files {
        path: String,
        files: HashSet<FileId>,
    },
    /// Destinations, or addresses to listen on.
    Place(Destination),
    /// A unix socket, and the inode that its path leads to.
    Peer(Peer, Option<FileId>),
}

impl Covers {
    /// Whether the object of a decision is covered.
    pub(super) fn object(&self, object: &Object<'_>) -> bool {
        match *object {
            Object::Run(file) | Object::Code(file, _) => self.file(&file),
            Object::Reach(to) => self.place(to, true),
            Object::Listen(at) => self.place(at, false),
            Object::Unix(name) => self.peer(name),
            Object::Socket(..) | Object::Write(..) | Object::Number(..) | Object::Nothing => false,
        }
    }

    /// Whether a file is covered.
    pub(super) fn file(&self, file: &FileRef<'_>) -> bool {
        let Self::Files { path, files } = self else {
            return false;
        };
        let lexical = file.path.is_some_and(|found| {
            found == path || (path.ends_with('/') && found.starts_with(path.as_str()))
        });
        lexical || (!files.is_empty() && file.id().is_some_and(|id| files.contains(&id)))
    }

    fn place(&self, place: Endpoint, remote: bool) -> bool {
        let (Self::Place(entry), Some(address)) = (self, place.address) else {
            return false;
        };
        let address = if remote {
            reached(address)
        } else {
            address.to_canonical()
        };
        let addressed = match entry.address {
            Address::Any => true,
            Address::Net(net) => net.contains(&address),
        };
        addressed
            && Some(entry.protocol) == place.transport()
            && (entry.ports.first..=entry.ports.last).contains(&place.port)
    }

    fn peer(&self, name: UnixName<'_>) -> bool {
        let Self::Peer(listed, id) = self else {
            return false;
        };
        match (listed, name) {
            (Peer::Path(listed), UnixName::Path { path, uid }) => {
                let file = FileRef {
                    path: Some(path),
                    uid,
                    sha256: None,
                };
                // A binder writes the path as it likes: `/var/run` is `/run`.
                let plain = |path: &str| {
                    path.strip_prefix("/var/run/")
                        .map_or_else(|| path.to_owned(), |rest| format!("/run/{rest}"))
                };
                plain(path) == plain(listed) || (id.is_some() && file.id() == *id)
            }
            (Peer::Abstract(listed), UnixName::Abstract(name)) => listed == name,
            (Peer::Path(_) | Peer::Abstract(_), _) => false,
        }
    }
}

/// The entry that a path of a policy is.
pub(super) fn files(facts: &dyn Facts, path: &str) -> Entry {
    let files = match facts.path(path) {
        PathFact::File(file) => HashSet::from([file.id]),
        PathFact::Directory { files, .. } => files.into_iter().map(|file| file.id).collect(),
        PathFact::Socket { .. }
        | PathFact::Other(_)
        | PathFact::Missing
        | PathFact::Unreadable(_) => HashSet::new(),
    };
    Entry {
        text: path.to_owned(),
        covers: Covers::Files {
            path: path.to_owned(),
            files,
        },
        used: false,
    }
}

/// Marks the entries that cover a use; says whether there were any.
pub(super) fn mark(entries: &mut [Entry], covers: impl Fn(&Entry) -> bool) -> bool {
    let mut assigned = false;
    for entry in entries {
        if (!entry.used || !assigned) && covers(entry) {
            entry.used = true;
            assigned = true;
        }
    }
    assigned
}

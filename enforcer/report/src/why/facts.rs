//! The host as a record and the caller know it together.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use enforcer_common::object::{FileId, FileStamp, UnixKey};
use enforcer_policy::{Facts, FileFact, PathFact};

use crate::object::{FileRef, UnixName, unescaped};

/// An identity that no file of the caller's facts has: no file system gives out such an inode.
fn unheard_of(number: u64) -> FileId {
    FileId {
        inode: u64::MAX - number,
        device: u32::MAX,
        generation: u32::MAX,
    }
}

/// The caller's facts, and the files and sockets of a record where these say nothing.
pub(super) struct Seen<'a> {
    facts: &'a dyn Facts,
    files: BTreeMap<String, PathFact>,
    /// Answers of the caller's facts: a directory may be long to look up, and is asked about often.
    answers: RefCell<HashMap<String, PathFact>>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(facts: &'a dyn Facts) -> Self {
        Self {
            facts,
            files: BTreeMap::new(),
            answers: RefCell::default(),
        }
    }

    /// The file of a record as a request would name it now, by its path where it has one: that is what
    /// a policy can name. Without one, by its identity.
    pub(super) fn file(&mut self, file: FileRef<'_>) -> (FileId, FileStamp) {
        let recorded = file.id();
        let next = self.files.len() as u64;
        let Some(path) = file.policy_path() else {
            return (recorded.unwrap_or(unheard_of(next)), FileStamp::default());
        };
        match self.path(&path) {
            PathFact::File(found) => (found.id, found.stamp),
            PathFact::Directory { .. }
            | PathFact::Socket { .. }
            | PathFact::Other(_)
            | PathFact::Missing
            | PathFact::Unreadable(_) => {
                // A file that the policy names by another name keeps its identity.
                let id = recorded.unwrap_or(unheard_of(next));
                let fact = FileFact {
                    path: path.clone(),
                    id,
                    stamp: FileStamp::default(),
                    owner_uid: 0,
                    mode: 0o755,
                    sha256: None,
                };
                self.files.insert(path, PathFact::File(fact));
                (id, FileStamp::default())
            }
        }
    }

    /// The socket of a record as a request would name it now.
    pub(super) fn peer(&mut self, socket: UnixName<'_>) -> Option<UnixKey> {
        match socket {
            UnixName::Abstract(name) => UnixKey::abstract_name(&unescaped(name)?),
            UnixName::Path { path, uid } => {
                let file = FileRef {
                    path: Some(path),
                    uid,
                    sha256: None,
                };
                let recorded = file.id().unwrap_or(unheard_of(self.files.len() as u64));
                let Some(path) = file.policy_path() else {
                    return Some(UnixKey::path(recorded));
                };
                if let PathFact::Socket { id } = self.path(&path) {
                    return Some(UnixKey::path(id));
                }
                self.files.insert(path, PathFact::Socket { id: recorded });
                Some(UnixKey::path(recorded))
            }
            UnixName::Unnamed | UnixName::Unknown => None,
        }
    }

    fn asked(&self, path: &str) -> PathFact {
        if let Some(known) = self.answers.borrow().get(path) {
            return known.clone();
        }
        let answer = self.facts.path(path);
        self.answers
            .borrow_mut()
            .insert(path.to_owned(), answer.clone());
        answer
    }

    /// Whether the caller's facts know the path, or only the record does.
    pub(super) fn is_known(&self, path: &str) -> bool {
        self.asked(path) != PathFact::Missing
    }
}

impl Facts for Seen<'_> {
    fn path(&self, path: &str) -> PathFact {
        if let Some(fact) = self.files.get(path) {
            return fact.clone();
        }
        match self.asked(path) {
            PathFact::Directory {
                owner_uid,
                mode,
                mut files,
            } => {
                let below = self
                    .files
                    .range(path.to_owned()..)
                    .take_while(|(name, _)| name.starts_with(path));
                for (_, fact) in below {
                    if let PathFact::File(file) = fact {
                        files.push(file.clone());
                    }
                }
                PathFact::Directory {
                    owner_uid,
                    mode,
                    files,
                }
            }
            fact @ (PathFact::File(_)
            | PathFact::Socket { .. }
            | PathFact::Other(_)
            | PathFact::Missing
            | PathFact::Unreadable(_)) => fact,
        }
    }

    fn sha256(&self, file: &FileFact) -> Result<[u8; 32], String> {
        self.facts.sha256(file)
    }

    fn has_group(&self, name: &str) -> bool {
        self.facts.has_group(name)
    }

    fn control_socket(&self) -> &str {
        self.facts.control_socket()
    }

    fn has_user(&self, name: &str) -> bool {
        self.facts.has_user(name)
    }

    fn writable_directory(&self, path: &str) -> Option<String> {
        self.facts.writable_directory(path)
    }
}

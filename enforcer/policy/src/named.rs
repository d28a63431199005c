//! Facts made from a policy's own words, for examples and checks on hosts that lack its files.

use std::collections::{BTreeMap, BTreeSet};

use enforcer_common::object::{FileId, FileStamp};

use crate::{
    facts::{Facts, FileFact, PathFact},
    model::{ExampleAction, Policy},
};

/// A host on which every path that the policy names is there: a file of root's with an identity of
/// its own, a directory that holds those of the named files that lie below it, or a socket.
///
/// What it cannot know: links between the named paths, and files that no word of the policy names.
#[derive(Clone, Debug, Default)]
pub struct NamedFacts {
    paths: BTreeMap<String, PathFact>,
    digests: BTreeMap<String, [u8; 32]>,
}

impl NamedFacts {
    /// The facts of a policy.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let mut facts = Self::default();
        let files = named_files(policy);
        let sockets = named_sockets(policy);
        for (path, inode) in files.union(&sockets).zip(1..) {
            let fact = if files.contains(path) {
                PathFact::File(file(path, inode))
            } else {
                PathFact::Socket { id: id(inode) }
            };
            facts.paths.insert((*path).to_owned(), fact);
        }
        for directory in policy
            .paths()
            .into_iter()
            .filter(|path| path.ends_with('/'))
        {
            let fact = facts.directory(directory);
            facts.paths.insert(directory.to_owned(), fact);
        }
        facts.add_digests(policy);
        facts
    }

    fn directory(&self, path: &str) -> PathFact {
        let below = self.paths.iter().filter(|(name, _)| name.starts_with(path));
        let files = below.filter_map(|(_, fact)| match fact {
            PathFact::File(file) => Some(file.clone()),
            PathFact::Directory { .. }
            | PathFact::Socket { .. }
            | PathFact::Other(_)
            | PathFact::Missing
            | PathFact::Unreadable(_) => None,
        });
        PathFact::Directory {
            owner_uid: 0,
            mode: 0o755,
            files: files.collect(),
        }
    }

    /// A pinned file has the first digest that its rule lists.
    fn add_digests(&mut self, policy: &Policy) {
        for rule in &policy.exec {
            let Some(digest) = rule.sha256.first() else {
                continue;
            };
            for path in &rule.paths {
                self.digests
                    .entry(path.value.clone())
                    .or_insert(digest.value);
            }
        }
    }
}

impl Facts for NamedFacts {
    fn path(&self, path: &str) -> PathFact {
        self.paths.get(path).cloned().unwrap_or(PathFact::Missing)
    }

    fn sha256(&self, file: &FileFact) -> Result<[u8; 32], String> {
        self.digests
            .get(&file.path)
            .copied()
            .ok_or_else(|| "no rule lists a digest for it".into())
    }
}

fn named_files(policy: &Policy) -> BTreeSet<&str> {
    let by = policy
        .examples
        .iter()
        .filter_map(|example| example.by.as_ref());
    let run = policy
        .examples
        .iter()
        .filter_map(|example| match &example.action {
            ExampleAction::Exec(path) => Some(path.as_str()),
            ExampleAction::Connect(_) | ExampleAction::Listen(_) | ExampleAction::Unix(_) => None,
        });
    let exec = policy.exec.iter().flat_map(|rule| &rule.paths);
    let conditions = policy
        .internet()
        .flat_map(|(_, rule)| rule.by.iter().flatten());
    let rules = exec
        .chain(conditions)
        .chain(by)
        .map(|path| path.value.as_str());
    rules
        .chain(run)
        .filter(|path| !path.ends_with('/'))
        .collect()
}

fn named_sockets(policy: &Policy) -> BTreeSet<&str> {
    let examples = policy
        .examples
        .iter()
        .filter_map(|example| match &example.action {
            ExampleAction::Unix(peer) => peer.path(),
            ExampleAction::Exec(_) | ExampleAction::Connect(_) | ExampleAction::Listen(_) => None,
        });
    let peers = policy.unix.iter().flat_map(|rule| &rule.peers);
    peers
        .filter_map(|peer| peer.value.path())
        .chain(examples)
        .collect()
}

fn id(inode: u64) -> FileId {
    FileId {
        inode,
        device: 1,
        generation: 0,
    }
}

fn file(path: &str, inode: u64) -> FileFact {
    FileFact {
        path: path.to_owned(),
        id: id(inode),
        stamp: FileStamp::default(),
        owner_uid: 0,
        mode: 0o755,
        sha256: None,
    }
}

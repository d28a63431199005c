//! What the tests share: a host in memory, and policies in one line.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;

use enforcer_common::object::{FileId, FileStamp};
use enforcer_policy::{
    CONTROL_SOCKET, Diagnostics, Facts, FileFact, Includes, NoIncludes, Parsed, PathFact, Source,
    parse,
};

/// The least that a policy needs besides rules.
pub const HEAD: &str = "schema = 1\n[agent]\nname = \"a\"\nowner = \"o\"\npurpose = \"p\"\n\
    [agent.enrol]\nlaunch = {}\n";

/// Parses `rules` after [`HEAD`].
pub fn read(rules: &str) -> Result<Parsed, Diagnostics> {
    parse(source("p.toml", &format!("{HEAD}{rules}")), &NoIncludes)
}

/// As [`read`], of rules that are right.
pub fn policy(rules: &str) -> Parsed {
    read(rules).unwrap_or_else(|errors| panic!("{errors}"))
}

pub fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.into(),
        text: text.into(),
    }
}

/// The messages of diagnostics, one a line, each with its hint.
pub fn messages(diagnostics: &Diagnostics) -> Vec<String> {
    let line = |report: enforcer_policy::Report| match report.hint {
        Some(hint) => format!("{} ({hint})", report.message),
        None => report.message,
    };
    diagnostics.reports().into_iter().map(line).collect()
}

/// Files that includes can name.
pub struct Files(pub &'static [(&'static str, &'static str)]);

impl Includes for Files {
    fn read(&self, _including: &str, path: &str) -> Result<Source, String> {
        let file = self.0.iter().find(|(name, _)| *name == path);
        file.map(|(name, text)| source(name, text))
            .ok_or_else(|| "there is no such file".into())
    }
}

/// A host in memory: built by chained calls, each new object with a new inode.
#[derive(Default)]
pub struct Host {
    paths: BTreeMap<String, PathFact>,
    digests: BTreeMap<String, [u8; 32]>,
    loose: Option<(String, String)>,
    control_socket: Option<String>,
    has_no_groups: bool,
}

impl Host {
    pub fn id(&self, path: &str) -> FileId {
        match self.paths.get(path) {
            Some(PathFact::File(file)) => file.id,
            Some(PathFact::Socket { id }) => *id,
            other => panic!("{path} is {other:?}"),
        }
    }

    fn next(&self) -> FileId {
        FileId {
            inode: 1 + self.paths.len() as u64,
            device: 1,
            generation: 1,
        }
    }

    pub fn put(mut self, path: &str, fact: PathFact) -> Self {
        self.paths.insert(path.into(), fact);
        self
    }

    pub fn file(self, path: &str) -> Self {
        self.owned(path, 0, 0o755)
    }

    pub fn owned(self, path: &str, owner_uid: u32, mode: u32) -> Self {
        let fact = PathFact::File(FileFact {
            path: path.into(),
            id: self.next(),
            stamp: FileStamp::default(),
            owner_uid,
            mode,
            sha256: None,
        });
        self.put(path, fact)
    }

    pub fn link(self, path: &str, to: &str) -> Self {
        let fact = self.paths[to].clone();
        self.put(path, fact)
    }

    pub fn socket(self, path: &str) -> Self {
        let id = self.next();
        self.put(path, PathFact::Socket { id })
    }

    /// A directory with those of the files made so far that lie below it, by both spellings.
    pub fn directory(self, path: &str) -> Self {
        let files = self.paths.iter().filter(|(name, _)| name.starts_with(path));
        let files = files.filter_map(|(_, fact)| match fact {
            PathFact::File(file) => Some(file.clone()),
            PathFact::Directory { .. }
            | PathFact::Socket { .. }
            | PathFact::Other(_)
            | PathFact::Missing
            | PathFact::Unreadable(_) => None,
        });
        let files = files.collect();
        let fact = PathFact::Directory {
            owner_uid: 0,
            mode: 0o755,
            files,
        };
        let bare = path.trim_end_matches('/').to_owned();
        self.put(path, fact.clone()).put(&bare, fact)
    }

    pub fn digest(mut self, path: &str, byte: u8) -> Self {
        self.digests.insert(path.into(), [byte; 32]);
        self
    }

    pub fn loose(mut self, path: &str, directory: &str) -> Self {
        self.loose = Some((path.into(), directory.into()));
        self
    }
}

impl Host {
    /// With the enforcer's socket at another path.
    pub fn control_socket(mut self, path: &str) -> Self {
        self.control_socket = Some(path.into());
        self
    }

    pub fn without_groups(mut self) -> Self {
        self.has_no_groups = true;
        self
    }
}

impl Facts for Host {
    fn has_group(&self, _name: &str) -> bool {
        !self.has_no_groups
    }

    fn control_socket(&self) -> &str {
        self.control_socket.as_deref().unwrap_or(CONTROL_SOCKET)
    }

    fn path(&self, path: &str) -> PathFact {
        self.paths.get(path).cloned().unwrap_or(PathFact::Missing)
    }

    fn sha256(&self, file: &FileFact) -> Result<[u8; 32], String> {
        self.digests
            .get(&file.path)
            .copied()
            .ok_or_else(|| "it has no content".into())
    }

    fn writable_directory(&self, path: &str) -> Option<String> {
        self.loose
            .as_ref()
            .filter(|(of, _)| of == path)
            .map(|(_, directory)| directory.clone())
    }
}

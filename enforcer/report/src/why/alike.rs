//! Files and sockets that look like those of a rule, and are not.

use enforcer_common::object::FileId;
use enforcer_policy::{Facts, PathFact};

use crate::object::{FileRef, UnixName};

/// Whether a path of a policy names the file: is it, or is a directory that it lies below.
pub(super) fn names(facts: &dyn Facts, path: &str, file: FileId) -> bool {
    match facts.path(path) {
        PathFact::File(found) => found.id == file,
        PathFact::Directory { files, .. } => files.iter().any(|found| found.id == file),
        PathFact::Socket { .. }
        | PathFact::Other(_)
        | PathFact::Missing
        | PathFact::Unreadable(_) => false,
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Why a listed path that looks like this one is not it.
pub(super) fn alike(path: &str, listed: &str) -> Option<String> {
    if path == listed {
        return Some("another file stands at this path now".to_owned());
    }
    if listed.ends_with('/') {
        return path
            .starts_with(listed)
            .then(|| "the file is not among those that were found below it".to_owned());
    }
    (last(path) == last(listed))
        .then(|| "another file of the same name: a copy is not the file that is listed".to_owned())
}

/// Why a listed socket that looks like this one is not it.
pub(super) fn unlike_socket(listed: &str, socket: UnixName<'_>) -> Option<String> {
    match socket {
        UnixName::Path { path, uid } => {
            let path = FileRef {
                path: Some(path),
                uid,
                sha256: None,
            }
            .policy_path()?;
            if path == listed {
                return Some("another socket is bound to this path now, or was then: its service was started anew; apply the policy again".to_owned());
            }
            (last(&path) == last(listed)).then(|| "another socket of the same name".to_owned())
        }
        UnixName::Abstract(name) if name == listed => {
            Some("it is about the path; this was an abstract name".to_owned())
        }
        UnixName::Abstract(_) | UnixName::Unnamed | UnixName::Unknown => None,
    }
}

//! Digests of the executables that policies list, for the records.
//!
//! They decide nothing: a digest rule's digest is taken when its policy is. They are taken in the
//! background, by a thread that gives way to everything else; a record made before its file was
//! read has no digest.

#![forbid(unsafe_code)]

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use enforcer_policy::{Effect, Facts, FileFact, PathFact, Policy};

use super::core::Core;
use crate::facts::HostFacts;

/// Lowest priority: `nice(2)`.
const NICE: i32 = 19;

/// One thread reads at a time; the next waits here.
static READER: Mutex<()> = Mutex::new(());

/// Reads the executables of `policies` that are not known yet, in the background.
pub fn read(core: &Arc<Core>, policies: Vec<Policy>) {
    let core = core.clone();
    let started = thread::Builder::new()
        .name("digests".to_owned())
        .spawn(move || {
            let _ = rustix::process::nice(NICE); // at worst it is not nice
            let _turn = READER.lock().unwrap_or_else(PoisonError::into_inner);
            let learner = core.learner.clone();
            let facts = HostFacts::new(move |path| learner.identify(path));
            policies
                .iter()
                .flat_map(listed)
                .for_each(|path| take_in(&core, &facts, path));
        });
    if let Err(error) = started {
        tracing::warn!(%error, "records will lack digests");
    }
}

/// Paths that the policy allows to run, as it writes them.
fn listed(policy: &Policy) -> impl Iterator<Item = &str> {
    let allowing = policy
        .exec
        .iter()
        .filter(|rule| rule.effect == Effect::Allow);
    allowing.flat_map(|rule| rule.paths.iter().map(|path| path.value.as_str()))
}

fn take_in(core: &Core, facts: &HostFacts, path: &str) {
    let files: Vec<FileFact> = match facts.path(path) {
        PathFact::File(file) => vec![file],
        PathFact::Directory { files, .. } => files,
        PathFact::Socket { .. }
        | PathFact::Other(_)
        | PathFact::Missing
        | PathFact::Unreadable(_) => Vec::new(),
    };
    for file in files {
        if core.names().digest(file.id, file.stamp).is_some() {
            continue;
        }
        // One that changed meanwhile is another file, and has no digest yet.
        if let Ok(digest) = facts.sha256(&file) {
            core.names().add_digest(file.id, file.stamp, digest);
        }
    }
}

//! A policy found good: parsed, checked against the host's files, compiled. Nothing is in force by it.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
};

use enforcer_policy::{Policy, Tables, check};

use super::{
    CANARY,
    looks::{Looking, Looks},
};
use crate::{
    control::{
        api::{Diagnostic, ErrorCode, PolicySource, Problem},
        sources::{policy_files, read_policy},
    },
    daemon::{
        enrol::Ways,
        guarded::{self, Guarded},
    },
    facts::HostFacts,
    kernel::learn::Learner,
};

/// A policy that was found good, with its tables.
pub struct Prepared {
    pub(super) source: PolicySource,
    pub(super) policy: Policy,
    pub(super) tables: Tables,
    pub(super) fingerprint: u64,
    pub(super) looks: Looks,
    pub(super) guarded: Guarded,
    pub(super) ways: Ways,
}

impl Prepared {
    /// Name of its agent.
    pub fn name(&self) -> &str {
        &self.policy.agent.name.value
    }
}

/// Policies of one request that were found good, and what is doubtful about them.
pub struct Preparation {
    pub(super) prepared: Vec<Prepared>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// How policies are looked at: by files as the kernel knows them, and as what the daemon is.
#[derive(Clone)]
pub struct Looker {
    /// Tells what the kernel calls a file.
    pub learner: Arc<Learner>,
    /// Where the daemon's own socket is.
    pub control_socket: PathBuf,
}

impl Looker {
    /// One look at the host.
    pub fn facts(&self) -> HostFacts {
        let learner = self.learner.clone();
        HostFacts::new(move |path| learner.identify(path)).with_control_socket(&self.control_socket)
    }

    /// Parses, checks and compiles the policies of a request. It reads every file that needs a digest,
    /// and so may take its time: nothing need be locked meanwhile.
    ///
    /// # Errors
    /// `policy-invalid` with every finding.
    pub fn prepare(&self, sources: &[PolicySource]) -> Result<Preparation, Problem> {
        let facts = self.facts();
        let (mut prepared, mut errors, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for source in sources {
            match prepare(source, &facts, &self.learner, None, &mut warnings) {
                Ok(one) => prepared.push(one),
                Err(found) => errors.extend(found),
            }
        }
        refuse_clashes(&prepared)?;
        if errors.is_empty() {
            return Ok(Preparation { prepared, warnings });
        }
        let message = format!(
            "{} found in the policies; nothing was changed",
            count(errors.len(), "error")
        );
        Err(Problem::new(ErrorCode::PolicyInvalid, message).diagnostics(errors))
    }
}

/// Parses, checks and compiles one policy; warnings are added to `warnings`. `before` are the looks
/// of the same policy in force, when it is looked at again without being applied.
pub fn prepare(
    source: &PolicySource,
    host: &HostFacts,
    learner: &Learner,
    before: Option<&Looks>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Prepared, Vec<Diagnostic>> {
    let parsed = source.parse().map_err(|found| Diagnostic::list(&found))?;
    let mut guarded = Guarded::new();
    let facts = Looking::new(&parsed.policy, host, before, |place| {
        guarded::add(learner, place, &mut guarded)
    });
    let facts = &facts;
    let checked = check(&parsed, facts);
    warnings.extend(Diagnostic::list(&checked.warnings));
    let Some(tables) = checked.tables else {
        return Err(Diagnostic::list(&checked.errors));
    };
    let ways = Ways::of(&parsed.policy, learner);
    let fingerprint = fingerprint(&tables, &ways);
    let looks = facts.keep(&parsed.policy);
    Ok(Prepared {
        source: source.clone(),
        policy: parsed.policy,
        tables,
        fingerprint,
        looks,
        guarded,
        ways,
    })
}

/// Tells apart tables of one text: the same text leads to others when the files it names change.
fn fingerprint(tables: &Tables, ways: &Ways) -> u64 {
    let mut hasher = DefaultHasher::new();
    tables.addresses.hash(&mut hasher);
    tables.ports.hash(&mut hasher);
    tables.executables.hash(&mut hasher);
    tables.unix.hash(&mut hasher);
    ways.hash(&mut hasher);
    hasher.finish()
}

/// Two sources for one agent, or one for the daemon's own, are an error of the request.
fn refuse_clashes(prepared: &[Prepared]) -> Result<(), Problem> {
    let mut seen = BTreeMap::from([(CANARY, "the daemon itself")]);
    for one in prepared {
        if let Some(other) = seen.insert(one.name(), &one.source.name) {
            let message = format!(
                "agent `{}` is in {} and in {other}",
                one.name(),
                one.source.name
            );
            return Err(Problem::new(ErrorCode::PolicyInvalid, message)
                .hint("one policy an agent: merge the two, or give one another name"));
        }
    }
    Ok(())
}

/// The administrator's files; those that cannot be read are left out, loudly.
pub fn sources_in(folder: &Path) -> Vec<PolicySource> {
    if !folder.exists() {
        return Vec::new();
    }
    let files = policy_files(&[folder.to_owned()]).unwrap_or_else(|error| {
        tracing::warn!(%error, "no policy to begin with");
        Vec::new()
    });
    let mut sources = Vec::new();
    for path in files {
        match read_policy(&path) {
            Ok(Ok((_, source))) => sources.push(source),
            Ok(Err(found)) => tracing::error!("left out:\n{}", found.render(false)),
            Err(error) => tracing::error!(%error, "left out"),
        }
    }
    sources
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

//! Everything that can be said against a policy on this host.

use enforcer_common::object::FileId;

use crate::{
    compile,
    diagnostic::{Diagnostic, Diagnostics, Severity},
    facts::{Facts, PathFact},
    lint::lint,
    resolve::resolve,
    source::Parsed,
    tables::Tables,
};

/// The enforcer's control socket, unless a daemon was told another one ([`Facts::control_socket`]).
/// A policy that allows it is refused: agents do not reach their governor.
pub const CONTROL_SOCKET: &str = "/run/enforcer/control.sock";

/// What [`check`] found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// What the policy compiles to, as [`crate::compile`] gives it; `None` when it is refused.
    pub tables: Option<Tables>,
    /// Why the policy is refused; empty when it is not.
    pub errors: Diagnostics,
    /// What is doubtful about it.
    pub warnings: Diagnostics,
}

/// Checks a policy against the files of a host: paths, owners, digests, limits, and the lints.
#[must_use]
pub fn check(parsed: &Parsed, facts: &dyn Facts) -> Checked {
    let policy = &parsed.policy;
    let mut resolved = resolve(policy, facts);
    let mut found = std::mem::take(&mut resolved.faults);
    lint(policy, facts, &resolved, &mut found);
    let tables = compile::tables(policy, &resolved)
        .map_err(|limit| found.push(*limit))
        .ok();
    let is_error = |fault: &Diagnostic| fault.severity == Severity::Error;
    let (errors, warnings): (Vec<_>, Vec<_>) = found.into_iter().partition(is_error);
    Checked {
        tables: tables.filter(|_| errors.is_empty()),
        errors: Diagnostics::new(parsed.sources.clone(), errors),
        warnings: Diagnostics::new(parsed.sources.clone(), warnings),
    }
}

/// Whether a socket is the enforcer's own, by its path or by another name of the same inode.
pub(crate) fn is_control_socket(path: &str, id: Option<FileId>, facts: &dyn Facts) -> bool {
    let path = path
        .strip_prefix("/var")
        .filter(|p| p.starts_with("/run/"))
        .unwrap_or(path);
    let own = facts.control_socket();
    if path == CONTROL_SOCKET || path == own {
        return true;
    }
    match facts.path(own) {
        PathFact::Socket { id: own } => id == Some(own),
        PathFact::File(_)
        | PathFact::Directory { .. }
        | PathFact::Other(_)
        | PathFact::Missing
        | PathFact::Unreadable(_) => false,
    }
}

//! Model to tables: overlapping rules folded, so that each lookup finds the whole truth.

mod address;
mod cell;
mod port;

use std::collections::{BTreeSet, HashMap};

use enforcer_common::{
    maps,
    object::FileId,
    permit::{ALWAYS, ExecPermit, MAX_CONDITIONS},
};

use self::cell::CellBuilder;
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Severity},
    facts::Facts,
    model::{Effect, Policy},
    resolve::{Resolved, resolve},
    source::Span,
    tables::Tables,
};

/// A limit that the policy passes; boxed, for it is rare and large.
pub(crate) type Limit = Box<Diagnostic>;

/// Compiles a policy for the files that are there now.
///
/// # Errors
/// What the files have against it (as [`crate::check`] reports), or a limit of the kernel's tables.
pub fn compile(policy: &Policy, facts: &dyn Facts) -> Result<Tables, Diagnostics> {
    let mut resolved = resolve(policy, facts);
    let mut faults = std::mem::take(&mut resolved.faults);
    faults.retain(|fault| fault.severity == Severity::Error);
    if !faults.is_empty() {
        return Err(Diagnostics::new(policy.sources.clone(), faults));
    }
    tables(policy, &resolved)
        .map_err(|limit| Diagnostics::new(policy.sources.clone(), vec![*limit]))
}

/// The tables of a policy whose paths are resolved.
pub(crate) fn tables(policy: &Policy, resolved: &Resolved) -> Result<Tables, Limit> {
    fold(policy, resolved).map_err(|mut limit| {
        // A limit is passed by the whole policy, and is shown at its name.
        limit.span = policy.agent.name.span;
        limit
    })
}

fn fold(policy: &Policy, resolved: &Resolved) -> Result<Tables, Limit> {
    let conditions = Conditions::new(resolved)?;
    let mut cells = CellBuilder::default();
    let exec: Vec<u32> = policy
        .exec
        .iter()
        .map(|rule| cells.rule(&rule.id.value, rule.effect, ALWAYS))
        .collect();
    let internet: Vec<u32> = policy
        .internet()
        .zip(&conditions.of_rule)
        .map(|((_, rule), condition)| cells.rule(&rule.id.value, rule.effect, *condition))
        .collect();
    let unix: Vec<u32> = policy
        .unix
        .iter()
        .map(|rule| cells.rule(&rule.id.value, rule.effect, ALWAYS))
        .collect();

    let mut executables = Vec::with_capacity(resolved.executables.len());
    for (file, executable) in &resolved.executables {
        let permit = cells.permit(executable.rules.iter().filter_map(|rule| exec.get(*rule)))?;
        let conditions = if permit.deny == 0 {
            conditions.of_file(*file)
        } else {
            0
        };
        let stamp = executable.stamp;
        executables.push((
            *file,
            ExecPermit {
                permit,
                conditions,
                stamp,
            },
        ));
    }
    let mut peers = Vec::with_capacity(resolved.unix.len());
    for (peer, rules) in &resolved.unix {
        let permit = cells.permit(rules.iter().filter_map(|rule| unix.get(*rule)))?;
        peers.push((*peer, permit));
    }
    within(executables.len(), maps::MAX_EXECUTABLES, "executables")?;
    within(peers.len(), maps::MAX_UNIX_PEERS, "unix sockets")?;
    let (addresses, ports) = address::fold(policy, &internet, &mut cells)?;
    Ok(Tables {
        addresses,
        ports,
        executables,
        unix: peers,
        cells: cells.finish(),
    })
}

/// The numbering of `by` lists: each distinct set of executables is one bit.
struct Conditions {
    /// For each internet rule, the bit under which it holds; 0 = never, for its `by` is nobody.
    of_rule: Vec<u64>,
    of_files: HashMap<FileId, u64>,
}

impl Conditions {
    fn new(resolved: &Resolved) -> Result<Self, Limit> {
        let mut numbering = Self {
            of_rule: Vec::new(),
            of_files: HashMap::new(),
        };
        let mut known: HashMap<&BTreeSet<FileId>, u64> = HashMap::new();
        for by in &resolved.by {
            let bit = match by {
                None => ALWAYS,
                Some(files) if files.is_empty() => 0,
                Some(files) => match known.get(files) {
                    Some(bit) => *bit,
                    None if known.len() + 1 == MAX_CONDITIONS => {
                        return Err(too_many_conditions());
                    }
                    None => {
                        let bit = ALWAYS << (1 + known.len());
                        known.insert(files, bit);
                        numbering.add(files, bit);
                        bit
                    }
                },
            };
            numbering.of_rule.push(bit);
        }
        Ok(numbering)
    }

    fn add(&mut self, files: &BTreeSet<FileId>, bit: u64) {
        for file in files {
            *self.of_files.entry(*file).or_default() |= bit;
        }
    }

    fn of_file(&self, file: FileId) -> u64 {
        ALWAYS | self.of_files.get(&file).copied().unwrap_or(0)
    }
}

fn too_many_conditions() -> Limit {
    let most = MAX_CONDITIONS - 1;
    let message = format!("the policy has more than {most} distinct `by` lists");
    Box::new(
        Diagnostic::error(Span::default(), message)
            .hint("give rules that hold for similar binaries the same `by`"),
    )
}

/// Holds a table to the capacity of its map.
fn within(count: usize, most: u32, what: &str) -> Result<(), Limit> {
    if count <= most as usize {
        return Ok(());
    }
    let message = format!("the policy has {count} {what}; the limit is {most}");
    Err(Box::new(
        Diagnostic::error(Span::default(), message)
            .hint("split the agent, or list larger prefixes"),
    ))
}

/// The allow and deny masks of one rule.
fn masks(effect: Effect, condition: u64) -> (u64, u64) {
    match effect {
        Effect::Allow => (condition, 0),
        Effect::Deny => (0, condition),
    }
}

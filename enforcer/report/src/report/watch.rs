//! Which rules, and which entries of them, the records of a period used: what was never used can go.

use std::collections::{HashMap, HashSet};

use enforcer_policy::{
    Audit, Destination, Effect, InternetRule, PathFact, Peer, Policy, Span, Spanned,
};
use serde::Serialize;

use super::{
    capped::{LIMITS, Moment},
    covers::{Covers, Entry, files, mark},
};
use crate::{object::FileRef, record::Decision, why::Known};

/// What a policy allows and the period did not use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// Whether anything can be said of it; if not, `caveats` say why and there are no rules.
    pub known: bool,
    /// What to bear in mind before anything is removed.
    pub caveats: Vec<String>,
    /// Rules that were not used, or not all of them, in policy order.
    pub rules: Vec<UnusedRule>,
    /// Rules that allow something, used or not.
    pub allowing_rules: usize,
}

/// A rule that was not used, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnusedRule {
    /// Its id.
    pub rule: String,
    /// `exec`, `connect`, `listen` or `unix`.
    pub section: &'static str,
    /// File and line.
    pub place: String,
    /// Whether all of it can go.
    pub never_used: bool,
    /// How often it allowed something.
    pub uses: u64,
    /// Entries of `allow` that were never used, as the policy writes them; all of them when `never_used`.
    pub entries: Vec<String>,
    /// Entries of `by` that never used it.
    pub by: Vec<String>,
    /// What to remove, in words.
    pub suggestion: String,
}

/// One policy, watched.
#[derive(Debug)]
pub(super) struct Watch {
    rules: Vec<Rule>,
    index: HashMap<String, usize>,
    audits_all: bool,
    libraries: usize,
    /// Executables that acted, and were looked for among the entries.
    acted: HashSet<String>,
}

#[derive(Debug)]
struct Rule {
    id: String,
    section: &'static str,
    place: String,
    uses: u64,
    entries: Vec<Entry>,
    by: Vec<Entry>,
    /// Uses that no entry is known to cover, and those by executables that no entry of `by` is known
    /// to name: the policy names them by a link that cannot be followed here, or had an earlier form.
    unassigned: [u64; 2],
}

impl Watch {
    pub(super) fn new(known: &Known<'_>) -> Self {
        let policy = &known.policy.policy;
        let mut watch = Self {
            rules: Vec::new(),
            index: HashMap::new(),
            audits_all: policy.agent.audit == Audit::All,
            libraries: 0,
            acted: HashSet::new(),
        };
        watch.exec(known, policy);
        watch.internet(known, "connect", &policy.connect);
        watch.internet(known, "listen", &policy.listen);
        watch.unix(known, policy);
        watch
    }

    fn push(
        &mut self,
        known: &Known<'_>,
        section: &'static str,
        id: &Spanned<String>,
        entries: Vec<Entry>,
        by: Vec<Entry>,
    ) {
        self.index.insert(id.value.clone(), self.rules.len());
        let place = known.place(id.span);
        self.rules.push(Rule {
            id: id.value.clone(),
            section,
            place,
            uses: 0,
            entries,
            by,
            unassigned: [0; 2],
        });
    }

    fn exec(&mut self, known: &Known<'_>, policy: &Policy) {
        for rule in policy
            .exec
            .iter()
            .filter(|rule| rule.effect == Effect::Allow)
        {
            let (libraries, programs): (Vec<_>, Vec<_>) =
                rule.paths.iter().partition(|path| is_library(&path.value));
            self.libraries += libraries.len();
            let entries = programs
                .iter()
                .map(|path| files(known.facts, &path.value))
                .collect();
            self.push(known, "exec", &rule.id, entries, Vec::new());
        }
    }

    fn internet(&mut self, known: &Known<'_>, section: &'static str, rules: &[InternetRule]) {
        for rule in rules.iter().filter(|rule| rule.effect == Effect::Allow) {
            let entry = |to: &Spanned<Destination>| Entry {
                text: written(known, to.span).unwrap_or_else(|| to.value.to_string()),
                covers: Covers::Place(to.value),
                used: false,
            };
            let entries = rule.destinations.iter().map(entry).collect();
            let by = rule
                .by
                .iter()
                .flatten()
                .map(|path| files(known.facts, &path.value))
                .collect();
            self.push(known, section, &rule.id, entries, by);
        }
    }

    fn unix(&mut self, known: &Known<'_>, policy: &Policy) {
        for rule in policy
            .unix
            .iter()
            .filter(|rule| rule.effect == Effect::Allow)
        {
            let entry = |peer: &Spanned<Peer>| {
                let id = peer
                    .value
                    .path()
                    .and_then(|path| match known.facts.path(path) {
                        PathFact::Socket { id } => Some(id),
                        PathFact::File(_)
                        | PathFact::Directory { .. }
                        | PathFact::Other(_)
                        | PathFact::Missing
                        | PathFact::Unreadable(_) => None,
                    });
                Entry {
                    text: peer.value.to_string(),
                    covers: Covers::Peer(peer.value.clone(), id),
                    used: false,
                }
            };
            let entries = rule.peers.iter().map(entry).collect();
            self.push(known, "unix", &rule.id, entries, Vec::new());
        }
    }

    /// Takes in that an executable acted: it is needed, though it may have been started before the
    /// period.
    pub(super) fn acted(&mut self, actor: &FileRef<'_>) {
        let Some(name) = actor.name().filter(|name| !self.acted.contains(*name)) else {
            return;
        };
        if self.acted.len() < LIMITS.keys_of_a_list {
            self.acted.insert(name.to_owned());
        }
        for rule in self.rules.iter_mut().filter(|rule| rule.section == "exec") {
            mark(&mut rule.entries, |entry| entry.covers.file(actor));
        }
    }

    /// Takes in an allowed decision.
    pub(super) fn used(&mut self, decision: &Decision<'_>) {
        let index = decision.rule.and_then(|id| self.index.get(id));
        let Some(rule) = index.and_then(|index| self.rules.get_mut(*index)) else {
            return;
        };
        rule.uses += 1;
        let by_entry = mark(&mut rule.entries, |entry| {
            entry.covers.object(&decision.object)
        });
        let by_name = mark(&mut rule.by, |entry| entry.covers.file(&decision.actor));
        rule.unassigned[0] += u64::from(!by_entry);
        rule.unassigned[1] += u64::from(!by_name);
    }

    pub(super) fn finish(self, seen: &Seen) -> Unused {
        let allowing_rules = self.rules.len();
        if seen.sessions == 0 && seen.decisions == 0 {
            let caveats = vec![
                "The agent did nothing in this period, so nothing is known of what it needs."
                    .to_owned(),
            ];
            return Unused {
                known: false,
                caveats,
                rules: Vec::new(),
                allowing_rules,
            };
        }
        let mut unused = Unused {
            known: true,
            caveats: self.caveats(seen),
            rules: Vec::new(),
            allowing_rules,
        };
        for rule in self.rules {
            // Of what is not recorded when it is allowed, nothing is known.
            if !self.audits_all && rule.section != "exec" {
                continue;
            }
            unused.rules.extend(rule.finish());
        }
        unused
    }

    fn caveats(&self, seen: &Seen) -> Vec<String> {
        let mut caveats = Vec::new();
        if !self.audits_all {
            caveats.push("The policy records denials alone (`audit = \"denials\"`): of connect, listen and unix rules it is not known whether they were used.".to_owned());
        }
        if let Some(applied) = seen.applied {
            caveats.push(format!(
                "The policy was last applied on {}: what it gained then had only the time since.",
                applied.minute()
            ));
        }
        if seen.lost > 0 {
            caveats.push(format!(
                "{} events of the period were lost, uses of rules perhaps among them.",
                super::count(seen.lost)
            ));
        }
        let unassigned = self.rules.iter().filter(|rule| {
            rule.unassigned[0] > 0 || (rule.unassigned[1] > 0 && !rule.by.is_empty())
        });
        let unassigned: Vec<&str> = unassigned.map(|rule| rule.id.as_str()).collect();
        if !unassigned.is_empty() {
            caveats.push(format!(
                "Of {} it cannot be told which entries were used, by links that cannot be followed here or by an earlier form of the rule: nothing is said of their entries.",
                unassigned.join(", ")
            ));
        }
        if self.libraries > 0 {
            let are = if self.libraries == 1 {
                "library is"
            } else {
                "libraries are"
            };
            caveats.push(format!("{} listed {are} left out: a file that is mapped as code is recorded only when it is denied.", self.libraries));
        }
        if !caveats.is_empty() || !self.rules.is_empty() {
            caveats.push("What is done once a quarter was not done in a shorter period: ask the owner before removing anything.".to_owned());
        }
        caveats
    }
}

/// What else is known of the agent in the period.
pub(super) struct Seen {
    pub sessions: u64,
    pub decisions: u64,
    pub lost: u64,
    /// When the policy was last applied, if within the period.
    pub applied: Option<Moment>,
}

impl Rule {
    /// What of the rule was not used; `None` when all was.
    fn finish(self) -> Option<UnusedRule> {
        let unused = |entries: Vec<Entry>| {
            let unused = entries.into_iter().filter(|entry| !entry.used);
            unused.map(|entry| entry.text).collect::<Vec<_>>()
        };
        if self.entries.is_empty() {
            return None; // libraries alone
        }
        let never_used = self.uses == 0 && self.entries.iter().all(|entry| !entry.used);
        // What is not assigned may be the use of any entry: nothing is said of them then.
        let keep = |entries, unassigned| {
            if unassigned == 0 {
                unused(entries)
            } else {
                Vec::new()
            }
        };
        let entries = keep(self.entries, self.unassigned[0]);
        let by = keep(self.by, self.unassigned[1]);
        let suggestion = match (never_used, entries.is_empty(), by.is_empty()) {
            (true, ..) => "remove the rule",
            (false, true, true) => return None,
            (false, false, true) => "take these out of `allow`",
            (false, true, false) => "take these out of `by`",
            (false, false, false) => "take these out of `allow` and `by`",
        };
        let by = if never_used { Vec::new() } else { by };
        Some(UnusedRule {
            rule: self.id,
            section: self.section,
            place: self.place,
            never_used,
            uses: self.uses,
            entries,
            by,
            suggestion: suggestion.to_owned(),
        })
    }
}

/// The text of an entry as its author wrote it.
fn written(known: &Known<'_>, span: Span) -> Option<String> {
    let source = known.policy.sources.of(span)?;
    let text = source.text.get(span.start as usize..span.end as usize)?;
    Some(text.trim_matches(['"', '\'']).to_owned())
}

fn is_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.ends_with(".so") || name.contains(".so.")
}

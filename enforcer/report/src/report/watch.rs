//! Which rules, and which entries of them, the records of a period used: what was never used can go.

use std::collections::{HashMap, HashSet};

use enforcer_common::object::FileId;
use enforcer_policy::{
    Address, Audit, Destination, Effect, Facts, InternetRule, PathFact, Peer, Policy, Span, Spanned,
};
use serde::Serialize;

use super::capped::Moment;
use crate::{
    object::{Endpoint, FileRef, Object, UnixName},
    record::Decision,
    why::Known,
};

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
    /// How often it allowed something.
    pub uses: u64,
    /// Entries of `allow` that were never used, as the policy writes them; all of them when `uses` is 0.
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
}

#[derive(Debug)]
struct Rule {
    id: String,
    section: &'static str,
    place: String,
    uses: u64,
    entries: Vec<Entry>,
    by: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    text: String,
    covers: Covers,
    used: bool,
}

#[derive(Debug)]
enum Covers {
    Files {
        path: String,
        files: HashSet<FileId>,
    },
    Place(Destination),
    Peer(Peer, Option<FileId>),
}

impl Watch {
    pub(super) fn new(known: &Known<'_>) -> Self {
        let policy = &known.policy.policy;
        let mut watch = Self {
            rules: Vec::new(),
            index: HashMap::new(),
            audits_all: policy.agent.audit == Audit::All,
            libraries: 0,
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

    /// Takes in an allowed decision.
    pub(super) fn used(&mut self, decision: &Decision<'_>) {
        let index = decision.rule.and_then(|id| self.index.get(id));
        let Some(rule) = index.and_then(|index| self.rules.get_mut(*index)) else {
            return;
        };
        rule.uses += 1;
        for entry in rule.entries.iter_mut().filter(|entry| !entry.used) {
            entry.used = entry.covers.object(&decision.object);
        }
        for entry in rule.by.iter_mut().filter(|entry| !entry.used) {
            entry.used = entry.covers.file(&decision.actor);
        }
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
        if self.libraries > 0 {
            caveats.push(format!("{} listed libraries are left out: a file that is mapped as code is recorded only when it is denied.", self.libraries));
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
        let total = self.entries.len();
        if total == 0 {
            return None; // libraries alone
        }
        let (entries, by) = (unused(self.entries), unused(self.by));
        let suggestion = if self.uses == 0 {
            format!("remove rule `{}`", self.id)
        } else {
            // A use that no entry covers came from an earlier form of the rule.
            match (entries.len() == total, entries.is_empty(), by.is_empty()) {
                (_, true, true) => return None,
                (true, ..) => format!(
                    "rule `{}` was used in an earlier form; see whether this one is needed",
                    self.id
                ),
                (false, false, true) => "take these entries out of `allow`".to_owned(),
                (false, true, false) => "take these executables out of `by`".to_owned(),
                (false, false, false) => "take these out of `allow` and `by`".to_owned(),
            }
        };
        let by = if self.uses == 0 { Vec::new() } else { by };
        Some(UnusedRule {
            rule: self.id,
            section: self.section,
            place: self.place,
            uses: self.uses,
            entries,
            by,
            suggestion,
        })
    }
}

impl Covers {
    fn object(&self, object: &Object<'_>) -> bool {
        match *object {
            Object::Run(file) | Object::Code(file, _) => self.file(&file),
            Object::Reach(to) => self.place(to, true),
            Object::Listen(at) => self.place(at, false),
            Object::Unix(name) => self.peer(name),
            Object::Socket(..) | Object::Write(..) | Object::Number(..) | Object::Nothing => false,
        }
    }

    fn file(&self, file: &FileRef<'_>) -> bool {
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
        let address = match address.to_canonical() {
            std::net::IpAddr::V4(four) if remote && four.is_unspecified() => {
                std::net::Ipv4Addr::LOCALHOST.into()
            }
            std::net::IpAddr::V6(six) if remote && six.is_unspecified() => {
                std::net::Ipv6Addr::LOCALHOST.into()
            }
            address => address,
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

fn files(facts: &dyn Facts, path: &str) -> Entry {
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

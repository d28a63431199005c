//! The rules that came nearest to covering what was denied, and what kept each from it.

use std::net::IpAddr;

use enforcer_common::object::{FileId, UNIX_PATH};
use enforcer_policy::{
    Address, Destination, Effect, Facts, InternetRule, PathFact, Peer, Policy, Request, Span,
    Subject,
};
use serde::Serialize;

use super::{
    Known,
    alike::{alike, names, unlike_socket},
};
use crate::object::{Object, UnixName, reached};

/// An address that shares fewer bits than the first 12 of IPv4, or 48 of IPv6, is nowhere near.
const FAR: u32 = 1 + 128 - 48;
/// Rules told.
const MOST_TOLD: usize = 3;

/// A rule that came near, or that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleNote {
    /// Its id.
    pub rule: String,
    /// `allow` or `deny`.
    pub effect: &'static str,
    /// File and line, `coding-agent.toml:12`.
    pub place: String,
    /// The entry that came nearest, as the policy writes it.
    pub entry: String,
    /// What differs, one in words each; empty of a rule that decided.
    pub differs: Vec<String>,
}

/// An entry of a rule, and how far it is from the request.
struct Near {
    note: RuleNote,
    /// Fewer is nearer.
    distance: (usize, u32),
}

/// The entry of the rule with this id that covers the object, for one that decided.
pub(super) fn deciding(
    known: &Known<'_>,
    facts: &dyn Facts,
    request: &Request,
    id: &str,
) -> Option<RuleNote> {
    entries(
        known,
        facts,
        request,
        &Subject::launcher(),
        &Object::Nothing,
    )
    .into_iter()
    .filter(|near| near.note.rule == id)
    .min_by_key(|near| near.distance)
    .map(|near| RuleNote {
        differs: Vec::new(),
        ..near.note
    })
}

/// Up to three rules that allow something near to what was denied, nearest first.
pub(super) fn nearest(
    known: &Known<'_>,
    facts: &dyn Facts,
    subject: &Subject,
    request: &Request,
    object: &Object<'_>,
) -> Vec<RuleNote> {
    let mut all = entries(known, facts, request, subject, object);
    all.retain(|near| near.note.effect == Effect::Allow.name() && !near.note.differs.is_empty());
    all.sort_by_key(|near| near.distance);
    let mut told: Vec<RuleNote> = Vec::new();
    for near in all {
        if told.len() < MOST_TOLD && told.iter().all(|known| known.rule != near.note.rule) {
            told.push(near.note);
        }
    }
    told
}

fn entries(
    known: &Known<'_>,
    facts: &dyn Facts,
    request: &Request,
    subject: &Subject,
    object: &Object<'_>,
) -> Vec<Near> {
    let policy = &known.policy.policy;
    let look = Look {
        known,
        facts,
        subject,
    };
    match *request {
        Request::Connect {
            protocol,
            address,
            port,
        } => {
            let wanted = Wanted {
                protocol: protocol.name(),
                address: reached(address),
                port,
            };
            look.internet(&policy.connect, wanted)
        }
        Request::Listen {
            protocol,
            address,
            port,
        } => {
            let wanted = Wanted {
                protocol: protocol.name(),
                address: address.to_canonical(),
                port,
            };
            look.internet(&policy.listen, wanted)
        }
        Request::Exec { file, .. } => look.exec(policy, file, object),
        Request::Unix { peer } => look.unix(policy, &peer, object),
    }
}

#[derive(Clone, Copy)]
struct Wanted {
    protocol: &'static str,
    address: IpAddr,
    port: u16,
}

struct Look<'a> {
    known: &'a Known<'a>,
    facts: &'a dyn Facts,
    subject: &'a Subject,
}

impl Look<'_> {
    fn note(
        &self,
        id: &str,
        effect: Effect,
        span: Span,
        entry: String,
        differs: Vec<String>,
    ) -> RuleNote {
        let place = self.known.place(span);
        RuleNote {
            rule: id.to_owned(),
            effect: effect.name(),
            place,
            entry,
            differs,
        }
    }

    fn internet(&self, rules: &[InternetRule], wanted: Wanted) -> Vec<Near> {
        let mut found = Vec::new();
        for rule in rules {
            let by = self.by(rule);
            for destination in &rule.destinations {
                let (mut differs, apart) = differences(&destination.value, wanted);
                // Another address with another port or protocol is another place altogether.
                // So is one that shares little of its address.
                if apart > FAR || (apart > 0 && differs.len() > 1) {
                    continue;
                }
                differs.extend(by.clone());
                let distance = (differs.len(), apart);
                let entry = destination.value.to_string();
                let note = self.note(
                    &rule.id.value,
                    rule.effect,
                    destination.span,
                    entry,
                    differs,
                );
                found.push(Near { note, distance });
            }
        }
        found
    }

    /// Why the rule does not hold for the subject, if it does not.
    fn by(&self, rule: &InternetRule) -> Option<String> {
        let by = rule.by.as_ref()?;
        let mut files = self.subject.files.iter();
        if files.any(|file| by.iter().any(|path| names(self.facts, &path.value, *file))) {
            return None;
        }
        let paths: Vec<&str> = by.iter().map(|path| path.value.as_str()).collect();
        let who = if self.subject.files.is_empty() {
            "the launcher's image"
        } else {
            "another executable"
        };
        Some(format!(
            "it holds only for {}; this was {who}",
            listed(&paths)
        ))
    }

    fn exec(&self, policy: &Policy, file: FileId, object: &Object<'_>) -> Vec<Near> {
        let path = match object {
            Object::Run(file) | Object::Code(file, _) => file.policy_path(),
            Object::Reach(_)
            | Object::Listen(_)
            | Object::Unix(_)
            | Object::Socket(..)
            | Object::Write(..)
            | Object::Number(..)
            | Object::Nothing => None,
        };
        let mut found = Vec::new();
        for rule in &policy.exec {
            for entry in &rule.paths {
                let (differs, apart) = if names(self.facts, &entry.value, file) {
                    (Vec::new(), 0)
                } else if let Some(why) = path.as_deref().and_then(|path| alike(path, &entry.value))
                {
                    (vec![why], 1)
                } else {
                    continue;
                };
                let distance = (differs.len(), apart);
                let note = self.note(
                    &rule.id.value,
                    rule.effect,
                    entry.span,
                    entry.value.clone(),
                    differs,
                );
                found.push(Near { note, distance });
            }
        }
        found
    }

    fn unix(
        &self,
        policy: &Policy,
        peer: &enforcer_common::object::UnixKey,
        object: &Object<'_>,
    ) -> Vec<Near> {
        let mut found = Vec::new();
        for rule in &policy.unix {
            for entry in &rule.peers {
                let differs = match (&entry.value, object) {
                    (Peer::Path(path), _)
                        if peer.kind == UNIX_PATH && self.is_socket(path, peer.file) =>
                    {
                        Vec::new()
                    }
                    (Peer::Abstract(name), _)
                        if peer.kind != UNIX_PATH && is_called(peer, name) =>
                    {
                        Vec::new()
                    }
                    (Peer::Path(path), Object::Unix(name)) => match unlike_socket(path, *name) {
                        Some(why) => vec![why],
                        None => continue,
                    },
                    (Peer::Abstract(listed), Object::Unix(UnixName::Path { path, .. }))
                        if path == listed =>
                    {
                        vec!["it is about the abstract name; this was a path".to_owned()]
                    }
                    _ => continue,
                };
                let distance = (differs.len(), 0);
                let text = entry.value.to_string();
                found.push(Near {
                    note: self.note(&rule.id.value, rule.effect, entry.span, text, differs),
                    distance,
                });
            }
        }
        found
    }

    fn is_socket(&self, path: &str, file: FileId) -> bool {
        self.facts.path(path) == PathFact::Socket { id: file }
    }
}

fn is_called(peer: &enforcer_common::object::UnixKey, name: &str) -> bool {
    peer.name.get(..peer.name_len as usize) == Some(name.as_bytes())
}

/// What keeps a destination from covering the place, and how far its address is away: 0 = it covers it,
/// else more the fewer bits are shared.
fn differences(entry: &Destination, wanted: Wanted) -> (Vec<String>, u32) {
    let mut differs = Vec::new();
    if entry.protocol.name() != wanted.protocol {
        differs.push(format!(
            "protocol {}, not {}",
            entry.protocol.name(),
            wanted.protocol
        ));
    }
    let apart = match entry.address {
        Address::Any => 0,
        Address::Net(net) if net.contains(&wanted.address) => 0,
        Address::Net(net) => {
            let one = net.addr();
            differs.push(if net.prefix_len() == net.max_prefix_len() {
                format!("address {one}, not {}", wanted.address)
            } else {
                format!("{} does not lie in {net}", wanted.address)
            });
            1 + 128 - shared_bits(one, wanted.address)
        }
    };
    let ports = entry.ports;
    if !(ports.first..=ports.last).contains(&wanted.port) {
        differs.push(if ports.first == ports.last {
            format!("port {}, not {}", ports.first, wanted.port)
        } else {
            format!(
                "ports {} to {}, not {}",
                ports.first, ports.last, wanted.port
            )
        });
    }
    (differs, apart)
}

/// Leading bits that two addresses share, of 128; of IPv4 addresses each bit counts for four.
fn shared_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => 4 * (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    }
}

fn listed(paths: &[&str]) -> String {
    const MOST: usize = 4;
    let shown = paths
        .get(..MOST.min(paths.len()))
        .unwrap_or_default()
        .join(", ");
    match paths.len().checked_sub(MOST) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        Some(_) | None => shown,
    }
}

//! The reference meaning of a policy: what each verdict must be, read off the rules one by one.
//!
//! Slow and plain on purpose. It shares the model with the compiler and nothing else: addresses,
//! ports, files and `by` are compared here by other means, so that a mistake in one of the two
//! shows as a difference.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::{
    object::{FileId, FileStamp, UNIX_ABSTRACT, UNIX_PATH, UnixKey},
    verdict::Reason,
};

use crate::{
    facts::{Facts, PathFact},
    model::{Address, Destination, Effect, InternetRule, Peer, Policy, Protocol},
    request::{Request, Subject},
    source::Spanned,
};

/// What a policy says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// The rule that decided: of those that hold, the first denial, else the first allowance.
    pub rule: Option<String>,
}

/// Judges a request. Of a policy that [`crate::check`] finds errors in, this says nothing of worth.
#[must_use]
pub fn judge(policy: &Policy, facts: &dyn Facts, acting: &Subject, request: &Request) -> Judgement {
    let judge = Judge { policy, facts };
    let Some(actors) = judge.actors(acting) else {
        return because(Reason::ExecutableNotListed);
    };
    match *request {
        Request::Exec { file, stamp } => judge.exec(&actors, file, stamp),
        Request::Connect {
            protocol,
            address,
            port,
        } => {
            let host = leads_to(host_of(address));
            judge.internet(&policy.connect, &actors, Place(protocol, host, port))
        }
        Request::Listen {
            protocol,
            address,
            port,
        } => {
            let host = host_of(address);
            judge.internet(&policy.listen, &actors, Place(protocol, host, port))
        }
        Request::Unix { peer } => judge.unix(&actors, &peer),
    }
}

/// Those of the subject's files that the policy lets run.
struct Actors {
    is_launcher: bool,
    files: Vec<FileId>,
}

impl Actors {
    /// Whether rules without `by` hold for them.
    fn may_act(&self) -> bool {
        self.is_launcher || !self.files.is_empty()
    }
}

/// What an internet rule is compared with: the address in its one spelling.
#[derive(Clone, Copy)]
struct Place(Protocol, IpAddr, u16);

struct Judge<'a> {
    policy: &'a Policy,
    facts: &'a dyn Facts,
}

/// A rule that covers the object: its id, its effect, and whether it holds for the subject.
type Covering<'a> = (&'a str, Effect, bool);

impl Judge<'_> {
    fn actors(&self, acting: &Subject) -> Option<Actors> {
        let mut files = Vec::new();
        for file in &acting.files {
            let rules = self.exec_rules(*file);
            if rules.is_empty() {
                return None;
            }
            if rules.iter().all(|(_, effect, _)| *effect == Effect::Allow) {
                files.push(*file);
            }
        }
        Some(Actors {
            is_launcher: acting.files.is_empty(),
            files,
        })
    }

    fn exec(&self, actors: &Actors, file: FileId, stamp: FileStamp) -> Judgement {
        let rules = self.exec_rules(file);
        if rules.iter().any(|(.., judged)| *judged != stamp) {
            return because(Reason::FileChanged);
        }
        let covering = rules
            .iter()
            .map(|(id, effect, _)| (*id, *effect, actors.may_act()));
        conclude(covering.collect())
    }

    /// The exec rules that name a file, each with the stamp of the file when it was judged.
    fn exec_rules(&self, file: FileId) -> Vec<(&str, Effect, FileStamp)> {
        let mut rules = Vec::new();
        for rule in &self.policy.exec {
            let stamp = rule
                .paths
                .iter()
                .find_map(|path| self.stamp_at(&path.value, file));
            if let Some(stamp) = stamp {
                rules.push((rule.id.value.as_str(), rule.effect, stamp));
            }
        }
        rules
    }

    /// The stamp of `file`, if `path` names it: is it, or is a directory that it lies below.
    fn stamp_at(&self, path: &str, file: FileId) -> Option<FileStamp> {
        match self.facts.path(path) {
            PathFact::File(found) if found.id == file => Some(found.stamp),
            PathFact::Directory { files, .. } => files
                .iter()
                .find(|found| found.id == file)
                .map(|found| found.stamp),
            PathFact::File(_)
            | PathFact::Socket { .. }
            | PathFact::Other(_)
            | PathFact::Missing
            | PathFact::Unreadable(_) => None,
        }
    }

    fn internet(&self, rules: &[InternetRule], actors: &Actors, place: Place) -> Judgement {
        let Place(protocol, address, port) = place;
        if is_translated(address) {
            return because(Reason::AddressNotJudgeable);
        }
        let covers = |destination: &Spanned<Destination>| {
            let Destination {
                protocol: of,
                address: at,
                ports,
            } = destination.value;
            let addressed = match at {
                Address::Any => true,
                Address::Net(net) => net.contains(&address),
            };
            of == protocol && addressed && (ports.first..=ports.last).contains(&port)
        };
        let rules = rules
            .iter()
            .filter(|rule| rule.destinations.iter().any(covers));
        conclude(
            rules
                .map(|rule| {
                    (
                        rule.id.value.as_str(),
                        rule.effect,
                        self.holds(rule, actors),
                    )
                })
                .collect(),
        )
    }

    fn holds(&self, rule: &InternetRule, actors: &Actors) -> bool {
        let Some(by) = &rule.by else {
            return actors.may_act();
        };
        let mut named = actors
            .files
            .iter()
            .flat_map(|file| by.iter().map(move |path| self.stamp_at(&path.value, *file)));
        named.any(|stamp| stamp.is_some())
    }

    fn unix(&self, actors: &Actors, peer: &UnixKey) -> Judgement {
        let rules = self.policy.unix.iter().filter(|rule| {
            rule.peers
                .iter()
                .any(|listed| self.is_peer(&listed.value, peer))
        });
        conclude(
            rules
                .map(|rule| (rule.id.value.as_str(), rule.effect, actors.may_act()))
                .collect(),
        )
    }

    fn is_peer(&self, listed: &Peer, peer: &UnixKey) -> bool {
        match listed {
            Peer::Abstract(name) => {
                let length = peer.name_len as usize;
                peer.kind == UNIX_ABSTRACT && peer.name.get(..length) == Some(name.as_bytes())
            }
            Peer::Path(path) => {
                let there = self.facts.path(path);
                peer.kind == UNIX_PATH && there == PathFact::Socket { id: peer.file }
            }
        }
    }
}

/// Deny wins; no rule is "not listed"; rules that all hold for others only are "not for this binary".
fn conclude(covering: Vec<Covering<'_>>) -> Judgement {
    let first = |wanted: Effect| {
        covering
            .iter()
            .find(|(_, effect, holds)| *holds && *effect == wanted)
            .map(|(id, ..)| *id)
    };
    let (reason, rule) = match (first(Effect::Deny), first(Effect::Allow)) {
        (Some(id), _) => (Reason::RuleDenies, Some(id)),
        (None, Some(id)) => (Reason::RuleAllows, Some(id)),
        (None, None) if covering.is_empty() => (Reason::NotListed, None),
        (None, None) => (Reason::NotForThisBinary, None),
    };
    Judgement {
        allowed: reason == Reason::RuleAllows,
        reason,
        rule: rule.map(str::to_owned),
    }
}

fn because(reason: Reason) -> Judgement {
    Judgement {
        allowed: false,
        reason,
        rule: None,
    }
}

/// The host that connecting to an address reaches: the unspecified address leads to this host.
fn leads_to(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => host,
    }
}

/// The host that an address is one of: an IPv4-mapped address (RFC 4291) is the IPv4 host's.
fn host_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
    }
}

/// Whether a packet to the address goes to a translator, who may pass it on to an IPv4 host: NAT64
/// (RFC 6052) and 6to4 (RFC 3056). No rule is about such an address.
fn is_translated(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(six) => matches!(
            six.segments(),
            [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x2002, ..]
        ),
    }
}

//! Random policies and requests that collide: few addresses, nested prefixes, several spellings,
//! port ranges that share edges, overlapping `by` lists, hard links, denials among allowances.
//!
//! A [`Case`] is made of text and paths, so that the same case can be put to `judge`, to the tables,
//! and to a kernel on a host where the files of [`pool`] were made.

mod choices;
mod pool;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::object::{FileId, FileStamp, UnixKey};

use crate::{
    facts::{Facts, PathFact},
    model::Protocol,
    request::{Request, Subject},
    source::Source,
};

use self::pool::{ABSTRACT, DIRECTORIES, FILES, LINKS, MISSING, SOCKETS};
pub use self::{
    choices::Choices,
    pool::{PoolEntry, PoolFacts, pool},
};

/// Requests of one case.
pub const ASKS: usize = 100;

/// A policy and what is asked of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its text; parses without error.
    pub source: Source,
    /// The requests, [`ASKS`] of them.
    pub asks: Vec<Ask>,
}

/// A request in words.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Paths of the acting executable's files (script first); none = the launcher.
    pub by: Vec<String>,
    /// What is tried.
    pub action: Action,
}

/// What is tried.
#[derive(Clone, Debug)]
pub enum Action {
    /// Running a file.
    Exec {
        /// Its path.
        path: String,
        /// It was changed after the policy was compiled.
        changed: bool,
    },
    /// Reaching a destination, in one of its spellings.
    Connect(Protocol, IpAddr, u16),
    /// Listening on an address, in one of its spellings.
    Listen(Protocol, IpAddr, u16),
    /// Reaching a socket by path.
    Socket(String),
    /// Reaching a socket by abstract name.
    Abstract(String),
}

impl Case {
    /// Makes a case about the pool under `base`.
    #[must_use]
    pub fn generate(choices: &mut Choices, base: &str) -> Self {
        let text = policy(choices, base);
        let asks = (0..ASKS).map(|_| ask(choices, base)).collect();
        Self {
            source: Source {
                name: "arbitrary.toml".into(),
                text,
            },
            asks,
        }
    }
}

impl Ask {
    /// The request by the identities of a host.
    ///
    /// # Errors
    /// When a file or socket of the pool is not there.
    pub fn resolve(&self, facts: &dyn Facts) -> Result<(Subject, Request), String> {
        let files = self
            .by
            .iter()
            .map(|path| file_at(facts, path).map(|(id, _)| id));
        let subject = Subject {
            files: files.collect::<Result<_, _>>()?,
        };
        let request = match &self.action {
            Action::Exec { path, changed } => {
                let (file, mut stamp) = file_at(facts, path)?;
                stamp.size += u64::from(*changed);
                Request::Exec { file, stamp }
            }
            Action::Connect(protocol, address, port) => Request::Connect {
                protocol: *protocol,
                address: *address,
                port: *port,
            },
            Action::Listen(protocol, address, port) => Request::Listen {
                protocol: *protocol,
                address: *address,
                port: *port,
            },
            Action::Abstract(name) => {
                let peer = UnixKey::abstract_name(name.as_bytes()).ok_or("the name is too long")?;
                Request::Unix { peer }
            }
            Action::Socket(path) => match facts.path(path) {
                PathFact::Socket { id } => Request::Unix {
                    peer: UnixKey::path(id),
                },
                other @ (PathFact::File(_)
                | PathFact::Directory { .. }
                | PathFact::Other(_)
                | PathFact::Missing
                | PathFact::Unreadable(_)) => return Err(format!("{path} is {other:?}")),
            },
        };
        Ok((subject, request))
    }
}

fn file_at(facts: &dyn Facts, path: &str) -> Result<(FileId, FileStamp), String> {
    match facts.path(path) {
        PathFact::File(file) => Ok((file.id, file.stamp)),
        other @ (PathFact::Socket { .. }
        | PathFact::Directory { .. }
        | PathFact::Other(_)
        | PathFact::Missing
        | PathFact::Unreadable(_)) => Err(format!("{path} is {other:?}")),
    }
}

fn file(choices: &mut Choices, base: &str) -> String {
    let index = choices.below(FILES.len() + LINKS.len());
    let name = FILES
        .get(index)
        .copied()
        .unwrap_or_else(|| LINKS[index - FILES.len()].0);
    format!("{base}/{name}")
}

/// A path of a rule: a file, a directory, or what is not there.
fn path(choices: &mut Choices, base: &str) -> String {
    match choices.below(8) {
        0 => format!("{base}/{MISSING}"),
        1 => format!("{base}/{}", choices.pick(DIRECTORIES)),
        _ => file(choices, base),
    }
}

fn policy(choices: &mut Choices, base: &str) -> String {
    let mut text = String::from(
        "schema = 1\n[agent]\nname = \"arbitrary\"\nowner = \"tests\"\npurpose = \"tests\"\n",
    );
    for index in 0..1 + choices.below(4) {
        let effect = if choices.one_in(5) { "deny" } else { "allow" };
        let paths = choices.several(4, |c| path(c, base));
        let rule = format!("[[exec]]\nid = \"e{index}\"\n{effect} = {paths}\noptional = true\n");
        text.push_str(&rule);
    }
    for index in 0..choices.below(9) {
        text.push_str(&format!("[[connect]]\nid = \"c{index}\"\n"));
        text.push_str(&internet(choices, base, destination));
    }
    for index in 0..choices.below(9) {
        text.push_str(&format!("[[listen]]\nid = \"l{index}\"\n"));
        text.push_str(&internet(choices, base, local));
    }
    for index in 0..choices.below(4) {
        let effect = if choices.one_in(3) { "deny" } else { "allow" };
        let peers = choices.several(3, |c| peer(c, base));
        text.push_str(&format!(
            "[[unix]]\nid = \"u{index}\"\n{effect} = {peers}\n"
        ));
    }
    text
}

/// What follows the id of a `connect` or `listen` rule.
fn internet(choices: &mut Choices, base: &str, one: fn(&mut Choices) -> String) -> String {
    let effect = if choices.one_in(3) { "deny" } else { "allow" };
    let mut lines = format!("{effect} = {}\n", choices.several(3, one));
    if choices.one_in(2) {
        let by = choices.several(2, |c| path(c, base));
        lines.push_str(&format!("by = {by}\n"));
    }
    lines
}

fn peer(choices: &mut Choices, base: &str) -> String {
    match choices.below(5) {
        0 => format!("{base}/run/missing"),
        1 | 2 => format!("@{}", choices.pick(ABSTRACT)),
        _ => format!("{base}/{}", choices.pick(SOCKETS)),
    }
}

/// Addresses that rules and requests are made around: a few bits differ, high and low.
const V4: &[[u8; 4]] = &[
    [10, 0, 0, 0],
    [10, 0, 0, 1],
    [10, 0, 128, 0],
    [10, 64, 0, 1],
    [127, 0, 0, 1],
];
const V6: &[[u16; 8]] = &[
    [0xfd00, 0, 0, 0, 0, 0, 0, 0],
    [0xfd00, 0, 0, 0, 0, 0, 0, 1],
    [0xfd00, 0, 0, 1, 0, 0, 0, 1],
    [0xfd00, 0x8000, 0, 0, 0, 0, 0, 1],
    // A bit beside 6to4 and NAT64, so that prefixes around those are listed and their edges asked for.
    [0x2003, 0, 0, 0, 0, 0, 0, 1],
    [0x64, 0xff9b, 0, 0, 0, 1, 0, 1],
    [0, 0, 0, 0, 0, 0, 0, 1],
];
const V4_LENGTHS: &[u8] = &[32, 0, 1, 7, 8, 9, 10, 16, 17, 24, 30, 31];
const V6_LENGTHS: &[u8] = &[128, 0, 1, 7, 8, 16, 17, 32, 33, 63, 64, 65, 127];
const PORTS: &[&str] = &[
    "443",
    "*",
    "80",
    "80-90",
    "90-443",
    "79-81",
    "443-444",
    "1-65535",
    "444-65535",
    "65535",
    "1-80",
    "1",
];
const EDGES: &[u16] = &[
    443, 80, 1, 0, 78, 79, 81, 82, 89, 90, 91, 442, 444, 445, 65534, 65535,
];

fn protocol(choices: &mut Choices) -> Protocol {
    if choices.one_in(3) {
        Protocol::Udp
    } else {
        Protocol::Tcp
    }
}

fn destination(choices: &mut Choices) -> String {
    let protocol = protocol(choices).name();
    let address = match choices.below(8) {
        0 => "*".to_owned(),
        1..=4 => {
            let length = *choices.pick(V4_LENGTHS);
            let bits = u32::from_be_bytes(*choices.pick(V4));
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            format!("{}/{length}", Ipv4Addr::from_bits(bits & mask))
        }
        _ => {
            let length = *choices.pick(V6_LENGTHS);
            let bits = Ipv6Addr::from(*choices.pick(V6)).to_bits();
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            format!("[{}]/{length}", Ipv6Addr::from_bits(bits & mask))
        }
    };
    format!("{protocol}:{address}:{}", choices.pick(PORTS))
}

/// As [`destination`], with the wildcard binds, which only listen rules can name.
fn local(choices: &mut Choices) -> String {
    let wildcard = match choices.below(6) {
        0 | 1 => "0.0.0.0",
        2 => "[::]",
        _ => return destination(choices),
    };
    let protocol = protocol(choices).name();
    format!("{protocol}:{wildcard}:{}", choices.pick(PORTS))
}

fn ask(choices: &mut Choices, base: &str) -> Ask {
    let by = (0..[1, 1, 1, 2, 0][choices.below(5)])
        .map(|_| file(choices, base))
        .collect();
    let action = match choices.below(10) {
        0 => Action::Exec {
            path: file(choices, base),
            changed: choices.one_in(4),
        },
        1 => Action::Socket(format!("{base}/{}", choices.pick(SOCKETS))),
        2 => Action::Abstract((*choices.pick(ABSTRACT)).to_owned()),
        3 | 4 => Action::Listen(protocol(choices), listener(choices), *choices.pick(EDGES)),
        _ => Action::Connect(protocol(choices), address(choices), *choices.pick(EDGES)),
    };
    Ask { by, action }
}

/// An address to listen on: often a wildcard, in any spelling.
fn listener(choices: &mut Choices) -> IpAddr {
    match choices.below(8) {
        0 => Ipv4Addr::UNSPECIFIED.into(),
        1 => Ipv6Addr::UNSPECIFIED.into(),
        2 => Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().into(),
        _ => address(choices),
    }
}

/// An address near the rules', in any spelling.
fn address(choices: &mut Choices) -> IpAddr {
    if choices.one_in(24) {
        return Ipv6Addr::UNSPECIFIED.into();
    }
    if choices.one_in(3) {
        let bits = Ipv6Addr::from(*choices.pick(V6)).to_bits();
        // A bit away: inside some of the rules' prefixes and outside others.
        let flip = choices.pick(&[
            0,
            0,
            1,
            1 << 32,
            1 << 63,
            1 << 64,
            1 << 95,
            1 << 111,
            1 << 112,
            1 << 127,
        ]);
        return Ipv6Addr::from_bits(bits ^ flip).into();
    }
    let bits = u32::from_be_bytes(*choices.pick(V4));
    let flip = choices.pick(&[0, 0, 0, 1, 2, 1 << 7, 1 << 15, 1 << 22, 1 << 24, 1 << 31]);
    let inner = if choices.one_in(20) { 0 } else { bits ^ flip };
    let [a, b] = [(inner >> 16) as u16, (inner & 0xffff) as u16];
    match choices.below(7) {
        0 => Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, a, b).into(),
        // Never judged: they go through a translator.
        1 => Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b).into(),
        2 => Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1).into(),
        // Near those two, but an address that is judged.
        3 if choices.one_in(3) => Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, a, b).into(),
        _ => Ipv4Addr::from_bits(inner).into(),
    }
}

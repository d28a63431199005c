//! What a policy says, with the place where it says it.

use std::{collections::BTreeSet, fmt};

use enforcer_common::{
    label::{
        SOCKETS_ALG, SOCKETS_BLUETOOTH, SOCKETS_CAN, SOCKETS_NETLINK, SOCKETS_NETLINK_ROUTE,
        SOCKETS_PACKET, SOCKETS_PING, SOCKETS_RAW, SOCKETS_VSOCK,
    },
    verdict::Reason,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    request::Request,
    source::{Sources, Span, Spanned},
};

/// A policy: one agent and all its rules, included ones too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whom it is about.
    pub agent: Agent,
    /// Which files may run.
    pub exec: Vec<ExecRule>,
    /// Which destinations may be reached.
    pub connect: Vec<InternetRule>,
    /// Where connections and datagrams may be received.
    pub listen: Vec<InternetRule>,
    /// Which unix sockets may be reached.
    pub unix: Vec<UnixRule>,
    /// What the author expects of it.
    pub examples: Vec<Example>,
    /// The files that it was read from; spans point into them.
    pub sources: Sources,
}

impl Policy {
    /// The rules about internet addresses in their order, each with the end that it is about.
    pub(crate) fn internet(&self) -> impl Iterator<Item = (End, &InternetRule)> {
        let connect = self.connect.iter().map(|rule| (End::Remote, rule));
        connect.chain(self.listen.iter().map(|rule| (End::Local, rule)))
    }

    /// Every path whose file the policy's meaning depends on, each once, sorted: what to watch.
    /// Directories end with `/`.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        let exec = self.exec.iter().flat_map(|rule| &rule.paths);
        let by = self
            .internet()
            .flat_map(|(_, rule)| rule.by.iter().flatten());
        let unix = self
            .unix
            .iter()
            .flat_map(|rule| &rule.peers)
            .filter_map(|p| p.value.path());
        let entry = self.agent.entry.iter().map(|entry| &entry.exec);
        let files = exec.chain(by).chain(entry).map(|path| path.value.as_str());
        let mut paths: Vec<&str> = files.chain(unix).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Those of [`Policy::paths`] that can only take something away: whatever they lead to, nothing is
    /// allowed by it.
    #[must_use]
    pub fn denied_paths(&self) -> BTreeSet<&str> {
        let exec = |effect: Effect| {
            let rules = self.exec.iter().filter(move |rule| rule.effect == effect);
            rules.flat_map(|rule| rule.paths.iter().map(|path| path.value.as_str()))
        };
        let unix = self.unix.iter().filter(|rule| rule.effect == Effect::Deny);
        let unix = unix
            .flat_map(|rule| &rule.peers)
            .filter_map(|peer| peer.value.path());
        let by = self
            .internet()
            .filter(|(_, rule)| rule.effect == Effect::Deny)
            .flat_map(|(_, rule)| rule.by.iter().flatten())
            .map(|path| path.value.as_str());
        // What may not run by its own name needs no denial of what it does.
        let run: BTreeSet<&str> = exec(Effect::Allow).collect();
        let by = by.filter(|path| !run.contains(path));
        exec(Effect::Deny).chain(unix).chain(by).collect()
    }
}

/// The subject of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its name, unique on a host.
    pub name: Spanned<String>,
    /// Who answers for it.
    pub owner: String,
    /// What it is for.
    pub purpose: String,
    /// Whether denials are enforced.
    pub mode: Mode,
    /// What is recorded.
    pub audit: Audit,
    /// What happens to an action that cannot be recorded.
    pub on_audit_failure: OnAuditFailure,
    /// What may be mapped as code beside the files of exec rules.
    pub libraries: Libraries,
    /// Memory that is not the unchanged content of a file may be executable.
    pub jit: bool,
    /// Programs may give their process other ids or capabilities.
    pub set_id: Spanned<bool>,
    /// Programs start as set-id programs do, deaf to the loader's variables.
    pub secure_exec: bool,
    /// Character devices beside the harmless ones may be opened.
    pub devices: Spanned<bool>,
    /// Rings of io_uring may be made.
    pub io_uring: Spanned<bool>,
    /// User namespaces may be made, and mounts in them.
    pub namespaces: Spanned<bool>,
    /// Kinds of sockets that may exist although no destination of them is judged.
    pub sockets: Vec<Spanned<SocketKind>>,
    /// Who may start sessions with `enforcer run`; `None` = nobody.
    pub launch: Option<Launch>,
    /// The systemd slice whose processes are enrolled.
    pub slice: Option<Spanned<String>>,
    /// The file whose execution enrols.
    pub entry: Option<Entry>,
}

impl Agent {
    /// Whether anything can become a session of it.
    #[must_use]
    pub const fn is_enrolled(&self) -> bool {
        self.launch.is_some() || self.slice.is_some() || self.entry.is_some()
    }
}

/// A kind of socket whose destinations are not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// Netlink of the protocol that tells of interfaces, addresses and routes.
    NetlinkRoute,
    /// Netlink of any protocol.
    Netlink,
    /// Datagrams of ICMP and ICMPv6, as ping(8) sends.
    Ping,
    /// Raw IPv4 and IPv6.
    Raw,
    /// Raw frames of an interface.
    Packet,
    /// Between a virtual machine and its host.
    Vsock,
    /// The kernel's ciphers and digests.
    Alg,
    /// Bluetooth.
    Bluetooth,
    /// Controller area networks.
    Can,
}

impl SocketKind {
    /// Name in policies.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("netlink-route", Self::NetlinkRoute),
        ("netlink", Self::Netlink),
        ("ping", Self::Ping),
        ("raw", Self::Raw),
        ("packet", Self::Packet),
        ("vsock", Self::Vsock),
        ("alg", Self::Alg),
        ("bluetooth", Self::Bluetooth),
        ("can", Self::Can),
    ];

    /// Its bit in the agent's parameters (`SOCKETS_*`).
    #[must_use]
    pub const fn bit(self) -> u32 {
        match self {
            Self::NetlinkRoute => SOCKETS_NETLINK_ROUTE,
            Self::Netlink => SOCKETS_NETLINK,
            Self::Ping => SOCKETS_PING,
            Self::Raw => SOCKETS_RAW,
            Self::Packet => SOCKETS_PACKET,
            Self::Vsock => SOCKETS_VSOCK,
            Self::Alg => SOCKETS_ALG,
            Self::Bluetooth => SOCKETS_BLUETOOTH,
            Self::Can => SOCKETS_CAN,
        }
    }

    /// Whether something can leave the host by it.
    #[must_use]
    pub const fn leaves_the_host(self) -> bool {
        !matches!(self, Self::NetlinkRoute | Self::Netlink | Self::Alg)
    }

    /// Name in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(_, kind)| *kind == self);
        known.map_or("", |(name, _)| name) // never empty: `NAMES` has every kind
    }
}

/// A file whose execution begins a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its absolute path.
    pub exec: Spanned<String>,
    /// The user whose executions count, by name or number; `None` = everybody's.
    pub user: Option<Spanned<String>>,
}

/// Whether denials are enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What the rules do not allow fails.
    Enforce,
    /// Everything goes on; what would have failed is recorded.
    Monitor {
        /// When it ends.
        until: Spanned<Until>,
    },
}

/// The end of monitor mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Until {
    /// As it was written: an RFC 3339 date, or date and time.
    pub text: String,
    /// Seconds since 1970-01-01T00:00:00Z. A date alone ends with that day, in UTC.
    pub unix_seconds: i64,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audit {
    /// Every decision.
    All,
    /// Denials only.
    Denials,
}

impl Audit {
    /// Every value, with its name in a policy.
    pub(crate) const NAMES: &'static [(&'static str, Self)] =
        &[("all", Self::All), ("denials", Self::Denials)];
}

/// What happens to an action that cannot be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnAuditFailure {
    /// It is denied.
    Deny,
    /// It goes on, and an alert is raised.
    Alert,
    /// It goes on; the loss is counted.
    Continue,
}

impl OnAuditFailure {
    /// Every value, with its name in a policy.
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[
        ("deny", Self::Deny),
        ("alert", Self::Alert),
        ("continue", Self::Continue),
    ];
}

/// What may be mapped as code beside the files of exec rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Libraries {
    /// The host's libraries.
    Host,
    /// Nothing.
    Listed,
}

impl Libraries {
    /// Every value, with its name in a policy.
    pub(crate) const NAMES: &'static [(&'static str, Self)] =
        &[("host", Self::Host), ("listed", Self::Listed)];
}

/// Who may start sessions with `enforcer run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// Members of this group, and root; `None` = root alone.
    pub group: Option<Spanned<String>>,
}

/// What a rule does with its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Allows them.
    Allow,
    /// Denies them, whatever else allows them.
    Deny,
}

impl Effect {
    /// Its key in a rule.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A rule about running files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecRule {
    /// Name in records, unique in the policy.
    pub id: Spanned<String>,
    /// What it does.
    pub effect: Effect,
    /// Absolute paths; one that ends with `/` is every regular file below it.
    pub paths: Vec<Spanned<String>>,
    /// SHA-256 digests that the files may have; empty = the file's owner and mode are trusted.
    pub sha256: Vec<Spanned<[u8; 32]>>,
    /// The author knows that these files run code that no hook can see.
    pub interpreter: bool,
    /// Files that are not there are left out instead of being an error.
    pub optional: bool,
}

/// A rule about internet addresses: `[[connect]]` or `[[listen]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternetRule {
    /// Name in records, unique in the policy.
    pub id: Spanned<String>,
    /// What it does.
    pub effect: Effect,
    /// Where to; in a listen rule, where at.
    pub destinations: Vec<Spanned<Destination>>,
    /// It holds only for these executables (paths as in [`ExecRule::paths`]); `None` = for all.
    pub by: Option<Vec<Spanned<String>>>,
}

/// A rule about unix sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixRule {
    /// Name in records, unique in the policy.
    pub id: Spanned<String>,
    /// What it does.
    pub effect: Effect,
    /// The sockets.
    pub peers: Vec<Spanned<Peer>>,
}

/// The end of a connection that a rule or a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The destination: `connect`.
    Remote,
    /// The own address: `listen`.
    Local,
}

impl End {
    /// Name of the rule table that is about it.
    pub(crate) const fn section(self) -> &'static str {
        match self {
            Self::Remote => "connect",
            Self::Local => "listen",
        }
    }
}

/// Transport protocol of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Every protocol, with its name in a policy.
    pub(crate) const NAMES: &'static [(&'static str, Self)] =
        &[("tcp", Self::Tcp), ("udp", Self::Udp)];

    /// Its name in a policy.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Addresses of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// Any IPv4 and any IPv6 address.
    Any,
    /// Those of a prefix, without host bits.
    Net(IpNet),
}

/// A range of ports, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    /// Lowest.
    pub first: u16,
    /// Highest.
    pub last: u16,
}

impl Ports {
    /// Every port.
    pub const ANY: Self = Self {
        first: 0,
        last: u16::MAX,
    };
}

/// Where to, or where at: protocol, addresses, ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// Transport.
    pub protocol: Protocol,
    /// Addresses.
    pub address: Address,
    /// Ports.
    pub ports: Ports,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.protocol.name())?;
        match self.address {
            Address::Any => f.write_str("*")?,
            Address::Net(IpNet::V4(net)) if net.prefix_len() == 32 => write!(f, "{}", net.addr())?,
            Address::Net(IpNet::V4(net)) => write!(f, "{net}")?,
            Address::Net(IpNet::V6(net)) if net.prefix_len() == 128 => {
                write!(f, "[{}]", net.addr())?
            }
            Address::Net(IpNet::V6(net)) => write!(f, "[{}]/{}", net.addr(), net.prefix_len())?,
        }
        match self.ports {
            Ports::ANY => f.write_str(":*"),
            Ports { first, last } if first == last => write!(f, ":{first}"),
            Ports { first, last } => write!(f, ":{first}-{last}"),
        }
    }
}

/// A unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// Bound to this absolute path.
    Path(String),
    /// Bound to this abstract name, here without its leading NUL.
    Abstract(String),
}

impl Peer {
    /// The path, of a peer that has one.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Path(path) => Some(path),
            Self::Abstract(_) => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// "This request gets this verdict": a test that the policy carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Where it stands.
    pub span: Span,
    /// Path of the acting executable; `None` = one that no `by` names.
    pub by: Option<Spanned<String>>,
    /// What it tries.
    pub action: ExampleAction,
    /// What must come of it.
    pub expect: Effect,
    /// The rule that must have decided.
    pub rule: Option<Spanned<String>>,
    /// The reason that must be given.
    pub reason: Option<Reason>,
}

/// What an example tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExampleAction {
    /// Running the file at this path.
    Exec(String),
    /// Reaching a destination; always a [`Request::Connect`].
    Connect(Request),
    /// Listening on an address of the host; always a [`Request::Listen`].
    Listen(Request),
    /// Reaching a unix socket.
    Unix(Peer),
}

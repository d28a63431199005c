//! What was acted on, read from a record.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use enforcer_common::{
    event::Kind,
    object::{FileId, TCP, UDP},
};
use enforcer_policy::Protocol;
use serde_json::Value;

/// A file as a record names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRef<'a> {
    /// Resolved path, in the records' escaped form; `None` when the kernel could not give it whole.
    pub path: Option<&'a str>,
    /// The kernel's identity, `device-major:minor:inode:generation`.
    pub uid: Option<&'a str>,
    /// SHA-256 in hexadecimal, where the daemon knew it.
    pub sha256: Option<&'a str>,
}

impl<'a> FileRef<'a> {
    /// The file that an OCSF `file` object names.
    pub(crate) fn of(file: &'a Value) -> Self {
        let sha256 = file["hashes"].as_array().and_then(|hashes| {
            let of = |hash: &&Value| hash["algorithm_id"].as_u64() == Some(3);
            hashes
                .iter()
                .find(of)
                .and_then(|hash| hash["value"].as_str())
        });
        Self {
            path: file["path"].as_str(),
            uid: file["uid"].as_str(),
            sha256,
        }
    }

    /// How the file is called: its path, else its identity.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.path.or(self.uid)
    }

    /// The path as a policy would write it; `None` when it is not known whole, or is no path that a
    /// policy can name: not UTF-8, not absolute, or of a file that has no name any more.
    #[must_use]
    pub fn policy_path(&self) -> Option<String> {
        let path = String::from_utf8(unescaped(self.path?)?).ok()?;
        let plain = path.starts_with('/') && !path.ends_with('/') && !path.ends_with(" (deleted)");
        let whole = path
            .split('/')
            .skip(1)
            .all(|part| !matches!(part, "" | "." | ".."));
        (plain && whole && !path.contains('\0')).then_some(path)
    }

    /// The kernel's identity of the file.
    #[must_use]
    pub fn id(&self) -> Option<FileId> {
        let mut parts = self.uid?.split(':');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (major, minor, inode, generation) = (number()?, number()?, number()?, number()?);
        // `MINORBITS` of linux/kdev_t.h.
        let device = u32::try_from((major << 20) | minor).ok()?;
        Some(FileId {
            inode,
            device,
            generation: u32::try_from(generation).ok()?,
        })
    }
}

/// An internet address and port of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// IANA protocol number.
    pub protocol: u8,
    /// Canonical address; `None` when the kernel could not read it.
    pub address: Option<IpAddr>,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// The transport that policies know it by.
    #[must_use]
    pub const fn transport(&self) -> Option<Protocol> {
        match self.protocol {
            TCP => Some(Protocol::Tcp),
            UDP => Some(Protocol::Udp),
            _ => None,
        }
    }

    /// `tcp:192.0.2.1:443`: as a policy writes it.
    #[must_use]
    pub fn text(&self) -> String {
        let protocol = match self.transport() {
            Some(protocol) => protocol.name().to_owned(),
            None => self.protocol.to_string(),
        };
        match self.address {
            Some(address) => format!("{protocol}:{}", SocketAddr::new(address, self.port)),
            None => format!("{protocol}:unknown"),
        }
    }
}

/// The other end of a unix connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixName<'a> {
    /// Bound to a path: as its binder wrote it, escaped; and the inode, which decided.
    Path {
        /// The path; it is the inode's identity when the binder left none.
        path: &'a str,
        /// The inode's identity.
        uid: Option<&'a str>,
    },
    /// Bound to an abstract name, escaped, without its `@`.
    Abstract(&'a str),
    /// Not bound.
    Unnamed,
    /// The kernel could not tell.
    Unknown,
}

/// What was acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object<'a> {
    /// A file that was to run.
    Run(FileRef<'a>),
    /// An internet destination.
    Reach(Endpoint),
    /// A local address to receive on.
    Listen(Endpoint),
    /// A unix socket.
    Unix(UnixName<'a>),
    /// A socket that was to be made: family, type, protocol of `socket(2)`.
    Socket(u32, u32, u32),
    /// A file or memory to be mapped as code, and how.
    Code(FileRef<'a>, &'a str),
    /// A file or folder entry to be changed, and how.
    Write(FileRef<'a>, &'a str),
    /// Another process, where one is named, and the number that the hook was given.
    Number(Option<u64>, Option<u64>),
    /// Nothing but the act itself: a fork, a session's begin or end.
    Nothing,
}

impl<'a> Object<'a> {
    pub(crate) fn of(record: &'a Value, kind: Option<Kind>) -> Self {
        let Some(kind) = kind else {
            return Self::Nothing;
        };
        let unmapped = &record["unmapped"];
        match kind {
            Kind::Exec => Self::Run(FileRef::of(&record["process"]["file"])),
            Kind::Connect | Kind::Send | Kind::SendConnected => Self::Reach(endpoint(record)),
            Kind::Listen => Self::Listen(endpoint(record)),
            Kind::Unix => Self::Unix(unix(record)),
            Kind::Socket => {
                let number =
                    |name: &str| unmapped[name].as_u64().and_then(|n| u32::try_from(n).ok());
                let [family, kind, protocol] =
                    ["socket_family", "socket_type", "socket_protocol"].map(number);
                Self::Socket(
                    family.unwrap_or_default(),
                    kind.unwrap_or_default(),
                    protocol.unwrap_or_default(),
                )
            }
            Kind::Code | Kind::Write => {
                let file = FileRef {
                    path: unmapped["target_path"].as_str(),
                    uid: unmapped["target_file"].as_str(),
                    sha256: None,
                };
                let how = unmapped["how"].as_str().unwrap_or_default();
                if kind == Kind::Code {
                    Self::Code(file, how)
                } else {
                    Self::Write(file, how)
                }
            }
            Kind::Fork | Kind::SessionStart | Kind::SessionEnd => Self::Nothing,
            Kind::Trace
            | Kind::Signal
            | Kind::Bpf
            | Kind::Mount
            | Kind::UserNamespace
            | Kind::Receive
            | Kind::Perf
            | Kind::KernelLoad
            | Kind::Interface
            | Kind::SocketOption
            | Kind::Capability
            | Kind::Guard
            | Kind::SetId
            | Kind::ProcessControl
            | Kind::SignalOwner
            | Kind::Ioctl
            | Kind::IoUring => {
                let target = record["process"]["uid"].is_null();
                let target = target.then(|| record["process"]["pid"].as_u64()).flatten();
                Self::Number(target, unmapped["detail"].as_u64())
            }
        }
    }

    /// The object in a few words, as tables of the report name it. Agent-chosen text is as in the
    /// record: it is for the writer of the text or page to make it visible.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        match *self {
            Self::Run(file) => file.name().unwrap_or("an unknown file").into(),
            Self::Reach(endpoint) | Self::Listen(endpoint) => endpoint.text().into(),
            Self::Unix(UnixName::Path { path, .. }) => path.into(),
            Self::Unix(UnixName::Abstract(name)) => format!("@{name}").into(),
            Self::Unix(UnixName::Unnamed) => "an unnamed unix socket".into(),
            Self::Unix(UnixName::Unknown) => "an unknown unix socket".into(),
            Self::Socket(family, kind, protocol) => {
                format!("socket family {family} type {kind} protocol {protocol}").into()
            }
            Self::Code(file, how) | Self::Write(file, how) => match file.name() {
                Some(name) => name.into(),
                None => format!("memory ({how})").into(),
            },
            Self::Number(Some(_), _) => "another process".into(),
            Self::Number(None, Some(detail)) => format!("number {detail}").into(),
            Self::Number(None, None) | Self::Nothing => "".into(),
        }
    }
}

/// The host that connecting to an address reaches: of an IPv4-mapped one the IPv4 host, of the
/// unspecified one this host.
pub(crate) fn reached(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    if !address.is_unspecified() {
        return address;
    }
    if address.is_ipv4() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        Ipv6Addr::LOCALHOST.into()
    }
}

fn endpoint(record: &Value) -> Endpoint {
    let to = &record["dst_endpoint"];
    let number = record["connection_info"]["protocol_num"].as_u64();
    Endpoint {
        protocol: number
            .and_then(|n| u8::try_from(n).ok())
            .unwrap_or_default(),
        address: to["ip"].as_str().and_then(|ip| ip.parse().ok()),
        port: to["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or_default(),
    }
}

fn unix(record: &Value) -> UnixName<'_> {
    let (name, uid) = (
        record["dst_endpoint"]["name"].as_str(),
        record["dst_endpoint"]["uid"].as_str(),
    );
    match (record["unmapped"]["unix_kind"].as_str(), name) {
        (Some("path"), Some(path)) => UnixName::Path { path, uid },
        (Some("abstract"), Some(name)) => {
            UnixName::Abstract(name.strip_prefix('@').unwrap_or(name))
        }
        (Some("unnamed"), _) => UnixName::Unnamed,
        (Some(_), _) | (None, _) => UnixName::Unknown,
    }
}

/// The bytes that a record's escaped text stands for: `\\` is a backslash, `\xHH` a byte. `None` when
/// it has another escape.
#[must_use]
pub fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
        } else {
            let digits = rest.strip_prefix('x')?.get(..2)?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = rest.get(3..)?;
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{FileRef, unescaped};

    fn path(path: &str) -> Option<String> {
        FileRef {
            path: Some(path),
            uid: None,
            sha256: None,
        }
        .policy_path()
    }

    #[test]
    fn a_policy_can_name_only_whole_plain_paths() {
        assert_eq!(path("/usr/bin/[").as_deref(), Some("/usr/bin/["));
        assert_eq!(path(r"/a\\b").as_deref(), Some("/a\\b"));
        assert_eq!(path(r"/a\x0ab").as_deref(), Some("/a\nb"));
        for bad in [
            r"/a\xff",
            "relative",
            "/memfd:x (deleted)",
            "/a/../b",
            "/a//b",
            "/",
            r"/\q",
            r"/a\x00",
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let file = FileRef {
            path: None,
            uid: Some("253:1:1234:9"),
            sha256: None,
        };
        let id = file.id().expect("an identity");
        assert_eq!(
            (id.device, id.inode, id.generation),
            ((253 << 20) | 1, 1234, 9)
        );
        assert_eq!(
            FileRef {
                uid: Some("253:1"),
                ..file
            }
            .id(),
            None
        );
        assert_eq!(unescaped(r"a\xzz"), None);
        assert_eq!(unescaped(r"\x+1"), None);
    }
}

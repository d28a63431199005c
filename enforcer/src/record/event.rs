//! The kernel's event, read from its bytes into an owned form.
//!
//! The bytes come from a ring that only the kernel programs write, yet nothing here trusts them:
//! every read is bounds-checked and every number that stands for a name is looked up. The offsets
//! are those of the shared types themselves, so the two sides cannot drift apart.
#![forbid(unsafe_code)]

use core::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::{
    event::{self as abi, EXEC_ARGV_CUT, EXEC_ARGV_UNREADABLE, EXEC_PATH_MISSING, Kind},
    object::{
        FileId, FileStamp, IPV4, IPV6, UNIX_ABSTRACT, UNIX_NAME_LEN, UNIX_PATH, UNIX_UNNAMED,
        UnixKey,
    },
    permit::NO_CELL,
    verdict::{Reason, Verdict},
};

/// One decision of the kernel, or the start or end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What every event has.
    pub head: Head,
    /// What was acted on.
    pub object: Object,
}

/// What every event has; fields as in [`abi::Header`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Sequence number, from 1; unique within a boot.
    pub sequence: u64,
    /// `CLOCK_BOOTTIME` in nanoseconds at the decision.
    pub time_ns: u64,
    /// Session id.
    pub session: u64,
    /// Sequence number of the exec event of the executable that acted; 0 = the launcher's image.
    pub exec: u64,
    /// Start of the acting process, `CLOCK_BOOTTIME` in nanoseconds.
    pub start_ns: u64,
    /// Condition bits that were true of the task.
    pub conditions: u64,
    /// Process id.
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Process id of the real parent.
    pub parent_tgid: u32,
    /// Real user id.
    pub uid: u32,
    /// Agent slot.
    pub agent: u32,
    /// Policy generation that decided.
    pub generation: u32,
    /// Cell of the compiled policy that decided, if one did.
    pub cell: Option<u32>,
    /// What was decided about.
    pub kind: Kind,
    /// The outcome.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

/// What an event is about, beside its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// [`Kind::Exec`].
    Executable(Box<Executable>),
    /// [`Kind::Connect`], [`Kind::Send`] and [`Kind::SendConnected`]; of [`Kind::Listen`] the local one.
    Endpoint(Endpoint),
    /// [`Kind::Unix`].
    UnixSocket(UnixPeer),
    /// [`Kind::Socket`].
    Socket(Socket),
    /// [`Kind::Code`] and [`Kind::Write`].
    File(FileAct),
    /// Every kind whose object is a number or two.
    Other(Other),
    /// [`Kind::Fork`], [`Kind::SessionStart`] and [`Kind::SessionEnd`]: the head says it all.
    Process,
}

/// A file that was to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// Identity of the file.
    pub file: FileId,
    /// Its stamp then.
    pub stamp: FileStamp,
    /// Arguments of the call, as the kernel counted them.
    pub argc: u32,
    /// Interpreter level: 0 = the file that was asked for.
    pub level: u16,
    /// Resolved path as the kernel gave it; `None` when it could not be given whole.
    pub path: Option<Vec<u8>>,
    /// Arguments as the caller's memory had them; `None` when they could not be read.
    pub arguments: Option<Vec<Vec<u8>>>,
    /// Whether there were more or longer arguments than `arguments` holds.
    pub arguments_cut: bool,
}

/// A destination on an internet protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Canonical address; `None` when it could not be read.
    pub address: Option<IpAddr>,
    /// IANA protocol number.
    pub protocol: u8,
    /// Port.
    pub port: u16,
}

/// The other end of a unix connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixPeer {
    /// Bound to a path: the inode decides, the path is evidence.
    Path {
        /// Inode that the socket is bound to.
        file: FileId,
        /// Path it was bound by, as the binder wrote it.
        path: Vec<u8>,
    },
    /// Bound to an abstract name, without its leading NUL.
    Abstract(Vec<u8>),
    /// Not bound.
    Unnamed,
    /// The kernel program could not tell (`kernel-read-failed`, `address-not-judgeable`).
    Unknown,
}

/// A file that was to be mapped as code, or written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAct {
    /// Identity of the file; `None` = memory that no file stands behind.
    pub file: Option<FileId>,
    /// Its stamp then.
    pub stamp: FileStamp,
    /// In which way.
    pub how: How,
    /// Resolved path as the kernel gave it, where it could.
    pub path: Option<Vec<u8>>,
}

/// What was to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Mapped as code.
    Mapped,
    /// Memory of no file made executable.
    Anonymous,
    /// A mapping made executable, or writable and executable at once.
    Protected,
    /// Opened for writing.
    Opened,
    /// Truncated by its path.
    Truncated,
    /// Made, removed or moved, or its owner or mode changed.
    Entry,
}

impl How {
    /// Every way, with its number in [`abi::File::how`] and its name in records.
    const ALL: [(u16, Self, &'static str); 6] = [
        (abi::FILE_MAPPED, Self::Mapped, "mapped"),
        (abi::FILE_ANONYMOUS, Self::Anonymous, "anonymous"),
        (abi::FILE_PROTECTED, Self::Protected, "protected"),
        (abi::FILE_OPENED, Self::Opened, "opened"),
        (abi::FILE_TRUNCATED, Self::Truncated, "truncated"),
        (abi::FILE_ENTRY, Self::Entry, "entry"),
    ];

    fn from_number(number: u16) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|(known, ..)| *known == number);
        known.map(|(_, how, _)| how)
    }

    /// Name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        let known = Self::ALL.into_iter().find(|(_, how, _)| *how == self);
        known.map_or("", |(.., name)| name) // never empty: `ALL` has every way
    }
}

/// What has no object of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Process that was acted on, where there was one.
    pub target: Option<u32>,
    /// The number that the hook was given: see [`abi::Other`].
    pub detail: u32,
}

/// A socket that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// `AF_*`.
    pub family: u32,
    /// `SOCK_*` without flags.
    pub kind: u32,
    /// Protocol as asked for.
    pub protocol: u32,
}

/// Why bytes are no event. The caller accounts for such an event as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer or more bytes than the event's kind has.
    #[error("an event of {found} bytes where {expected} were expected")]
    Length {
        /// Bytes that the kind has.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// A number that stands for nothing.
    #[error("event field `{field}` holds {value}, which means nothing")]
    Number {
        /// Field of the shared type.
        field: &'static str,
        /// What it holds.
        value: u32,
    },
    /// A length field that says more than the field it counts can hold.
    #[error("event field `{field}` counts {found} bytes, at most {limit} fit")]
    Count {
        /// Field of the shared type.
        field: &'static str,
        /// What it says.
        found: usize,
        /// What fits.
        limit: usize,
    },
}

impl Event {
    /// Reads one event from the bytes of one ring entry.
    ///
    /// # Errors
    /// When the bytes are not those of one whole event of a known kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes = Bytes(bytes);
        let head = head(bytes)?;
        let object = match head.kind {
            Kind::Exec => Object::Executable(Box::new(executable(bytes)?)),
            Kind::Connect | Kind::Send | Kind::SendConnected | Kind::Listen => {
                Object::Endpoint(endpoint(bytes)?)
            }
            Kind::Unix => Object::UnixSocket(unix_peer(bytes)?),
            Kind::Socket => Object::Socket(socket(bytes)?),
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
            | Kind::SetId
            | Kind::ProcessControl
            | Kind::SignalOwner
            | Kind::Ioctl
            | Kind::IoUring
            | Kind::Guard => Object::Other(other(bytes)?),
            Kind::Code | Kind::Write => Object::File(file(bytes)?),
            Kind::Fork | Kind::SessionStart | Kind::SessionEnd => {
                bytes.exactly(size_of::<abi::Header>())?;
                Object::Process
            }
        };
        Ok(Self { head, object })
    }
}

/// The bytes of one event. Offsets are those of the shared types.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn exactly(self, expected: usize) -> Result<(), DecodeError> {
        let found = self.0.len();
        if found == expected {
            return Ok(());
        }
        Err(DecodeError::Length { expected, found })
    }

    fn slice(self, at: usize, len: usize) -> Result<&'a [u8], DecodeError> {
        self.0.get(at..at + len).ok_or(DecodeError::Length {
            expected: at + len,
            found: self.0.len(),
        })
    }

    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(at, N)?);
        Ok(array)
    }

    fn u64(self, at: usize) -> Result<u64, DecodeError> {
        self.array(at).map(u64::from_ne_bytes)
    }

    fn i64(self, at: usize) -> Result<i64, DecodeError> {
        self.array(at).map(i64::from_ne_bytes)
    }

    fn u32(self, at: usize) -> Result<u32, DecodeError> {
        self.array(at).map(u32::from_ne_bytes)
    }

    fn u16(self, at: usize) -> Result<u16, DecodeError> {
        self.array(at).map(u16::from_ne_bytes)
    }

    fn u8(self, at: usize) -> Result<u8, DecodeError> {
        self.array(at).map(|[byte]| byte)
    }

    /// The first `found` bytes of the field at `at`, which holds at most `limit`.
    fn counted(
        self,
        field: &'static str,
        at: usize,
        found: usize,
        limit: usize,
    ) -> Result<&'a [u8], DecodeError> {
        if found > limit {
            return Err(DecodeError::Count {
                field,
                found,
                limit,
            });
        }
        self.slice(at, found)
    }
}

fn other(bytes: Bytes<'_>) -> Result<Other, DecodeError> {
    bytes.exactly(size_of::<abi::Other>())?;
    let target = bytes.u32(offset_of!(abi::Other, target_tgid))?;
    Ok(Other {
        target: (target != 0).then_some(target),
        detail: bytes.u32(offset_of!(abi::Other, detail))?,
    })
}

fn file(bytes: Bytes<'_>) -> Result<FileAct, DecodeError> {
    bytes.exactly(size_of::<abi::File>())?;
    let how = bytes.u16(offset_of!(abi::File, how))?;
    let length = usize::from(bytes.u16(offset_of!(abi::File, path_len))?);
    let at = offset_of!(abi::File, path);
    let path = bytes.counted("path_len", at, length, abi::PATH_LEN)?;
    let file = file_id(bytes, offset_of!(abi::File, file))?;
    Ok(FileAct {
        file: (file != FileId::default()).then_some(file),
        stamp: stamp(bytes, offset_of!(abi::File, stamp))?,
        how: How::from_number(how).ok_or(DecodeError::Number {
            field: "how",
            value: how.into(),
        })?,
        path: (!path.is_empty()).then(|| path.to_vec()),
    })
}

fn head(bytes: Bytes<'_>) -> Result<Head, DecodeError> {
    let cell = bytes.u32(offset_of!(abi::Header, cell))?;
    let kind = bytes.u8(offset_of!(abi::Header, kind))?;
    let verdict = bytes.u8(offset_of!(abi::Header, verdict))?;
    let reason = bytes.u8(offset_of!(abi::Header, reason))?;
    Ok(Head {
        sequence: bytes.u64(offset_of!(abi::Header, sequence))?,
        time_ns: bytes.u64(offset_of!(abi::Header, time_ns))?,
        session: bytes.u64(offset_of!(abi::Header, session))?,
        exec: bytes.u64(offset_of!(abi::Header, exec))?,
        start_ns: bytes.u64(offset_of!(abi::Header, start_ns))?,
        conditions: bytes.u64(offset_of!(abi::Header, conditions))?,
        tgid: bytes.u32(offset_of!(abi::Header, tgid))?,
        tid: bytes.u32(offset_of!(abi::Header, tid))?,
        parent_tgid: bytes.u32(offset_of!(abi::Header, parent_tgid))?,
        uid: bytes.u32(offset_of!(abi::Header, uid))?,
        agent: bytes.u32(offset_of!(abi::Header, agent))?,
        generation: bytes.u32(offset_of!(abi::Header, generation))?,
        cell: (cell != NO_CELL).then_some(cell),
        kind: Kind::from_number(kind).ok_or(number("kind", kind))?,
        verdict: Verdict::from_number(verdict).ok_or(number("verdict", verdict))?,
        reason: Reason::from_number(reason).ok_or(number("reason", reason))?,
    })
}

fn executable(bytes: Bytes<'_>) -> Result<Executable, DecodeError> {
    bytes.exactly(size_of::<abi::Exec>())?;
    let flags = bytes.u16(offset_of!(abi::Exec, flags))?;
    let path_len = usize::from(bytes.u16(offset_of!(abi::Exec, path_len))?);
    let argv_len = usize::from(bytes.u16(offset_of!(abi::Exec, argv_len))?);
    let path = bytes.counted(
        "path_len",
        offset_of!(abi::Exec, path),
        path_len,
        abi::PATH_LEN,
    )?;
    let argv = bytes.counted(
        "argv_len",
        offset_of!(abi::Exec, argv),
        argv_len,
        abi::ARGV_LEN,
    )?;
    Ok(Executable {
        file: file_id(bytes, offset_of!(abi::Exec, file))?,
        stamp: stamp(bytes, offset_of!(abi::Exec, stamp))?,
        argc: bytes.u32(offset_of!(abi::Exec, argc))?,
        level: bytes.u16(offset_of!(abi::Exec, level))?,
        path: (flags & EXEC_PATH_MISSING == 0).then(|| path.to_vec()),
        arguments: (flags & EXEC_ARGV_UNREADABLE == 0).then(|| arguments(argv)),
        arguments_cut: flags & EXEC_ARGV_CUT != 0,
    })
}

/// Splits arguments that each end with NUL; the last one of a cut list may lack it.
fn arguments(argv: &[u8]) -> Vec<Vec<u8>> {
    let whole = argv.strip_suffix(&[0]).unwrap_or(argv);
    if argv.is_empty() {
        return Vec::new();
    }
    whole.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

fn endpoint(bytes: Bytes<'_>) -> Result<Endpoint, DecodeError> {
    bytes.exactly(size_of::<abi::Connect>())?;
    let address: [u8; 16] = bytes.array(offset_of!(abi::Connect, address))?;
    let [a, b, c, d, ..] = address;
    let family = bytes.u8(offset_of!(abi::Connect, family))?;
    let address = match u32::from(family) {
        0 => None,
        IPV4 => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        IPV6 => Some(IpAddr::V6(Ipv6Addr::from(address))),
        _ => return Err(number("family", family)),
    };
    Ok(Endpoint {
        address,
        protocol: bytes.u8(offset_of!(abi::Connect, protocol))?,
        port: bytes.u16(offset_of!(abi::Connect, port))?,
    })
}

fn unix_peer(bytes: Bytes<'_>) -> Result<UnixPeer, DecodeError> {
    const PEER: usize = offset_of!(abi::Unix, peer);
    bytes.exactly(size_of::<abi::Unix>())?;
    let kind = bytes.u32(PEER + offset_of!(UnixKey, kind))?;
    let len = bytes.u32(PEER + offset_of!(UnixKey, name_len))?;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let name = bytes.counted(
        "name_len",
        PEER + offset_of!(UnixKey, name),
        len,
        UNIX_NAME_LEN,
    )?;
    match kind {
        0 => Ok(UnixPeer::Unknown),
        UNIX_PATH => Ok(UnixPeer::Path {
            file: file_id(bytes, PEER + offset_of!(UnixKey, file))?,
            path: name.strip_suffix(&[0]).unwrap_or(name).to_vec(),
        }),
        UNIX_ABSTRACT => Ok(UnixPeer::Abstract(name.to_vec())),
        UNIX_UNNAMED => Ok(UnixPeer::Unnamed),
        _ => Err(DecodeError::Number {
            field: "peer.kind",
            value: kind,
        }),
    }
}

fn socket(bytes: Bytes<'_>) -> Result<Socket, DecodeError> {
    bytes.exactly(size_of::<abi::Socket>())?;
    Ok(Socket {
        family: bytes.u32(offset_of!(abi::Socket, family))?,
        kind: bytes.u32(offset_of!(abi::Socket, kind))?,
        protocol: bytes.u32(offset_of!(abi::Socket, protocol))?,
    })
}

fn file_id(bytes: Bytes<'_>, at: usize) -> Result<FileId, DecodeError> {
    Ok(FileId {
        inode: bytes.u64(at + offset_of!(FileId, inode))?,
        device: bytes.u32(at + offset_of!(FileId, device))?,
        generation: bytes.u32(at + offset_of!(FileId, generation))?,
    })
}

fn stamp(bytes: Bytes<'_>, at: usize) -> Result<FileStamp, DecodeError> {
    Ok(FileStamp {
        ctime_sec: bytes.i64(at + offset_of!(FileStamp, ctime_sec))?,
        ctime_nsec: bytes.u32(at + offset_of!(FileStamp, ctime_nsec))?,
        pad: 0,
        size: bytes.u64(at + offset_of!(FileStamp, size))?,
    })
}

const fn number(field: &'static str, value: u8) -> DecodeError {
    DecodeError::Number {
        field,
        value: value as u32,
    }
}

//! The fixed-size account of a decision that goes through the ring.
//!
//! An event is a [`Header`] and a body that `Header::kind` names. Sequence numbers are taken before
//! the ring is asked for room, so a hole in them is an event that was lost, and `COUNTERS` says how
//! many. Numbers are in host byte order unless a field says otherwise.

use crate::object::{FileId, FileStamp, UnixKey};

/// Longest resolved path kept in an event, with its NUL. A longer one is marked, not cut in silence.
pub const PATH_LEN: usize = 512;
/// Bytes of claimed arguments kept in an event, each argument with its NUL.
pub const ARGV_LEN: usize = 512;
/// Arguments looked at.
pub const ARGV_MAX: u32 = 16;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What was decided about.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            /// Every kind, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The kind with this number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|k| *k as u8 == number)
            }

            /// Name in records and command output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// Running a file: [`Exec`]. One event an interpreter level: first the script, then its interpreter.
    Exec = 1, "exec";
    /// `connect(2)` to an internet address: [`Connect`].
    Connect = 2, "connect";
    /// Sending to an address named with the message, or fast open: [`Connect`].
    Send = 3, "send";
    /// Sending on a socket whose peer is not allowed: [`Connect`] with the peer's address. Only denials.
    SendConnected = 4, "send-connected";
    /// Connecting or sending to a unix socket: [`Unix`].
    Unix = 5, "unix";
    /// Making a socket: [`Socket`]. Only denials.
    Socket = 6, "socket";
    /// A fork: no body. Only denials.
    Fork = 7, "fork";
    /// A session's first process was enrolled: no body.
    SessionStart = 8, "session-start";
    /// A session's last task ended: no body.
    SessionEnd = 9, "session-end";
    /// Looking into or controlling another process (ptrace and what asks as it does): [`Other`]. Only denials.
    Trace = 10, "trace";
    /// Sending a signal: [`Other`]. Only denials.
    Signal = 11, "signal";
    /// The bpf(2) system call: [`Other`]. Only denials.
    Bpf = 12, "bpf";
    /// Changing mounts: [`Other`]. Only denials.
    Mount = 13, "mount";
    /// Making a user namespace: [`Other`]. Only denials.
    UserNamespace = 14, "user-namespace";
    /// Receiving an open socket from another process: [`Other`]. Only denials.
    Receive = 15, "receive";
    /// Opening performance events: [`Other`]. Only denials.
    Perf = 16, "perf-event";
    /// Bringing code or data into the kernel: modules, kexec, firmware: [`Other`]. Only denials.
    KernelLoad = 17, "kernel-load";
    /// Making a network interface (tun, tap): [`Other`]. Only denials.
    Interface = 18, "interface";
    /// Listening for connections, or binding to receive datagrams: [`Connect`] with the local address.
    Listen = 19, "listen";
    /// Setting a socket option that changes where packets go: [`Other`]. Only denials.
    SocketOption = 20, "socket-option";
    /// Using a capability that no agent has: [`Other`]. Only denials.
    Capability = 21, "capability";
    /// Changing what is the enforcer's own: its pins, folders and files: [`Other`]. Only denials, in monitor mode too.
    Guard = 22, "guard";
    /// Making memory executable: mapping a file, memory of no file, or changing what a mapping may: [`File`]. Only denials.
    Code = 23, "code";
    /// Opening a file for writing, or changing a folder's entries: [`File`]. Only denials.
    Write = 24, "write";
    /// Running a file that gives other ids or capabilities: [`Other`]. Only denials.
    SetId = 25, "set-id";
    /// Changing another process's limits or scheduling: [`Other`]. Only denials.
    ProcessControl = 26, "process-control";
    /// Naming who is signalled about a file (`F_SETOWN`, `FIOSETOWN`): [`Other`]. Only denials.
    SignalOwner = 27, "signal-owner";
    /// An ioctl(2) that acts on others or on a whole disk or file system: [`Other`]. Only denials.
    Ioctl = 28, "ioctl";
    /// Making an io_uring, or a driver's own command on one: [`Other`]. Only denials.
    IoUring = 29, "io-uring";
}

/// What every event begins with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Sequence number, from 1; unique within a boot.
    pub sequence: u64,
    /// `CLOCK_BOOTTIME` in nanoseconds at the decision.
    pub time_ns: u64,
    /// Session id.
    pub session: u64,
    /// Sequence number of the exec event of the executable that acted; 0 = the launcher's image.
    pub exec: u64,
    /// Start of the acting process (thread group leader), `CLOCK_BOOTTIME` in nanoseconds.
    pub start_ns: u64,
    /// Condition bits that were true of the task; with `cell` they name the rule.
    pub conditions: u64,
    /// Thread group id: the pid as users know it, in the first pid namespace.
    pub tgid: u32,
    /// Thread id in the first pid namespace.
    pub tid: u32,
    /// Thread group id of the real parent.
    pub parent_tgid: u32,
    /// Real user id in the first user namespace.
    pub uid: u32,
    /// Agent slot.
    pub agent: u32,
    /// Policy generation that decided.
    pub generation: u32,
    /// Cell of the compiled policy that decided; [`crate::permit::NO_CELL`] = none.
    pub cell: u32,
    /// [`Kind`] by number.
    pub kind: u8,
    /// [`crate::verdict::Verdict`] by number.
    pub verdict: u8,
    /// [`crate::verdict::Reason`] by number.
    pub reason: u8,
    /// Explicit padding, always 0.
    pub pad: u8,
}

/// [`Exec::flags`]: `path` could not be given whole and is empty.
pub const EXEC_PATH_MISSING: u16 = 1;
/// [`Exec::flags`]: there were more or longer arguments than `argv` holds.
pub const EXEC_ARGV_CUT: u16 = 2;
/// [`Exec::flags`]: the arguments could not be read.
pub const EXEC_ARGV_UNREADABLE: u16 = 4;

/// Body of [`Kind::Exec`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Exec {
    /// What every event has.
    pub header: Header,
    /// Identity of the file that was to run.
    pub file: FileId,
    /// Its stamp then.
    pub stamp: FileStamp,
    /// Arguments of the call, as the kernel counted them (`bprm->argc`).
    pub argc: u32,
    /// Interpreter level: 0 = the file that was asked for, 1 = its interpreter...
    pub level: u16,
    /// `EXEC_*` bits.
    pub flags: u16,
    /// Bytes of `path` that count, without its NUL.
    pub path_len: u16,
    /// Bytes of `argv` that count.
    pub argv_len: u16,
    /// Explicit padding, always 0.
    pub pad: u32,
    /// Path that `d_path` gave: resolved, as seen from the caller's root and mounts. Evidence, not identity.
    pub path: [u8; PATH_LEN],
    /// Arguments as the caller's memory had them, each ended by NUL: claimed, since the caller can
    /// change them under way.
    pub argv: [u8; ARGV_LEN],
}

/// [`File::how`]: mapped as code.
pub const FILE_MAPPED: u16 = 1;
/// [`File::how`]: memory of no file was to be executable; the identity is all 0.
pub const FILE_ANONYMOUS: u16 = 2;
/// [`File::how`]: a mapping was to be executable that was not, or writable and executable at once.
pub const FILE_PROTECTED: u16 = 3;
/// [`File::how`]: opened for writing.
pub const FILE_OPENED: u16 = 4;
/// [`File::how`]: truncated by its path.
pub const FILE_TRUNCATED: u16 = 5;
/// [`File::how`]: made, removed or moved, or its owner or mode changed.
pub const FILE_ENTRY: u16 = 6;

/// Body of [`Kind::Code`] and [`Kind::Write`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// What every event has.
    pub header: Header,
    /// Identity of the file; all 0 = none.
    pub file: FileId,
    /// Its stamp then.
    pub stamp: FileStamp,
    /// `FILE_*`.
    pub how: u16,
    /// Bytes of `path` that count, without its NUL; 0 = it could not be given whole, or there is none.
    pub path_len: u16,
    /// Explicit padding, always 0.
    pub pad: u32,
    /// As [`Exec::path`].
    pub path: [u8; PATH_LEN],
}

/// Body of [`Kind::Connect`], [`Kind::Send`] and [`Kind::SendConnected`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// What every event has.
    pub header: Header,
    /// Canonical address, network byte order; IPv4 in the first four bytes.
    pub address: [u8; 16],
    /// [`crate::object::IPV4`] or [`crate::object::IPV6`]; 0 = the address could not be read.
    pub family: u8,
    /// IANA protocol number.
    pub protocol: u8,
    /// Port in host byte order.
    pub port: u16,
    /// Explicit padding, always 0.
    pub pad: u32,
}

/// Body of [`Kind::Unix`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Unix {
    /// What every event has.
    pub header: Header,
    /// The peer as the policy's tables would name it; for a path-bound peer `name` and `name_len`
    /// hold the path it was bound by, as evidence.
    pub peer: UnixKey,
}

/// Body of [`Kind::Socket`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// What every event has.
    pub header: Header,
    /// `AF_*`.
    pub family: u32,
    /// `SOCK_*` without flags.
    pub kind: u32,
    /// Protocol as asked for.
    pub protocol: u32,
    /// Explicit padding, always 0.
    pub pad: u32,
}

/// Body of the kinds that have no object of their own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// What every event has.
    pub header: Header,
    /// Thread group id of the process that was acted on; 0 = none, or not known.
    pub target_tgid: u32,
    /// A number that the hook was given: signal, bpf(2) command, ptrace access mode, socket family...
    pub detail: u32,
}

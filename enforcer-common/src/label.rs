//! Who is acting: a task's label, its session, and its agent's parameters.

use crate::object::FileId;

/// Interpreter levels of one executable: a script, its interpreter, and one more.
pub const MAX_LEVELS: usize = 3;

/// The files of an executable, one a level, the last one being what runs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Identities, in the order in which the kernel opened them; those beyond `levels` do not count.
    pub files: [FileId; MAX_LEVELS],
    /// Sequence number of the exec event of the last level; 0 = still the launcher's image.
    pub exec: u64,
    /// Files that count.
    pub levels: u32,
    /// Explicit padding, always 0.
    pub pad: u32,
}

/// [`Label::unlisted`]: a file of the image is not in the policy.
pub const UNLISTED: u32 = 1;

/// [`Label::session`] of a label whose task is gone and which could not be removed: nobody's.
pub const GONE: u64 = u64::MAX;

/// The label of a task inside a session, keyed by the address of its `task_struct`.
///
/// Written by the kernel programs alone: copied to the child in `task_alloc`, changed at exec by
/// its own task, removed in `task_free`. One task writes only its own label.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Id of the session; must equal that of the slot, or the slot was given to another session.
    pub session: u64,
    /// What the task runs.
    pub image: Image,
    /// What it will run when the kernel commits the exec under way.
    pub next: Image,
    /// Conditions true of the image, in the numbering of `generation`.
    pub conditions: u64,
    /// Index of the session in the session table.
    pub slot: u32,
    /// Policy generation that `conditions` belongs to; when it is not the one in force they are
    /// looked up again by the image's files. 0 = never looked up.
    pub generation: u32,
    /// [`UNLISTED`], or 0; as `conditions`.
    pub unlisted: u32,
    /// Thread group of the task (pid as users know it), for the daemon's look at who is inside;
    /// 0 = a forked process that has made no decision yet.
    pub tgid: u32,
}

/// A session as the kernel knows it. Written by the daemon when it gives the slot out; `tasks` is
/// counted by the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Session id, never reused within a boot; 0 = the slot is free.
    pub id: u64,
    /// Tasks that carry the session's label.
    pub tasks: u64,
    /// Index of the agent in the policy's parameter table.
    pub agent: u32,
    /// [`SESSION_ROOT`], or 0.
    pub flags: u32,
}

/// [`Session::flags`]: a program of the session ran as the host's root. Set by the kernel programs, and
/// never taken back.
pub const SESSION_ROOT: u32 = 1;

/// "The process with this thread group id becomes the first of a session at its next exec."
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Id of the session.
    pub session: u64,
    /// Start of the process in clock ticks since boot (`/proc/PID/stat` field 22, USER_HZ = 100),
    /// so that a process that was given the same pid later does not match.
    pub start_ticks: u64,
    /// Index of the session in the session table.
    pub slot: u32,
    /// Explicit padding, always 0.
    pub pad: u32,
}

/// [`Session::agent`] of a session that is kept for the next enrolment by slice or entry.
pub const NO_AGENT: u32 = u32::MAX;
/// Longest name of a slice, with its NUL.
pub const SLICE_LEN: usize = 64;
/// Longest file name of an entry, with its NUL.
pub const ENTRY_LEN: usize = 40;
/// [`EntryKey::uid`]: whatever the user.
pub const ANY_USER: u32 = u32::MAX;

/// A session that is kept for the next enrolment by slice or entry: the kernel programs cannot wait
/// for the daemon to make one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spare {
    /// Id of the session.
    pub session: u64,
    /// Index of the session in the session table.
    pub slot: u32,
    /// Explicit padding, always 0.
    pub pad: u32,
}

/// A file whose execution enrols: by the folder it stands in and its name there, so that an upgraded
/// file enrols from its first execution on, before anybody has looked at it again.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey {
    /// The folder.
    pub folder: FileId,
    /// Real user id, or [`ANY_USER`].
    pub uid: u32,
    /// Explicit padding, always 0.
    pub pad: u32,
    /// The name, filled up with NUL.
    pub name: [u8; ENTRY_LEN],
}

/// [`AgentParams::flags`]: the agent is in the policy in force.
pub const AGENT_PRESENT: u32 = 1;
/// [`AgentParams::flags`]: denials are enforced; without it they are only reported (monitor mode).
pub const AGENT_ENFORCE: u32 = 2;
/// [`AgentParams::flags`]: allowed actions are reported too (`audit = "all"`).
pub const AGENT_AUDIT_ALL: u32 = 4;
/// [`AgentParams::flags`]: an action that cannot be reported is denied (`on_audit_failure = "deny"`).
pub const AGENT_AUDIT_OR_DENY: u32 = 8;

/// [`AgentParams::flags`]: memory that no file stands behind may be executable (`jit = true`).
pub const AGENT_JIT: u32 = 16;
/// [`AgentParams::flags`]: programs may give other ids or capabilities (`set_id = true`).
pub const AGENT_SET_ID: u32 = 32;
/// [`AgentParams::flags`]: the host's libraries may be mapped as code (`libraries = "host"`).
pub const AGENT_HOST_LIBRARIES: u32 = 64;
/// [`AgentParams::flags`]: the loader ignores the variables by which others lead it (`secure_exec = true`).
pub const AGENT_SECURE_EXEC: u32 = 128;
/// [`AgentParams::flags`]: character devices beside the harmless ones may be opened (`devices = true`).
pub const AGENT_DEVICES: u32 = 256;
/// [`AgentParams::flags`]: rings of io_uring may be made (`io_uring = true`).
pub const AGENT_IO_URING: u32 = 512;
/// [`AgentParams::flags`]: user namespaces may be made, and mounts in them (`namespaces = true`).
pub const AGENT_NAMESPACES: u32 = 1024;

/// [`AgentParams::sockets`]: `AF_NETLINK` sockets of protocol `NETLINK_ROUTE`.
pub const SOCKETS_NETLINK_ROUTE: u32 = 1;
/// [`AgentParams::sockets`]: `AF_NETLINK` sockets of any protocol.
pub const SOCKETS_NETLINK: u32 = 2;
/// [`AgentParams::sockets`]: datagram sockets of ICMP and ICMPv6.
pub const SOCKETS_PING: u32 = 4;
/// [`AgentParams::sockets`]: raw IPv4 and IPv6 sockets.
pub const SOCKETS_RAW: u32 = 8;
/// [`AgentParams::sockets`]: `AF_PACKET`.
pub const SOCKETS_PACKET: u32 = 16;
/// [`AgentParams::sockets`]: `AF_VSOCK`.
pub const SOCKETS_VSOCK: u32 = 32;
/// [`AgentParams::sockets`]: `AF_ALG`.
pub const SOCKETS_ALG: u32 = 64;
/// [`AgentParams::sockets`]: `AF_BLUETOOTH`.
pub const SOCKETS_BLUETOOTH: u32 = 128;
/// [`AgentParams::sockets`]: `AF_CAN`.
pub const SOCKETS_CAN: u32 = 256;

/// What a policy generation says of an agent as a whole. All agents' parameters stand in one inner
/// map, replaced by one pointer, so that a generation comes into force whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentParams {
    /// Generation in which these parameters came into force.
    pub generation: u32,
    /// Index of the agent's tables in the table arrays.
    pub tables: u32,
    /// `AGENT_*` bits.
    pub flags: u32,
    /// `SOCKETS_*` bits: kinds of sockets that may exist although no destination of them is judged.
    pub sockets: u32,
    /// Without [`AGENT_ENFORCE`]: `CLOCK_BOOTTIME` in nanoseconds from which denials are enforced
    /// all the same. Monitor mode ends by the kernel's clock, whether a daemon lives or not.
    pub monitor_until_ns: u64,
}

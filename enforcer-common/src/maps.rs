//! The capacity of every map. What a map holds, who writes it, and what is decided when it is full or an
//! entry is missing stands in `docs/failure-verdicts.md`, which a test holds to these numbers.

/// Tasks that can be inside sessions at once.
pub const MAX_LABELS: u32 = 65_536;
/// Sessions at once.
pub const MAX_SESSIONS: u32 = 4_096;
/// Processes between "enrol me" and their exec.
pub const MAX_PENDING: u32 = 4_096;
/// Agents in one policy, the canary's slot among them.
pub const MAX_AGENTS: u32 = 512;
/// Slots for an agent's tables: two generations of every agent at once.
pub const MAX_TABLES: u32 = 2 * MAX_AGENTS;
/// Address prefixes in one agent's tables, after folding.
pub const MAX_ADDRESSES: u32 = 65_536;
/// Port prefixes in one agent's tables, after folding.
pub const MAX_PORTS: u32 = 65_536;
/// Executables in one agent's tables.
pub const MAX_EXECUTABLES: u32 = 16_384;
/// Unix peers in one agent's tables.
pub const MAX_UNIX_PEERS: u32 = 4_096;
/// Sessions kept for enrolment by slice or entry.
pub const MAX_SPARES: u32 = 256;
/// Slices that enrol, and files that do: each belongs to one agent.
pub const MAX_ENROLLING: u32 = 2 * MAX_AGENTS;
/// Levels of control groups below the root at which a slice can be.
pub const SLICE_DEPTH: u32 = 8;
/// Bit of the number in `SLICE_LEVELS`: there are entry files. The others are levels of slices.
pub const ENTRIES_IN_USE: u64 = 1 << 63;
/// Libraries of the host.
pub const MAX_LIBRARIES: u32 = 16_384;
/// Files and folders that no session changes.
pub const MAX_GUARDED: u32 = 65_536;
/// Value in `GUARDED`: the enforcer's own. No session changes it, or anything below it.
pub const GUARDED_OWN: u32 = 1;
/// Value in `GUARDED`: on the way to something guarded. No session moves it or removes it.
pub const GUARDED_WAY: u32 = 2;
/// Value in `GUARDED`: a file that a policy names. No session writes to it, moves it or removes it.
pub const GUARDED_LISTED: u32 = 3;
/// Value in `GUARDED`: a folder of which everything below is trusted as code. No session changes
/// anything below it.
pub const GUARDED_TREE: u32 = 4;
/// Value in `GUARDED`: where the journal takes the output of what systemd starts. As `GUARDED_LISTED`, and
/// a session may write on a connection to it that was made outside.
pub const GUARDED_JOURNAL: u32 = 5;
/// Value in `GUARDED`: as `GUARDED_WAY`, and no session makes anything of a new name in the folder itself.
pub const GUARDED_CLOSED: u32 = 6;
/// Files that the daemon can be learning at once.
pub const MAX_LEARN: u32 = 64;
/// Bytes of the ring for denials.
pub const DENIALS_BYTES: u32 = 4 << 20;
/// Bytes of the ring for everything else.
pub const EVENTS_BYTES: u32 = 16 << 20;
/// Agent slot of the canary.
pub const CANARY_AGENT: u32 = 0;

/// What `COUNTERS` counts; each is exact (atomic), monotonic and starts at 0 when the map is made.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Sequence numbers given to events, delivered or not.
    Sequence = 0,
    /// Events that found the ring for denials full.
    DenialsDropped = 1,
    /// Events that found the other ring full.
    EventsDropped = 2,
    /// Forks and enrolments denied because no label could be kept.
    ForksDenied = 3,
    /// Actions denied because they could not be reported.
    AuditDenied = 4,
    /// Executions denied because no session was kept for the enrolment that they were to begin.
    EnrolmentsDenied = 5,
}

impl Counter {
    /// Every counter, in the order of its index.
    pub const ALL: [Self; 6] = [
        Self::Sequence,
        Self::DenialsDropped,
        Self::EventsDropped,
        Self::ForksDenied,
        Self::AuditDenied,
        Self::EnrolmentsDenied,
    ];

    /// Name in `enforcer status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sequence => "events-issued",
            Self::DenialsDropped => "denials-dropped",
            Self::EventsDropped => "events-dropped",
            Self::ForksDenied => "forks-denied",
            Self::AuditDenied => "audit-denied",
            Self::EnrolmentsDenied => "enrolments-denied",
        }
    }
}

//! The maps. What is decided when one is full or lacks an entry: `docs/failure-verdicts.md`.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, Queue, RingBuf, SkStorage},
    macros::btf_map,
};
use enforcer_common::{
    event::Header,
    label::{AgentParams, EntryKey, Label, Pending, SLICE_LEN, Session, Spare},
    maps::{
        Counter, DENIALS_BYTES, EVENTS_BYTES, MAX_ADDRESSES, MAX_AGENTS, MAX_ENROLLING,
        MAX_EXECUTABLES, MAX_GUARDED, MAX_LABELS, MAX_LEARN, MAX_LIBRARIES, MAX_PENDING, MAX_PORTS,
        MAX_SESSIONS, MAX_SPARES, MAX_TABLES, MAX_UNIX_PEERS,
    },
    object::{AddressKey, FileId, FileStamp, Learned, PortKey, UnixKey},
    permit::{ExecPermit, Permit},
};

/// Reads the words of an inner map's value as what they are.
///
/// Inner maps are made by the daemon without type information, and kernels before 6.3 refuse one in
/// the place of a template whose value is known to be a structure: its "no timer in here" is another
/// error code than "type not known" (`bpf_map_meta_equal`). Words are no structure.
#[inline(always)]
pub fn typed<T: Copy, const N: usize>(words: &[u64; N]) -> &T {
    const { assert!(size_of::<T>() == 8 * N && align_of::<T>() <= 8) };
    // SAFETY: size and alignment agree, every bit pattern is a valid `T` (`enforcer_common` holds
    // integers only), and the daemon writes a `T` there.
    unsafe { &*core::ptr::from_ref(words).cast() }
}

/// Words of a `T`.
const fn words<T>() -> usize {
    size_of::<T>() / 8
}

/// Label of each task inside a session, by the address of its `task_struct`. A preallocated hash:
/// task storage loses lookups on 6.1 with full preemption, and a lost label would be an escape.
#[btf_map]
pub static LABELS: HashMap<u64, Label, { MAX_LABELS as usize }> = HashMap::new();

/// The sessions, by slot.
#[btf_map]
pub static SESSIONS: Array<Session, { MAX_SESSIONS as usize }> = Array::new();

/// Processes whose next exec begins a session, by thread group id.
#[btf_map]
pub static PENDING: HashMap<u32, Pending, { MAX_PENDING as usize }> = HashMap::new();

/// The policy in force: one inner map with every agent's parameters, replaced whole.
#[btf_map]
pub static POLICY: ArrayOfMaps<Array<[u64; words::<AgentParams>()], { MAX_AGENTS as usize }>, 1> =
    ArrayOfMaps::new();

/// Address prefix to address class, by table index.
#[btf_map]
pub static ADDRESSES: ArrayOfMaps<
    LpmTrie<AddressKey, u32, { MAX_ADDRESSES as usize }>,
    { MAX_TABLES as usize },
> = ArrayOfMaps::new();

/// Class, protocol and port prefix to permit, by table index.
#[btf_map]
pub static PORTS: ArrayOfMaps<
    LpmTrie<PortKey, [u64; words::<Permit>()], { MAX_PORTS as usize }>,
    { MAX_TABLES as usize },
> = ArrayOfMaps::new();

/// File to permit, by table index.
#[btf_map]
pub static EXECUTABLES: ArrayOfMaps<
    HashMap<FileId, [u64; words::<ExecPermit>()], { MAX_EXECUTABLES as usize }>,
    { MAX_TABLES as usize },
> = ArrayOfMaps::new();

/// Unix peer to permit, by table index.
#[btf_map]
pub static UNIX_PEERS: ArrayOfMaps<
    HashMap<UnixKey, [u64; words::<Permit>()], { MAX_UNIX_PEERS as usize }>,
    { MAX_TABLES as usize },
> = ArrayOfMaps::new();

/// Whose business a unix socket is, as session ids; 0 = nobody's. Two things that are written at two
/// places: a socket that was bound here may be connected to somebody else's.
#[repr(C)]
pub struct Own {
    /// The session that bound it.
    pub bound: u64,
    /// The session that bound what it is connected to, or from which it was accepted.
    pub peer: u64,
}

/// What of the unix sockets is a session's own. An entry lasts as long as its socket.
#[btf_map]
pub static OWN_SOCKETS: SkStorage<Own> = SkStorage::new();

/// Sessions that are kept for the next enrolment by slice or entry.
#[btf_map]
pub static SPARES: Queue<Spare, { MAX_SPARES as usize }> = Queue::new();

/// A label of no session, which is denied everything: for a task that must have one and can have none.
#[btf_map]
pub static NOBODY: Array<Label, 1> = Array::new();

/// Slices that enrol: name to agent slot.
#[btf_map]
pub static SLICES: HashMap<[u8; SLICE_LEN], u32, { MAX_ENROLLING as usize }> = HashMap::new();

/// Levels of control groups at which there are such slices, as bits: nearly always none or one; and
/// `ENTRIES_IN_USE`. 0 = nothing enrols without asking, which all others find out by one look.
#[btf_map]
pub static SLICE_LEVELS: Array<u64, 1> = Array::new();

/// Files whose execution enrols, to agent slot; `NO_AGENT` = whose execution does not, in a slice
/// neither.
#[btf_map]
pub static ENTRIES: HashMap<EntryKey, u32, { MAX_ENROLLING as usize }> = HashMap::new();

/// The host's libraries, each with the stamp of its content: what agents may map that have
/// `AGENT_HOST_LIBRARIES`. One table for all, kept up by the daemon as packages change.
#[btf_map]
pub static LIBRARIES: HashMap<FileId, FileStamp, { MAX_LIBRARIES as usize }> = HashMap::new();

/// What no session changes: `GUARDED_*` by file.
#[btf_map]
pub static GUARDED: HashMap<FileId, u32, { MAX_GUARDED as usize }> = HashMap::new();

/// Events of denied and would-be-denied actions; the reader is woken at once.
#[btf_map]
pub static DENIALS: RingBuf<Header, { DENIALS_BYTES as usize }> = RingBuf::new();

/// All other events; the reader comes by timer, since waking it costs more than the decision.
#[btf_map]
pub static EVENTS: RingBuf<Header, { EVENTS_BYTES as usize }> = RingBuf::new();

/// What `Counter` counts.
#[btf_map]
pub static COUNTERS: Array<u64, { Counter::ALL.len() }> = Array::new();

/// Files that the daemon asks about, by its thread's `bpf_get_current_pid_tgid()`.
#[btf_map]
pub static LEARN: HashMap<u64, Learned, { MAX_LEARN as usize }> = HashMap::new();

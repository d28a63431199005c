//! What is allowed: the tables asked, and the verdict given. No hook decides anything itself.

use aya_ebpf::btf_maps::lpm_trie::Key;
use enforcer_common::{
    label::{AGENT_AUDIT_ALL, AGENT_AUDIT_OR_DENY, AGENT_HOST_LIBRARIES, AGENT_JIT},
    maps::GUARDED_LISTED,
    object::{Address, AddressKey, FileId, FileStamp, LISTEN, PortKey, TCP, UnixKey},
    permit::{Answer, ExecPermit, NO_CELL, Permit},
    verdict::{Reason, Verdict},
};

use crate::{
    arch::eperm,
    label::Acting,
    maps::{ADDRESSES, EXECUTABLES, GUARDED, LABELS, LIBRARIES, PORTS, UNIX_PEERS, typed},
};

/// What the policy says of an action.
#[derive(Clone, Copy)]
pub struct Finding {
    /// Why.
    pub reason: Reason,
    /// The compiled cell that said so.
    pub cell: u32,
}

impl Finding {
    /// A finding that no rule is behind.
    #[inline(always)]
    pub const fn of(reason: Reason) -> Self {
        Self {
            reason,
            cell: NO_CELL,
        }
    }

    /// Whether it allows.
    #[inline(always)]
    pub const fn allows(self) -> bool {
        matches!(self.reason, Reason::RuleAllows | Reason::SameSession)
    }

    #[inline(always)]
    const fn pack(self) -> u64 {
        ((self.cell as u64) << 8) | self.reason as u64
    }

    #[inline(always)]
    const fn unpack(packed: u64) -> Self {
        // What `look_up` can answer, and no other.
        let reason = match packed as u8 {
            1 => Reason::RuleAllows,
            2 => Reason::RuleDenies,
            3 => Reason::NotListed,
            4 => Reason::NotForThisBinary,
            _ => Reason::TableMissing,
        };
        let cell = (packed >> 8) as u32;
        Self { reason, cell }
    }

    #[inline(always)]
    fn of_permit(permit: &Permit, conditions: u64) -> Self {
        let reason = match permit.decide(conditions) {
            Answer::Allowed => Reason::RuleAllows,
            Answer::Denied => Reason::RuleDenies,
            Answer::ConditionUnmet => Reason::NotForThisBinary,
        };
        Self {
            reason,
            cell: permit.cell,
        }
    }
}

/// Judges a file to be run.
#[inline(always)]
pub fn executable(acting: &Acting, file: &FileId, stamp: &FileStamp) -> Finding {
    if let Some(fault) = acting.fault {
        return Finding::of(fault);
    }
    listed(acting, file, stamp)
}

#[inline(always)]
fn listed(acting: &Acting, file: &FileId, stamp: &FileStamp) -> Finding {
    let Some(table) = EXECUTABLES.get(acting.params.tables) else {
        return Finding::of(Reason::TableMissing);
    };
    // SAFETY: entries of a published table never change; it is freed after its last reader.
    let Some(words) = (unsafe { table.get(file) }) else {
        return Finding::of(Reason::NotListed);
    };
    let entry: &ExecPermit = typed(words);
    if entry.stamp != *stamp {
        return Finding::of(Reason::FileChanged);
    }
    Finding::of_permit(&entry.permit, acting.conditions)
}

/// Judges a file to be mapped as code: what may run may be mapped, and for most agents the host's
/// libraries.
#[inline(always)]
pub fn code(acting: &Acting, file: &FileId, stamp: &FileStamp) -> Finding {
    if let Some(fault) = fault_of_code(acting) {
        return Finding::of(fault);
    }
    let found = listed(acting, file, stamp);
    if found.reason as u8 != Reason::NotListed as u8 {
        return found;
    }
    if acting.runs(file) {
        return Finding::of(Reason::RuleAllows); // judged and reported as it was executed
    }
    if acting.params.flags & AGENT_HOST_LIBRARIES == 0 {
        return found;
    }
    // SAFETY: the stamp is compared at once; the daemon replaces an entry whole.
    match unsafe { LIBRARIES.get(file) } {
        Some(known) if *known == *stamp => Finding::of(Reason::RuleAllows),
        Some(_) => Finding::of(Reason::FileChanged),
        None => found,
    }
}

/// Why nothing can be said of a file, whatever it is. That the task itself runs what the policy in
/// force does not list says nothing of the file.
#[inline(always)]
fn fault_of_code(acting: &Acting) -> Option<Reason> {
    match acting.fault {
        Some(Reason::ExecutableNotListed) | None => None,
        Some(fault) => Some(fault),
    }
}

/// Judges memory that is to be executable and is not the unchanged content of a file.
#[inline(always)]
pub fn executable_memory(acting: &Acting) -> Finding {
    Finding::of(match fault_of_code(acting) {
        Some(fault) => fault,
        None if acting.params.flags & AGENT_JIT != 0 => Reason::RuleAllows,
        None => Reason::ExecutableMemory,
    })
}

/// Judges writing to a file: code of the session's stays as it was judged.
#[inline(always)]
pub fn written(acting: &Acting, file: &FileId) -> Finding {
    if let Some(fault) = fault_of_code(acting) {
        return Finding::of(fault);
    }
    let Some(table) = EXECUTABLES.get(acting.params.tables) else {
        return Finding::of(Reason::TableMissing);
    };
    // SAFETY: as in `executable`; only its being there counts.
    let is_own = unsafe { table.get(file) }.is_some();
    Finding::of(
        if is_own || is_library(file) || guarded_as(file) == GUARDED_LISTED {
            Reason::ListedCode
        } else {
            Reason::RuleAllows
        },
    )
}

/// A function of its own: of two lookups in a row the compiler would make one test of both pointers,
/// which the verifier refuses.
#[inline(never)]
fn is_library(file: &FileId) -> bool {
    // SAFETY: only its being there counts.
    unsafe { LIBRARIES.get(file) }.is_some()
}

/// What is known of a file that no session changes: 0, or `GUARDED_*`.
#[inline(always)]
pub fn guarded_as(file: &FileId) -> u32 {
    // SAFETY: the value is copied at once.
    unsafe { GUARDED.get(file) }.copied().unwrap_or(0)
}

/// Judges changing what is trusted as code because of where it stands.
#[inline(always)]
pub fn listed_place(acting: &Acting) -> Finding {
    Finding::of(fault_of_code(acting).unwrap_or(Reason::ListedCode))
}

/// Judges what an agent may do only when its policy says so as a whole: `flag` is the `AGENT_*` bit,
/// `otherwise` why it is denied without.
#[inline(always)]
pub fn by_flag(acting: &Acting, flag: u32, otherwise: Reason) -> Finding {
    Finding::of(match acting.fault {
        Some(fault) => fault,
        None if acting.params.flags & flag != 0 => Reason::RuleAllows,
        None => otherwise,
    })
}

/// Whether sockets of one of these kinds (`SOCKETS_*`) may exist.
#[inline(always)]
pub const fn has_sockets(acting: &Acting, kinds: u32) -> bool {
    acting.fault.is_none() && acting.params.sockets & kinds != 0
}

/// Judges an internet destination, or with `LISTEN` in `protocol` a local address.
#[inline(always)]
pub fn destination(acting: &Acting, address: &Address, protocol: u8, port: u16) -> Finding {
    if let Some(fault) = acting.fault {
        return Finding::of(fault);
    }
    if address.is_translated() {
        return Finding::of(Reason::AddressNotJudgeable);
    }
    let (tables, conditions) = (acting.params.tables, acting.conditions);
    Finding::unpack(look_up(tables, conditions, address, protocol, port))
}

/// Whether the agent may listen for connections at this address, by the address itself or by the
/// wildcard that the listener may have been bound to.
#[inline(always)]
pub fn may_listen(acting: &Acting, address: &Address, port: u16) -> bool {
    let (tables, conditions) = (acting.params.tables, acting.conditions);
    acting.fault.is_none() && listens(tables, conditions, address, port) != 0
}

#[inline(never)]
fn listens(tables: u32, conditions: u64, address: &Address, port: u16) -> u64 {
    const ALLOWED: u8 = Reason::RuleAllows as u8;
    let wildcards = [Address::v4(0), Address::v6([0; 4])];
    let at = |address| look_up(tables, conditions, address, TCP | LISTEN, port) as u8 == ALLOWED;
    u64::from(!address.is_translated() && at(address) || at(&wildcards[0]) || at(&wildcards[1]))
}

/// A whole address as a key of the address trie. Laid out as `Key<AddressKey>`, and aligned: a packed
/// key would be put together byte by byte.
#[repr(C)]
struct AddressTrieKey {
    bits: u32,
    family: u32,
    words: [u32; 4],
}

impl AddressTrieKey {
    #[inline(always)]
    const fn of(address: &Address) -> Self {
        Self {
            bits: AddressKey::FAMILY_BITS + 128,
            family: address.family.to_be(),
            words: address.words,
        }
    }

    #[inline(always)]
    const fn as_key(&self) -> &Key<AddressKey> {
        const { assert!(size_of::<Self>() == size_of::<Key<AddressKey>>()) };
        // SAFETY: of one size and field by field the same, with a stricter alignment.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }
}

/// Address to class, class and port to permit. A function of its own, since a decision may ask more
/// than once and the stack holds little; the answer is packed because a call gives one register.
#[inline(never)]
fn look_up(tables: u32, conditions: u64, address: &Address, protocol: u8, port: u16) -> u64 {
    let (Some(addresses), Some(ports)) = (ADDRESSES.get(tables), PORTS.get(tables)) else {
        return Finding::of(Reason::TableMissing).pack();
    };
    let Some(class) = addresses.get(AddressTrieKey::of(address).as_key()) else {
        return Finding::of(Reason::NotListed).pack();
    };
    let key = PortKey::new(*class, protocol, port);
    match ports.get(&Key::new(PortKey::CLASS_BITS + 16, key)) {
        Some(words) => Finding::of_permit(typed(words), conditions).pack(),
        None => Finding::of(Reason::NotListed).pack(),
    }
}

/// Judges a unix peer. What no rule lists and is the session's own (`owner`) is its own business.
#[inline(always)]
pub fn unix_peer(acting: &Acting, owner: u64, peer: &UnixKey) -> Finding {
    let found = listed_peer(acting, peer);
    if found.reason as u8 == Reason::NotListed as u8 && owner == acting.session {
        return Finding::of(Reason::SameSession);
    }
    found
}

#[inline(always)]
fn listed_peer(acting: &Acting, peer: &UnixKey) -> Finding {
    if let Some(fault) = acting.fault {
        return Finding::of(fault);
    }
    let Some(table) = UNIX_PEERS.get(acting.params.tables) else {
        return Finding::of(Reason::TableMissing);
    };
    // SAFETY: as in `executable`.
    match unsafe { table.get(peer) } {
        Some(words) => Finding::of_permit(typed(words), acting.conditions),
        None => Finding::of(Reason::NotListed),
    }
}

/// Judges what no rule can allow.
#[inline(always)]
pub fn never(acting: &Acting) -> Finding {
    Finding::of(acting.fault.unwrap_or(Reason::NeverAllowed))
}

/// Judges acting on another task, by its address: the session's own are its own business.
#[inline(always)]
pub fn other_task(acting: &Acting, task: u64) -> Finding {
    // SAFETY: the value is looked at at once; `session` is written once, before the task runs.
    match unsafe { LABELS.get(task) } {
        Some(label) if label.session == acting.session => Finding::of(Reason::RuleAllows),
        _ => Finding::of(Reason::TargetOutsideSession),
    }
}

/// The verdict that a finding means for this agent's mode.
#[inline(always)]
pub fn verdict(acting: &Acting, finding: Finding) -> Verdict {
    if finding.allows() {
        Verdict::Allow
    } else if acting.enforces() {
        Verdict::Deny
    } else {
        Verdict::WouldDeny
    }
}

/// The answer to a question that attempts nothing: given, and not reported.
#[inline(always)]
pub fn quietly(acting: &Acting, finding: Finding) -> i32 {
    match verdict(acting, finding) {
        Verdict::Deny => eperm(),
        Verdict::Allow | Verdict::WouldDeny => 0,
    }
}

/// Whether this verdict is to be reported.
#[inline(always)]
pub const fn reported(acting: &Acting, verdict: Verdict) -> bool {
    match verdict {
        Verdict::Allow => acting.params.flags & AGENT_AUDIT_ALL != 0,
        Verdict::Deny | Verdict::WouldDeny => true,
    }
}

/// Whether an action that could not be reported must not happen.
#[inline(always)]
pub const fn needs_evidence(acting: &Acting) -> bool {
    acting.params.flags & AGENT_AUDIT_OR_DENY != 0
}

//! What is allowed: the tables asked, and the verdict given. No hook decides anything itself.

use aya_ebpf::btf_maps::lpm_trie::Key;
use enforcer_common::{
    label::{AGENT_AUDIT_ALL, AGENT_AUDIT_OR_DENY},
    object::{AddressKey, FileId, FileStamp, PortKey, UnixKey},
    permit::{Answer, ExecPermit, NO_CELL, Permit},
    verdict::{Reason, Verdict},
};

use crate::{
    arch::eperm,
    label::Acting,
    maps::{ADDRESSES, EXECUTABLES, LABELS, PORTS, UNIX_PEERS, typed},
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

/// Judges a file to be run; gives with it the conditions that running it makes true.
#[inline(always)]
pub fn executable(acting: &Acting, file: &FileId, stamp: &FileStamp) -> (Finding, u64) {
    if let Some(fault) = acting.fault {
        return (Finding::of(fault), 0);
    }
    let Some(table) = EXECUTABLES.get(acting.params.tables) else {
        return (Finding::of(Reason::TableMissing), 0);
    };
    // SAFETY: entries of a published table never change; it is freed after its last reader.
    let Some(words) = (unsafe { table.get(file) }) else {
        return (Finding::of(Reason::NotListed), 0);
    };
    let entry: &ExecPermit = typed(words);
    if entry.stamp != *stamp {
        return (Finding::of(Reason::FileChanged), entry.conditions);
    }
    (
        Finding::of_permit(&entry.permit, acting.conditions),
        entry.conditions,
    )
}

/// Judges an internet destination: address to class, class and port to permit.
#[inline(always)]
pub fn destination(acting: &Acting, address: &AddressKey, protocol: u8, port: u16) -> Finding {
    if let Some(fault) = acting.fault {
        return Finding::of(fault);
    }
    let (Some(addresses), Some(ports)) = (
        ADDRESSES.get(acting.params.tables),
        PORTS.get(acting.params.tables),
    ) else {
        return Finding::of(Reason::TableMissing);
    };
    let Some(class) = addresses.get(&Key::new(AddressKey::FAMILY_BITS + 128, *address)) else {
        return Finding::of(Reason::NotListed);
    };
    let key = PortKey::new(*class, protocol, port);
    match ports.get(&Key::new(PortKey::CLASS_BITS + 16, key)) {
        Some(words) => Finding::of_permit(typed(words), acting.conditions),
        None => Finding::of(Reason::NotListed),
    }
}

/// Judges a unix peer.
#[inline(always)]
pub fn unix_peer(acting: &Acting, peer: &UnixKey) -> Finding {
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
    match finding.reason {
        Reason::RuleAllows => Verdict::Allow,
        _ if acting.enforces() => Verdict::Deny,
        _ => Verdict::WouldDeny,
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

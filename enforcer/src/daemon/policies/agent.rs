//! An agent in force: its policy, and what of it the kernel has.
#![forbid(unsafe_code)]

use enforcer_common::label::{
    AGENT_AUDIT_ALL, AGENT_AUDIT_OR_DENY, AGENT_DEVICES, AGENT_ENFORCE, AGENT_HOST_LIBRARIES,
    AGENT_IO_URING, AGENT_JIT, AGENT_NAMESPACES, AGENT_PRESENT, AGENT_SECURE_EXEC, AGENT_SET_ID,
    AgentParams,
};
use enforcer_policy::{Audit, Cells, Libraries, Mode, OnAuditFailure, Policy};

use super::{looks::Looks, prepare::Prepared};
use crate::{
    clock,
    control::api::{PolicyFacts, PolicySource},
    daemon::{enrol::Ways, guarded::Guarded},
};

/// An agent in force.
#[derive(Clone, Debug)]
pub struct Agent {
    pub(super) slot: u32,
    pub(super) params: AgentParams,
    pub(super) fingerprint: u64,
    pub(super) source: PolicySource,
    pub(super) policy: Policy,
    pub(super) cells: Cells,
    pub(super) looks: Looks,
    pub(super) guarded: Guarded,
    pub(super) ways: Ways,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    executables: u64,
    destinations: u64,
    unix_peers: u64,
}

impl Agent {
    /// Of a policy whose tables were built under this index.
    pub(super) fn new(from: Prepared, slot: u32, tables: u32, generation: u32) -> Self {
        let Prepared {
            source,
            policy,
            tables: built,
            fingerprint,
            looks,
            guarded,
            ways,
        } = from;
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Self {
            slot,
            params: params_of(&policy, tables, generation),
            fingerprint,
            source,
            policy,
            looks,
            guarded,
            ways,
            counts: Counts {
                executables: number(built.executables.len()),
                destinations: number(built.addresses.len()),
                unix_peers: number(built.unix.len()),
            },
            cells: built.cells,
        }
    }

    /// Its slot in the kernel.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// Its policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Its policy's text.
    #[must_use]
    pub const fn source(&self) -> &PolicySource {
        &self.source
    }

    /// SHA-256 of its policy's text with its includes.
    pub(super) fn digest(&self) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        let mut digest = Sha256::new();
        digest.update(&self.source.text);
        for include in &self.source.includes {
            digest.update(&include.text);
        }
        digest.finalize().into()
    }

    /// Facts of it.
    #[must_use]
    pub fn facts(&self, name: &str, sessions: u64) -> PolicyFacts {
        let policy = &self.policy;
        let rules =
            policy.exec.len() + policy.connect.len() + policy.listen.len() + policy.unix.len();
        PolicyFacts {
            agent: name.to_owned(),
            owner: policy.agent.owner.clone(),
            mode: match policy.agent.mode {
                Mode::Enforce => "enforce".to_owned(),
                Mode::Monitor { .. } => "monitor".to_owned(),
            },
            generation: self.params.generation,
            rules: u64::try_from(rules).unwrap_or(u64::MAX),
            executables: self.counts.executables,
            destinations: self.counts.destinations,
            unix_peers: self.counts.unix_peers,
            sessions,
        }
    }
}

fn params_of(policy: &Policy, tables: u32, generation: u32) -> AgentParams {
    let mut flags = AGENT_PRESENT;
    let monitor_until_ns = match &policy.agent.mode {
        Mode::Enforce => {
            flags |= AGENT_ENFORCE;
            0
        }
        Mode::Monitor { until } => {
            let wall_ns = i128::from(until.value.unix_seconds) * 1_000_000_000;
            let boot_ns = wall_ns - i128::from(clock::boot_to_wall_ns());
            u64::try_from(boot_ns.max(0)).unwrap_or(u64::MAX)
        }
    };
    if policy.agent.audit == Audit::All {
        flags |= AGENT_AUDIT_ALL;
    }
    if policy.agent.libraries == Libraries::Host {
        flags |= AGENT_HOST_LIBRARIES;
    }
    for (is_on, flag) in [
        (policy.agent.jit, AGENT_JIT),
        (policy.agent.set_id.value, AGENT_SET_ID),
        (policy.agent.secure_exec, AGENT_SECURE_EXEC),
        (policy.agent.devices.value, AGENT_DEVICES),
        (policy.agent.io_uring.value, AGENT_IO_URING),
        (policy.agent.namespaces.value, AGENT_NAMESPACES),
    ] {
        if is_on {
            flags |= flag;
        }
    }
    match policy.agent.on_audit_failure {
        OnAuditFailure::Deny => flags |= AGENT_AUDIT_OR_DENY,
        OnAuditFailure::Alert | OnAuditFailure::Continue => {}
    }
    AgentParams {
        generation,
        tables,
        flags,
        sockets: policy
            .agent
            .sockets
            .iter()
            .fold(0, |bits, kind| bits | kind.value.bit()),
        monitor_until_ns,
    }
}

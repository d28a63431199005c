//! Who acts: the label of the current task, and the policy that holds for it.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use enforcer_common::{
    label::{
        AGENT_AUDIT_OR_DENY, AGENT_ENFORCE, AGENT_PRESENT, AgentParams, GONE, Image, Label,
        MAX_LEVELS, SESSION_ROOT, Session, UNLISTED,
    },
    object::FileId,
    permit::{ALWAYS, ExecPermit},
    verdict::Reason,
};

use crate::{
    enrol,
    kernel::{boot_time, current},
    maps::{EXECUTABLES, LABELS, NOBODY, POLICY, SESSIONS, typed},
};

/// The current task, as one inside a session.
pub struct Acting {
    /// Its label: a map value that only this task writes.
    pub label: *mut Label,
    /// Session id.
    pub session: u64,
    /// Agent slot.
    pub agent: u32,
    /// The agent's parameters in the generation that judges this action.
    pub params: AgentParams,
    /// Conditions true of the task in that generation.
    pub conditions: u64,
    /// Why nothing can be allowed, whatever the action.
    pub fault: Option<Reason>,
}

/// The label of the current task, or `None` outside any session.
#[inline(always)]
pub fn of_current() -> Option<*mut Label> {
    let label = LABELS.get_ptr_mut(current().address())?;
    // SAFETY: a live map value that only this task writes.
    (unsafe { (*label).session } != GONE).then_some(label)
}

impl Acting {
    /// The current task if it is inside a session: the one lookup that everybody else pays.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        Some(Self::from_label(of_current()?))
    }

    /// As [`Acting::current`], for what leaves the host or the session: a task that stands in an
    /// agent's slice and has no label gets one now ([`enrol::seed`]).
    #[inline(always)]
    pub fn current_or_seeded() -> Option<Self> {
        let label = match of_current() {
            Some(label) => label,
            None if enrol::slices_in_use() => seeded()?,
            None => return None,
        };
        Some(Self::from_label(label))
    }

    /// The current task by its label.
    #[inline(always)]
    pub fn from_label(label: *mut Label) -> Self {
        // SAFETY: a live map value; `session` and `slot` are written once, before the task runs,
        // and only this task writes the rest.
        let (session, slot) = unsafe {
            (*label).tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
            ((*label).session, (*label).slot)
        };
        let mut acting = Self {
            label,
            session,
            agent: 0,
            params: FAIL_CLOSED,
            conditions: 0,
            fault: None,
        };
        match session_at(slot) {
            // SAFETY: a live map value of integers; the daemon changes it only while no task has it.
            Some(entry) if session != 0 && unsafe { (*entry).id } == session => {
                // SAFETY: as above.
                acting.agent = unsafe { (*entry).agent };
                acting.judge_by_policy();
            }
            _ => acting.fault = Some(Reason::SessionUnknown),
        }
        acting
    }

    #[inline(always)]
    fn judge_by_policy(&mut self) {
        match POLICY
            .get_value(0, &self.agent)
            .map(typed::<AgentParams, _>)
        {
            Some(params) if params.flags & AGENT_PRESENT != 0 => {
                self.params = *params;
                self.find_conditions();
            }
            Some(_) => self.fault = Some(Reason::AgentNotInPolicy),
            None => self.fault = Some(Reason::TableMissing),
        }
    }

    /// Conditions of what the task runs in the generation in force. They are kept in the label and
    /// looked up again only when the generation has changed since.
    #[inline(always)]
    fn find_conditions(&mut self) {
        let label = self.label;
        // SAFETY: a live map value that only this task writes.
        unsafe {
            if (*label).image.levels == 0 {
                self.conditions = ALWAYS; // still the launcher's image, which no policy lists
                return;
            }
            if (*label).generation != self.params.generation {
                let found = conditions_of(&raw const (*label).image, self.params.tables);
                (*label).unlisted = if found.is_some() { 0 } else { UNLISTED };
                (*label).conditions = found.unwrap_or(0);
                (*label).generation = self.params.generation;
            }
            self.conditions = (*label).conditions;
            if (*label).unlisted != 0 {
                self.fault = Some(if (*label).image.files[0].inode == 0 {
                    Reason::IdentityUnknown
                } else {
                    Reason::ExecutableNotListed
                });
            }
        }
    }

    /// Whether a file is one of those that the task runs.
    #[inline(always)]
    pub fn runs(&self, file: &FileId) -> bool {
        let mut level = 0;
        while level < MAX_LEVELS {
            // SAFETY: a live map value that only this task writes; `level` is below the length.
            unsafe {
                if level as u32 >= (*self.label).image.levels {
                    return false;
                }
                if (*self.label).image.files[level] == *file {
                    return true;
                }
            }
            level += 1;
        }
        false
    }

    /// Whether a program of the session ran as root. Root writes what others trust, by any way: also by
    /// user namespaces that it maps itself into, with its own files below mounts that no guard knows.
    #[inline(always)]
    pub fn has_been_root(&self) -> bool {
        // SAFETY: a live map value that only this task writes, and one of integers.
        unsafe {
            session_at((*self.label).slot).is_none_or(|entry| (*entry).flags & SESSION_ROOT != 0)
        }
    }

    /// Notes that the session's program runs as root from now on.
    #[inline(always)]
    pub fn note_root(&self) {
        // SAFETY: as above; every writer writes the same.
        unsafe {
            if let Some(entry) = session_at((*self.label).slot) {
                (*entry).flags |= SESSION_ROOT;
            }
        }
    }

    /// Whether denials are enforced, or only reported.
    #[inline(always)]
    pub fn enforces(&self) -> bool {
        self.params.flags & AGENT_ENFORCE != 0 || boot_time() >= self.params.monitor_until_ns
    }
}

/// The label of a task that stands in an agent's slice and had none.
#[inline(always)]
fn seeded() -> Option<*mut Label> {
    if enrol::seed_in_slice() == 0 {
        return None;
    }
    of_current().or_else(|| NOBODY.get_ptr_mut(0))
}

/// Conditions of an image: those of all its files; `None` when one of them is not listed.
#[inline(always)]
fn conditions_of(image: *const Image, tables: u32) -> Option<u64> {
    let table = EXECUTABLES.get(tables)?;
    let mut conditions = 0;
    let mut level = 0;
    while level < MAX_LEVELS {
        // SAFETY: `image` is a live map value and `level` below the length of `files`; entries of a
        // published table never change.
        unsafe {
            if level as u32 >= (*image).levels {
                break;
            }
            let words = table.get((*image).files[level])?;
            conditions |= typed::<ExecPermit, _>(words).conditions;
        }
        level += 1;
    }
    Some(conditions)
}

/// Parameters where there is no policy to take them from: enforce, and no action without evidence.
const FAIL_CLOSED: AgentParams = AgentParams {
    generation: 0,
    tables: 0,
    flags: AGENT_ENFORCE | AGENT_AUDIT_OR_DENY,
    sockets: 0,
    monitor_until_ns: 0,
};

/// The session in a slot.
#[inline(always)]
pub fn session_at(slot: u32) -> Option<*mut Session> {
    SESSIONS.get_ptr_mut(slot)
}

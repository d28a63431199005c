//! Who becomes a session without asking: by the slice that a process is in, or by the file that it
//! executes. The launcher's way, a pending label, is in `hooks/exec.rs`.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use enforcer_common::{
    event::{Header, Kind},
    label::{ANY_USER, ENTRY_LEN, EntryKey, NO_AGENT, SESSION_ROOT, SLICE_LEN, Spare},
    maps::{Counter, ENTRIES_IN_USE, SLICE_DEPTH},
    object::FileId,
    verdict::{Reason, Verdict},
};

use crate::{
    arch::fetch_add,
    decide::Finding,
    emit::{conclude_reported, count, session_seeded},
    kernel::{
        CGROUP_ANCESTORS, CGROUP_LEVEL, CGROUP_NODE, CRED_EUID, CSET_CGROUP, DENTRY_INODE,
        DENTRY_NAME, DENTRY_PARENT, FILE_DENTRY, FILE_INODE, MM_EXE_FILE, NODE_NAME, Ptr,
        TASK_CGROUPS, TASK_CRED, TASK_MM, current, read_file_id,
    },
    label::{Acting, session_at},
    maps::{ENTRIES, LABELS, NOBODY, SLICE_LEVELS, SLICES, SPARES},
};

/// The agent whose session the execution of this file begins, for a process that is in none.
#[inline(always)]
pub fn agent_of_exec(file: Ptr) -> Option<u32> {
    if levels() == 0 {
        return None;
    }
    let of_file = of_entry(file);
    if of_file == Some(NO_AGENT) {
        return None;
    }
    of_file.or_else(of_slice)
}

/// By the file's folder and name, for this user or for all.
#[inline(always)]
fn of_entry(file: Ptr) -> Option<u32> {
    let dentry = file.read_pointer(&FILE_DENTRY)?;
    let parent = dentry.read_pointer(&DENTRY_PARENT)?;
    let mut key = EntryKey {
        folder: read_file_id(parent.read_pointer(&DENTRY_INODE)?)?,
        uid: bpf_get_current_uid_gid() as u32,
        pad: 0,
        name: [0; ENTRY_LEN],
    };
    if !dentry.read_pointer(&DENTRY_NAME)?.text_to(&mut key.name) {
        return None;
    }
    // SAFETY: the value is copied at once.
    if let Some(agent) = unsafe { ENTRIES.get(&key) } {
        return Some(*agent);
    }
    key.uid = ANY_USER;
    // SAFETY: as above.
    unsafe { ENTRIES.get(&key) }.copied()
}

/// Whether any slice enrols. What every task outside pays for slices that nobody uses.
#[inline(always)]
pub fn slices_in_use() -> bool {
    levels() & !ENTRIES_IN_USE != 0
}

#[inline(always)]
fn levels() -> u64 {
    SLICE_LEVELS.get(0).copied().unwrap_or(0)
}

/// By the name of a control group that the current task is in, directly or below it.
#[inline(always)]
fn of_slice() -> Option<u32> {
    let levels = levels() & !ENTRIES_IN_USE;
    if levels == 0 {
        return None;
    }
    let cgroup = current()
        .read_pointer(&TASK_CGROUPS)?
        .read_pointer(&CSET_CGROUP)?;
    let own: u32 = cgroup.read(&CGROUP_LEVEL)?;
    let ancestors = cgroup.at(&CGROUP_ANCESTORS);
    let mut name = [0; SLICE_LEN];
    for level in 1..=SLICE_DEPTH {
        if level > own {
            return None;
        }
        if levels & (1 << level) == 0 {
            continue;
        }
        match agent_of_group(ancestors, level, &mut name) {
            Some(NO_AGENT) | None => {}
            // A slice of this name and depth can be made by whoever has control groups of his own; but these
            // are below another slice of the first level.
            Some(agent) => {
                let is_there = level == 1 || agent_of_group(ancestors, 1, &mut name).is_some();
                return is_there.then_some(agent);
            }
        }
    }
    None
}

/// Whom the ancestor at this level enrols for by its name; [`NO_AGENT`]: for nobody, but slices below it do.
/// The buffer is the caller's, since there is room on the stack for one.
#[inline(always)]
fn agent_of_group(ancestors: Ptr, level: u32, name: &mut [u8; SLICE_LEN]) -> Option<u32> {
    let ancestor = Ptr::new(ancestors.plus(u64::from(level) * 8).copy()?);
    let node = ancestor.read_pointer(&CGROUP_NODE)?;
    *name = [0; SLICE_LEN];
    if !node.read_pointer(&NODE_NAME)?.text_to(name) {
        return None; // longer than any slice's
    }
    // SAFETY: the value is copied at once.
    unsafe { SLICES.get(&*name) }.copied()
}

/// Takes a session that is kept, and gives it to this agent.
#[inline(always)]
pub fn take_spare(agent: u32) -> Option<Spare> {
    let spare = SPARES.pop().ok()??;
    let session = session_at(spare.slot)?;
    // SAFETY: a live map value of integers, which no label names yet.
    unsafe {
        if (*session).id != spare.session {
            return None; // the daemon gave the slot away since: a session of another
        }
        (*session).agent = agent;
    }
    Some(spare)
}

/// Labels the current task if it stands in an agent's slice; 0 = it does not, or it is the service
/// manager's, which prepares a process of the slice to be executed. Its parts are functions beside each
/// other, because hooks have little of their stack left.
#[inline(always)]
pub fn seed_in_slice() -> u64 {
    let agent = slice_agent();
    if agent == 0 || is_managers() {
        return 0;
    }
    seed((agent - 1) as u32);
    1
}

/// The agent in whose slice the current task stands, plus one; 0 = in none.
#[inline(never)]
fn slice_agent() -> u64 {
    of_slice().map_or(0, |agent| u64::from(agent) + 1)
}

#[inline(never)]
fn is_managers() -> bool {
    running_file().and_then(of_entry) == Some(NO_AGENT)
}

/// Labels the current task, which stands in the slice of this agent and was there before anything
/// could enrol it: when the programs were attached, or the agent's policy applied. From its first
/// decision on it is in a session of its own, held to what it runs. It has no label afterwards when
/// there is no room for one, or no session.
#[inline(never)]
fn seed(agent: u32) -> u64 {
    let key = current().address();
    // Without a session of its own its label names none: it is denied everything, `session-unknown`.
    let (Some(empty), Some(spare)) = (NOBODY.get(0), take_spare(agent)) else {
        return count(Counter::EnrolmentsDenied);
    };
    if LABELS.insert(key, empty, 0).is_err() {
        return count(Counter::EnrolmentsDenied);
    }
    let Some(label) = LABELS.get_ptr_mut(key) else {
        return 0; // not reachable: it was just put there
    };
    // SAFETY: a live map value that only this task writes.
    unsafe {
        (*label).tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        (*label).image.levels = 1;
        if let Some(id) = running_file().and_then(identity) {
            (*label).image.files[0] = id;
        }
        (*label).slot = spare.slot;
        (*label).session = spare.session;
    }
    if let Some(session) = session_at(spare.slot) {
        if current().follow(&TASK_CRED).load::<u32>(&CRED_EUID) == 0 {
            // SAFETY: a live map value of integers; every writer writes the same.
            unsafe { (*session).flags |= SESSION_ROOT };
        }
        // SAFETY: a live map value; the field is only changed atomically.
        fetch_add(unsafe { &raw mut (*session).tasks }, 1);
    }
    // SAFETY: a live map value that only this task writes.
    session_seeded(unsafe { &*label });
    1
}

/// The file that the current task's memory was made of by its last exec.
#[inline(always)]
fn running_file() -> Option<Ptr> {
    current().read_pointer(&TASK_MM)?.read_pointer(&MM_EXE_FILE)
}

#[inline(always)]
fn identity(file: Ptr) -> Option<FileId> {
    read_file_id(file.read_pointer(&FILE_INODE)?)
}

/// Reports that the current task's session began.
#[inline(always)]
pub fn report_start(acting: &Acting) -> i32 {
    let finding = Finding::of(Reason::Enrolled);
    conclude_reported(
        acting,
        Kind::SessionStart,
        finding,
        Verdict::Allow,
        |_: *mut Header| (),
    )
    .1
}

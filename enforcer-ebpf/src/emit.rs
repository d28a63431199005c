//! Reports decisions: takes the sequence number, fills the event, and turns the verdict into the
//! hook's return value.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid},
    maps::ring_buf::RingBufEntry,
};
use enforcer_common::{
    event::{File, Header, Kind, Other, PATH_LEN},
    label::Label,
    maps::Counter,
    object::{FileId, FileStamp},
    permit::NO_CELL,
    verdict::{Reason, Verdict},
};

use crate::{
    arch::{eperm, fetch_add},
    decide::{Finding, needs_evidence, never, reported, verdict},
    kernel::{
        Ptr, TASK_LEADER, TASK_REAL_PARENT, TASK_START, TASK_TGID, boot_time, current, path_of,
    },
    label::{Acting, session_at},
    maps::{COUNTERS, DENIALS, EVENTS},
};

/// The action goes on.
pub const GO_ON: i32 = 0;

/// Adds one to a counter; gives its value before.
#[inline(always)]
pub fn count(counter: Counter) -> u64 {
    match COUNTERS.get_ptr_mut(counter as u32) {
        Some(value) => fetch_add(value, 1),
        None => 0, // not reachable: the index is below the array's length
    }
}

/// Gives the verdict on an action and reports it; `fill` writes the body of the event.
#[inline(always)]
pub fn conclude<T: 'static>(
    acting: &Acting,
    kind: Kind,
    finding: Finding,
    fill: impl FnOnce(*mut T),
) -> i32 {
    let verdict = verdict(acting, finding);
    if !reported(acting, verdict) {
        return GO_ON;
    }
    conclude_reported(acting, kind, finding, verdict, fill).1
}

/// As [`conclude`], for what has no object of its own and is not reported when it is allowed.
#[inline(always)]
pub fn conclude_other(
    acting: &Acting,
    kind: Kind,
    finding: Finding,
    target_tgid: u32,
    detail: u32,
) -> i32 {
    if finding.reason as u8 == Reason::RuleAllows as u8 {
        return GO_ON;
    }
    conclude(acting, kind, finding, |event: *mut Other| {
        // SAFETY: the reservation is as large as the type.
        unsafe {
            (*event).target_tgid = target_tgid;
            (*event).detail = detail;
        }
    })
}

/// Denies a session what no rule can allow; `detail` is the number that tells what it was.
#[inline(always)]
pub fn refuse(kind: Kind, detail: u32) -> i32 {
    match Acting::current() {
        Some(acting) => conclude_other(&acting, kind, never(&acting), 0, detail),
        None => GO_ON,
    }
}

/// What is done to a file, as [`conclude_file`] reports it.
pub struct Act {
    /// [`Kind::Code`] or [`Kind::Write`].
    pub kind: Kind,
    /// `FILE_*` of `enforcer_common::event`.
    pub how: u16,
    /// The file's identity and stamp.
    pub file: (FileId, FileStamp),
}

/// As [`conclude_other`], for files; `path` writes the path into the event and gives its length
/// without NUL, 0 when it cannot be told.
#[inline(always)]
pub fn conclude_file(
    acting: &Acting,
    finding: Finding,
    act: &Act,
    path: impl FnOnce(*mut u8) -> u16,
) -> i32 {
    if finding.reason as u8 == Reason::RuleAllows as u8 {
        return GO_ON;
    }
    conclude(acting, act.kind, finding, |event: *mut File| {
        // SAFETY: the reservation is as large as the type. Bytes of `path` beyond its length stay
        // as the ring had them; readers take only what counts.
        unsafe {
            (*event).file = act.file.0;
            (*event).stamp = act.file.1;
            (*event).how = act.how;
            (*event).pad = 0;
            (*event).path_len = path((&raw mut (*event).path).cast());
        }
    })
}

/// Writes the path of an open file into an event.
#[inline(always)]
pub fn path_to(file: Ptr) -> impl FnOnce(*mut u8) -> u16 {
    move |buffer| path_of(file, buffer, PATH_LEN as u32).map_or(0, |length| (length - 1) as u16)
}

/// For what is reported without a path.
#[inline(always)]
pub fn no_path(_: *mut u8) -> u16 {
    0
}

/// As [`conclude`], for what is always reported; gives the event's sequence number with it.
#[inline(always)]
pub fn conclude_reported<T: 'static>(
    acting: &Acting,
    kind: Kind,
    finding: Finding,
    verdict: Verdict,
    fill: impl FnOnce(*mut T),
) -> (u64, i32) {
    let sequence = count(Counter::Sequence) + 1;
    let written = write(verdict, |event: *mut T| {
        // SAFETY: every event type begins with its header (`tests/layout.rs`), and the reservation
        // is as large as the type.
        unsafe { fill_header(event.cast(), acting, sequence, kind, finding, verdict) };
        fill(event);
    });
    (sequence, answer(acting, verdict, written))
}

#[inline(always)]
fn answer(acting: &Acting, verdict: Verdict, written: bool) -> i32 {
    match verdict {
        Verdict::Deny => eperm(),
        Verdict::Allow | Verdict::WouldDeny => {
            if !written && needs_evidence(acting) && acting.enforces() {
                count(Counter::AuditDenied);
                eperm()
            } else {
                GO_ON
            }
        }
    }
}

/// Reserves room in the verdict's ring, fills it and submits it; false (and counted) when full.
#[inline(always)]
fn write<T: 'static>(verdict: Verdict, fill: impl FnOnce(*mut T)) -> bool {
    let denial = verdict as u8 != Verdict::Allow as u8;
    let entry: Option<RingBufEntry<T>> = if denial {
        DENIALS.reserve_untyped::<T>(0)
    } else {
        EVENTS.reserve_untyped::<T>(0)
    };
    let Some(mut entry) = entry else {
        count(if denial {
            Counter::DenialsDropped
        } else {
            Counter::EventsDropped
        });
        return false;
    };
    fill(entry.as_mut_ptr());
    // Waking by choice on one ring and never on the other: mixing both on one makes readers sleep
    // for ever.
    entry.submit(if denial {
        0
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    });
    true
}

/// Fills the header in place: a copy of it would take a sixth of the stack.
///
/// # Safety
/// `header` points to a reservation of at least a header's size.
#[inline(always)]
unsafe fn fill_header(
    header: *mut Header,
    acting: &Acting,
    sequence: u64,
    kind: Kind,
    finding: Finding,
    verdict: Verdict,
) {
    let task = current();
    let ids = bpf_get_current_pid_tgid();
    // SAFETY: the caller's reservation; the label is a live map value.
    unsafe {
        (*header).sequence = sequence;
        (*header).time_ns = boot_time();
        (*header).session = acting.session;
        (*header).exec = (*acting.label).image.exec;
        (*header).start_ns = task.follow(&TASK_LEADER).load(&TASK_START);
        (*header).conditions = acting.conditions;
        (*header).tgid = (ids >> 32) as u32;
        (*header).tid = ids as u32;
        (*header).parent_tgid = task.follow(&TASK_REAL_PARENT).load(&TASK_TGID);
        (*header).uid = bpf_get_current_uid_gid() as u32;
        (*header).agent = acting.agent;
        (*header).generation = acting.params.generation;
        (*header).cell = finding.cell;
        (*header).kind = kind as u8;
        (*header).verdict = verdict as u8;
        (*header).reason = finding.reason as u8;
        (*header).pad = 0;
    }
}

/// Reports the end of a session. The freed task is not the current one, so only its label speaks.
#[inline(always)]
pub fn session_ended(label: &Label) {
    of_session(label, Kind::SessionEnd, Reason::SessionEnded, 0, 0);
}

/// Reports the start of a session of the current task, which ran already. No policy has decided.
#[inline(always)]
pub fn session_seeded(label: &Label) {
    let start = current().follow(&TASK_LEADER).load(&TASK_START);
    let uid = bpf_get_current_uid_gid() as u32;
    of_session(label, Kind::SessionStart, Reason::Enrolled, start, uid);
}

#[inline(always)]
fn of_session(label: &Label, kind: Kind, reason: Reason, start_ns: u64, uid: u32) {
    let agent = match session_at(label.slot) {
        // SAFETY: a live map value of integers.
        Some(session) => unsafe { (*session).agent },
        None => return, // not reachable: it was just found
    };
    let sequence = count(Counter::Sequence) + 1;
    write(Verdict::Allow, |event: *mut Header| {
        // SAFETY: the reservation is as large as the type.
        unsafe {
            event.write(Header {
                sequence,
                time_ns: boot_time(),
                session: label.session,
                exec: label.image.exec,
                start_ns,
                conditions: 0,
                tgid: label.tgid,
                tid: 0,
                parent_tgid: 0,
                uid,
                agent,
                generation: 0,
                cell: NO_CELL,
                kind: kind as u8,
                verdict: Verdict::Allow as u8,
                reason: reason as u8,
                pad: 0,
            });
        }
    });
}

//! Running a file: who begins a session, what may run, and what a task runs from then on.
//!
//! The kernel calls `bprm_creds_for_exec` once for an exec, `bprm_check_security` once for the file
//! and once more for each interpreter that it names, and `bprm_committed_creds` when nothing can
//! fail any more.

use aya_ebpf::{
    bindings::BPF_F_BPRM_SECUREEXEC,
    helpers::{
        bpf_get_current_pid_tgid, bpf_probe_read_user,
        generated::{bpf_bprm_opts_set, bpf_probe_read_user_str},
    },
    macros::lsm,
    programs::LsmContext,
};
use enforcer_common::{
    event::{
        ARGV_LEN, ARGV_MAX, EXEC_ARGV_CUT, EXEC_ARGV_UNREADABLE, EXEC_PATH_MISSING, Exec, Kind,
        PATH_LEN,
    },
    label::{AGENT_SECURE_EXEC, AGENT_SET_ID, Label, MAX_LEVELS, Pending},
    maps::Counter,
    object::{FileId, FileStamp},
    verdict::Reason,
};

use crate::{
    arch::{eperm, exec_arguments, fetch_add},
    decide::{self, Finding},
    emit::{GO_ON, conclude_other, conclude_reported, count},
    enrol::{agent_of_exec, report_start, take_spare},
    kernel::{
        BPRM_ARGC, BPRM_CRED, BPRM_FILE, CRED_EGID, CRED_EUID, CRED_PERMITTED, FILE_INODE, Ptr,
        TASK_CRED, TASK_LEADER, TASK_START, current, file_of, path_of,
    },
    label::{Acting, of_current, session_at},
    maps::{LABELS, NOBODY, PENDING},
};

/// Nanoseconds in a clock tick of user space (USER_HZ is 100 on every architecture we build for).
const TICK_NS: u64 = 10_000_000;
/// Longest piece of one argument that is kept.
const ARGUMENT_LEN: usize = 128;

/// `bprm_creds_for_exec(bprm)`
#[lsm(hook = "bprm_creds_for_exec")]
pub fn bprm_creds_for_exec(ctx: LsmContext) -> i32 {
    if let Some(acting) = Acting::current() {
        forget_unfinished_exec(acting.label);
        shed_loader_variables(&acting, Ptr::new(ctx.arg(0)));
        return GO_ON;
    }
    let Some(answer) = begin_session(Ptr::new(ctx.arg(0))) else {
        return GO_ON;
    };
    // Whoever starts the session would lead its first program by them.
    if let Some(acting) = Acting::current() {
        shed_loader_variables(&acting, Ptr::new(ctx.arg(0)));
    }
    answer
}

/// Begins a session with this exec; `None` where none is to begin.
#[inline(always)]
fn begin_session(bprm: Ptr) -> Option<i32> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if let Some(pending) = launched(tgid) {
        let answer = enrol(tgid, pending.session, pending.slot);
        if of_current().is_some() {
            let _ = PENDING.remove(tgid); // cannot fail: it was found, and only its process takes it
        }
        return Some(answer);
    }
    let agent = agent_of_exec(bprm.follow(&BPRM_FILE))?;
    Some(match take_spare(agent) {
        Some(spare) => enrol(tgid, spare.session, spare.slot),
        None => {
            count(Counter::EnrolmentsDenied);
            eperm()
        }
    })
}

/// The pending label of the current process, if it asked for one.
#[inline(always)]
fn launched(tgid: u32) -> Option<Pending> {
    // SAFETY: the value is copied at once.
    let pending = unsafe { PENDING.get(tgid) }.copied()?;
    let start: u64 = current().follow(&TASK_LEADER).load(&TASK_START);
    // Else another process was given the pid of the one that asked.
    (start / TICK_NS == pending.start_ticks).then_some(pending)
}

/// Has the dynamic loader and the C library ignore the variables by which a caller leads them
/// (AT_SECURE, as for set-id programs), where the agent wants that.
#[inline(always)]
fn shed_loader_variables(acting: &Acting, bprm: Ptr) {
    if acting.params.flags & AGENT_SECURE_EXEC != 0 {
        // SAFETY: the helper takes the hook's own argument; it fails only for flags not known.
        unsafe { bpf_bprm_opts_set(bprm.raw(), BPF_F_BPRM_SECUREEXEC.into()) };
    }
}

/// An exec that failed after it was judged leaves its judgement behind; the next one starts anew.
#[inline(always)]
fn forget_unfinished_exec(label: *mut Label) {
    // SAFETY: a live map value that only this task writes.
    unsafe { (*label).next.levels = 0 };
}

/// Gives the current task the first label of its session. Whatever fails, the exec does not happen:
/// the process was meant to be held.
#[inline(always)]
fn enrol(tgid: u32, id: u64, slot: u32) -> i32 {
    let (Some(session), Some(empty)) = (session_at(slot), NOBODY.get(0)) else {
        return eperm();
    };
    // SAFETY: a live map value; the daemon wrote it before anything named it.
    if unsafe { (*session).id } != id {
        return eperm();
    }
    let key = current().address();
    if LABELS.insert(key, empty, 0).is_err() {
        count(Counter::EnrolmentsDenied);
        return eperm();
    }
    let Some(label) = LABELS.get_ptr_mut(key) else {
        return eperm(); // not reachable: it was just put there
    };
    // SAFETY: a live map value that only this task writes.
    unsafe {
        (*label).tgid = tgid;
        (*label).slot = slot;
        (*label).session = id;
    }
    // SAFETY: a live map value; the field is only changed atomically.
    fetch_add(unsafe { &raw mut (*session).tasks }, 1);
    report_start(&Acting::from_label(label))
}

/// `bprm_check_security(bprm)`
#[lsm(hook = "bprm_check_security")]
pub fn bprm_check_security(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let bprm = Ptr::new(ctx.arg(0));
    let file = bprm.follow(&BPRM_FILE);
    let (id, stamp) = file_of(file.follow(&FILE_INODE));
    // SAFETY: a live map value that only this task writes.
    let level = unsafe { (*acting.label).next.levels };
    let finding = if level as usize >= MAX_LEVELS {
        Finding::of(Reason::InterpretersTooDeep)
    } else {
        decide::executable(&acting, &id, &stamp)
    };
    // An exec is reported whatever the agent's audit setting: ancestry is made of these events.
    let verdict = decide::verdict(&acting, finding);
    let (sequence, answer) =
        conclude_reported(&acting, Kind::Exec, finding, verdict, |event: *mut Exec| {
            fill_exec(event, bprm, file, &id, &stamp, level);
        });
    if answer == GO_ON {
        remember(&acting, id, level as usize, sequence);
    }
    answer
}

/// Keeps what the task will run when the kernel commits this exec. Levels beyond those judged are
/// kept in monitor mode alone, as the last one.
#[inline(always)]
fn remember(acting: &Acting, file: FileId, level: usize, sequence: u64) {
    const { assert!(MAX_LEVELS == 3) };
    let label = acting.label;
    // SAFETY: a live map value that only this task writes. By constants, since of a number that a branch
    // has bounded the verifier of 6.1 may believe what cannot be.
    unsafe {
        let next = &raw mut (*label).next;
        match level {
            0 => (*next).files[0] = file,
            1 => (*next).files[1] = file,
            _ => (*next).files[2] = file,
        }
        (*next).exec = sequence;
        (*next).levels = if level < MAX_LEVELS {
            level as u32 + 1
        } else {
            MAX_LEVELS as u32
        };
    }
}

/// `bprm_creds_from_file(bprm, file)`: the credentials are those that the process will have, with
/// what set-id bits and file capabilities give, as the modules before this one have made them.
#[lsm(hook = "bprm_creds_from_file")]
pub fn bprm_creds_from_file(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let (old, new) = (
        current().follow(&TASK_CRED),
        Ptr::new(ctx.arg(0)).follow(&BPRM_CRED),
    );
    let user: u32 = new.load(&CRED_EUID);
    if user == 0 {
        acting.note_root();
    }
    let other_ids = user != old.load::<u32>(&CRED_EUID)
        || new.load::<u32>(&CRED_EGID) != old.load::<u32>(&CRED_EGID);
    // Root's programs have root's capabilities whatever their files say.
    let (had, has): (u64, u64) = (old.load(&CRED_PERMITTED), new.load(&CRED_PERMITTED));
    if !other_ids && (user == 0 || has & !had == 0) {
        return GO_ON;
    }
    let finding = decide::by_flag(&acting, AGENT_SET_ID, Reason::SetIdNotAllowed);
    conclude_other(&acting, Kind::SetId, finding, 0, user)
}

/// `bprm_committed_creds(bprm)`
#[lsm(hook = "bprm_committed_creds")]
pub fn bprm_committed_creds(_ctx: LsmContext) -> i32 {
    let Some(label) = of_current() else {
        return GO_ON;
    };
    // SAFETY: a live map value that only this task writes.
    unsafe {
        (*label).image = (*label).next;
        // Looked up at the first decision, all files in one generation.
        (*label).generation = 0;
        (*label).tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    }
    forget_unfinished_exec(label);
    GO_ON
}

#[inline(always)]
fn fill_exec(event: *mut Exec, bprm: Ptr, file: Ptr, id: &FileId, stamp: &FileStamp, level: u32) {
    let mut flags = 0;
    // SAFETY: the reservation is as large as the type. Bytes of `path` and `argv` beyond their
    // lengths stay as the ring had them; readers take only what counts.
    unsafe {
        (*event).file = *id;
        (*event).stamp = *stamp;
        (*event).argc = bprm.load(&BPRM_ARGC);
        (*event).level = level as u16;
        let path = (&raw mut (*event).path).cast::<u8>();
        (*event).path_len = match path_of(file, path, PATH_LEN as u32) {
            Some(length) => (length - 1) as u16,
            None => {
                flags |= EXEC_PATH_MISSING;
                0
            }
        };
        let (length, argv_flags) = copy_arguments((&raw mut (*event).argv).cast());
        (*event).argv_len = length;
        (*event).flags = flags | argv_flags;
        (*event).pad = 0;
    }
}

/// Copies the claimed arguments, each with its NUL; gives the bytes used and the `EXEC_*` bits.
#[inline(always)]
fn copy_arguments(target: *mut u8) -> (u16, u16) {
    let Some(vector) = exec_arguments() else {
        return (0, EXEC_ARGV_UNREADABLE);
    };
    let mut used = 0usize;
    for index in 0..u64::from(ARGV_MAX) {
        let slot = vector.wrapping_add(index * 8) as *const u64;
        // SAFETY: the helper checks the address.
        let argument = match unsafe { bpf_probe_read_user(slot) } {
            Ok(0) => return (used as u16, 0),
            Ok(address) => address,
            Err(_) => return (used as u16, EXEC_ARGV_UNREADABLE),
        };
        if used > ARGV_LEN - ARGUMENT_LEN {
            return (used as u16, EXEC_ARGV_CUT);
        }
        // SAFETY: `used` leaves room for `ARGUMENT_LEN` bytes; the helper checks the source.
        let length = unsafe {
            bpf_probe_read_user_str(
                target.add(used).cast(),
                ARGUMENT_LEN as u32,
                argument as *const core::ffi::c_void,
            )
        };
        if length <= 0 || length > ARGUMENT_LEN as i64 {
            return (used as u16, EXEC_ARGV_UNREADABLE);
        }
        used += length as usize;
        if length == ARGUMENT_LEN as i64 {
            // One that fills its room exactly cannot be told from a longer one.
            return (used as u16, EXEC_ARGV_CUT);
        }
    }
    (used as u16, EXEC_ARGV_CUT)
}

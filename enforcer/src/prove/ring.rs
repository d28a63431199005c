//! One operation by io_uring: the kernel does it without the system call that is usually judged.
//!
//! With `raw.rs` the only unsafe code of the prover.

use std::{
    ffi::CStr,
    io,
    mem::{size_of, zeroed},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::libc;

/// Who does the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The caller, in `io_uring_enter(2)`.
    Caller,
    /// A worker thread of the kernel's.
    Worker,
    /// A thread of the kernel's that polls the queue.
    Poller,
}

/// Numbers of `linux/io_uring.h`.
const SETUP_SQPOLL: u32 = 1 << 1;
const ENTER_GETEVENTS: u32 = 1;
const ENTER_SQ_WAKEUP: u32 = 1 << 1;
const SQE_ASYNC: u8 = 1 << 4;
const OP_CONNECT: u8 = 16;
const OP_OPENAT: u8 = 18;
const OP_SEND: u8 = 26;
const OFFSET_SQ: i64 = 0;
const OFFSET_CQ: i64 = 0x0800_0000;
const OFFSET_ENTRIES: i64 = 0x1000_0000;
/// Bytes mapped of each ring: more than rings of one entry take.
const MAPPED: usize = 4096;

#[repr(C)]
struct Offsets {
    head: u32,
    tail: u32,
    mask: u32,
    entries: u32,
    /// Flags of the submission ring, overflows of the completion ring.
    five: u32,
    /// Dropped submissions, or where the completions begin.
    six: u32,
    /// Where the index array of the submission ring begins.
    seven: u32,
    reserved: u32,
    address: u64,
}

#[repr(C)]
struct Parameters {
    numbers: [u32; 10],
    submissions: Offsets,
    completions: Offsets,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Submission {
    operation: u8,
    flags: u8,
    priority: u16,
    fd: i32,
    offset: u64,
    address: u64,
    length: u32,
    operation_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

const _: () = assert!(size_of::<Parameters>() == 120 && size_of::<Submission>() == 64);

/// `connect(2)`
pub fn connect(by: By, socket: impl AsFd, address: &[u8]) -> io::Result<()> {
    perform(
        by,
        Submission {
            operation: OP_CONNECT,
            fd: socket.as_fd().as_raw_fd(),
            address: address.as_ptr() as u64,
            offset: address.len() as u64,
            ..empty()
        },
    )
}

/// `send(2)`
pub fn send(by: By, socket: impl AsFd, data: &[u8]) -> io::Result<()> {
    perform(
        by,
        Submission {
            operation: OP_SEND,
            fd: socket.as_fd().as_raw_fd(),
            address: data.as_ptr() as u64,
            length: u32::try_from(data.len()).map_err(io::Error::other)?,
            ..empty()
        },
    )
}

/// `openat(2)` of a path for writing; writes nothing.
pub fn open_for_writing(by: By, path: &CStr) -> io::Result<()> {
    perform(
        by,
        Submission {
            operation: OP_OPENAT,
            fd: libc::AT_FDCWD,
            address: path.as_ptr() as u64,
            operation_flags: libc::O_WRONLY as u32,
            ..empty()
        },
    )
}

const fn empty() -> Submission {
    // SAFETY: numbers only, for which all bits 0 is a value.
    unsafe { zeroed() }
}

/// Has one operation done, and gives its result. What the operation points to outlives this call.
fn perform(by: By, mut entry: Submission) -> io::Result<()> {
    if by == By::Worker {
        entry.flags |= SQE_ASYNC;
    }
    // SAFETY: numbers only.
    let mut parameters: Parameters = unsafe { zeroed() };
    parameters.numbers[2] = if by == By::Poller { SETUP_SQPOLL } else { 0 };
    // SAFETY: the parameters are those of the call.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, &raw mut parameters) };
    if ring < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made the descriptor, which nobody else owns.
    let ring = unsafe { OwnedFd::from_raw_fd(ring as i32) };
    let (submissions, completions) = (map(&ring, OFFSET_SQ)?, map(&ring, OFFSET_CQ)?);
    let entries = map(&ring, OFFSET_ENTRIES)?;
    let offsets = (&parameters.submissions, &parameters.completions);
    // SAFETY: the kernel's offsets lie within the rings, which are smaller than what was mapped and stay
    // mapped; the entry and its index are written before the tail says so.
    unsafe {
        entries.cast::<Submission>().write(entry);
        submissions
            .add(offsets.0.seven as usize)
            .cast::<u32>()
            .write(0);
        word(submissions, offsets.0.tail).store(1, Ordering::Release);
    }
    let flags = ENTER_GETEVENTS | if by == By::Poller { ENTER_SQ_WAKEUP } else { 0 };
    // SAFETY: takes numbers and no signal mask.
    let entered = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            ring.as_raw_fd(),
            1,
            1,
            flags,
            ptr::null::<libc::sigset_t>(),
            0,
        )
    };
    if entered < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above; the tail was moved after the completion was written.
    let result = unsafe {
        if word(completions, offsets.1.tail).load(Ordering::Acquire) == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // `struct io_uring_cqe`: 8 bytes of the user's, then the result.
        completions
            .add(offsets.1.six as usize + 8)
            .cast::<i32>()
            .read()
    };
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(())
    }
}

/// Maps a part of the ring for as long as the process lives.
fn map(ring: &OwnedFd, offset: i64) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: without MAP_FIXED the kernel chooses a place where nothing is.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            MAPPED,
            protection,
            libc::MAP_SHARED | libc::MAP_POPULATE,
            ring.as_raw_fd(),
            offset,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(address.cast())
}

/// A number that the kernel shares.
///
/// # Safety
/// `offset` must be one of the kernel's in the ring that is mapped at `ring`.
unsafe fn word<'a>(ring: *mut u8, offset: u32) -> &'a AtomicU32 {
    // SAFETY: as the caller promises; aligned, as the kernel lays them out.
    unsafe { &*ring.add(offset as usize).cast::<AtomicU32>() }
}

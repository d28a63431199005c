//! System calls as the kernel has them: libraries would not make the calls that are to be denied.
//!
//! With `ring.rs` the only unsafe code of the prover.

use std::{
    arch::asm,
    ffi::CString,
    io,
    mem::{size_of, zeroed},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
    path::Path,
    ptr,
};

use nix::{
    libc::{self, c_int, c_long, c_ulong, c_void, iovec, mmsghdr, sockaddr, socklen_t},
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};

/// Bytes of a page.
const PAGE: usize = 4096;

/// The result of a call that answers -1 with `errno`.
fn checked(result: c_long) -> io::Result<c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn length(bytes: &[u8]) -> socklen_t {
    bytes.len().try_into().unwrap_or(socklen_t::MAX)
}

/// Takes over a descriptor that a call has just made.
fn owned(result: c_long) -> io::Result<OwnedFd> {
    let number = RawFd::try_from(checked(result)?).map_err(io::Error::other)?;
    // SAFETY: the call has just made the descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A descriptor that this process was started with.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers; the copy that it makes is this call's own.
    owned(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) }.into())
}

/// `socket(2)` with any family, type and protocol.
pub fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: takes three numbers.
    owned(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }.into())
}

/// `connect(2)` with an address in bytes.
pub fn connect(socket: impl AsFd, address: &[u8]) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the address is as long as is said.
    let result = unsafe { libc::connect(fd, address.as_ptr().cast::<sockaddr>(), length(address)) };
    checked(result.into()).map(drop)
}

/// `sendto(2)` with an address in bytes.
pub fn sendto(socket: impl AsFd, data: &[u8], flags: c_int, address: &[u8]) -> io::Result<()> {
    let (fd, flags) = (socket.as_fd().as_raw_fd(), flags | libc::MSG_NOSIGNAL);
    let name = address.as_ptr().cast::<sockaddr>();
    // SAFETY: data and address are as long as is said.
    let sent = unsafe {
        libc::sendto(
            fd,
            data.as_ptr().cast(),
            data.len(),
            flags,
            name,
            length(address),
        )
    };
    checked(sent as c_long).map(drop)
}

/// `sendmsg(2)` or, of one message, `sendmmsg(2)`.
pub fn sendmsg(socket: impl AsFd, data: &[u8], address: &[u8], many: bool) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let mut piece = iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    // SAFETY: all bits 0 is an empty message.
    let mut message: mmsghdr = unsafe { zeroed() };
    message.msg_hdr.msg_name = address.as_ptr().cast_mut().cast::<c_void>();
    message.msg_hdr.msg_namelen = length(address);
    message.msg_hdr.msg_iov = &raw mut piece;
    message.msg_hdr.msg_iovlen = 1;
    let result = if many {
        // SAFETY: one message, whose parts outlive the call.
        c_long::from(unsafe { libc::sendmmsg(fd, &raw mut message, 1, 0) })
    } else {
        // SAFETY: a message whose parts outlive the call.
        (unsafe { libc::sendmsg(fd, &raw const message.msg_hdr, 0) }) as c_long
    };
    checked(result).map(drop)
}

/// `setsockopt(2)` with a value in bytes.
pub fn set_option(socket: impl AsFd, level: c_int, option: c_int, value: &[u8]) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the value is as long as is said.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            option,
            value.as_ptr().cast::<c_void>(),
            length(value),
        )
    };
    checked(result.into()).map(drop)
}

/// `connect(2)` by the system call table of 32-bit programs (`int 0x80`).
pub fn connect_as_32_bit(socket: impl AsFd, address: &[u8]) -> io::Result<()> {
    const CONNECT: i32 = 362; // of arch/x86/entry/syscalls/syscall_32.tbl
    let fd = socket.as_fd().as_raw_fd();
    let low = Page::map(
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
    )?;
    let count = address.len().min(PAGE);
    // SAFETY: a fresh page of this process's own that nothing else points into.
    unsafe { ptr::copy_nonoverlapping(address.as_ptr(), low.0.cast(), count) };
    let mut result = CONNECT;
    // SAFETY: the call reads `count` bytes at the page, whose address fits into 32 bits. `rbx`, which
    // the compiler keeps for itself, is put back; the kernel clears the registers named as lost.
    unsafe {
        asm!(
            "xchg rbx, {fd}",
            "int 0x80",
            "xchg rbx, {fd}",
            fd = inout(reg) i64::from(fd) => _,
            inout("eax") result,
            in("rcx") low.0,
            in("rdx") count,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(())
    }
}

/// A page that is mapped as long as the process lives.
pub struct Page(*mut c_void);

impl Page {
    /// `mmap(2)` of memory that no file stands behind.
    pub fn map(protection: c_int, flags: c_int) -> io::Result<Self> {
        Self::map_at(protection, flags, -1)
    }

    /// `mmap(2)` of a file's first page.
    pub fn of_file(file: impl AsFd, protection: c_int) -> io::Result<Self> {
        Self::map_at(protection, libc::MAP_PRIVATE, file.as_fd().as_raw_fd())
    }

    fn map_at(protection: c_int, flags: c_int, fd: RawFd) -> io::Result<Self> {
        // SAFETY: without MAP_FIXED the kernel chooses a place where nothing is.
        let address = unsafe { libc::mmap(ptr::null_mut(), PAGE, protection, flags, fd, 0) };
        if address == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(Self(address))
        }
    }

    /// `mprotect(2)`
    pub fn protect(&self, protection: c_int) -> io::Result<()> {
        // SAFETY: a page that no reference points into.
        checked(unsafe { libc::mprotect(self.0, PAGE, protection) }.into()).map(drop)
    }
}

/// `mprotect(2)` of the page that this program's own code is on: readable, writable, executable.
pub fn make_own_code_writable() -> io::Result<()> {
    let here = make_own_code_writable as *const () as usize;
    let page = (here & !(PAGE - 1)) as *mut c_void;
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    // SAFETY: the page stays readable and executable, and nobody writes to it.
    checked(unsafe { libc::mprotect(page, PAGE, all) }.into()).map(drop)
}

/// Makes the heap longer by the kernel's call.
pub fn grow_heap(bytes: isize) -> io::Result<()> {
    // SAFETY: the allocator copes with somebody else's growing of the heap, and nobody uses this part.
    let before = unsafe { libc::sbrk(bytes) };
    if before as isize == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// `bpf(2)` with attributes of plain numbers.
fn bpf(command: c_int, attributes: &mut [u64; 16]) -> c_long {
    let size = size_of::<[u64; 16]>();
    // SAFETY: the attributes are as long as is said; pointers among them outlive the call.
    unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) }
}

/// `BPF_MAP_GET_NEXT_ID`: the id of the first map.
pub fn first_map() -> io::Result<u32> {
    let mut attributes = [0; 16];
    checked(bpf(12, &mut attributes))?;
    Ok((attributes[0] >> 32) as u32)
}

/// `BPF_MAP_GET_FD_BY_ID`
pub fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attributes = [0; 16];
    attributes[0] = id.into();
    owned(bpf(14, &mut attributes))
}

/// `BPF_OBJ_GET`: opens what is pinned.
pub fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(io::Error::other)?;
    let mut attributes = [0; 16];
    attributes[0] = path.as_ptr() as u64;
    owned(bpf(7, &mut attributes))
}

/// `perf_event_open(2)`: a clock of this process's own, which sees nothing of anybody.
pub fn perf_event() -> io::Result<OwnedFd> {
    let mut attributes = [0u32; 32];
    attributes[0] = 1; // PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK
    attributes[1] = 128;
    // SAFETY: the attributes are as long as they say.
    owned(unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) })
}

/// `ioctl(2)` that reads or writes these bytes.
pub fn ioctl(file: impl AsFd, request: c_ulong, data: &mut [u8; 64]) -> io::Result<()> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: no request of the catalogue takes more than 64 bytes.
    checked(unsafe { libc::ioctl(fd, request, data.as_mut_ptr()) }.into()).map(drop)
}

/// `fcntl(2)` with a number.
pub fn fcntl(file: impl AsFd, command: c_int, argument: c_int) -> io::Result<()> {
    // SAFETY: the commands of the catalogue take a number.
    checked(unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, argument) }.into()).map(drop)
}

/// `sched_setscheduler(2)`: the class for work that can wait.
pub fn make_batch(pid: u32) -> io::Result<()> {
    // SAFETY: all bits 0 is the priority 0.
    let parameters: libc::sched_param = unsafe { zeroed() };
    // SAFETY: the parameters outlive the call.
    let result = unsafe {
        libc::sched_setscheduler(pid.cast_signed(), libc::SCHED_BATCH, &raw const parameters)
    };
    checked(result.into()).map(drop)
}

/// `ioprio_set(2)`: the idle class.
pub fn make_io_idle(pid: u32) -> io::Result<()> {
    const PROCESS: c_int = 1;
    const IDLE: c_int = 3 << 13;
    // SAFETY: takes three numbers.
    checked(unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, pid, IDLE) }).map(drop)
}

/// Runs `act` in a forked child, and gives its error as this process's.
///
/// Only for a process that has one thread.
pub fn in_child(act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // SAFETY: this process has one thread, which goes on in both processes.
    let pid = checked(unsafe { libc::fork() }.into())?;
    if pid == 0 {
        let status = match act() {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        };
        // SAFETY: takes a number and does not return.
        unsafe { libc::_exit(status) }
    }
    let pid = Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?);
    let end = waitpid(pid, None)?;
    let WaitStatus::Exited(_, status) = end else {
        return Err(io::Error::other(format!("it ended otherwise: {end:?}")));
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(status))
    }
}

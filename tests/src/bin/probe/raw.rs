//! System calls as the kernel has them: libraries would not make the calls that are to be denied.
//! The only file of the probe with unsafe code.

use std::{
    ffi::CString,
    io,
    mem::{size_of, zeroed},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::libc::{
    self, AT_EMPTY_PATH, c_int, c_long, c_void, iovec, mmsghdr, msghdr, sockaddr, socklen_t,
};

use crate::number;

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

/// `socket(2)`
pub fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: takes three numbers.
    let fd = checked(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }.into())?;
    // SAFETY: the call has just made the descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A descriptor that this process was started with.
pub fn adopt(descriptor: &str) -> io::Result<OwnedFd> {
    let number: RawFd = number(descriptor)?;
    // SAFETY: takes two numbers; asks whether the descriptor is open.
    checked(unsafe { libc::fcntl(number, libc::F_GETFD) }.into())?;
    // SAFETY: open, above those that `std` uses, and adopted by one attempt of the test's only.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// `connect(2)` with an address in bytes.
pub fn connect(socket: impl AsFd, address: &[u8]) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the address is as long as is said.
    let result = unsafe { libc::connect(fd, address.as_ptr().cast::<sockaddr>(), length(address)) };
    checked(result.into()).map(drop)
}

/// `bind(2)` with an address in bytes.
pub fn bind(socket: impl AsFd, address: &[u8]) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the address is as long as is said.
    let result = unsafe { libc::bind(fd, address.as_ptr().cast::<sockaddr>(), length(address)) };
    checked(result.into()).map(drop)
}

/// `listen(2)`
pub fn listen(socket: impl AsFd) -> io::Result<()> {
    // SAFETY: takes two numbers.
    checked(unsafe { libc::listen(socket.as_fd().as_raw_fd(), 8) }.into()).map(drop)
}

/// `sendto(2)`, with an address in bytes if any.
pub fn sendto(socket: impl AsFd, data: &[u8], flags: c_int, address: &[u8]) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let name = if address.is_empty() {
        ptr::null()
    } else {
        address.as_ptr().cast::<sockaddr>()
    };
    // SAFETY: data and address are as long as is said.
    let result = unsafe {
        libc::sendto(
            fd,
            data.as_ptr().cast(),
            data.len(),
            flags | libc::MSG_NOSIGNAL,
            name,
            length(address),
        )
    };
    checked(result as c_long).map(drop)
}

/// `write(2)`, which on a socket passes by `sendto(2)`.
pub fn write(socket: BorrowedFd<'_>, data: &[u8]) -> io::Result<()> {
    nix::unistd::write(socket, data)?;
    Ok(())
}

/// `sendmsg(2)` or `sendmmsg(2)` of one message.
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
        let header: *const msghdr = &raw const message.msg_hdr;
        // SAFETY: a message whose parts outlive the call.
        (unsafe { libc::sendmsg(fd, header, 0) }) as c_long
    };
    checked(result).map(drop)
}

/// `setsockopt(2)` with a value of plain data.
pub fn set_option<T: Copy>(
    socket: impl AsFd,
    level: c_int,
    option: c_int,
    value: &T,
) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let size = size_of::<T>() as socklen_t;
    // SAFETY: the value is as long as is said.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            option,
            ptr::from_ref(value).cast::<c_void>(),
            size,
        )
    };
    checked(result.into()).map(drop)
}

/// Replaces this process by the file behind a descriptor. Returns only when that failed.
pub fn execveat(file: impl AsFd, arguments: &[CString]) -> io::Error {
    let fd = file.as_fd().as_raw_fd();
    let mut vector: Vec<*const libc::c_char> = arguments.iter().map(|a| a.as_ptr()).collect();
    vector.push(ptr::null());
    let environment = [ptr::null::<libc::c_char>()];
    // SAFETY: both vectors end with a null pointer and hold strings that outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd,
            c"".as_ptr(),
            vector.as_ptr(),
            environment.as_ptr(),
            AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}

/// Forks by `clone(2)` with these flags; 0 in the child. The caller has one thread only.
pub fn clone(flags: c_int) -> io::Result<libc::pid_t> {
    // SAFETY: without CLONE_VM it is fork(2); the one thread there is goes on in both processes.
    let pid = checked(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok(pid as libc::pid_t)
}

/// Runs `child` in a child made with the flags of `vfork(2)`: it shares all memory, while the thread
/// that called stands still.
pub fn vfork(child: &mut dyn FnMut() -> c_int) -> io::Result<()> {
    extern "C" fn entry(argument: *mut c_void) -> c_int {
        // SAFETY: the pointer given to clone below, whose owner stands still until this has ended.
        let child = unsafe { &mut *argument.cast::<&mut dyn FnMut() -> c_int>() };
        child()
    }
    let mut stack = vec![0_u128; 16 * 1024];
    let mut child: &mut dyn FnMut() -> c_int = child;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child has a stack of its own, of which the top is given, and ends before it is freed.
    let pid = checked(
        unsafe {
            libc::clone(
                entry,
                stack.as_mut_ptr_range().end.cast(),
                flags,
                (&raw mut child).cast(),
            )
        }
        .into(),
    )?;
    let mut status = 0;
    // SAFETY: waits for the child just made and writes its status.
    checked(unsafe { libc::waitpid(pid as libc::pid_t, &raw mut status, 0) }.into()).map(drop)
}

/// Ends this process without what a program does at its end: it is a copy of another.
pub fn leave(status: c_int) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(status) }
}

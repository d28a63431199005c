//! Who is at the other end of a unix socket, where neither std nor nix can ask the kernel.
//!
//! The only `unsafe` of the control socket.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    libc,
    sys::socket::{getsockopt, sockopt::PeerPidfd},
};

/// Supplementary groups at first asked for; more makes a second call.
const GROUPS_GUESS: usize = 64;

/// Supplementary groups that the peer had when it connected (`SO_PEERGROUPS`, Linux 4.13).
///
/// Taken at `connect(2)` like the credentials, so that a peer which executes something with other
/// groups afterwards does not gain by it.
///
/// # Errors
/// What `getsockopt(2)` says.
pub(super) fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; GROUPS_GUESS];
    loop {
        match read_groups(&socket, &mut groups)? {
            Filled::All(count) => {
                groups.truncate(count);
                return Ok(groups);
            }
            Filled::Needs(count) => groups.resize(count, 0),
        }
    }
}

/// How a buffer for groups did.
enum Filled {
    /// This many groups are in it.
    All(usize),
    /// It must hold this many.
    Needs(usize),
}

fn read_groups(socket: impl AsFd, groups: &mut [u32]) -> io::Result<Filled> {
    let mut bytes = libc::socklen_t::try_from(size_of_val(groups)).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: needed since nix has no such option. `groups` is writable for `bytes` bytes, which is
    // its size; gid_t is u32 on Linux, so every byte pattern is a value; the descriptor is open for
    // the duration of the borrow.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    let count = bytes as usize / size_of::<u32>();
    match Errno::result(result) {
        Ok(_) => Ok(Filled::All(count)),
        // The kernel wrote the length that it needs (sk_getsockopt, SO_PEERGROUPS).
        Err(Errno::ERANGE) if count > groups.len() => Ok(Filled::Needs(count)),
        Err(error) => Err(error.into()),
    }
}

/// A handle on the peer's process, by which its pid cannot come to mean another process unnoticed.
///
/// `SO_PEERPIDFD` (Linux 6.5) gives the process that connected. Before, the handle is opened by
/// pid: if the peer ended before that and its pid was given out again, the handle is of the wrong
/// process, so the caller must compare what it knows of the peer with that process.
///
/// # Errors
/// `ESRCH` when there is no such process any more.
pub(super) fn peer_pidfd(socket: impl AsFd, pid: u32) -> io::Result<OwnedFd> {
    match getsockopt(&socket, PeerPidfd) {
        Ok(pidfd) => Ok(pidfd),
        Err(Errno::ENOPROTOOPT) => pidfd_open(pid),
        Err(error) => Err(error.into()),
    }
}

/// `pidfd_open(2)` (Linux 5.3); the descriptor is close-on-exec.
pub(super) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| Errno::ESRCH)?;
    // SAFETY: needed since neither std nor nix has the call. It takes two integers and touches no
    // memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(result)?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the call above succeeded, so `fd` is a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

//! Unix sockets: the peer is known by the inode that it is bound to, or by its abstract name, never
//! by the string that the caller used.

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel, macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::{Kind, Unix},
    maps::GUARDED_JOURNAL,
    object::{FileId, UNIX_ABSTRACT, UNIX_NAME_LEN, UNIX_PATH, UNIX_UNNAMED, UnixKey},
    verdict::Reason,
};

use super::socket::SOCK_DGRAM;
use crate::{
    decide::{self, Finding, guarded_as},
    emit::{GO_ON, conclude},
    kernel::{
        DENTRY_INODE, Ptr, SK_TYPE, SOCKET_SK, UNIX_ADDRESS, UNIX_ADDRESS_LEN, UNIX_ADDRESS_NAME,
        UNIX_DENTRY, UNIX_PEER, own_known, own_made, read_file_id,
    },
    label::Acting,
};

/// `offsetof(struct sockaddr_un, sun_path)`.
const FAMILY_LEN: u32 = 2;

/// `unix_stream_connect(sock, other, newsk)`: streams and sequenced packets. `newsk` is what the other
/// side will accept.
#[lsm(hook = "unix_stream_connect")]
pub fn unix_stream_connect(ctx: LsmContext) -> i32 {
    let other = Ptr::new(ctx.arg(1));
    let owner = bound_by(other);
    let mut peer = 0;
    if let Some(acting) = Acting::current_or_seeded() {
        let answer = judge(&acting, other, owner, Way::Named);
        if answer != GO_ON {
            return answer;
        }
        if owner == acting.session {
            peer = owner;
        }
    }
    note_peer(Ptr::new(ctx.arg(0)), peer);
    note_peer(Ptr::new(ctx.arg(2)), owner);
    GO_ON
}

/// The session that bound a socket, or 0.
#[inline(always)]
fn bound_by(sk: Ptr) -> u64 {
    // SAFETY: a live map value of integers.
    own_known(sk).map_or(0, |own| unsafe { (*own).bound })
}

/// Notes whose own the other end of a socket is; of nobody's only where something was noted.
#[inline(always)]
fn note_peer(sk: Ptr, session: u64) {
    let own = if session == 0 {
        own_known(sk)
    } else {
        own_made(sk)
    };
    if let Some(own) = own {
        // SAFETY: a live map value of integers.
        unsafe { (*own).peer = session };
    }
}

/// `unix_may_send(sock, other)`: datagrams, on connecting and on each message.
#[lsm(hook = "unix_may_send")]
pub fn unix_may_send(ctx: LsmContext) -> i32 {
    match Acting::current_or_seeded() {
        Some(acting) => {
            let other = Ptr::new(ctx.arg(1)).follow(&SOCKET_SK);
            let owner = if other.is_null() { 0 } else { bound_by(other) };
            judge(&acting, other, owner, Way::Named)
        }
        None => GO_ON,
    }
}

/// Judges what is written on a connection. It may have been made outside the session, and a policy may
/// change under it.
#[inline(always)]
pub fn judge_written(acting: &Acting, sk: Ptr) -> i32 {
    let kind: u16 = sk.load(&SK_TYPE);
    if kind == SOCK_DGRAM as u16 {
        return GO_ON; // `unix_may_send` is asked about each message
    }
    let peer = sk.read(&UNIX_PEER).map(Ptr::new);
    match peer {
        Some(peer) if peer.is_null() => GO_ON, // the kernel itself refuses the message
        Some(peer) => {
            // SAFETY: a live map value of integers.
            let owner = own_known(sk).map_or(0, |own| unsafe { (*own).peer });
            judge(acting, peer, owner, Way::Written)
        }
        None => judge(acting, Ptr::new(core::ptr::null()), 0, Way::Written),
    }
}

/// How a peer is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By its name.
    Named,
    /// On a connection, which was reported when it was made.
    Written,
}

/// `owner` is the session whose own the peer is.
#[inline(always)]
fn judge(acting: &Acting, other: Ptr, owner: u64, way: Way) -> i32 {
    let mut peer = UnixKey {
        kind: UNIX_UNNAMED,
        name_len: 0,
        file: FileId {
            inode: 0,
            device: 0,
            generation: 0,
        },
        name: [0; UNIX_NAME_LEN],
        pad: 0,
    };
    let finding = match identify(other, &mut peer) {
        // Only the other end of a pair has no name, and only who holds a pair can reach it.
        Some(()) if peer.kind == UNIX_UNNAMED => return GO_ON,
        Some(()) => decide::unix_peer(acting, owner, &peer),
        None => {
            peer.kind = 0; // nothing of it is known
            Finding::of(acting.fault.unwrap_or(Reason::ReadFailed))
        }
    };
    if way == Way::Written && (finding.allows() || is_output(finding, &peer)) {
        return GO_ON;
    }
    conclude(acting, Kind::Unix, finding, |event: *mut Unix| {
        // SAFETY: the reservation is as large as the type.
        unsafe { (*event).peer = peer };
        if peer.kind == UNIX_PATH {
            add_path(event, other);
        }
    })
}

/// Whether a connection that no rule lists goes to the journal: what systemd starts has one for its
/// output.
#[inline(always)]
fn is_output(finding: Finding, peer: &UnixKey) -> bool {
    finding.reason as u8 == Reason::NotListed as u8
        && peer.kind == UNIX_PATH
        && guarded_as(&peer.file) == GUARDED_JOURNAL
}

/// Finds out what `other` (a `struct unix_sock`, which begins with its `struct sock`) is bound to.
#[inline(always)]
fn identify(other: Ptr, peer: &mut UnixKey) -> Option<()> {
    if other.is_null() {
        return None;
    }
    let dentry = other.read::<*const core::ffi::c_void>(&UNIX_DENTRY)?;
    if !dentry.is_null() {
        peer.kind = UNIX_PATH;
        peer.file = read_file_id(Ptr::new(dentry).read_pointer(&DENTRY_INODE)?)?;
        return Some(());
    }
    let address = Ptr::new(other.read(&UNIX_ADDRESS)?);
    if address.is_null() {
        return Some(()); // unnamed
    }
    let length = address.read::<u32>(&UNIX_ADDRESS_LEN)?;
    // Family, the leading NUL, and at least one byte of name.
    if length <= FAMILY_LEN + 1 || length > FAMILY_LEN + UNIX_NAME_LEN as u32 {
        return None;
    }
    peer.kind = UNIX_ABSTRACT;
    peer.name_len = length - FAMILY_LEN - 1;
    let name = address.at(&UNIX_ADDRESS_NAME).address() + u64::from(FAMILY_LEN) + 1;
    let count = peer.name_len & 0x7f;
    if count as usize >= UNIX_NAME_LEN {
        return None;
    }
    // SAFETY: `count` is below the room in `name`; the helper checks the source.
    let result = unsafe {
        bpf_probe_read_kernel(
            peer.name.as_mut_ptr().cast(),
            count,
            name as *const core::ffi::c_void,
        )
    };
    (result == 0).then_some(())
}

/// Adds the path that the peer was bound by, for the record.
#[inline(always)]
fn add_path(event: *mut Unix, other: Ptr) {
    let Some(address) = other.read_pointer(&UNIX_ADDRESS) else {
        return;
    };
    let Some(length) = address.read::<u32>(&UNIX_ADDRESS_LEN) else {
        return;
    };
    let count = length.wrapping_sub(FAMILY_LEN) & 0x7f;
    if count as usize > UNIX_NAME_LEN {
        return;
    }
    let path = address.at(&UNIX_ADDRESS_NAME).address() + u64::from(FAMILY_LEN);
    // SAFETY: `count` is not above the room in `name`; the helper checks the source.
    unsafe {
        let result = bpf_probe_read_kernel(
            (&raw mut (*event).peer.name).cast(),
            count,
            path as *const core::ffi::c_void,
        );
        if result == 0 {
            (*event).peer.name_len = count;
        }
    }
}

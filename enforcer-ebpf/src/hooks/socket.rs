//! Internet destinations: which sockets may exist, what they may connect and send to.

use core::mem::MaybeUninit;

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::{Connect, Kind, Socket},
    object::{AddressKey, IPV4, TCP, UDP},
    verdict::Reason,
};

use crate::{
    decide::{self, Finding},
    emit::{GO_ON, conclude},
    kernel::{
        MSG_FLAGS, MSG_NAME, MSG_NAMELEN, Ptr, SK_DADDR, SK_DPORT, SK_FAMILY, SK_PROTOCOL,
        SK_RCV_SADDR, SK_V6_DADDR, SK_V6_RCV_SADDR, SOCKET_SK,
    },
    label::Acting,
};

const AF_UNSPEC: u16 = 0;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
const SOCK_SEQPACKET: u32 = 5;
const MSG_FASTOPEN: u32 = 0x2000_0000;
/// `sizeof(struct sockaddr_in)`; the kernel itself refuses less.
const SOCKADDR_IN_LEN: u32 = 16;
/// `SIN6_LEN_RFC2133`: an address without its scope; the kernel itself refuses less.
const SOCKADDR_IN6_LEN: u32 = 24;
/// `sizeof(struct sockaddr_in6)`: what is read of an address, whatever its length.
const SOCKADDR_MAX: usize = 28;
const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
const LOOPBACK6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// A destination as it will be judged.
#[derive(Clone, Copy)]
struct Destination {
    address: AddressKey,
    port: u16,
}

/// What an address given by the caller means.
enum Named {
    /// It leads there.
    Destination(Destination),
    /// It names nothing: `AF_UNSPEC`.
    Nothing,
    /// It cannot be judged.
    Fault(Reason),
}

/// `socket_create(family, type, protocol, kern)`: what cannot be judged later must not exist.
#[lsm(hook = "socket_create")]
pub fn socket_create(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let (family, kind, protocol): (u32, u32, u32) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    let kernel_internal: u32 = ctx.arg(3);
    if kernel_internal != 0 || can_be_judged(family, kind, protocol) {
        return GO_ON;
    }
    let finding = Finding::of(acting.fault.unwrap_or(Reason::SocketKindNotAllowed));
    conclude(&acting, Kind::Socket, finding, |event: *mut Socket| {
        // SAFETY: the reservation is as large as the type.
        unsafe {
            (*event).family = family;
            (*event).kind = kind;
            (*event).protocol = protocol;
            (*event).pad = 0;
        }
    })
}

#[inline(always)]
fn can_be_judged(family: u32, kind: u32, protocol: u32) -> bool {
    if family == AF_UNIX as u32 {
        return kind == SOCK_STREAM || kind == SOCK_DGRAM || kind == SOCK_SEQPACKET;
    }
    if family != AF_INET as u32 && family != AF_INET6 as u32 {
        return false;
    }
    (kind == SOCK_STREAM && (protocol == 0 || protocol == TCP as u32))
        || (kind == SOCK_DGRAM && (protocol == 0 || protocol == UDP as u32))
}

/// `socket_connect(sock, address, addrlen)`; the address is already a kernel copy.
#[lsm(hook = "socket_connect")]
pub fn socket_connect(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let sk = Ptr::new(ctx.arg(0)).follow(&SOCKET_SK);
    if sk.is_null() {
        return refuse(&acting, Kind::Connect, Reason::ReadFailed);
    }
    let family: u16 = sk.load(&SK_FAMILY);
    if family == AF_UNIX {
        return GO_ON; // judged by unix_stream_connect and unix_may_send, which know the peer
    }
    if !is_internet(family) {
        return refuse(&acting, Kind::Connect, Reason::SocketKindNotAllowed);
    }
    match named(sk, Ptr::new(ctx.arg(1)), ctx.arg::<u32>(2), false) {
        Named::Destination(destination) => judge(&acting, Kind::Connect, sk, destination),
        Named::Nothing => GO_ON, // dissolves the association and reaches nobody
        Named::Fault(reason) => refuse(&acting, Kind::Connect, reason),
    }
}

/// `socket_sendmsg(sock, msg, size)`
#[lsm(hook = "socket_sendmsg")]
pub fn socket_sendmsg(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let sk = Ptr::new(ctx.arg(0)).follow(&SOCKET_SK);
    if sk.is_null() {
        return refuse(&acting, Kind::Send, Reason::ReadFailed);
    }
    let family: u16 = sk.load(&SK_FAMILY);
    if family == AF_UNIX {
        return GO_ON;
    }
    if !is_internet(family) {
        return refuse(&acting, Kind::Send, Reason::SocketKindNotAllowed);
    }
    let message = Ptr::new(ctx.arg(1));
    if !takes_name(sk, message) {
        return judge_peer(&acting, sk, family);
    }
    let name = message.follow(&MSG_NAME);
    match named(sk, name, message.load(&MSG_NAMELEN), true) {
        Named::Destination(destination) => judge(&acting, Kind::Send, sk, destination),
        // IPv4 reads AF_UNSPEC as AF_INET (`named` did so); IPv6 sends to the connected peer.
        Named::Nothing => judge_peer(&acting, sk, family),
        Named::Fault(reason) => refuse(&acting, Kind::Send, reason),
    }
}

#[inline(always)]
fn is_internet(family: u16) -> bool {
    family == AF_INET || family == AF_INET6
}

/// Whether the message goes to the address named with it. TCP looks at the name only to open a
/// connection with data (`tcp_sendmsg_fastopen`), everything else always does.
#[inline(always)]
fn takes_name(sk: Ptr, message: Ptr) -> bool {
    if message.follow(&MSG_NAME).is_null() || message.load::<u32>(&MSG_NAMELEN) == 0 {
        return false;
    }
    sk.load::<u16>(&SK_PROTOCOL) != TCP as u16
        || message.load::<u32>(&MSG_FLAGS) & MSG_FASTOPEN != 0
}

/// Reads an address in kernel memory and makes it canonical.
#[inline(always)]
fn named(sk: Ptr, address: Ptr, length: u32, sending: bool) -> Named {
    let mut bytes = MaybeUninit::<[u8; SOCKADDR_MAX]>::uninit();
    if address.is_null() || !address.copy_to(&mut bytes) {
        return Named::Fault(Reason::ReadFailed);
    }
    // SAFETY: `copy_to` has written every byte. Those beyond `length` are not the caller's and are
    // not looked at below.
    let bytes = unsafe { bytes.assume_init() };
    if length < 2 {
        return Named::Fault(Reason::AddressNotJudgeable);
    }
    let mut family = u16::from_ne_bytes([bytes[0], bytes[1]]);
    if family == AF_UNSPEC && sending && sk.load::<u16>(&SK_FAMILY) == AF_INET {
        family = AF_INET; // so `udp_sendmsg` takes it
    }
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    match family {
        AF_INET if length >= SOCKADDR_IN_LEN => {
            let address = v4_or_local(sk, [bytes[4], bytes[5], bytes[6], bytes[7]]);
            Named::Destination(Destination { address, port })
        }
        AF_INET6 if length >= SOCKADDR_IN6_LEN => {
            let mut octets = [0; 16];
            let mut index = 0;
            while index < 16 {
                octets[index] = bytes[8 + index];
                index += 1;
            }
            let address = v6_or_local(sk, octets);
            Named::Destination(Destination { address, port })
        }
        AF_UNSPEC => Named::Nothing,
        _ => Named::Fault(Reason::AddressNotJudgeable),
    }
}

/// The unspecified IPv4 address leads to the socket's own address, else to loopback
/// (`ip_route_output_key_hash_rcu`).
#[inline(always)]
fn v4_or_local(sk: Ptr, octets: [u8; 4]) -> AddressKey {
    if octets != [0; 4] {
        return AddressKey::v4(octets);
    }
    match sk.load::<[u8; 4]>(&SK_RCV_SADDR) {
        [0, 0, 0, 0] => AddressKey::v4(LOOPBACK),
        own => AddressKey::v4(own),
    }
}

/// The unspecified IPv6 address leads to loopback: to that of IPv4 when the socket is bound to a
/// mapped address (`tcp_v6_connect`, `udpv6_sendmsg`).
#[inline(always)]
fn v6_or_local(sk: Ptr, octets: [u8; 16]) -> AddressKey {
    let key = AddressKey::v6(octets);
    if key.family == IPV4.to_be_bytes() {
        let [a, b, c, d, ..] = key.address;
        return v4_or_local(sk, [a, b, c, d]);
    }
    if octets != [0; 16] {
        return key;
    }
    let own = AddressKey::v6(sk.load(&SK_V6_RCV_SADDR));
    if own.family == IPV4.to_be_bytes() {
        AddressKey::v4(LOOPBACK)
    } else {
        AddressKey::v6(LOOPBACK6)
    }
}

/// Judges a message that goes to the socket's peer. The peer is judged each time and not
/// remembered: a socket may come from outside the session, and a policy may change under it.
#[inline(always)]
fn judge_peer(acting: &Acting, sk: Ptr, family: u16) -> i32 {
    let port = u16::from_be(sk.load(&SK_DPORT));
    let address = if family == AF_INET6 {
        AddressKey::v6(sk.load(&SK_V6_DADDR))
    } else {
        AddressKey::v4(sk.load(&SK_DADDR))
    };
    judge(
        acting,
        Kind::SendConnected,
        sk,
        Destination { address, port },
    )
}

/// Judges a write to a socket's file, where only the file is known. Its `struct socket` was reached
/// by a copy, so that the verifier knows no types here: fields are copied, and one that cannot be
/// read denies.
#[inline(always)]
pub fn judge_written(acting: &Acting, socket: Option<Ptr>) -> i32 {
    let sk = socket.and_then(|socket| socket.read_pointer(&SOCKET_SK));
    let Some((sk, family)) = sk.and_then(|sk| Some((sk, sk.read::<u16>(&SK_FAMILY)?))) else {
        return refuse(acting, Kind::SendConnected, Reason::ReadFailed);
    };
    if !is_internet(family) {
        return GO_ON; // unix sockets are judged when they connect; no other kind can be made
    }
    match peer_copied(sk, family) {
        Some((destination, protocol)) => {
            judge_as(acting, Kind::SendConnected, protocol, destination)
        }
        None => refuse(acting, Kind::SendConnected, Reason::ReadFailed),
    }
}

#[inline(always)]
fn peer_copied(sk: Ptr, family: u16) -> Option<(Destination, u16)> {
    let port = u16::from_be(sk.read(&SK_DPORT)?);
    let address = if family == AF_INET6 {
        AddressKey::v6(sk.read(&SK_V6_DADDR)?)
    } else {
        AddressKey::v4(sk.read(&SK_DADDR)?)
    };
    Some((Destination { address, port }, sk.read(&SK_PROTOCOL)?))
}

#[inline(always)]
fn judge(acting: &Acting, kind: Kind, sk: Ptr, destination: Destination) -> i32 {
    judge_as(acting, kind, sk.load(&SK_PROTOCOL), destination)
}

#[inline(always)]
fn judge_as(acting: &Acting, kind: Kind, protocol: u16, destination: Destination) -> i32 {
    let connected = kind as u8 == Kind::SendConnected as u8;
    if connected && destination.port == 0 && destination.address.address == [0; 16] {
        return GO_ON; // no peer: the kernel itself refuses the message
    }
    let finding = if protocol == TCP as u16 || protocol == UDP as u16 {
        decide::destination(
            acting,
            &destination.address,
            protocol as u8,
            destination.port,
        )
    } else {
        Finding::of(Reason::SocketKindNotAllowed)
    };
    // A message to an allowed peer is part of a connection that was reported.
    if connected && finding.reason as u8 == Reason::RuleAllows as u8 {
        return GO_ON;
    }
    conclude(acting, kind, finding, |event: *mut Connect| {
        // SAFETY: the reservation is as large as the type.
        unsafe {
            (*event).address = destination.address.address;
            (*event).family = destination.address.family[3];
            (*event).protocol = protocol as u8;
            (*event).port = destination.port;
            (*event).pad = 0;
        }
    })
}

/// Denies an action whose destination is not known.
#[inline(always)]
fn refuse(acting: &Acting, kind: Kind, reason: Reason) -> i32 {
    let finding = Finding::of(acting.fault.unwrap_or(reason));
    conclude(acting, kind, finding, |event: *mut Connect| {
        // SAFETY: the reservation is as large as the type.
        unsafe {
            (*event).address = [0; 16];
            (*event).family = 0;
            (*event).protocol = 0;
            (*event).port = 0;
            (*event).pad = 0;
        }
    })
}

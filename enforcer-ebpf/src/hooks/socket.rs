//! Internet destinations: which sockets may exist, what they may connect and send to.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::{Connect, Kind, Socket},
    label::{
        SOCKETS_ALG, SOCKETS_BLUETOOTH, SOCKETS_CAN, SOCKETS_NETLINK, SOCKETS_NETLINK_ROUTE,
        SOCKETS_PACKET, SOCKETS_PING, SOCKETS_RAW, SOCKETS_VSOCK,
    },
    object::{Address, LISTEN, TCP, UDP},
    verdict::Reason,
};

use super::{control, unix};
use crate::{
    address::{AF_INET, AF_INET6, AF_UNIX, Destination, Named, Use, named},
    decide::{self, Finding},
    emit::{GO_ON, conclude, conclude_other},
    kernel::{
        MSG_FLAGS, MSG_NAME, MSG_NAMELEN, Ptr, SK_DADDR, SK_DPORT, SK_FAMILY, SK_NUM, SK_PROTOCOL,
        SK_RCV_SADDR, SK_TYPE, SK_V6_DADDR, SK_V6_RCV_SADDR, SOCKET_SK, UNIX_ADDRESS, own_made,
    },
    label::Acting,
};

const SOCK_STREAM: u32 = 1;
pub const SOCK_DGRAM: u32 = 2;
const SOCK_RAW: u32 = 3;
const SOCK_SEQPACKET: u32 = 5;
const MSG_FASTOPEN: u32 = 0x2000_0000;
/// `socket_create(family, type, protocol, kern)`: what cannot be judged later must not exist.
#[lsm(hook = "socket_create")]
pub fn socket_create(ctx: LsmContext) -> i32 {
    let (family, kind, protocol): (u32, u32, u32) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    let kernel_internal: u32 = ctx.arg(3);
    if kernel_internal != 0 || can_be_judged(family, kind, protocol) {
        return GO_ON;
    }
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    if decide::has_sockets(&acting, kinds_of(family, kind, protocol)) {
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

/// The kinds (`SOCKETS_*`) that a policy may name for such a socket; 0 = none. Numbers are those of
/// `linux/socket.h` and `linux/in.h`.
#[inline(always)]
const fn kinds_of(family: u32, kind: u32, protocol: u32) -> u32 {
    match family {
        2 | 10 if kind == SOCK_RAW => SOCKETS_RAW,
        2 if kind == SOCK_DGRAM && protocol == 1 => SOCKETS_PING, // IPPROTO_ICMP
        10 if kind == SOCK_DGRAM && protocol == 58 => SOCKETS_PING, // IPPROTO_ICMPV6
        16 if protocol == 0 => SOCKETS_NETLINK | SOCKETS_NETLINK_ROUTE,
        _ => kinds_of_family(family),
    }
}

/// As [`kinds_of`], by family alone.
#[inline(always)]
const fn kinds_of_family(family: u32) -> u32 {
    match family {
        16 => SOCKETS_NETLINK,
        17 => SOCKETS_PACKET,
        29 => SOCKETS_CAN,
        31 => SOCKETS_BLUETOOTH,
        38 => SOCKETS_ALG,
        40 => SOCKETS_VSOCK,
        _ => 0,
    }
}

/// Whether a socket that leads nowhere that could be judged may be used: it was made by leave of
/// [`socket_create`], or came from outside to an agent that may have such sockets.
#[inline(always)]
fn may_use(acting: &Acting, sk: Ptr, family: u16) -> bool {
    let (kind, protocol): (u16, u16) = (sk.load(&SK_TYPE), sk.load(&SK_PROTOCOL));
    let kinds = kinds_of(family as u32, kind as u32, protocol as u32);
    decide::has_sockets(acting, kinds)
}

/// Whether a socket's destinations are judged: those of TCP and UDP. A raw socket of either protocol
/// is neither.
#[inline(always)]
fn is_judged(sk: Ptr, family: u16) -> bool {
    let protocol: u16 = sk.load(&SK_PROTOCOL);
    is_internet(family)
        && sk.load::<u16>(&SK_TYPE) as u32 != SOCK_RAW
        && (protocol == TCP as u16 || protocol == UDP as u16)
}

/// The answer about a socket of which nothing can be judged.
#[inline(always)]
fn unjudged(acting: &Acting, kind: Kind, sk: Ptr, family: u16) -> i32 {
    if may_use(acting, sk, family) {
        GO_ON
    } else {
        refuse(acting, kind, Reason::SocketKindNotAllowed)
    }
}

/// `socket_connect(sock, address, addrlen)`; the address is already a kernel copy.
#[lsm(hook = "socket_connect")]
pub fn socket_connect(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current_or_seeded() else {
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
    if !is_judged(sk, family) {
        return unjudged(&acting, Kind::Connect, sk, family);
    }
    match named(sk, Ptr::new(ctx.arg(1)), ctx.arg::<u32>(2), Use::Connect) {
        Named::Destination(destination) => judge(&acting, Kind::Connect, sk, destination),
        Named::Nothing => GO_ON, // dissolves the association and reaches nobody
        Named::Fault(reason) => refuse(&acting, Kind::Connect, reason),
    }
}

/// `socket_sendmsg(sock, msg, size)`
#[lsm(hook = "socket_sendmsg")]
pub fn socket_sendmsg(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current_or_seeded() else {
        return GO_ON;
    };
    let sk = Ptr::new(ctx.arg(0)).follow(&SOCKET_SK);
    if sk.is_null() {
        return refuse(&acting, Kind::Send, Reason::ReadFailed);
    }
    let family: u16 = sk.load(&SK_FAMILY);
    if family == AF_UNIX {
        return unix::judge_written(&acting, sk);
    }
    if !is_judged(sk, family) {
        return unjudged(&acting, Kind::Send, sk, family);
    }
    let message = Ptr::new(ctx.arg(1));
    if let Some(kind) = control::redirects(message) {
        return conclude_other(&acting, Kind::SocketOption, decide::never(&acting), 0, kind);
    }
    let target = if takes_name(sk, message) {
        let name = message.follow(&MSG_NAME);
        named(sk, name, message.load(&MSG_NAMELEN), Use::Send)
    } else {
        Named::Nothing
    };
    let answer = match target {
        Named::Destination(destination) => judge(&acting, Kind::Send, sk, destination),
        Named::Nothing => GO_ON,
        Named::Fault(reason) => refuse(&acting, Kind::Send, reason),
    };
    // A name does not keep TCP from sending to a peer that it has.
    let to_peer = matches!(target, Named::Nothing) || is_tcp(sk);
    if answer == GO_ON && to_peer {
        return judge_peer(&acting, sk, family);
    }
    answer
}

/// `socket_bind(sock, address, addrlen)`: binding a datagram socket to a port is listening on it.
/// A stream socket listens later, and a port of the kernel's choice is nobody's to find.
#[lsm(hook = "socket_bind")]
pub fn socket_bind(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let sk = Ptr::new(ctx.arg(0)).follow(&SOCKET_SK);
    if sk.is_null() {
        return refuse(&acting, Kind::Listen, Reason::ReadFailed);
    }
    let family: u16 = sk.load(&SK_FAMILY);
    if family == AF_UNIX {
        // A socket is bound once: one that was bound outside stays what it was.
        if sk.read::<u64>(&UNIX_ADDRESS) == Some(0)
            && let Some(own) = own_made(sk)
        {
            // SAFETY: a live map value of integers.
            unsafe { (*own).bound = acting.session };
        }
        return GO_ON;
    }
    if !is_judged(sk, family) {
        return unjudged(&acting, Kind::Listen, sk, family);
    }
    if is_tcp(sk) {
        return GO_ON;
    }
    match named(sk, Ptr::new(ctx.arg(1)), ctx.arg::<u32>(2), Use::Bind) {
        Named::Destination(local) if local.port == 0 => GO_ON,
        Named::Destination(local) => judge_local(&acting, sk, local),
        Named::Nothing => GO_ON, // IPv6 refuses it; IPv4 reads it as AF_INET, and so did `named`
        Named::Fault(reason) => refuse(&acting, Kind::Listen, reason),
    }
}

/// `socket_listen(sock, backlog)`
#[lsm(hook = "socket_listen")]
pub fn socket_listen(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current_or_seeded() else {
        return GO_ON;
    };
    let sk = Ptr::new(ctx.arg(0)).follow(&SOCKET_SK);
    if sk.is_null() {
        return refuse(&acting, Kind::Listen, Reason::ReadFailed);
    }
    let family: u16 = sk.load(&SK_FAMILY);
    if family == AF_UNIX {
        return GO_ON; // reached only through the file system or by name, where its peers are judged
    }
    if !is_judged(sk, family) {
        return unjudged(&acting, Kind::Listen, sk, family);
    }
    judge_local(&acting, sk, Ends::of(sk, family).local)
}

#[inline(always)]
fn judge_local(acting: &Acting, sk: Ptr, local: Destination) -> i32 {
    let protocol: u16 = sk.load(&SK_PROTOCOL);
    let finding = decide::destination(acting, &local.address, protocol as u8 | LISTEN, local.port);
    tell(acting, Kind::Listen, protocol, local, finding)
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
    !is_tcp(sk) || message.load::<u32>(&MSG_FLAGS) & MSG_FASTOPEN != 0
}

#[inline(always)]
fn is_tcp(sk: Ptr) -> bool {
    sk.load::<u16>(&SK_PROTOCOL) == TCP as u16
}

/// The two ends of a socket.
#[derive(Clone, Copy)]
struct Ends {
    protocol: u16,
    peer: Destination,
    local: Destination,
}

impl Ends {
    /// Of a socket whose type the verifier knows.
    #[inline(always)]
    fn of(sk: Ptr, family: u16) -> Self {
        let (peer, local) = if family == AF_INET6 {
            (
                Address::v6(sk.load(&SK_V6_DADDR)),
                Address::v6(sk.load(&SK_V6_RCV_SADDR)),
            )
        } else {
            (
                Address::v4(sk.load(&SK_DADDR)),
                Address::v4(sk.load(&SK_RCV_SADDR)),
            )
        };
        Self {
            protocol: sk.load(&SK_PROTOCOL),
            peer: Destination {
                address: peer,
                port: u16::from_be(sk.load(&SK_DPORT)),
            },
            local: Destination {
                address: local,
                port: sk.load(&SK_NUM),
            },
        }
    }
}

/// Judges a message that goes to the socket's peer. The peer is judged each time and not
/// remembered: a socket may come from outside the session, and a policy may change under it.
#[inline(always)]
fn judge_peer(acting: &Acting, sk: Ptr, family: u16) -> i32 {
    let Ends {
        protocol,
        peer,
        local,
    } = Ends::of(sk, family);
    if peer.port == 0 && peer.address.is_unspecified() {
        return GO_ON; // no peer: the kernel itself refuses the message
    }
    let finding = reachable(acting, protocol, &peer);
    // A message to an allowed peer is part of a connection that was reported.
    if finding.reason as u8 == Reason::RuleAllows as u8 {
        return GO_ON;
    }
    // An answer to who connected to where the agent may listen. What the agent connected itself was
    // judged then, whatever its own port.
    if protocol == TCP as u16 && decide::may_listen(acting, &local.address, local.port) {
        return GO_ON;
    }
    tell(acting, Kind::SendConnected, protocol, peer, finding)
}

/// Judges a write to the file of this `struct socket`.
#[inline(always)]
pub fn judge_written(acting: &Acting, socket: Ptr) -> i32 {
    let sk = socket.follow(&SOCKET_SK);
    if sk.is_null() {
        return GO_ON; // released: there is nobody to write to
    }
    let family: u16 = sk.load(&SK_FAMILY);
    if family == AF_UNIX {
        return unix::judge_written(acting, sk);
    }
    if is_judged(sk, family) {
        judge_peer(acting, sk, family)
    } else {
        unjudged(acting, Kind::SendConnected, sk, family)
    }
}

#[inline(always)]
fn judge(acting: &Acting, kind: Kind, sk: Ptr, destination: Destination) -> i32 {
    let protocol: u16 = sk.load(&SK_PROTOCOL);
    let finding = reachable(acting, protocol, &destination);
    tell(acting, kind, protocol, destination, finding)
}

#[inline(always)]
fn reachable(acting: &Acting, protocol: u16, destination: &Destination) -> Finding {
    decide::destination(
        acting,
        &destination.address,
        protocol as u8,
        destination.port,
    )
}

/// Concludes about an endpoint.
#[inline(always)]
fn tell(
    acting: &Acting,
    kind: Kind,
    protocol: u16,
    endpoint: Destination,
    finding: Finding,
) -> i32 {
    conclude(acting, kind, finding, |event: *mut Connect| {
        // SAFETY: the reservation is as large as the type.
        unsafe {
            (&raw mut (*event).address)
                .cast::<[u32; 4]>()
                .write(endpoint.address.words);
            (*event).family = endpoint.address.family as u8;
            (*event).protocol = protocol as u8;
            (*event).port = endpoint.port;
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

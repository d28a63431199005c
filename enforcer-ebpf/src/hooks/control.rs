//! Options of sockets, and control data of messages, that lead packets elsewhere than to the address
//! that is judged: source routes, policies of transformation, another family, an interface chosen against
//! the routes; and groups to join, about which the kernel itself sends packets with what the caller chose.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::event::Kind;

use crate::{
    emit::{GO_ON, refuse},
    kernel::{MSG_CONTROL, MSG_CONTROLLEN, Ptr},
};

/// `SOL_IP`, `SOL_SOCKET`, `SOL_TCP`, `SOL_IPV6`.
const IP: u32 = 0;
const SOCKET: u32 = 1;
const TCP: u32 = 6;
const IPV6: u32 = 41;
/// Control messages looked at. Who sends more is refused.
const MESSAGES: u32 = 4;
/// `struct cmsghdr` begins: length (8 bytes), level and type (4 bytes each).
#[repr(C)]
#[derive(Clone, Copy)]
struct ControlHeader {
    length: u64,
    level: u32,
    kind: u32,
}
const HEADER: u64 = size_of::<ControlHeader>() as u64;

/// Whether setting this option is refused. Numbers are those of `linux/in.h`, `linux/in6.h`,
/// `linux/tcp.h` and the packet filters' `IPT_SO_SET_*`.
#[inline(always)]
const fn option_redirects(level: u32, option: u32) -> bool {
    match level {
        // SO_BINDTODEVICE, SO_BINDTOIFINDEX: where no route leads, the address is taken to be on that link.
        SOCKET => matches!(option, 25 | 62),
        // IP_OPTIONS (source routes), IP_IPSEC_POLICY, IP_XFRM_POLICY, IP_MULTICAST_IF, groups to join and
        // what goes with them (IP_ADD_MEMBERSHIP to MCAST_MSFILTER), IP_UNICAST_IF, packet filters.
        IP => matches!(option, 4 | 16 | 17 | 32 | 35..=48 | 50 | 64..),
        // IPV6_ADDRFORM, 2292RTHDR, 2292PKTOPTIONS, MULTICAST_IF, JOIN_GROUP, JOIN_ANYCAST, FLOWLABEL_MGR,
        // IPSEC_POLICY, XFRM_POLICY, MCAST_JOIN_GROUP to MCAST_MSFILTER, HOPOPTS, RTHDRDSTOPTS, RTHDR,
        // DSTOPTS, packet filters, IPV6_UNICAST_IF.
        IPV6 => matches!(
            option,
            1 | 5 | 6 | 17 | 20 | 27 | 32 | 34 | 35 | 42..=48 | 54 | 55 | 57 | 59 | 64 | 65 | 76
        ),
        // TCP_REPAIR, TCP_ULP (SMC among them).
        TCP => matches!(option, 19 | 31),
        _ => false,
    }
}

/// Whether this control message is refused: IP_RETOPTS, IPV6_2292RTHDR, IPV6_FLOWINFO,
/// IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_DSTOPTS.
#[inline(always)]
const fn message_redirects(level: u32, kind: u32) -> bool {
    match level {
        IP => kind == 7,
        IPV6 => matches!(kind, 3 | 4 | 5 | 11 | 54 | 55 | 57 | 59),
        _ => false,
    }
}

/// `struct in_pktinfo` and `struct in6_pktinfo`: where the interface stands behind the header.
const IP_PKTINFO: u32 = 8;
const IPV6_2292PKTINFO: u32 = 2;
const IPV6_PKTINFO: u32 = 50;
const INTERFACE_V4: u64 = HEADER;
const INTERFACE_V6: u64 = HEADER + 16;

/// Whether this control message, at `at`, chooses an interface. With the address that a message is to come
/// from, for which it is commonly sent, it names none.
#[inline(always)]
fn chooses_interface(at: Ptr, level: u32, kind: u32) -> bool {
    let place = match (level, kind) {
        (IP, IP_PKTINFO) => INTERFACE_V4,
        (IPV6, IPV6_PKTINFO | IPV6_2292PKTINFO) => INTERFACE_V6,
        _ => return false,
    };
    at.plus(place).copy::<u32>() != Some(0)
}

/// `socket_setsockopt(sock, level, optname)`
#[lsm(hook = "socket_setsockopt")]
pub fn socket_setsockopt(ctx: LsmContext) -> i32 {
    let (level, option): (u32, u32) = (ctx.arg(1), ctx.arg(2));
    if !option_redirects(level, option) {
        return GO_ON;
    }
    refuse(Kind::SocketOption, level << 16 | option & 0xffff)
}

/// Looks through a message's control data; gives level and kind of what must not be sent, or `!0`
/// when it cannot be looked through. The data is the kernel's copy (`____sys_sendmsg`).
#[inline(always)]
pub fn redirects(message: Ptr) -> Option<u32> {
    let length: u64 = message.load(&MSG_CONTROLLEN);
    if length == 0 {
        return None;
    }
    let control = message.follow(&MSG_CONTROL);
    let mut at = 0u64;
    for _ in 0..MESSAGES {
        if at + HEADER > length {
            return None;
        }
        let Some(header) = control.plus(at).copy::<ControlHeader>() else {
            return Some(u32::MAX);
        };
        if message_redirects(header.level, header.kind)
            || chooses_interface(control.plus(at), header.level, header.kind)
        {
            return Some(header.level << 16 | header.kind & 0xffff);
        }
        if header.length < HEADER || header.length > length {
            return None; // the kernel refuses it (CMSG_OK)
        }
        at += (header.length + 7) & !7;
    }
    (at + HEADER <= length).then_some(u32::MAX)
}

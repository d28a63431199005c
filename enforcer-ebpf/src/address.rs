//! Internet addresses as callers give them, made into what is judged.

use core::mem::MaybeUninit;

use enforcer_common::{object::Address, verdict::Reason};

use crate::kernel::{Ptr, SK_FAMILY, SK_RCV_SADDR, SK_V6_RCV_SADDR};

const AF_UNSPEC: u16 = 0;
/// `AF_UNIX` of `linux/socket.h`.
pub const AF_UNIX: u16 = 1;
/// `AF_INET` of `linux/socket.h`.
pub const AF_INET: u16 = 2;
/// `AF_INET6` of `linux/socket.h`.
pub const AF_INET6: u16 = 10;
/// `sizeof(struct sockaddr_in)`; the kernel itself refuses less.
const SOCKADDR_IN_LEN: u32 = 16;
/// `SIN6_LEN_RFC2133`: an address without its scope; the kernel itself refuses less.
const SOCKADDR_IN6_LEN: u32 = 24;
/// `sizeof(struct sockaddr_in6)` in words: what is read of an address, whatever its length. The
/// first holds family and port, the second an IPv4 address, the third and on an IPv6 one.
const SOCKADDR_WORDS: usize = 7;
const LOOPBACK: Address = Address::v4(0x7f00_0001_u32.to_be());
const LOOPBACK6: Address = Address::v6([0, 0, 0, 1_u32.to_be()]);

/// A destination as it will be judged.
#[derive(Clone, Copy)]
pub struct Destination {
    /// Canonical address.
    pub address: Address,
    /// Port in host byte order.
    pub port: u16,
}

/// What an address given by the caller means.
pub enum Named {
    /// It leads there.
    Destination(Destination),
    /// It names nothing: `AF_UNSPEC`.
    Nothing,
    /// It cannot be judged.
    Fault(Reason),
}

/// What an address is given for.
#[derive(Clone, Copy)]
pub enum Use {
    /// connect(2): the unspecified address leads to the host itself, `AF_UNSPEC` dissolves.
    Connect,
    /// sendto(2) and its kin: as for connect, but `AF_UNSPEC` is read as IPv4 by an IPv4 socket.
    Send,
    /// bind(2): the unspecified address is every address.
    Bind,
}

/// Reads an address in kernel memory and makes it canonical.
#[inline(always)]
pub fn named(sk: Ptr, address: Ptr, length: u32, to: Use) -> Named {
    let mut words = MaybeUninit::<[u32; SOCKADDR_WORDS]>::uninit();
    if address.is_null() || !address.copy_to(&mut words) {
        return Named::Fault(Reason::ReadFailed);
    }
    // SAFETY: `copy_to` has written every byte. Those beyond `length` are not the caller's and are
    // not looked at below.
    let [head, v4, a, b, c, d, _] = unsafe { words.assume_init() };
    if length < 2 {
        return Named::Fault(Reason::AddressNotJudgeable);
    }
    let [f0, f1, p0, p1] = head.to_ne_bytes();
    let port = u16::from_be_bytes([p0, p1]);
    let mut family = u16::from_ne_bytes([f0, f1]);
    let disconnects = matches!(to, Use::Connect);
    if family == AF_UNSPEC && !disconnects && sk.load::<u16>(&SK_FAMILY) == AF_INET {
        family = AF_INET; // so `udp_sendmsg` and `inet_bind` take it
    }
    let address = match family {
        AF_INET if length >= SOCKADDR_IN_LEN => Address::v4(v4),
        AF_INET6 if length >= SOCKADDR_IN6_LEN => Address::v6([a, b, c, d]),
        AF_UNSPEC if disconnects => return Named::Nothing,
        // Among them AF_UNSPEC to an IPv6 socket: that socket may be made an IPv4 one meanwhile.
        _ => return Named::Fault(Reason::AddressNotJudgeable),
    };
    let address = match to {
        Use::Bind => address,
        Use::Connect | Use::Send => reached(sk, address),
    };
    Named::Destination(Destination { address, port })
}

/// Where an address leads. The unspecified IPv4 address leads to the socket's own, else to loopback
/// (`ip_route_output_key_hash_rcu`); that of IPv6 to loopback: of IPv4 when the socket is bound to a
/// mapped address (`tcp_v6_connect`, `udpv6_sendmsg`).
#[inline(always)]
fn reached(sk: Ptr, address: Address) -> Address {
    if !address.is_unspecified() {
        return address;
    }
    if address.is_v4() {
        return match sk.load::<u32>(&SK_RCV_SADDR) {
            0 => LOOPBACK,
            own => Address::v4(own),
        };
    }
    if Address::v6(sk.load(&SK_V6_RCV_SADDR)).is_v4() {
        LOOPBACK
    } else {
        LOOPBACK6
    }
}

//! Destinations, and the local addresses of listen rules, which are written alike.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fault::Fault;
use crate::{
    diagnostic::quoted,
    model::{Address, Destination, End, Ports, Protocol},
    request::Request,
};

/// What an end is called, and how it is written.
const fn form(end: End) -> (&'static str, &'static str) {
    match end {
        End::Remote => (
            "a destination",
            "`tcp:140.82.112.0/20:443`, `udp:10.0.0.1:53`, `tcp:[2606:50c0::]/32:443`, \
            `tcp:*:8000-8999`",
        ),
        End::Local => (
            "an address to listen on",
            "`tcp:127.0.0.1:3000-3999`, `tcp:[::1]:8080`, `tcp:0.0.0.0:80`, `udp:*:5353`",
        ),
    }
}

/// The parts of `protocol:address:port`, each with its place.
struct Parts<'a> {
    text: &'a str,
    end: End,
    protocol: Protocol,
    address: Range<usize>,
    ports: Range<usize>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str, end: End) -> Result<Self, Fault> {
        let (what, as_in) = form(end);
        let shape = || {
            Fault::new(text, format!("{} is not {what}", quoted(text)))
                .expected("`protocol:address:port`")
                .hint(format!("as in {as_in}"))
        };
        let (name, rest) = text.split_once(':').ok_or_else(shape)?;
        let known = Protocol::NAMES.iter().find(|(known, _)| *known == name);
        let Some((_, protocol)) = known else {
            let fault = shape().within(0..name.len()).expected("`tcp` or `udp`");
            return Err(if rest.starts_with("//") {
                fault.hint(format!(
                    "an URL is not {what}: write protocol, address and port"
                ))
            } else {
                fault
            });
        };
        let start = name.len() + 1;
        let colon = rest
            .rfind(':')
            .filter(|colon| !rest[*colon..].contains(']'));
        let colon = colon.ok_or_else(|| {
            Fault::new(text, format!("{} names no port", quoted(text)))
                .expected("a port, a range or `*` at the end")
                .hint(format!("write `{text}:443`, or `{text}:*` for every port"))
        })?;
        Ok(Self {
            text,
            end,
            protocol: *protocol,
            address: start..start + colon,
            ports: start + colon + 1..text.len(),
        })
    }

    fn fault(&self, bytes: &Range<usize>, message: String) -> Fault {
        let fault = Fault::new(self.text, message);
        if bytes.is_empty() {
            fault
        } else {
            fault.within(bytes.clone())
        }
    }
}

/// A destination of a rule.
pub(super) fn parse_destination(text: &str) -> Result<Destination, Fault> {
    places(text, End::Remote)
}

/// The local addresses of a listen rule.
pub(super) fn parse_local(text: &str) -> Result<Destination, Fault> {
    places(text, End::Local)
}

fn places(text: &str, end: End) -> Result<Destination, Fault> {
    let parts = Parts::of(text, end)?;
    Ok(Destination {
        protocol: parts.protocol,
        address: address(&parts)?,
        ports: ports(&parts)?,
    })
}

/// The destination of an example.
pub(super) fn parse_connect(text: &str) -> Result<Request, Fault> {
    let (protocol, address, port) = place(text, End::Remote)?;
    Ok(Request::Connect {
        protocol,
        address,
        port,
    })
}

/// Where an example listens.
pub(super) fn parse_listen(text: &str) -> Result<Request, Fault> {
    let (protocol, address, port) = place(text, End::Local)?;
    Ok(Request::Listen {
        protocol,
        address,
        port,
    })
}

/// One address in any spelling, one port.
fn place(text: &str, end: End) -> Result<(Protocol, IpAddr, u16), Fault> {
    let parts = Parts::of(text, end)?;
    let written = &text[parts.address.clone()];
    let bare = written
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(written).parse().map_err(|_| {
        parts
            .fault(
                &parts.address,
                format!("{} is not one address", quoted(written)),
            )
            .expected("an IPv4 address, or an IPv6 address in brackets")
    })?;
    let Ports { first, last } = ports(&parts)?;
    if first != last {
        let message = "an example names one port".to_owned();
        return Err(parts.fault(&parts.ports, message));
    }
    Ok((parts.protocol, address, first))
}

fn address(parts: &Parts<'_>) -> Result<Address, Fault> {
    let written = &parts.text[parts.address.clone()];
    if written == "*" {
        return Ok(Address::Any);
    }
    if let Some(rest) = written.strip_prefix('[') {
        let Some((inner, length)) = rest.split_once(']') else {
            return Err(parts
                .fault(&parts.address, "the bracket is not closed".into())
                .expected("`[2606:50c0::]/32`"));
        };
        return v6(parts, inner, length).map(|net| Address::Net(IpNet::V6(net)));
    }
    let (host, length) = match written.find('/') {
        Some(slash) => written.split_at(slash),
        None => (written, ""),
    };
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return v4(parts, address, length).map(|net| Address::Net(IpNet::V4(net)));
    }
    Err(not_an_address(parts, host, length))
}

fn not_an_address(parts: &Parts<'_>, host: &str, length: &str) -> Fault {
    let fault = parts.fault(
        &parts.address,
        format!("{} is not an address", quoted(host)),
    );
    if host.parse::<Ipv6Addr>().is_ok() {
        return fault
            .expected("brackets around IPv6")
            .hint(format!("write `[{host}]{length}`"));
    }
    let is_name = host.bytes().any(|b| b.is_ascii_alphabetic()) && !host.contains(':');
    if is_name {
        let message = format!("host names are not supported yet: {}", quoted(host));
        return parts
            .fault(&parts.address, message)
            .expected("an address")
            .hint("list the addresses or the prefix that the name leads to");
    }
    fault.expected("an IPv4 address, an IPv6 address in brackets, or `*`")
}

/// The length after an address: `/20`, or nothing for the address alone.
fn prefix_length(parts: &Parts<'_>, length: &str, most: u8) -> Result<u8, Fault> {
    if length.is_empty() {
        return Ok(most);
    }
    let digits = length.strip_prefix('/').unwrap_or_default();
    let number = digits
        .parse::<u8>()
        .ok()
        .filter(|n| *n <= most && !digits.starts_with('+'));
    number.ok_or_else(|| {
        parts
            .fault(
                &parts.address,
                format!("{} is not a prefix length", quoted(length)),
            )
            .expected(format!("`/0` to `/{most}`"))
    })
}

fn v4(parts: &Parts<'_>, address: Ipv4Addr, length: &str) -> Result<Ipv4Net, Fault> {
    let length = prefix_length(parts, length, 32)?;
    let net = Ipv4Net::new_assert(address, length);
    if net.trunc() != net {
        return Err(host_bits(parts, &net.trunc().to_string()));
    }
    let unspecified = address.is_unspecified() && length == 32;
    if unspecified && parts.end == End::Remote {
        return Err(leads_to(parts, "127.0.0.1"));
    }
    Ok(net)
}

fn v6(parts: &Parts<'_>, inner: &str, length: &str) -> Result<Ipv6Net, Fault> {
    let address: Ipv6Addr = inner.parse().map_err(|_| {
        parts
            .fault(
                &parts.address,
                format!("{} is not an IPv6 address", quoted(inner)),
            )
            .expected("an IPv6 address without zone, as in `[2606:50c0::]/32`")
    })?;
    let length = prefix_length(parts, length, 128)?;
    let net = Ipv6Net::new_assert(address, length);
    if net.trunc() != net {
        let right = format!("[{}]/{length}", net.trunc().addr());
        return Err(host_bits(parts, &right));
    }
    let unspecified = address.is_unspecified() && length == 128;
    if unspecified && parts.end == End::Remote {
        return Err(leads_to(parts, "[::1]"));
    }
    match ForIpv4::of(net) {
        None => Ok(net),
        Some((kind, inner)) => Err(for_ipv4(parts, kind, inner)),
    }
}

fn for_ipv4(parts: &Parts<'_>, kind: ForIpv4, inner: Ipv4Net) -> Fault {
    let name = match kind {
        ForIpv4::Mapped => {
            let message = "IPv4-mapped addresses are judged as the IPv4 address inside them";
            return parts
                .fault(&parts.address, message.into())
                .hint(format!("write `{inner}`"));
        }
        ForIpv4::Nat64 => "NAT64",
        ForIpv4::SixToFour => "6to4",
    };
    let message = format!("a {name} address is never allowed: it goes through a translator");
    parts.fault(&parts.address, message).hint(format!(
        "remove it; a rule about the IPv4 addresses inside is one about `{inner}`"
    ))
}

fn host_bits(parts: &Parts<'_>, right: &str) -> Fault {
    parts
        .fault(&parts.address, "the prefix has host bits".into())
        .expected("zeros after the prefix")
        .hint(format!(
            "write `{right}`, or leave the length out for the one address"
        ))
}

fn leads_to(parts: &Parts<'_>, loopback: &str) -> Fault {
    parts
        .fault(
            &parts.address,
            "the unspecified address leads to loopback".into(),
        )
        .expected("the address that is meant")
        .hint(format!("write `{loopback}`"))
}

/// Why an IPv6 prefix stands for an IPv4 one.
#[derive(Clone, Copy)]
enum ForIpv4 {
    /// RFC 4291 2.5.5.2: the kernel itself sends IPv4.
    Mapped,
    /// RFC 6052: a translator may send IPv4.
    Nat64,
    /// RFC 3056: a relay may send IPv4.
    SixToFour,
}

impl ForIpv4 {
    /// Each with its range.
    const ALL: [(Self, Ipv6Addr, u8); 3] = [
        (Self::Mapped, Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
        (
            Self::Nat64,
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0),
            96,
        ),
        (
            Self::SixToFour,
            Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0),
            16,
        ),
    ];

    /// Which of them a prefix lies inside, and the IPv4 prefix that follows that range in it.
    fn of(net: Ipv6Net) -> Option<(Self, Ipv4Net)> {
        let (kind, _, bits) = Self::ALL
            .into_iter()
            .find(|(_, range, bits)| Ipv6Net::new_assert(*range, *bits).contains(&net))?;
        let inner = (net.addr().to_bits() << bits >> 96) as u32;
        let length = net.prefix_len().saturating_sub(bits).min(32);
        let inner = Ipv4Net::new_assert(Ipv4Addr::from_bits(inner), length);
        Some((kind, inner.trunc()))
    }
}

fn ports(parts: &Parts<'_>) -> Result<Ports, Fault> {
    let written = &parts.text[parts.ports.clone()];
    if written == "*" {
        return Ok(Ports::ANY);
    }
    let port = |digits: &str| {
        let number = digits
            .parse::<u16>()
            .ok()
            .filter(|n| *n != 0 && !digits.starts_with('+'));
        number.ok_or_else(|| {
            parts
                .fault(&parts.ports, format!("{} is not a port", quoted(digits)))
                .expected("1 to 65535, a range as `8000-8999`, or `*`")
        })
    };
    let Some((first, last)) = written.split_once('-') else {
        let only = port(written)?;
        return Ok(Ports {
            first: only,
            last: only,
        });
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(parts
            .fault(&parts.ports, "the range is empty".into())
            .expected("the lower port first")
            .hint(format!("write `{last}-{first}`")));
    }
    Ok(Ports { first, last })
}

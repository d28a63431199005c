//! The texts inside a rule: destinations, paths, unix peers.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use enforcer_common::object::UNIX_NAME_LEN;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    diagnostic::{Diagnostic, quoted},
    model::{Address, Destination, Peer, Ports, Protocol},
    request::Request,
    source::Span,
};

/// What is wrong with a text, and in which of its bytes.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) bytes: Range<usize>,
    message: String,
    expected: Option<String>,
    hint: Option<String>,
}

impl Fault {
    pub(super) fn new(text: &str, message: impl Into<String>) -> Self {
        Self {
            bytes: 0..text.len(),
            message: message.into(),
            expected: None,
            hint: None,
        }
    }

    fn within(mut self, bytes: Range<usize>) -> Self {
        self.bytes = bytes;
        self
    }

    pub(super) fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    pub(super) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// The diagnostic of this fault at a place in the file.
    pub(super) fn at(&self, span: Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(span, &self.message);
        diagnostic.expected.clone_from(&self.expected);
        diagnostic.hint.clone_from(&self.hint);
        diagnostic
    }
}

const FORM: &str = "`tcp:140.82.112.0/20:443`, `udp:10.0.0.1:53`, `tcp:[2606:50c0::]/32:443`, \
    `tcp:*:8000-8999`";

/// The parts of `protocol:address:port`, each with its place.
struct Parts<'a> {
    text: &'a str,
    protocol: Protocol,
    address: Range<usize>,
    ports: Range<usize>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, Fault> {
        let shape = || {
            Fault::new(text, format!("{} is not a destination", quoted(text)))
                .expected("`protocol:address:port`")
                .hint(format!("as in {FORM}"))
        };
        let (name, rest) = text.split_once(':').ok_or_else(shape)?;
        let known = Protocol::NAMES.iter().find(|(known, _)| *known == name);
        let Some((_, protocol)) = known else {
            let fault = shape().within(0..name.len()).expected("`tcp` or `udp`");
            return Err(if rest.starts_with("//") {
                fault.hint("an URL is not a destination: write protocol, address and port")
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
    let parts = Parts::of(text)?;
    Ok(Destination {
        protocol: parts.protocol,
        address: address(&parts)?,
        ports: ports(&parts)?,
    })
}

/// The destination of an example: one address in any spelling, one port.
pub(super) fn parse_endpoint(text: &str) -> Result<Request, Fault> {
    let parts = Parts::of(text)?;
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
    Ok(Request::Connect {
        protocol: parts.protocol,
        address,
        port: first,
    })
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
    if address.is_unspecified() && length == 32 {
        return Err(unspecified(parts, "127.0.0.1"));
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
    if address.is_unspecified() && length == 128 {
        return Err(unspecified(parts, "[::1]"));
    }
    match inside_ipv4(net) {
        None => Ok(net),
        Some((kind, inner)) => {
            let message = format!("{kind} addresses are judged as the IPv4 address inside them");
            Err(parts
                .fault(&parts.address, message)
                .hint(format!("write `{inner}`")))
        }
    }
}

fn host_bits(parts: &Parts<'_>, right: &str) -> Fault {
    parts
        .fault(&parts.address, "the prefix has host bits".into())
        .expected("zeros after the prefix")
        .hint(format!(
            "write `{right}`, or leave the length out for the one address"
        ))
}

fn unspecified(parts: &Parts<'_>, loopback: &str) -> Fault {
    parts
        .fault(
            &parts.address,
            "the unspecified address leads to loopback".into(),
        )
        .expected("the address that is meant")
        .hint(format!("write `{loopback}`"))
}

/// The IPv4 prefix that a prefix inside one of the three embedding ranges stands for.
fn inside_ipv4(net: Ipv6Net) -> Option<(&'static str, Ipv4Net)> {
    let octets = net.addr().octets();
    let range = |text: &str| {
        text.parse::<Ipv6Net>()
            .is_ok_and(|range| range.contains(&net))
    };
    let tail = |from: usize| {
        Ipv4Addr::new(
            octets[from],
            octets[from + 1],
            octets[from + 2],
            octets[from + 3],
        )
    };
    let embedded = |from: usize, bits: u8| {
        Ipv4Net::new_assert(tail(from), net.prefix_len().saturating_sub(bits).min(32)).trunc()
    };
    if range("::ffff:0:0/96") {
        Some(("IPv4-mapped", embedded(12, 96)))
    } else if range("64:ff9b::/96") {
        Some(("NAT64", embedded(12, 96)))
    } else if range("2002::/16") {
        Some(("6to4", embedded(2, 16)))
    } else {
        None
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

/// An absolute path in its plain form; `/` at its end says "directory".
pub(super) fn parse_path(text: &str) -> Result<String, Fault> {
    let fault = |message: &str| Fault::new(text, format!("{} {message}", quoted(text)));
    if !text.starts_with('/') {
        return Err(fault("is not an absolute path").expected("a path that begins with `/`"));
    }
    if text.contains('\0') {
        return Err(fault("has a NUL, which no path can have"));
    }
    let inner = text.strip_suffix('/').unwrap_or(text);
    if inner.is_empty() {
        return Err(fault("is every file of the host").expected("a smaller directory"));
    }
    if inner
        .split('/')
        .skip(1)
        .any(|name| matches!(name, "" | "." | ".."))
    {
        return Err(fault("is not a plain path").expected("a path without `//`, `.` and `..`"));
    }
    Ok(text.to_owned())
}

/// A unix peer: an absolute path, or `@` and an abstract name.
pub(super) fn parse_peer(text: &str) -> Result<Peer, Fault> {
    let Some(name) = text.strip_prefix('@') else {
        let path = parse_path(text).map_err(|fault| {
            if text.starts_with('/') {
                return fault;
            }
            fault.expected("an absolute path, or `@` and an abstract name")
        })?;
        if path.ends_with('/') {
            return Err(Fault::new(text, format!("{} is a directory", quoted(text)))
                .expected("the path of one socket"));
        }
        return Ok(Peer::Path(path));
    };
    let longest = UNIX_NAME_LEN - 1;
    if name.is_empty() || name.len() > longest {
        return Err(
            Fault::new(text, format!("{} cannot be an abstract name", quoted(text)))
                .expected(format!("1 to {longest} bytes after `@`")),
        );
    }
    Ok(Peer::Abstract(name.to_owned()))
}

//! Class 4001, network activity: connecting, sending, unix sockets, making a socket.
//!
//! A denied connect is an attempted opening, not a refusal: that is the peer's word. A datagram
//! sent to a named address opens a flow as well; only sending on an open one is traffic.
//!
//! Unix sockets are in this class too: its endpoint may be a name without an address, and the
//! schema has no other class for a connection. So is the making of a socket, as an opening that
//! has only a source, this host.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use enforcer_common::{
    event::Kind,
    object::{TCP, UDP},
    verdict::Reason,
};
use serde_json::{Value, json};

use super::{
    draft::{Class, Member},
    scene::{Scene, UNKNOWN},
};
use crate::record::{
    event::{Endpoint, Socket, UnixPeer},
    names::file_uid,
    text::escaped,
};

const CLASS: Class = Class {
    uid: 4001,
    name: "Network Activity",
    category_uid: 4,
};
const OPEN: Member = (1, "Open");
const TRAFFIC: Member = (6, "Traffic");
const LISTEN: Member = (7, "Listen");
const INBOUND: Member = (1, "Inbound");
const OUTBOUND: Member = (2, "Outbound");
const LOCAL: Member = (4, "Local");

/// The record of a connection or a message to an internet address.
pub(super) fn endpoint(scene: &Scene<'_>, endpoint: Endpoint) -> Value {
    let protocol = protocol_name(endpoint.protocol);
    let listens = scene.head.kind == Kind::Listen;
    let direction = if listens { INBOUND } else { OUTBOUND };
    // Who will come is not known; `dst_endpoint` is where they come to.
    let connection = json!({
        "direction": direction.1,
        "direction_id": direction.0,
        "protocol_name": protocol,
        "protocol_num": endpoint.protocol,
        "protocol_ver_id": endpoint.address.map(version),
    });
    scene
        .draft(CLASS, activity(scene.head.kind), &told(endpoint, protocol))
        .with("connection_info", connection)
        .with("dst_endpoint", destination(endpoint))
        .finish()
}

/// The record of a connection or a message to a unix socket.
pub(super) fn unix(scene: &Scene<'_>, peer: &UnixPeer) -> Value {
    // What was read before a read failed is no identity; a path stands beside it, as evidence.
    let unread = scene.head.reason == Reason::ReadFailed;
    let (kind, name, file) = match peer {
        UnixPeer::Path { file, path } => ("path", escaped(path), file_uid(*file)),
        UnixPeer::Abstract(_) | UnixPeer::Unnamed if unread => (UNKNOWN, UNKNOWN.to_owned(), None),
        UnixPeer::Abstract(name) => ("abstract", format!("@{}", escaped(name)), None),
        UnixPeer::Unnamed => ("unnamed", "unnamed".to_owned(), None),
        UnixPeer::Unknown => (UNKNOWN, UNKNOWN.to_owned(), None),
    };
    // A path can be left empty by its binder's namespace; the inode then names the endpoint.
    let name = if name.is_empty() {
        file.clone().unwrap_or_else(|| UNKNOWN.to_owned())
    } else {
        name
    };
    scene
        .draft(CLASS, OPEN, &name)
        .with(
            "connection_info",
            json!({"direction": LOCAL.1, "direction_id": LOCAL.0, "protocol_name": "unix"}),
        )
        .with("dst_endpoint", json!({"name": name, "uid": file}))
        .unmapped("unix_kind", kind)
        .finish()
}

/// The record of a socket that was not made.
pub(super) fn socket(scene: &Scene<'_>, socket: Socket) -> Value {
    let name = format!(
        "family {} type {} protocol {}",
        socket.family, socket.kind, socket.protocol
    );
    scene
        .draft(CLASS, OPEN, &name)
        .with(
            "connection_info",
            json!({"direction_id": 0, "protocol_name": name}),
        )
        .with(
            "src_endpoint",
            json!({"hostname": scene.host.hostname, "name": scene.host.hostname}),
        )
        .unmapped("socket_family", socket.family)
        .unmapped("socket_type", socket.kind)
        .unmapped("socket_protocol", socket.protocol)
        .finish()
}

fn activity(kind: Kind) -> Member {
    if kind == Kind::SendConnected {
        TRAFFIC
    } else if kind == Kind::Listen {
        LISTEN
    } else {
        OPEN
    }
}

fn destination(endpoint: Endpoint) -> Value {
    match endpoint.address {
        Some(address) => json!({"ip": address.to_string(), "port": endpoint.port}),
        None => json!({"name": UNKNOWN}),
    }
}

fn told(endpoint: Endpoint, protocol: Option<&str>) -> String {
    let protocol = protocol.map_or_else(|| endpoint.protocol.to_string(), str::to_owned);
    match endpoint.address {
        Some(address) => format!("{protocol}:{}", SocketAddr::new(address, endpoint.port)),
        None => format!("{protocol}:{UNKNOWN}"),
    }
}

const fn version(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 6,
    }
}

const fn protocol_name(protocol: u8) -> Option<&'static str> {
    match protocol {
        TCP => Some("tcp"),
        UDP => Some("udp"),
        _ => None,
    }
}

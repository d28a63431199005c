//! Who asks, and for what: the words that `judge`, the tables and the kernel are compared in.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use enforcer_common::object::{FileId, FileStamp, UnixKey};

use crate::model::Protocol;

/// The acting executable: the files of its interpreter levels (script first), or one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its files. None = the launcher's image, which no rule names: only rules without `by` hold.
    pub files: Vec<FileId>,
}

impl Subject {
    /// The launcher's image, before a session's first exec.
    #[must_use]
    pub const fn launcher() -> Self {
        Self { files: Vec::new() }
    }
}

impl From<FileId> for Subject {
    fn from(file: FileId) -> Self {
        Self { files: vec![file] }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Running a file (one interpreter level).
    Exec {
        /// Its identity.
        file: FileId,
        /// Its stamp now.
        stamp: FileStamp,
    },
    /// Reaching an internet destination.
    Connect {
        /// Transport.
        protocol: Protocol,
        /// Address in any spelling: an IPv4-mapped address is the IPv4 host, the unspecified address
        /// is loopback (the socket is taken to be unbound). One that goes through a translator (NAT64,
        /// 6to4) is not judged but denied.
        address: IpAddr,
        /// Port.
        port: u16,
    },
    /// Receiving: listening for TCP connections, or binding a UDP socket to a port.
    Listen {
        /// Transport.
        protocol: Protocol,
        /// Address of the host in any spelling, as in [`Request::Connect`]; the unspecified address
        /// is itself: every address of the host.
        address: IpAddr,
        /// Port; 0 = a port of the kernel's choice.
        port: u16,
    },
    /// Reaching a unix socket.
    Unix {
        /// The peer as the kernel sees it.
        peer: UnixKey,
    },
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exec { file, .. } => write!(f, "exec of {file:?}"),
            Self::Connect {
                protocol,
                address,
                port,
            }
            | Self::Listen {
                protocol,
                address,
                port,
            } => write!(
                f,
                "{}:{}",
                protocol.name(),
                SocketAddr::new(*address, *port)
            ),
            Self::Unix { peer } => write!(f, "unix peer of kind {}", peer.kind),
        }
    }
}

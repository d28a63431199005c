//! The configuration, `ship.toml`: read strictly, each error with its place and what to do.
//!
//! `docs/shipping.md` lists every key.

mod address;
mod check;
mod diagnostic;
mod fields;
mod parse;
mod secret;
mod target;
mod value;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

pub use diagnostic::{Diagnostic, Diagnostics};
pub use parse::Surroundings;
pub use secret::SecretFile;
pub use value::Endpoint;

use crate::{filter::Filter, spool::Limit};

/// Where the certificates of public authorities are on Debian and what descends from it.
pub const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What is to be shipped where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The sinks, in the order of the file.
    pub sinks: Vec<SinkConfig>,
}

/// One `[[sink]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// Its name: of its files, and in what people read.
    pub name: String,
    /// Name of the form that records are sent in.
    pub format: String,
    /// Which records it gets.
    pub filter: Filter,
    /// How much one batch has at most.
    pub batch: Limit,
    /// How long a batch that is not full waits for more.
    pub linger: Duration,
    /// How long the receiver has for a connection, a request or an acknowledgement.
    pub timeout: Duration,
    /// How it is tried again.
    pub retry: Retry,
    /// The protocol and what belongs to it.
    pub target: Target,
}

/// Waits after failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Upper bound of the first wait; each further one has twice the bound.
    pub first: Duration,
    /// Greatest bound.
    pub most: Duration,
    /// Wait while somebody must act.
    pub held: Duration,
}

/// A protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `file`
    File(FileTarget),
    /// `journald`
    Journald(JournaldTarget),
    /// `syslog`
    Syslog(SyslogTarget),
    /// `relp`
    Relp(RelpTarget),
    /// `otlp`
    Otlp(OtlpTarget),
    /// `hec`
    Hec(HecTarget),
    /// `elastic`
    Elastic(ElasticTarget),
    /// `nats`
    Nats(NatsTarget),
}

impl Target {
    /// Names of the types, for `type`.
    pub const TYPES: [&'static str; 8] = [
        "file", "journald", "syslog", "relp", "otlp", "hec", "elastic", "nats",
    ];

    /// Its `type`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Journald(_) => "journald",
            Self::Syslog(_) => "syslog",
            Self::Relp(_) => "relp",
            Self::Otlp(_) => "otlp",
            Self::Hec(_) => "hec",
            Self::Elastic(_) => "elastic",
            Self::Nats(_) => "nats",
        }
    }

    /// Where it sends to, for people.
    #[must_use]
    pub fn endpoint(&self) -> String {
        match self {
            Self::File(target) => target.path.display().to_string(),
            Self::Journald(target) => target.socket.display().to_string(),
            Self::Syslog(target) => target.endpoint.text.clone(),
            Self::Relp(target) => target.endpoint.text.clone(),
            Self::Otlp(target) => target.http.endpoint.text.clone(),
            Self::Hec(target) => target.http.endpoint.text.clone(),
            Self::Elastic(target) => target.http.endpoint.text.clone(),
            Self::Nats(target) => target.endpoint.text.clone(),
        }
    }
}

/// TLS to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates (PEM) of the authorities that the receiver's must be signed by.
    pub ca: PathBuf,
    /// The shipper's own certificate (PEM, with its chain) and key.
    pub client: Option<(PathBuf, SecretFile)>,
    /// The name that the receiver's certificate must have.
    pub server_name: String,
}

/// `file`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTarget {
    /// The file.
    pub path: PathBuf,
    /// Bytes at which the file is set aside and a new one is begun.
    pub rotate_bytes: u64,
    /// Files set aside that are kept.
    pub keep: u32,
}

/// `journald`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournaldTarget {
    /// Its socket.
    pub socket: PathBuf,
}

/// What a syslog message says of its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogHeader {
    /// Facility, RFC 5424 table 1.
    pub facility: u8,
    /// `APP-NAME`.
    pub app_name: String,
    /// `SD-ID` of the element with the record's uid.
    pub sd_id: String,
}

/// How records sent by plain syslog come to count as acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// When the receiver has closed the connection after the shipper ended its side: it has then
    /// read all of it. By TLS it must say so by `close_notify`.
    Close,
    /// The same, where the receiver's TLS says nothing at the end: whoever can cut the connection
    /// can then make records count that did not arrive.
    Eof,
    /// When the system has taken them: what is under way when a connection breaks is lost.
    Write,
}

/// `syslog`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogTarget {
    /// `tcp://` or `tls://`.
    pub endpoint: Endpoint,
    /// For `tls://`.
    pub tls: Option<Tls>,
    /// The messages' header.
    pub header: SyslogHeader,
    /// What acknowledges.
    pub confirm: Confirm,
    /// Unless [`Confirm::Write`]: records after which the connection is closed.
    pub confirm_records: usize,
    /// Unless [`Confirm::Write`]: time after the first unacknowledged record.
    pub confirm_after: Duration,
}

/// `relp`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelpTarget {
    /// `tcp://` or `tls://`.
    pub endpoint: Endpoint,
    /// For `tls://`.
    pub tls: Option<Tls>,
    /// The messages' header.
    pub header: SyslogHeader,
    /// Records under way without acknowledgement.
    pub window: usize,
}

/// A receiver spoken to by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// `http://` or `https://`.
    pub endpoint: Endpoint,
    /// For `https://`.
    pub tls: Option<Tls>,
    /// Scheme of the `Authorization` header, and the file with what follows it.
    pub auth: Option<(String, SecretFile)>,
}

/// `otlp`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpTarget {
    /// Where.
    pub http: HttpTarget,
}

/// `hec`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HecTarget {
    /// Where.
    pub http: HttpTarget,
    /// The index, where it is not the token's own.
    pub index: Option<String>,
    /// The source.
    pub source: String,
    /// The source type.
    pub sourcetype: String,
    /// Whether to wait for indexer acknowledgement, and for how long.
    pub ack: Option<Duration>,
}

/// `elastic`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticTarget {
    /// Where.
    pub http: HttpTarget,
    /// Index or data stream.
    pub index: String,
}

/// `nats`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsTarget {
    /// `nats://` or `tls://`.
    pub endpoint: Endpoint,
    /// For `tls://`.
    pub tls: Option<Tls>,
    /// Whether TLS begins before the server's greeting.
    pub tls_first: bool,
    /// What is published to.
    pub subject: String,
    /// The stream that must hold the subject.
    pub stream: Option<String>,
    /// Who the shipper is to the server.
    pub auth: Option<NatsAuth>,
}

/// How the shipper proves who it is to a NATS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatsAuth {
    /// A token.
    Token(SecretFile),
    /// A user and the password's file.
    User(String, SecretFile),
}

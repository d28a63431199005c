//! The shipper: the log's records to receivers elsewhere, each with a cursor of its own.
//!
//! ```text
//! ship.toml -> config/   strict: what is wrong is told with its place and what to do
//! spool.rs               the log, read on from a cursor (the binary implements it)
//! filter.rs, render.rs   which records a sink gets, and in what form
//! worker/                one thread a sink: read, hand over, wait for the acknowledgement
//! sink/                  the protocols: file, journald, syslog, RELP, OTLP, HEC, Elastic, NATS
//! net/                   TCP, TLS and HTTP below them
//! state/                 the durable cursor of a sink, and what `status` shows
//! ```
//!
//! - At least once: a cursor moves when the receiver has acknowledged, and never before. What is
//!   sent twice has the same `metadata.uid`.
//! - Nothing is dropped in silence: a record that a receiver refuses for ever is counted and told.
//! - Nothing is kept in memory that the log holds: after a failure a worker reads again from its
//!   cursor, so that a receiver that is away costs no memory.
//! - No secret stands in the configuration, in a message or in the state: secrets are files.
//! - Sinks share nothing: one that hangs holds up no other.
#![forbid(unsafe_code)]

pub mod config;
mod filter;
mod net;
mod record;
mod render;
mod shipper;
mod sink;
mod spool;
mod state;
mod stop;
mod worker;

pub use config::{Config, Diagnostic, Diagnostics};
pub use filter::Filter;
pub use record::{NoUid, Record};
pub use render::{AsRecorded, Form, Render, TextRender};
pub use shipper::{Shipper, StartError};
pub use spool::{Backlog, Chunk, Cursor, Limit, MemorySpool, Spool, SpoolError};
pub use state::{LastAcked, LastError, Phase, SinkStatus, Status, acknowledged, read_status};
pub use worker::Event;

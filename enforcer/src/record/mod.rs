//! Records: from the kernel's event to a durable line that can be found again.
//!
//! ```text
//! ring bytes -> event.rs      an owned event; bytes that are none are a loss
//!            -> lineage.rs    which executable acted, and who started it
//!            -> ocsf.rs       the record: OCSF 1.9.0, by facts that a Context looks up
//!            -> log.rs        a batch, linked and signed (enforcer-evidence): one write, one fdatasync;
//!                             durable, or an error
//!            -> read.rs       the log from its beginning, its end, or on from a place
//! ```
//!
//! - Nothing is inferred: a record says what the kernel decided, and marks what is only claimed.
//! - Nothing is cut in silence: what is missing is marked, what is lost is a record with a count.
//! - Bytes that an agent chose are escaped without loss (text.rs); identities are text (names.rs).
//! - Everything up to ocsf.rs is free of IO; log.rs is the log's one writer; read.rs writes nothing.

pub mod event;
pub mod lineage;
pub mod log;
pub mod names;
pub mod ocsf;
pub mod read;
pub mod text;

#[cfg(test)]
mod tests;

pub use event::{DecodeError, Event};
pub use lineage::Lineage;
pub use log::{Keep, Log, LogError, Opening, Torn};
pub use ocsf::{
    By, Context, DaemonChange, EVENT_CODES, Host, Lifecycle, Loss, Place, PolicyChange,
    PolicyOutcome, Recorder, SessionFacts, daemon, loss, policy, torn,
};
pub use read::{Cursor, Entry, Filter, Follower, ReadError};

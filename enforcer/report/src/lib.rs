//! What the records mean, for people: why one action was denied, and what happened over a period.
//!
//! ```text
//! one record  + policy in force -> why     -> Why     -> text, JSON
//! records     + policies, chain -> Collector -> Report -> text, JSON, one HTML page
//! (iterator)                                   |
//!                                              `-> never used: what the policies allow and nobody used
//! ```
//!
//! - Nothing here does IO, and nothing asks for the time: both are the caller's.
//! - Nothing is inferred: what a record does not say is said to be unknown.
//! - Counts are exact whatever the number of records; what is listed one by one has a cap ([`LIMITS`]),
//!   and what is beyond it is counted and said.
//! - Nothing that an agent chose reaches a terminal or a page as anything but text ([`visible`], and the
//!   page's one writer).
//! - A line that is suggested was tried: it was added to the policy, compiled, and asked.
#![forbid(unsafe_code)]

mod object;
mod page;
mod record;
mod report;
mod visible;
mod why;

pub use object::{Endpoint, FileRef, Object, UnixName, unescaped};
pub use record::{Decision, Other};
pub use report::*;
pub use visible::{fitted, is_hidden, visible, width};
pub use why::*;

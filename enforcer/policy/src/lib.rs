//! The pure core: from a policy's text to the tables that the kernel programs read.
//!
//! ```text
//! source -> parse -> model -> check ----> errors, lints
//!                      |
//!                      +----> compile --> tables --> (the kernel, or Tables::decide)
//!                      |                                  | must agree
//!                      +----> judge  --> the reference meaning, rule by rule
//!                      +----> plan, run_examples
//! ```
//!
//! - Nothing here does IO: files are named through [`Includes`] and known through [`Facts`].
//! - Nothing is ignored: what the tables cannot say is an error with a place in the text.
//! - `judge` and `compile` share the model and nothing else, so that each can prove the other wrong.
//! - One table of keys (`key.rs`) makes the parser strict and writes the reference in `docs/policy.md`.
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "arbitrary"))]
pub mod arbitrary;
mod check;
mod compile;
mod diagnostic;
mod example;
mod facts;
mod judge;
mod key;
mod lint;
mod model;
mod named;
mod parse;
mod plan;
mod reference;
mod render;
mod request;
mod resolve;
mod source;
mod tables;

#[cfg(test)]
mod equivalence;

pub use check::{CONTROL_SOCKET, Checked, check};
pub use compile::compile;
pub use diagnostic::{Diagnostic, Diagnostics, Label, Lint, Report, Severity};
pub use example::{ExampleResult, run_examples};
pub use facts::{Facts, FileFact, PathFact};
pub use judge::{Judgement, judge};
pub use model::{
    Address, Agent, Audit, Destination, Effect, Entry, Example, ExampleAction, ExecRule,
    InternetRule, Launch, Libraries, Mode, OnAuditFailure, Peer, Policy, Ports, Protocol, UnixRule,
    Until,
};
pub use named::NamedFacts;
pub use parse::{MAX_FILES, parse};
pub use plan::{Change, Sign, plan};
pub use reference::reference;
pub use request::{Request, Subject};
pub use source::{Includes, MAX_SOURCE_BYTES, NoIncludes, Parsed, Source, Sources, Span, Spanned};
pub use tables::{Cells, Decision, MAX_CELL_ENTRIES, Tables};

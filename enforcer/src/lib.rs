//! The daemon and the command line of `enforcer`, in one binary.
//!
//! ```text
//! cli      -> control (HTTP/JSON over a unix socket) -> daemon
//! daemon   -> policies: text -> enforcer-policy -> tables -> kernel maps
//!          -> sessions: slots, pending labels
//!          -> pump: rings -> record (OCSF) -> log
//! kernel   the only part that talks to the kernel's BPF
//! posture  what can be known of a host before anything is loaded; facts: its files
//! ```
//!
//! `unsafe` is in `kernel/ring.rs` (shared memory with the kernel) and in `control/peersock.rs`
//! (socket options that no crate offers); every other file forbids it.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod facts;
pub mod kernel;
pub mod posture;
pub mod record;
pub mod session;

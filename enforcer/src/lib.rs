//! The daemon and the command line of `enforcer`, in one binary.
//!
//! ```text
//! cli      -> control (HTTP/JSON over a unix socket) -> daemon
//! daemon   -> policies: text -> enforcer-policy -> tables -> kernel maps
//!          -> sessions: slots, pending labels
//!          -> pump: rings -> record (OCSF) -> log
//! kernel   the only part that talks to the kernel's BPF
//! posture  what can be known of a host before anything is loaded; facts: its files
//! prove    every known way round, tried on this host; the catalogue of them
//! ```
//!
//! `unsafe` is in `kernel/ring.rs` (shared memory with the kernel), in `control/peersock.rs` (socket
//! options that no crate offers), in `prove/raw.rs` and `prove/ring.rs` (calls that no library would
//! make) and in the tests' `record/tests/bytes.rs` (events as bytes). Every other file forbids it, but
//! for tests and the modules above those: a `forbid` in these would hold for them as well.

pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod facts;
pub mod journal;
pub mod kernel;
pub mod posture;
pub mod prove;
pub mod record;
pub mod session;
pub mod ship;

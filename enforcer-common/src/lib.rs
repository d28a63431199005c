//! What the kernel programs and user space agree on, and nothing else.
//!
//! ```text
//! label.rs   who is acting: a task's label, its session, its agent's parameters
//! object.rs  what is acted on: the keys that a hook makes of a file, an address, a socket
//! permit.rs  what the policy says: the values behind those keys
//! verdict.rs what was decided, and why
//! event.rs   the fixed-size account of a decision that goes through the ring
//! maps.rs    the name, the capacity and the failure verdict of every map
//! hooks.rs   every LSM hook that is attached
//! fields.rs  every kernel structure field that is read
//! ```
//!
//! Every type is `repr(C)` of fixed-width integers with explicit padding, so that one byte string
//! has one meaning on both sides; `tests/layout.rs` holds sizes and offsets. Nothing here does IO,
//! allocates or panics.
#![cfg_attr(not(feature = "user"), no_std)]
// The only `unsafe` here are the `Pod` marks in `pod`, which exist in user space alone.
#![cfg_attr(not(feature = "user"), forbid(unsafe_code))]

pub mod event;
pub mod fields;
pub mod hooks;
pub mod label;
pub mod maps;
pub mod object;
pub mod permit;
pub mod verdict;

#[cfg(feature = "user")]
mod pod;

//! The prover: every attack of the catalogue, made on this host against things of its own.
//!
//! ```text
//! doctor --prove -> scene: listeners, files, a victim
//!                -> party outside: each attack as root and as an ordinary user; it must work
//!                -> party inside (a session of the daemon's own agent): it must not
//!                -> what came of it, looked at from outside; the session's records
//!                -> report
//! ```
//!
//! - Where an attack does not work outside, it proves nothing inside: it is not applicable.
//! - Effects count, not answers: see [`attacks::Effect`].
//! - Each attack is a process of its own, so that none finds what another left.
//! - Nothing of the host's is changed, and the scene goes with whoever made it.

pub mod attacks;
pub mod catalogue;
mod party;
mod prover;
mod raw;
mod records;
mod report;
mod ring;
mod scene;

pub use self::{
    party::{Part, enter, perform as play},
    prover::{judged, prove},
    records::of_ended as denials_of,
    report::{Line, Report, State, Tried, text},
};

/// An ordinary user: nobody, who owns nothing.
const USER: u32 = 65534;
/// This program, whatever its path is by now.
const SELF: &str = "/proc/self/exe";

//! Evidence: makes the log tamper-evident, and says whether it was tampered with.
//!
//! ```text
//! record -> canonical  one value, one line of bytes (RFC 8785)
//!        -> chain      a fingerprint in it, over it and the one before
//!        -> tree       the line is a leaf of the log's one Merkle tree (RFC 6962)
//!        -> checkpoint what the log is at a size: text; note: signed text (C2SP)
//!        -> epoch      whose key signs, and how one key vouches for the next
//!        -> seal       all of it in order, for a writer whose batches can fail
//!
//! segments, head, what an admin kept -> verify   ok, tampered (where, how), unverifiable (why)
//!                                    -> prove    one record is in a log, without the log
//! ```
//!
//! - Nothing here does IO: bytes are given and handed out, and readers are the caller's.
//! - Nothing is random and no clock is read: keys are made of bytes that the caller draws.
//! - A verifier believes nothing that it reads: every fact is recomputed, or signed by the key of its
//!   own epoch, or said to be neither.
//! - There is one spelling of everything: what can be written in two ways is refused in all but one.
#![forbid(unsafe_code)]

pub mod canonical;
pub mod chain;
pub mod checkpoint;
pub mod epoch;
pub mod hash;
pub mod note;
pub mod payload;
pub mod proof;
pub mod prove;
pub mod seal;
pub mod tree;
pub mod verify;

pub use hash::Hash;
pub use seal::Sealer;
pub use tree::Tree;
pub use verify::Verifier;

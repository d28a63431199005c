//! What the policy says about an object: the values behind the keys of `object`.
//!
//! A rule may hold only under conditions: for the executables named by `by`, later in a profile.
//! Each distinct condition of an agent's policy is one bit; a label carries the bits that are true
//! of its task, and one AND decides. Bit 0 ([`ALWAYS`]) is true of every task.

use crate::object::FileStamp;

/// The condition that is true of every task: rules without `by`.
pub const ALWAYS: u64 = 1;
/// Distinct conditions that one agent's policy can have, [`ALWAYS`] among them.
pub const MAX_CONDITIONS: usize = 64;
/// "No rule matched": the cell of a denial by default.
pub const NO_CELL: u32 = u32::MAX;

/// The folded truth about one object: every rule that covers it, as condition bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permit {
    /// Conditions under which some rule allows.
    pub allow: u64,
    /// Conditions under which some rule denies; a denial wins.
    pub deny: u64,
    /// Index of the compiled cell, from which the daemon names the rule that decided.
    pub cell: u32,
    /// Explicit padding, always 0.
    pub pad: u32,
}

/// The folded truth about one executable.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExecPermit {
    /// Whether it may run.
    pub permit: Permit,
    /// Condition bits that become true of a task that runs it (the `by` sets it belongs to), with
    /// [`ALWAYS`].
    pub conditions: u64,
    /// The content's stamp when the daemon judged the file; another stamp denies.
    pub stamp: FileStamp,
}

impl Permit {
    /// Decides for a task of which `conditions` are true.
    #[inline(always)]
    #[must_use]
    pub const fn decide(&self, conditions: u64) -> Answer {
        if self.deny & conditions != 0 {
            Answer::Denied
        } else if self.allow & conditions != 0 {
            Answer::Allowed
        } else {
            Answer::ConditionUnmet
        }
    }
}

/// What a [`Permit`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A rule allows and none denies.
    Allowed,
    /// A rule denies.
    Denied,
    /// Rules cover the object, none of them for this task.
    ConditionUnmet,
}

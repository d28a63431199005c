//! Marks for aya: these types may be copied to and from maps byte by byte.

use aya::Pod;

use crate::{
    label::{AgentParams, EntryKey, Label, Pending, Session, Spare},
    object::{AddressKey, FileId, FileStamp, Learned, PortKey, UnixKey},
    permit::{ExecPermit, Permit},
};

macro_rules! pod {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: `repr(C)`, integers only, no implicit padding (`tests/layout.rs`), valid for
        // every bit pattern, and without references or drop glue.
        unsafe impl Pod for $type {}
    )*};
}

pod!(
    AddressKey,
    AgentParams,
    EntryKey,
    ExecPermit,
    FileId,
    FileStamp,
    Label,
    Learned,
    Pending,
    Permit,
    PortKey,
    Session,
    Spare,
    UnixKey,
);

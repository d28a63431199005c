//! One file a family of hooks. A hook extracts what is acted on and asks `decide`.

mod capability;
mod code;
mod control;
mod exec;
mod guard;
mod kernel_code;
mod learn;
mod lineage;
mod mount;
mod process;
mod received;
mod socket;
mod unix;
mod write;

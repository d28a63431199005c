//! One file a family of hooks. A hook extracts what is acted on and asks `decide`.

mod capability;
mod code;
mod control;
mod exec;
mod guard;
mod ioctl;
mod kernel_code;
mod learn;
mod lineage;
mod mount;
mod owner;
mod process;
mod received;
mod ring;
mod socket;
mod unix;
mod write;

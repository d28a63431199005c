//! Tests of records from the bytes of an event to a line that is read again.

mod bytes;
mod common;
mod evidence;
mod faults;
mod golden;
mod lineage;
mod log;
mod read;
mod samples;
mod schema;

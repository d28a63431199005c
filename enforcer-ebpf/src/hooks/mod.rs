//! One file a family of hooks. A hook extracts what is acted on and asks `decide`.

mod exec;
mod learn;
mod lineage;
mod socket;
mod unix;

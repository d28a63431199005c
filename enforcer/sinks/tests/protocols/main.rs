//! Every protocol against a strict receiver that can be told to do wrong: each record arrives, in
//! order, and what arrives twice has the same key.
#![forbid(unsafe_code)]

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod elastic;
mod file;
mod hec;
mod journald;
mod nats;
mod otlp;
mod relp;
mod shipping;
mod syslog;

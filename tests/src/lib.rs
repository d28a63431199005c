//! What the tests in the test VM share: policies, sessions, servers that count, and the log.
//!
//! ```text
//! Policy -> apply -> Agent -> run / probe / live -> Run -> records
//!                                  |
//!                 TcpServer, UdpServer, UnixServer...: what arrived
//! ```
//!
//! - Everything goes through what users have: the command line and the log's files. No test looks into
//!   the daemon.
//! - The daemon and its log are shared, so every agent and every task of a test has a name of its own.
//! - No test waits for time to pass: servers are asked with a marker of the test's own that comes after
//!   all that came before, the log is read until the session's end stands in it.
#![forbid(unsafe_code)]

pub mod attack;
pub mod attempt;
pub mod cli;
pub mod fault;
pub mod maps;
pub mod place;
pub mod policy;
pub mod pool;
pub mod record;
pub mod server;
pub mod session;
pub mod wait;

pub use attempt::Answer;
pub use policy::{Agent, Policy};
pub use record::Record;
pub use server::{TcpServer, UdpServer, UnixDatagramServer, UnixServer};
pub use session::{Live, Run};

/// Whether stress tests run at their full length (`cargo xtask test --long`).
#[must_use]
pub fn long() -> bool {
    std::env::var_os("ENFORCER_TEST_LONG").is_some()
}

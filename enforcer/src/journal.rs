//! What the daemon and the shipper say of themselves: to stderr, which the journal keeps.
#![forbid(unsafe_code)]

use std::io;

use tracing_subscriber::EnvFilter;

/// How much is said (tracing's `EnvFilter`); `info` where it is not set.
const VARIABLE: &str = "ENFORCER_LOG";

/// Begins to say what happens in this process.
pub fn start() {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time() // the journal adds its own
        .init();
}

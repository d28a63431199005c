//! Connections: TCP, TLS and HTTP, none of which waits longer than it is told to.

pub(crate) mod http;
pub(crate) mod stream;
pub(crate) mod tls;

use crate::sink::Failure;

/// Sixteen random bytes.
pub(crate) fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    // So few come whole or not at all (random(4)).
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::Broken(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

//! What the protocols over a connection of their own share: how it is opened.

use crate::{
    config::{Endpoint, Tls},
    net::{stream::Stream, tls},
    sink::Failure,
    stop::Until,
};

/// Connects; certificates are read anew each time.
pub(super) fn open(
    endpoint: &Endpoint,
    tls: Option<&Tls>,
    until: &Until,
) -> Result<Stream, Failure> {
    let client = tls.map(tls::client).transpose().map_err(Failure::Held)?;
    Stream::open(endpoint, client, until)
}

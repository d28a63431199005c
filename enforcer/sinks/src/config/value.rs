//! Values that stand in texts.

use std::{fmt, time::Duration};

/// Where a receiver is: `scheme://host[:port][/path]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As written.
    pub text: String,
    /// What is before `://`.
    pub scheme: String,
    /// Name or address, without the brackets of IPv6.
    pub host: String,
    /// Port, also where it was left out.
    pub port: u16,
    /// What follows, from the first `/` on; empty when there is nothing.
    pub path: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Endpoint {
    /// Reads an endpoint whose scheme is one of `schemes`, each with its default port.
    ///
    /// # Errors
    /// What was expected instead.
    pub(super) fn parse(text: &str, schemes: &[(&str, u16)]) -> Result<Self, String> {
        let forms: Vec<String> = schemes
            .iter()
            .map(|(scheme, port)| format!("`{scheme}://HOST:{port}`"))
            .collect();
        let expected = forms.join(" or ");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| expected.clone())?;
        let default = schemes
            .iter()
            .find(|(name, _)| *name == scheme)
            .map(|(_, port)| *port)
            .ok_or_else(|| expected.clone())?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let (host, port) = host_and_port(authority).ok_or(expected)?;
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "@?#[]".contains(c)) {
            return Err("a host name or address without user, password or query".to_owned());
        }
        if path.contains(|c: char| !c.is_ascii_graphic()) {
            return Err("a path without spaces and control characters".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port: port.unwrap_or(default),
            path: path.to_owned(),
        })
    }

    /// Whether it is this host itself by its address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            let port = if rest.is_empty() {
                None
            } else {
                Some(rest.strip_prefix(':')?)
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None => Some((host, None)),
        Some(port) => {
            let port = port.parse().ok().filter(|port| *port != 0)?;
            Some((host, Some(port)))
        }
    }
}

/// `500ms`, `30s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(milliseconds)?))
}

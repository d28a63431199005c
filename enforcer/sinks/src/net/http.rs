//! HTTP for the sinks that post batches: ureq, with what its answers mean for a shipper.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{Timestamp, fmt::rfc2822};
use ureq::{
    Agent,
    config::Config,
    http::Uri,
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider},
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::tls;
use crate::{
    config::{HttpTarget, Tls},
    sink::Failure,
};

/// Bytes of an answer that are read: a `_bulk` answer has some hundred for each record.
const LONGEST_ANSWER: u64 = 32 << 20;
/// Bytes of an answer that a message quotes.
const QUOTED: usize = 300;
/// No receiver is left alone for longer than this, whatever it asks.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// A receiver spoken to by HTTP. Made anew after each failure, so that changed certificates and
/// secrets are used.
pub(crate) struct Http {
    agent: Agent,
    base: String,
    host: String,
    authorization: Option<String>,
    peer: String,
}

/// An answer.
pub(crate) struct Reply {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

impl Http {
    /// Makes ready; connects to nothing yet.
    pub fn new(target: &HttpTarget, timeout: Duration) -> Result<Self, Failure> {
        Self::prepare(target, timeout).map_err(Failure::Held)
    }

    fn prepare(target: &HttpTarget, timeout: Duration) -> Result<Self, String> {
        let endpoint = &target.endpoint;
        // The name that the certificate is held to is that of the URL, and the URL's address is
        // always the endpoint's.
        let name = target
            .tls
            .as_ref()
            .map_or(&endpoint.host, |tls| &tls.server_name);
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("enforcer/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(timeout))
            .max_idle_connections(1);
        if let Some(tls) = &target.tls {
            builder = builder.tls_config(tls_config(tls)?);
        }
        let resolver = Fixed {
            host: endpoint.host.clone(),
            port: endpoint.port,
        };
        let authorization = match &target.auth {
            None => None,
            Some((scheme, file)) => {
                let secret = file.line()?;
                let secret = if scheme == "Basic" {
                    STANDARD.encode(secret)
                } else {
                    secret
                };
                Some(format!("{scheme} {secret}"))
            }
        };
        Ok(Self {
            agent: Agent::with_parts(builder.build(), DefaultConnector::default(), resolver),
            base: format!(
                "{}://{}:{}",
                endpoint.scheme,
                bracketed(name),
                endpoint.port
            ),
            host: format!("{}:{}", bracketed(&endpoint.host), endpoint.port),
            authorization,
            peer: endpoint.text.clone(),
        })
    }

    /// Posts `body`; an answer of any status is an answer.
    pub fn post(
        &self,
        path: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, Failure> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("Host", &self.host)
            .header("Content-Type", content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body).map_err(|error| self.failure(&error))?;
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(pause);
        let body = response
            .body_mut()
            .with_config()
            .limit(LONGEST_ANSWER)
            .read_to_vec()
            .map_err(|error| self.failure(&error))?;
        Ok(Reply {
            status: response.status().as_u16(),
            retry_after,
            body,
        })
    }

    fn failure(&self, error: &ureq::Error) -> Failure {
        let text = format!("{}: {error}", self.peer);
        let tls = if let ureq::Error::Rustls(error) = error {
            Some(error)
        } else if let ureq::Error::Io(error) = error {
            error.get_ref().and_then(|inner| inner.downcast_ref())
        } else {
            None
        };
        let held = tls.is_some_and(tls::needs_somebody)
            || matches!(
                error,
                ureq::Error::Pem(_) | ureq::Error::BadUri(_) | ureq::Error::Tls(_)
            );
        if held {
            Failure::Held(text)
        } else {
            Failure::Broken(text)
        }
    }

    /// What an answer that does not take the batch means, by its status. Of the codes that name no
    /// fault of the batch nor of the moment, somebody must find out.
    pub fn refusal(&self, reply: &Reply) -> Failure {
        let said = reply.quoted();
        let why = format!("{}: HTTP {}{said}", self.peer, reply.status);
        match reply.status {
            400 | 413 | 422 => Failure::Rejected(why),
            401 | 403 => Failure::Held(format!("{why}; is the secret right?")),
            408 | 425 | 429 | 500..=599 => Failure::Busy {
                why,
                retry_after: reply.retry_after,
            },
            _ => Failure::Held(format!("{why}; is the endpoint right?")),
        }
    }
}

impl Reply {
    /// Whether the status says success.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The beginning of the body, as messages show it.
    pub fn quoted(&self) -> String {
        let text = String::from_utf8_lossy(self.body.get(..QUOTED).unwrap_or(&self.body));
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        match text.trim() {
            "" => String::new(),
            text => format!(": {text}"),
        }
    }
}

/// RFC 9110, 10.2.3: seconds, or a date.
fn pause(value: &str) -> Option<Duration> {
    let value = value.trim();
    let asked = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or_default()
        }
    };
    Some(asked.min(LONGEST_PAUSE))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn tls_config(tls: &Tls) -> Result<TlsConfig, String> {
    // The same files in the same way as for the other protocols: what is wrong is told now.
    tls::client(tls)?;
    let parts = tls::parts(tls)?;
    let roots: Vec<Certificate<'static>> = parts
        .roots
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    let client = match (parts.client, &tls.client) {
        (Some((chain, _)), Some((_, file))) => {
            let chain: Vec<Certificate<'static>> = chain
                .iter()
                .map(|der| Certificate::from_der(der).to_owned())
                .collect();
            let key = PrivateKey::from_pem(&file.bytes()?).map_err(|why| why.to_string())?;
            Some(ClientCert::new_with_certs(&chain, key))
        }
        _ => None,
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(tls::provider())
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .client_cert(client)
        .build())
}

/// Gives the endpoint's addresses whatever name the URL has.
struct Fixed {
    host: String,
    port: u16,
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Resolver for Fixed {
    fn resolve(
        &self,
        _uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        let addresses = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|_| ureq::Error::HostNotFound)?;
        // As many as the list can hold.
        for address in addresses.take(16) {
            let address: SocketAddr = address;
            found.push(address);
        }
        if found.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(found)
    }
}

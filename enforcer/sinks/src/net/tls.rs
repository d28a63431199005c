//! TLS: rustls with `ring`, certificates by file, read again at each connection.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use crate::config::Tls;

/// What is needed to begin TLS with one receiver.
pub(crate) struct Client {
    pub config: Arc<ClientConfig>,
    pub name: ServerName<'static>,
}

/// The files of a configuration, read.
pub(crate) struct Parts {
    pub roots: Vec<CertificateDer<'static>>,
    pub client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// The cryptography of every connection.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reads the files that TLS with a receiver needs.
pub(crate) fn parts(tls: &Tls) -> Result<Parts, String> {
    let client = match &tls.client {
        None => None,
        Some((cert, key)) => {
            let chain = certificates(cert)?;
            let bytes = key.bytes()?;
            let key = PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|why| format!("{}: no private key in PEM: {why}", key.path.display()))?;
            Some((chain, key))
        }
    };
    Ok(Parts {
        roots: certificates(&tls.ca)?,
        client,
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| format!("certificates {shown}: {error}"))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let read = read.map_err(|why| format!("certificates {shown}: no PEM: {why}"))?;
    if read.is_empty() {
        return Err(format!("certificates {shown}: no certificate in it"));
    }
    Ok(read)
}

/// Makes ready for TLS with a receiver.
pub(crate) fn client(tls: &Tls) -> Result<Client, String> {
    let parts = parts(tls)?;
    let mut roots = RootCertStore::empty();
    let (good, _bad) = roots.add_parsable_certificates(parts.roots);
    if good == 0 {
        return Err(format!(
            "certificates {}: none of them can be an authority",
            tls.ca.display()
        ));
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?
        .with_root_certificates(roots);
    let config = match parts.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|why| format!("the client certificate and its key: {why}"))?,
    };
    let name = ServerName::try_from(tls.server_name.clone())
        .map_err(|_| format!("`{}` is no server name", tls.server_name))?;
    Ok(Client {
        config: Arc::new(config),
        name,
    })
}

/// Whether an error of TLS stays until somebody acts: certificates, not accidents of the network.
pub(crate) fn needs_somebody(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as Alert;
    if let rustls::Error::AlertReceived(alert) = error {
        return matches!(
            alert,
            Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::CertificateRequired
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::HandshakeFailure
                | Alert::ProtocolVersion
                | Alert::UnrecognisedName
        );
    }
    matches!(
        error,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::PeerIncompatible(_)
    )
}

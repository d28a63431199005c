//! Certificates made for a test.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::secret;

/// An authority, a server's certificate and a client's, as files.
pub struct Certificates {
    pub ca: PathBuf,
    pub server: (PathBuf, PathBuf),
    pub client: (PathBuf, PathBuf),
    /// An authority that signed none of them.
    pub other_ca: PathBuf,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

impl Certificates {
    /// A server's certificate is for `receiver.test` and nothing else.
    pub fn new(folder: &Path) -> Self {
        let ca = authority("test authority");
        let sign = |name: &str| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            let key = KeyPair::generate().expect("a key");
            let cert = params.signed_by(&key, &ca).expect("signed");
            let file = name.replace('.', "-");
            (
                secret(folder, &format!("{file}.pem"), &cert.pem()),
                secret(folder, &format!("{file}.key"), &key.serialize_pem()),
            )
        };
        Self {
            server: sign("receiver.test"),
            client: sign("shipper.test"),
            ca: secret(folder, "ca.pem", &ca.pem()),
            other_ca: secret(folder, "other.pem", &authority("another").pem()),
        }
    }

    /// TLS of a server that asks for a client's certificate.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for cert in CertificateDer::pem_file_iter(&self.ca).expect("CA") {
            roots.add(cert.expect("PEM")).expect("an authority");
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .expect("a verifier");
        let chain = CertificateDer::pem_file_iter(&self.server.0)
            .expect("certificate")
            .collect::<Result<Vec<_>, _>>()
            .expect("PEM");
        let key = PrivateKeyDer::from_pem_file(&self.server.1).expect("key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("a configuration");
        Arc::new(config)
    }

    /// The sink's `tls` line that is right.
    pub fn tls(&self) -> String {
        self.tls_with(&self.ca, "receiver.test", true)
    }

    pub fn tls_with(&self, ca: &Path, name: &str, client: bool) -> String {
        let (cert, key) = &self.client;
        let client = if client {
            format!("cert = {cert:?}, key = {key:?}, ")
        } else {
            String::new()
        };
        format!("tls = {{ ca = {ca:?}, {client}server_name = {name:?} }}")
    }
}

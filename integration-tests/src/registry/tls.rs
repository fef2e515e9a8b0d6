//! A certificate authority of a test's own.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// It signs certificates of registries and of clients.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Authority")
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a key, which no default should")]
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority of the tests");
        let key = KeyPair::generate().expect("ring makes keys");
        Authority(CertifiedIssuer::self_signed(params, key).expect("the parameters are right"))
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key for the addresses of this machine.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn issue(&self) -> (String, String) {
        let (certificate, key) = self.signed();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes `ca.crt`, `client.cert` and `client.key` as docker's `certs.d` holds them.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write_client_files(&self, directory: &Path) {
        let (certificate, key) = self.issue();
        for (name, text) in [("ca.crt", &self.pem()), ("client.cert", &certificate), ("client.key", &key)] {
            crate::image::write(directory.join(name), text.as_bytes());
        }
    }

    fn signed(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("ring makes keys");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("these are names");
        (params.signed_by(&key, &self.0).expect("the parameters are right"), key)
    }

    /// Takes connections with TLS, for the addresses of this machine.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn acceptor(&self, client_certificates: bool) -> TlsAcceptor {
        let (certificate, key) = self.signed();
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().expect("ring has the default versions");
        let builder = if client_certificates {
            let mut roots = RootCertStore::empty();
            roots.add(self.0.der().clone()).expect("it is a certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS8");
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("they belong together");
        TlsAcceptor::from(Arc::new(config))
    }
}

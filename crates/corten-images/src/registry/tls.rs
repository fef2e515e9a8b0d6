//! TLS with rustls and ring: the system's authorities, those of `certs.d`, client certificates.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::RegistryError;
use super::hosts::Tls;
use super::settings::refused;

/// Largest file of certificates.
const FILE_MAX: u64 = 8 << 20;

/// Whether a client certificate is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Shown,
    Hidden,
}

/// The configuration of connections to one host. Reads files, so it is to run where that may block.
pub(super) fn config(tls: &Tls, identity: Identity) -> Result<ClientConfig, RegistryError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| refused("TLS", error.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> =
        if tls.skip_verify { Arc::new(Anybody(provider)) } else { Arc::new(Trusted::read(tls, provider)?) };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match tls.clients.first().filter(|_| identity == Identity::Shown) {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let text = read(key)?;
            let invalid = |error: &dyn std::fmt::Display| refused(key.display().to_string(), error.to_string());
            // PKCS1, SEC1 and PKCS8, whichever stands there.
            let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| invalid(&error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| refused(certificate.display().to_string(), error.to_string()))
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RegistryError> {
    let failed = |why: String| refused(path.display().to_string(), why);
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > FILE_MAX {
        return Err(failed(format!("{size} bytes, at most {FILE_MAX} are read")));
    }
    std::fs::read(path).map_err(|error| failed(error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let text = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| refused(path.display().to_string(), error.to_string()))?;
    if all.is_empty() {
        return Err(refused(path.display().to_string(), "it holds no certificate"));
    }
    Ok(all)
}

/// Those whose certificates the system or the configuration vouches for.
#[derive(Debug)]
struct Trusted {
    by_chain: Option<Arc<WebPkiServerVerifier>>,
    configured: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Trusted {
    fn read(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<Self, RegistryError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::debug!(error = %error, "authority of the system left out");
        }
        // Systems ship certificates that nothing can be verified with; they are passed over as everywhere.
        roots.add_parsable_certificates(system.certs);
        let mut configured = Vec::new();
        for path in &tls.authorities {
            for certificate in certificates(path)? {
                roots
                    .add(certificate.clone())
                    .map_err(|error| refused(path.display().to_string(), error.to_string()))?;
                configured.push(certificate);
            }
        }
        let by_chain = if roots.is_empty() {
            None
        } else {
            let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
            Some(built.map_err(|error| refused("TLS", error.to_string()))?)
        };
        Ok(Self { by_chain, configured, provider })
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // A self-signed certificate that was configured as its own authority: Go takes it, webpki does not.
        if self.configured.iter().any(|own| own.as_ref() == certificate.as_ref()) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        match &self.by_chain {
            Some(verifier) => verifier.verify_server_cert(certificate, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whoever answers: only for hosts that are configured as insecure.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

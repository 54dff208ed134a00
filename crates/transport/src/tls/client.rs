//! The clients' TLS configuration.

use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::ServerIdentity;

/// Why there is no client configuration.
#[derive(Debug, thiserror::Error)]
pub enum ClientConfigError {
    /// The extra roots cannot be read.
    #[error("the extra root certificates cannot be read")]
    Roots(#[source] rustls::pki_types::pem::Error),
    /// An extra root is no certificate authority's certificate.
    #[error("an extra root certificate cannot be trusted")]
    Root(#[source] rustls::Error),
}

/// A configuration that trusts the machine's roots and those given as PEM. Machine roots that cannot be read are left out:
/// many installations have none, and a private root is enough.
pub fn client_config(extra_roots_pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, ClientConfigError> {
    Ok(Arc::new(trusting(roots(extra_roots_pem)?).with_no_client_auth()))
}

/// The same of a client that shows a certificate to whoever asks for one.
pub fn client_config_as(
    extra_roots_pem: Option<&[u8]>,
    identity: ServerIdentity,
) -> Result<Arc<ClientConfig>, ClientConfigError> {
    let certificate = SingleCertAndKey::from(identity.certified);
    let trusting = trusting(roots(extra_roots_pem)?);
    Ok(Arc::new(trusting.with_client_cert_resolver(Arc::new(certificate))))
}

fn roots(extra_roots_pem: Option<&[u8]>) -> Result<RootCertStore, ClientConfigError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (_, ignored) = roots.add_parsable_certificates(native.certs);
    if ignored > 0 || !native.errors.is_empty() {
        tracing::debug!(ignored, errors = ?native.errors, "some of the machine's root certificates are not usable");
    }
    for root in CertificateDer::pem_slice_iter(extra_roots_pem.unwrap_or_default()) {
        roots.add(root.map_err(ClientConfigError::Roots)?).map_err(ClientConfigError::Root)?;
    }
    Ok(roots)
}

fn trusting(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions")
        .with_root_certificates(roots)
}

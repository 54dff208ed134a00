//! The clients' TLS configuration.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

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
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (_, ignored) = roots.add_parsable_certificates(native.certs);
    if ignored > 0 || !native.errors.is_empty() {
        tracing::debug!(ignored, errors = ?native.errors, "some of the machine's root certificates are not usable");
    }
    for root in CertificateDer::pem_slice_iter(extra_roots_pem.unwrap_or_default()) {
        roots.add(root.map_err(ClientConfigError::Roots)?).map_err(ClientConfigError::Root)?;
    }
    let config = ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

//! TLS for both sides: TLS 1.2 and 1.3, full chains, certificates that can be replaced while connections live.

pub mod authority;
mod client;
mod client_certificate;
mod identity;
mod server;

pub use client::{ClientConfigError, client_config, client_config_as};
pub use client_certificate::client_certificate;
pub use identity::{IdentityError, ServerIdentity, SwappableIdentity};
pub use server::{for_browsers_too, server_config, server_config_swappable};

use std::sync::Arc;

use rustls::CipherSuite;

/// The one cryptography provider of both programs, given explicitly so that nothing depends on a process-wide default. Suites
/// with AES-128 and SHA-256 come first of each version: the cheapest of those it has, all of them sound.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !CHEAPEST_SUITES.contains(&suite.suite()));
    Arc::new(provider)
}

const CHEAPEST_SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

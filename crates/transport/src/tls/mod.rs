//! TLS for both sides: TLS 1.2 and 1.3, full chains, certificates that can be replaced while connections live.

pub mod authority;
mod client;
mod identity;
mod server;

pub use client::{ClientConfigError, client_config};
pub use identity::{IdentityError, ServerIdentity, SwappableIdentity};
pub use server::{server_config, server_config_swappable};

use std::sync::Arc;

/// The one cryptography provider of both programs, given explicitly so that nothing depends on a process-wide default.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

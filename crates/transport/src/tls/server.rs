//! The listeners' TLS configuration.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};

use super::{ServerIdentity, SwappableIdentity};

/// A configuration with a fixed identity.
pub fn server_config(identity: ServerIdentity) -> Arc<ServerConfig> {
    server_config_swappable(SwappableIdentity::new(identity))
}

/// A configuration whose identity can be replaced while it is in use. TLS 1.2 and 1.3: the Python SDK speaks only 1.2. No
/// client certificate is asked for.
pub fn server_config_swappable(identity: Arc<SwappableIdentity>) -> Arc<ServerConfig> {
    let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&identity) as _;
    let mut config = ServerConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    // The order of `provider`, whatever the client prefers: OpenSSL asks for AES-256 with SHA-384 first, which costs a
    // handshake more and protects these messages no better.
    config.ignore_client_order = true;
    // A client may take up its session again with a ticket, which costs it and us half: an edge brings all its connections back
    // at once. Nothing is kept for it here, and it says nothing about who may connect: that is judged anew for every connection.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = identity;
    config.send_tls13_tickets = 1;
    Arc::new(config)
}

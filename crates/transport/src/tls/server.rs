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
    let resolver: Arc<dyn ResolvesServerCert> = identity;
    let mut config = ServerConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    // Devices connect once and stay: a session store would cost memory per handshake and serve few. Two tickets per TLS 1.3
    // handshake, the default, would be sent for nothing.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

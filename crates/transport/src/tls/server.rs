//! The listeners' TLS configuration.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};

use super::client_certificate::{AnyCertificate, Hint};
use super::{ServerIdentity, SwappableIdentity};

/// A configuration with a fixed identity.
pub fn server_config(identity: ServerIdentity) -> Arc<ServerConfig> {
    server_config_swappable(SwappableIdentity::new(identity))
}

/// A configuration whose identity can be replaced while it is in use. TLS 1.2 and 1.3: the Python SDK speaks only 1.2. Clients
/// are asked for a certificate and may go on without.
pub fn server_config_swappable(identity: Arc<SwappableIdentity>) -> Arc<ServerConfig> {
    Arc::new(asking(identity, Hint::Anybody))
}

/// The same for a port that browsers come to as well, for those connections that may be theirs.
pub fn for_browsers_too(identity: Arc<SwappableIdentity>) -> Arc<ServerConfig> {
    Arc::new(asking(identity, Hint::NoBrowser))
}

fn asking(identity: Arc<SwappableIdentity>, hint: Hint) -> ServerConfig {
    let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&identity) as _;
    let mut config = ServerConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions")
        .with_client_cert_verifier(AnyCertificate::new(hint))
        .with_cert_resolver(resolver);
    // The order of `provider`, whatever the client prefers: OpenSSL asks for AES-256 with SHA-384 first, which costs a
    // handshake more and protects these messages no better.
    config.ignore_client_order = true;
    // A client may take up its session again with a ticket, which costs it and us half: an edge brings all its connections back
    // at once. Nothing is kept for it here: the certificate it showed is in the ticket, and what that allows is judged anew for every
    // connection.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = identity;
    config.send_tls13_tickets = 1;
    config
}

//! Certificates for a listener on this machine, and clients that trust them.

use std::sync::Arc;
use std::time::Duration;

use transport::tls::authority::{Certified, create_ca, issue_server};
use transport::tls::{ServerIdentity, SwappableIdentity, client_config, server_config};

const VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// A root of its own for one test.
pub struct TestAuthority {
    ca: Certified,
}

impl Default for TestAuthority {
    fn default() -> Self {
        Self { ca: create_ca("Test root", VALIDITY).expect("a root can be generated") }
    }
}

impl TestAuthority {
    /// A listener's configuration for `localhost`, `127.0.0.1` and `::1`.
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        self.server_named(&["localhost", "127.0.0.1", "::1"])
    }

    /// A listener's configuration for these names.
    pub fn server_named(&self, names: &[&str]) -> Arc<rustls::ServerConfig> {
        server_config(self.identity_named(names))
    }

    /// A listener's identity for `localhost`, `127.0.0.1` and `::1`, which can be replaced.
    pub fn identity(&self) -> Arc<SwappableIdentity> {
        SwappableIdentity::new(self.identity_named(&["localhost", "127.0.0.1", "::1"]))
    }

    fn identity_named(&self, names: &[&str]) -> ServerIdentity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certified = issue_server(&self.ca, &names, VALIDITY).expect("test names can be certified");
        certified.server_identity().expect("what was just issued fits together")
    }

    /// A client's configuration that trusts this root.
    pub fn client(&self) -> Arc<rustls::ClientConfig> {
        client_config(Some(self.root_pem().as_bytes())).expect("the root was just made")
    }

    /// The root, PEM.
    pub fn root_pem(&self) -> &str {
        &self.ca.chain_pem
    }

    /// The root with its key.
    pub fn ca(&self) -> &Certified {
        &self.ca
    }
}

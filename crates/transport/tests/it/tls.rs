//! What a handshake agrees on.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::rig::Rig;

/// A handshake, and everything the server says until it closes: its tickets are among that.
async fn handshake(rig: &Rig, connector: &TlsConnector) -> (Option<HandshakeKind>, CipherSuite) {
    let tcp = TcpStream::connect(rig.addr).await.unwrap();
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    // No session begins like this.
    stream.write_all(&[0xe0, 0]).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    let tls = stream.get_ref().1;
    (tls.handshake_kind(), tls.negotiated_cipher_suite().unwrap().suite())
}

#[tokio::test]
async fn a_session_is_taken_up_again_and_the_cheapest_suite_is_agreed_on() {
    let rig = Rig::start().await;
    for (version, suite) in [
        (&rustls::version::TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256),
        (&rustls::version::TLS12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ] {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        // As OpenSSL asks: the longest keys first.
        provider.cipher_suites.sort_by_key(|suite| !format!("{:?}", suite.suite()).contains("AES_256"));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(rig.authority.root_pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        assert_eq!(handshake(&rig, &connector).await, (Some(HandshakeKind::Full), suite));
        assert_eq!(handshake(&rig, &connector).await, (Some(HandshakeKind::Resumed), suite));
    }
}

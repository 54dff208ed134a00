//! What a handshake agrees on.

use std::sync::{Arc, Mutex};

use protocol::auth::certificate::ClientCertificate;
use protocol::limits::CLIENT_CHAIN_CERTIFICATES_MAX;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SignatureScheme};
use testkit::authority::TestAuthority;
use testkit::certificates::TestCertificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use transport::tls::{client_certificate, for_browsers_too, server_config_swappable};

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

/// What a server that asks for certificates learns of a client, and the client of the server's hint.
async fn met(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> Result<(Option<HandshakeKind>, Option<Arc<ClientCertificate>>), std::io::Error> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let asked = tokio::spawn(async move {
        let mut stream = TlsConnector::from(client).connect(ServerName::try_from("localhost").unwrap(), near).await?;
        // Tickets come with what the server says first.
        stream.read_to_end(&mut Vec::new()).await
    });
    let accepted = TlsAcceptor::from(server).accept(far).await;
    if let Err(error) = accepted {
        asked.await.unwrap().unwrap_err();
        return Err(error);
    }
    let mut stream = accepted?;
    let tls = stream.get_ref().1;
    let learned = (tls.handshake_kind(), client_certificate(tls));
    stream.shutdown().await?;
    asked.await.unwrap()?;
    Ok(learned)
}

fn only(version: &'static rustls::SupportedProtocolVersion, root_pem: &str, shown: Arc<Shown>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(shown);
    Arc::new(config)
}

/// Shows a chain with a key, which need not fit, and keeps what it was hinted.
#[derive(Debug)]
struct Shown {
    certified: Arc<CertifiedKey>,
    hinted: Mutex<Vec<usize>>,
}

impl Shown {
    fn new<'c>(chain: impl Iterator<Item = &'c [u8]>, key_of: &TestCertificate) -> Arc<Self> {
        let key = PrivateKeyDer::from_pem_slice(key_of.key_pem().as_bytes()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let chain = chain.map(|der| CertificateDer::from(der.to_vec())).collect();
        Arc::new(Self { certified: Arc::new(CertifiedKey::new(chain, key)), hinted: Mutex::default() })
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.hinted.lock().unwrap().push(hints.len());
        Some(Arc::clone(&self.certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

#[tokio::test]
async fn a_certificate_is_taken_from_whoever_has_its_key_and_kept_with_the_session() {
    let authority = TestAuthority::default();
    let server = server_config_swappable(authority.identity());
    let certificate = TestCertificate::self_signed("dev1");
    for version in VERSIONS {
        let shown = Shown::new(certificate.chain(), &certificate);
        let client = only(version, authority.root_pem(), Arc::clone(&shown));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (how, learned) = met(Arc::clone(&server), Arc::clone(&client)).await.unwrap();
            assert_eq!(how, Some(kind), "{version:?}");
            assert_eq!(learned.unwrap().leaf(), certificate.der(), "{version:?}, {kind:?}");
        }
        assert_eq!(*shown.hinted.lock().unwrap(), [0], "asked once, for any");
        let thief = Shown::new(certificate.chain(), &TestCertificate::self_signed("thief"));
        let refused = met(Arc::clone(&server), only(version, authority.root_pem(), thief)).await.unwrap_err();
        assert!(refused.to_string().contains("BadSignature"), "{refused}");
    }
    let (_, learned) = met(server, authority.client()).await.unwrap();
    assert_eq!(learned, None, "nobody has to show one");
}

#[tokio::test]
async fn so_long_a_chain_is_taken_and_no_longer() {
    let authority = TestAuthority::default();
    let server = server_config_swappable(authority.identity());
    let certificate = TestCertificate::self_signed("dev1");
    for version in VERSIONS {
        let with = |count: usize| {
            let chain = std::iter::repeat_n(certificate.der(), count);
            met(Arc::clone(&server), only(version, authority.root_pem(), Shown::new(chain, &certificate)))
        };
        assert!(with(CLIENT_CHAIN_CERTIFICATES_MAX).await.unwrap().1.is_some());
        with(CLIENT_CHAIN_CERTIFICATES_MAX + 1).await.unwrap_err();
        let garbage = Shown::new([&b"no certificate"[..]].into_iter(), &certificate);
        met(Arc::clone(&server), only(version, authority.root_pem(), garbage)).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_browser_is_asked_for_what_nobody_has_and_a_client_with_one_shows_it() {
    let authority = TestAuthority::default();
    let server = for_browsers_too(authority.identity());
    let certificate = TestCertificate::self_signed("dev1");
    for version in VERSIONS {
        let shown = Shown::new(certificate.chain(), &certificate);
        let client = only(version, authority.root_pem(), Arc::clone(&shown));
        let (_, learned) = met(Arc::clone(&server), client).await.unwrap();
        assert!(learned.unwrap().leaf() == certificate.der() && *shown.hinted.lock().unwrap() == [1]);
    }
}

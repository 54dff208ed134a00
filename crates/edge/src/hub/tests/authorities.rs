//! Downstream devices with certificates of an authority: the edge judges them by what the hub above said of them, also alone.

use std::time::{SystemTime, UNIX_EPOCH};

use testkit::certificates::{ExtendedKeyUsagePurpose, TestCertificate, TestCertificateSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::revoked::{ENDED, end_link};
use super::*;

/// CONNACK's codes.
const UNAVAILABLE: u8 = 3;
const NOT_AUTHORIZED: u8 = 5;

/// A connection that was let in with a certificate and does nothing.
struct Session(TlsStream<TcpStream>);

impl Session {
    /// Says who it is, and sends no password.
    async fn open(site: &Site, shown: &TestCertificate, identity: &str) -> Result<Self, u8> {
        let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
        let user = format!("{HUB_HOST}/{identity}/?api-version=2021-04-12");
        let connect = [b"\0\x04MQTT\x04\x82\0\x3c", &text(identity)[..], &text(&user)].concat();
        let mut stream = site.connection_showing(shown).await;
        stream.write_all(&[&[0x10, u8::try_from(connect.len()).unwrap()][..], &connect].concat()).await.unwrap();
        let mut connack = [0; 4];
        soon(stream.read_exact(&mut connack)).await.unwrap();
        match connack {
            [0x20, 2, 0, 0] => Ok(Self(stream)),
            [0x20, 2, 0, code] => Err(code),
            other => panic!("{other:?} is no CONNACK"),
        }
    }

    async fn ended(mut self, what: &str) {
        let mut rest = Vec::new();
        soon(self.0.read_to_end(&mut rest)).await.ok();
        assert_eq!(rest, b"", "{what}");
    }
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_device_of_an_authority_is_let_in_without_the_hub_above_and_nobody_else() {
    let mut site = Site::new(json!({})).await;
    let (root, other) = (TestCertificate::root("plant"), TestCertificate::root("other"));
    let between = root.authority("line");
    site.scope.set_authorities(&[&root]);
    drop(Session::open(&site, &root.leaf("leaf"), "leaf").await.expect("it is asked for when it knocks"));
    let now = now_secs();
    let spec = || TestCertificateSpec::leaf("leaf");
    // What an edge of the same plant makes for a module of the device's name.
    let of_module = spec().uri("azureiot://hub/devices/edge/modules/leaf").purpose(ExtendedKeyUsagePurpose::ClientAuth);
    let wrong = [
        ("it is another device's", root.leaf("disabled")),
        ("another authority signed it", other.leaf("leaf")),
        ("it signed itself", TestCertificate::self_signed("leaf")),
        ("another of the same name signed it", TestCertificate::root("plant").leaf("leaf")),
        ("a device signed it", root.leaf("leaf").leaf("leaf")),
        ("it is a server's", spec().purpose(ExtendedKeyUsagePurpose::ServerAuth).signed_by(&root)),
        ("it is a module's", of_module.signed_by(&root)),
    ];
    let out_of_time = [
        ("it is over", spec().between(now - 60, now - 1).signed_by(&root)),
        ("it is not valid yet", spec().between(now + 600, now + 900).signed_by(&root)),
    ];
    site.complaints.expect("connection refused identity=");
    for (what, certificate) in wrong.iter().chain(&out_of_time) {
        assert_eq!(Session::open(&site, certificate, "leaf").await.err(), Some(NOT_AUTHORIZED), "{what}");
    }
    assert_eq!(Session::open(&site, &root.leaf("disabled"), "disabled").await.err(), Some(NOT_AUTHORIZED));
    // Alone, and started anew: what is on disk is enough.
    site.scope.set_reached(false);
    site.stop_upstream().await;
    site.restart_edge().await;
    site.complaints.expect("connection refused for now");
    for right in [root.leaf("leaf"), between.leaf("leaf")] {
        assert!(Session::open(&site, &right, "leaf").await.is_ok());
    }
    for (what, certificate) in &wrong {
        assert_eq!(Session::open(&site, certificate, "leaf").await.err(), Some(UNAVAILABLE), "{what}");
    }
    for (what, certificate) in &out_of_time {
        assert_eq!(Session::open(&site, certificate, "leaf").await.err(), Some(NOT_AUTHORIZED), "{what}");
    }
}

#[tokio::test]
async fn what_an_authority_opened_ends_when_it_is_taken_away() {
    let site = Site::new(json!({})).await;
    site.complaints.expect(ENDED);
    site.complaints.expect("connection refused identity=leaf");
    let (root, next) = (TestCertificate::root("root"), TestCertificate::root("next"));
    let leaf = Identity::device("leaf");
    let changes: [(&str, &dyn Fn()); 4] = [
        ("it is removed", &|| site.scope.set_authorities(&[])),
        ("another takes its place", &|| site.scope.set_authorities(&[&next])),
        ("the device gets a key", &|| site.scope.set_leaf(site::LEAF_KEY, "enabled")),
        ("the device is disabled", &|| site.scope.set_leaf(site::LEAF_KEY, "disabled")),
    ];
    for (what, change) in changes {
        site.scope.set_leaf(site::LEAF_KEY, "enabled");
        site.scope.set_authorities(&[&root]);
        site.hub().look_up_again(&leaf).await;
        let session = Session::open(&site, &root.leaf("leaf"), "leaf").await.unwrap();
        change();
        end_link(&site, &leaf).await;
        session.ended(what).await;
        assert_eq!(Session::open(&site, &root.leaf("leaf"), "leaf").await.err(), Some(NOT_AUTHORIZED), "{what}");
    }
}

#[tokio::test]
async fn a_session_ends_with_the_first_certificate_on_the_way_to_the_authority() {
    let site = Site::new(json!({})).await;
    site.complaints.expect("connection refused identity=leaf");
    let root = TestCertificate::root("root");
    site.scope.set_authorities(&[&root]);
    let ends_secs = now_secs() + 2;
    let between = TestCertificateSpec::authority("line").between(now_secs() - 60, ends_secs).signed_by(&root);
    let certificate = between.leaf("leaf");
    let session = Session::open(&site, &certificate, "leaf").await.unwrap();
    session.ended("a certificate ends").await;
    assert!(now_secs() > ends_secs);
    assert_eq!(Session::open(&site, &certificate, "leaf").await.err(), Some(NOT_AUTHORIZED));
}

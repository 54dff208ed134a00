//! Devices with certificates: how they are managed, and that what was opened with one ends with it.

use std::time::Duration;

use events::clock::{now_ms, now_secs};
use http::Method;
use model::identity::Identity;
use registry::{ModuleAuthentication, ModuleChange};
use serde_json::{Value, json};
use testkit::certificates::{ExtendedKeyUsagePurpose, TestCertificate, TestCertificateSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::central::{PATIENCE, TestCentral, data, on_both_databases};
use crate::hub_http::Caller;
use crate::rest::client::Rest;
use central::database::Database;

on_both_databases!(what_was_opened_with_a_certificate_ends_when_it_is_taken_away);

/// CONNACK's code of who is not let in.
const NOT_AUTHORIZED: u8 = 5;

/// A connection that is let in with a certificate and does nothing, or the code it is refused with.
struct Session(TlsStream<TcpStream>);

impl Session {
    async fn open(central: &TestCentral, certificate: &TestCertificate, identity: &str) -> Result<Self, u8> {
        let query = "?api-version=2021-04-12";
        let identity = Identity::from_client_id(identity);
        let module = identity.module_id().map(|module| format!("/{module}")).unwrap_or_default();
        let user = format!("localhost/{}{module}/{query}", identity.device_id());
        Self::connect(central, certificate, &identity.to_string(), &user).await
    }

    async fn enroll(central: &TestCentral, certificate: &TestCertificate, registration: &str) -> Result<Self, u8> {
        let user = format!("{}/registrations/{registration}/api-version=2019-03-31", central.id_scope());
        Self::connect(central, certificate, registration, &user).await
    }

    /// Says who it is, and sends no password.
    async fn connect(central: &TestCentral, shown: &TestCertificate, client: &str, user: &str) -> Result<Self, u8> {
        let stream = TcpStream::connect(("localhost", central.mqtts_port())).await.unwrap();
        let roots = std::fs::read_to_string(central.folder.ca_pem()).unwrap();
        let tls = TlsConnector::from(shown.client(&roots));
        let mut stream = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let connect = [b"\0\x04MQTT\x04\x82\0\x3c", &text(client)[..], &text(user)].concat();
        stream.write_all(&packet(0x10, connect)).await.unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).await.unwrap();
        match connack {
            [0x20, 2, 0, 0] => Ok(Self(stream)),
            [0x20, 2, 0, code] => Err(code),
            other => panic!("{other:?} is no CONNACK"),
        }
    }

    async fn is_open(&mut self) -> bool {
        let mut pong = [0; 2];
        self.0.write_all(&[0xc0, 0]).await.is_ok()
            && self.0.read_exact(&mut pong).await.is_ok_and(|_| pong == [0xd0, 0])
    }

    async fn ended(mut self, what: &str) {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        end.unwrap_or_else(|_| panic!("it is still open when {what}")).ok();
        assert_eq!(rest, b"", "{what}");
    }
}

/// A text as MQTT has it.
fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// A short packet.
fn packet(kind: u8, body: Vec<u8>) -> Vec<u8> {
    assert!(body.len() < 128);
    [&[kind, u8::try_from(body.len()).unwrap()][..], &body].concat()
}

fn own(primary: &TestCertificate, secondary: Option<&TestCertificate>) -> Value {
    let entry = |certificate: &TestCertificate| json!({ "certificate": certificate.base64() });
    let mut both = json!({ "primary": entry(primary) });
    if let Some(secondary) = secondary {
        both["secondary"] = entry(secondary);
    }
    json!({ "type": "x509", "x509": { "clientCertificates": both } })
}

fn vouched(certificate: &TestCertificate) -> Value {
    json!({ "certificate": certificate.base64(), "verified": true })
}

fn group(certificates: Value) -> Value {
    let x509 = json!({ "signingCertificates": certificates });
    json!({ "displayName": "g", "type": "iot", "enabled": true, "attestation": { "type": "x509", "x509": x509 } })
}

fn keys() -> Value {
    let keys = registry::new_symmetric_keys();
    json!({ "type": "symmetricKey", "symmetricKey": { "primaryKey": keys.primary, "secondaryKey": keys.secondary } })
}

/// A device that registered with a certificate of this authority's, through a group of its own.
async fn registered(rest: &Rest, central: &TestCentral, id: &str, root: &TestCertificate) -> TestCertificate {
    rest.put(&format!("/api/enrollmentGroups/{id}"), group(json!({ "primary": vouched(root) }))).await;
    let certificate = root.leaf(id);
    register(central, id, &certificate).await;
    certificate
}

/// Registers over MQTT, as far as the service has done it: everything is done before the first answer.
async fn register(central: &TestCentral, id: &str, certificate: &TestCertificate) {
    let mut session = Session::enroll(central, certificate, id).await.unwrap();
    let subscribe = packet(0x82, [&[0, 1][..], &text("$dps/registrations/res/#"), &[1]].concat());
    let publish = packet(0x30, text("$dps/registrations/PUT/iotdps-register/?$rid=1"));
    session.0.write_all(&[subscribe, publish].concat()).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("res/202") {
        assert_ne!(session.0.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
    }
}

async fn what_was_opened_with_a_certificate_ends_when_it_is_taken_away(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let rest = Rest::new(&central);
    let (first, second) = (TestCertificate::self_signed("a"), TestCertificate::self_signed("b"));
    // Of a device's own.
    for (n, (what, method, body)) in [
        ("its certificate is replaced", "PUT", own(&second, None)),
        ("it gets keys", "PUT", keys()),
        ("its attestation is deleted", "DELETE", Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let (device, attestation) = (format!("/api/devices/own-{n}"), format!("/api/devices/own-{n}/attestation"));
        rest.put(&device, json!({})).await;
        rest.put(&attestation, own(&first, None)).await;
        let session = Session::open(&central, &first, &format!("own-{n}")).await.unwrap();
        rest.expect(method, &attestation, body, if method == "PUT" { 200 } else { 204 }).await;
        session.ended(what).await;
        assert_eq!(Session::open(&central, &first, &format!("own-{n}")).await.err(), Some(NOT_AUTHORIZED), "{what}");
    }
    // Of a group's: the device's session, and its connection to the provisioning service.
    let next = TestCertificate::root("next");
    for (n, (what, method, path, body)) in [
        ("the authority is removed", "DELETE", "/certificates/primary", Value::Null),
        ("another takes its place", "PUT", "/certificates/primary", vouched(&next)),
        ("it counts as verified no more", "PUT", "/certificates/primary", json!({ "verified": false })),
        ("the group is closed", "PATCH", "", json!({ "enabled": false })),
        ("the group gets keys", "PATCH", "", json!({ "attestation": keys() })),
        ("the group is deleted", "DELETE", "", Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("of-{n}");
        let certificate = registered(&rest, &central, &id, &TestCertificate::root("root")).await;
        let session = Session::open(&central, &certificate, &id).await.unwrap();
        let enrolling = Session::enroll(&central, &certificate, &id).await.unwrap();
        let status = if method == "DELETE" { 204 } else { 200 };
        rest.expect(method, &format!("/api/enrollmentGroups/{id}{path}"), body, status).await;
        session.ended(what).await;
        enrolling.ended(what).await;
        assert_eq!(Session::open(&central, &certificate, &id).await.err(), Some(NOT_AUTHORIZED), "{what}");
        rest.call("DELETE", &format!("/api/enrollmentGroups/{id}"), Value::Null).await;
    }
    central.stop().await;
}

#[tokio::test]
async fn a_module_loses_what_its_thumbprint_opened() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put("/api/devices/d", json!({})).await;
    let certificate = TestCertificate::self_signed("m");
    let thumbprint = protocol::auth::certificate::Thumbprint::sha256_of(certificate.der()).to_string();
    let put = async |primary: Option<&str>, secondary: Option<&str>| {
        let (primary, secondary) = (primary.map(str::to_owned), secondary.map(str::to_owned));
        let authentication = Some(ModuleAuthentication::SelfSigned { primary, secondary });
        let change = ModuleChange { authentication, ..ModuleChange::default() };
        central.running.core.registry.module_put(central.app(), "d", "m", change, now_ms()).await.unwrap();
    };
    put(Some(&thumbprint), None).await;
    let mut session = Session::open(&central, &certificate, "d/m").await.unwrap();
    put(Some(&"00".repeat(32)), Some(&thumbprint)).await;
    assert!(session.is_open().await, "it changes over");
    put(Some(&"00".repeat(32)), None).await;
    session.ended("its thumbprint is gone").await;
    central.stop().await;
}

#[tokio::test]
async fn a_modules_thumbprint_is_one_and_is_shown_in_one_spelling() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d").await;
    let caller = Caller::device(&central, &device);
    let put = async |authentication: Value| {
        let body = json!({ "moduleId": "m", "authentication": authentication }).to_string();
        let answer = caller.send(Method::PUT, "/devices/d/modules/m", &[], &body).await;
        let status = answer.status().as_u16();
        (status, serde_json::from_slice::<Value>(answer.body()).unwrap())
    };
    let of = |kind: &str, primary: &str| json!({ "type": kind, "x509Thumbprint": { "primaryThumbprint": primary } });
    let spaced = ["ab"; 20].join(":");
    for kind in ["selfSigned", "x509"] {
        let (status, shown) = put(of(kind, &spaced)).await;
        let thumbprints = json!({ "primaryThumbprint": "AB".repeat(20), "secondaryThumbprint": null });
        assert_eq!((status, &shown["authentication"]["type"]), (200, &json!("selfSigned")));
        assert_eq!(shown["authentication"]["x509Thumbprint"], thumbprints);
    }
    for wrong in
        [of("selfSigned", "xyz"), of("selfSigned", ""), json!({ "type": "selfSigned" }), json!({ "type": "tpm" })]
    {
        assert_eq!(put(wrong.clone()).await.0, 400, "{wrong}");
    }
    assert_eq!(
        put(json!({ "type": "certificateAuthority" })).await.1["authentication"]["type"],
        "certificateAuthority"
    );
    central.stop().await;
}

#[tokio::test]
async fn what_changes_nothing_of_a_certificate_ends_nothing() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let (first, second) = (TestCertificate::self_signed("a"), TestCertificate::self_signed("b"));
    rest.put("/api/devices/own", json!({})).await;
    rest.put("/api/devices/own/attestation", own(&first, None)).await;
    let mut of_own = Session::open(&central, &first, "own").await.unwrap();
    let certificate = registered(&rest, &central, "of", &TestCertificate::root("root")).await;
    let mut of_group = Session::open(&central, &certificate, "of").await.unwrap();
    // A second one beside the first, then the other way about; names.
    let secondary = json!({ "x509": { "clientCertificates": { "secondary": { "certificate": second.base64() } } } });
    let shown = rest.patch("/api/devices/own/attestation", secondary).await;
    assert!(shown["x509"]["clientCertificates"]["secondary"]["info"]["sha1Thumbprint"].is_string());
    rest.put("/api/devices/own/attestation", own(&second, Some(&first))).await;
    rest.patch("/api/devices/own", json!({ "displayName": "renamed" })).await;
    rest.patch("/api/enrollmentGroups/of", json!({ "displayName": "renamed" })).await;
    let next = TestCertificate::root("next");
    rest.put("/api/enrollmentGroups/of/certificates/secondary", vouched(&next)).await;
    rest.expect("POST", "/api/enrollmentGroups/of/certificates/primary/generateVerificationCode", Value::Null, 200)
        .await;
    assert!(of_own.is_open().await && of_group.is_open().await);
    assert!(Session::open(&central, &second, "own").await.is_ok());
    central.stop().await;
}

#[tokio::test]
async fn a_session_ends_at_the_last_second_of_its_certificate() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    rest.put("/api/devices/d", json!({})).await;
    let ends_secs = now_secs() + 2;
    let certificate = TestCertificateSpec::leaf("d").between(now_secs() - 60, ends_secs).self_signed();
    rest.put("/api/devices/d/attestation", own(&certificate, None)).await;
    let session = Session::open(&central, &certificate, "d").await.unwrap();
    let enrolling = Session::enroll(&central, &certificate, "d").await.unwrap();
    session.ended("its certificate ends").await;
    enrolling.ended("its certificate ends").await;
    assert!(now_secs() > ends_secs && Duration::from_secs(now_secs() - ends_secs) < PATIENCE);
    assert_eq!(Session::open(&central, &certificate, "d").await.err(), Some(NOT_AUTHORIZED));
    central.stop().await;
}

#[tokio::test]
async fn a_certificate_opens_one_door_in_its_time_and_no_other() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let now = now_secs();
    let root = TestCertificate::root("root");
    let mine = registered(&rest, &central, "mine", &root).await;
    let unverified = TestCertificate::root("unverified");
    let body = group(json!({ "primary": { "certificate": unverified.base64() } }));
    rest.put("/api/enrollmentGroups/unverified", body).await;
    let other = TestCertificate::root("other");
    let theirs = registered(&rest, &central, "theirs", &other).await;
    rest.put("/api/devices/keys", json!({})).await;
    let spec = || TestCertificateSpec::leaf("mine");
    let device = TestCertificateSpec::leaf("device").signed_by(&root);
    for (what, certificate) in [
        ("it is over", spec().between(now - 60, now - 1).signed_by(&root)),
        ("it is not valid yet", spec().between(now + 60, now + 90).signed_by(&root)),
        ("it is another device's", theirs),
        ("another group's authority signed it", other.leaf("mine")),
        ("nobody knows who signed it", TestCertificate::root("root").leaf("mine")),
        ("nobody verified who signed it", unverified.leaf("mine")),
        ("it signed itself", TestCertificate::self_signed("mine")),
        ("a device signed it", device.leaf("mine")),
        ("it is a server's", spec().purpose(ExtendedKeyUsagePurpose::ServerAuth).signed_by(&root)),
    ] {
        for refused in
            [Session::open(&central, &certificate, "mine").await, Session::enroll(&central, &certificate, "mine").await]
        {
            assert_eq!(refused.err(), Some(NOT_AUTHORIZED), "{what}");
        }
    }
    for (what, name) in [("one with keys", "keys"), ("nobody", "nobody"), ("a module", "mine/m")] {
        let refused = Session::open(&central, &mine, name).await;
        assert_eq!(refused.err(), Some(NOT_AUTHORIZED), "{what}");
    }
    assert!(Session::open(&central, &mine, "mine").await.is_ok());
    // A module of its device's authority, by the name of both.
    let authentication = Some(ModuleAuthentication::CertificateAuthority);
    let change = ModuleChange { authentication, ..ModuleChange::default() };
    central.running.core.registry.module_put(central.app(), "mine", "m", change, now_ms()).await.unwrap();
    let of_module = root.leaf("mine/m");
    assert!(Session::open(&central, &of_module, "mine/m").await.is_ok());
    for (certificate, identity) in [(&mine, "mine/m"), (&of_module, "mine"), (&other.leaf("mine/m"), "mine/m")] {
        assert_eq!(Session::open(&central, certificate, identity).await.err(), Some(NOT_AUTHORIZED), "{identity}");
    }
    // Registration ids ignore case, device ids do not.
    assert!(Session::enroll(&central, &root.leaf("MINE"), "mine").await.is_ok());
    assert_eq!(Session::open(&central, &root.leaf("MINE"), "mine").await.err(), Some(NOT_AUTHORIZED));
    central.stop().await;
}

#[tokio::test]
async fn certificates_of_groups_are_managed_one_by_one() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let (first, second) = (TestCertificate::root("first"), TestCertificate::root("second"));
    let (path, primary) = ("/api/enrollmentGroups/g", "/api/enrollmentGroups/g/certificates/primary");
    rest.put(path, group(json!({ "primary": { "certificate": first.base64() } }))).await;
    let made = rest.get(primary).await;
    assert_eq!((&made["verified"], &made["certificate"]), (&json!(false), &Value::Null));
    let stored = async |verified: bool| {
        let shown = rest.get(primary).await;
        assert_eq!(shown["verified"], verified);
        assert_eq!(rest.get(path).await["attestation"]["x509"]["signingCertificates"]["primary"], shown);
        shown
    };
    // Proved, it stays so until another one takes its place.
    let code = async || {
        let shown = rest.expect("POST", &format!("{primary}/generateVerificationCode"), Value::Null, 200).await;
        shown["verificationCode"].as_str().unwrap().to_owned()
    };
    let verify = format!("{primary}/verify");
    let proof = |code: &str, by: &TestCertificate| json!({ "certificate": by.leaf(code).base64() });
    assert_eq!(rest.refused("POST", &verify, proof("any", &first)).await.0, 409, "no code");
    let (old, new) = (code().await, code().await);
    for (what, wrong) in [
        ("another's signature", proof(&new, &second)),
        ("a code of before", proof(&old, &first)),
        ("its own", json!({ "certificate": first.base64() })),
        ("none", json!({ "certificate": "bm9uZQ==" })),
    ] {
        let (status, _, places) = rest.refused("POST", &verify, wrong).await;
        assert_eq!((status, places), (422, vec!["/certificate".to_owned()]), "{what}");
        stored(false).await;
    }
    rest.expect("POST", &verify, proof(&new, &first), 204).await;
    let verified = stored(true).await;
    assert_ne!(verified["etag"], made["etag"]);
    assert_eq!(rest.refused("POST", &verify, proof(&new, &first)).await.0, 409, "the code is used up");
    rest.patch(path, json!({ "displayName": "renamed" })).await;
    rest.put(path, group(rest.get(path).await["attestation"]["x509"]["signingCertificates"].clone())).await;
    assert_eq!(stored(true).await["etag"], verified["etag"]);

    // Preconditions are those of the certificate.
    let stale = json!({ "certificate": second.base64(), "etag": made["etag"] });
    assert_eq!(rest.refused("PUT", primary, stale.clone()).await.0, 412);
    let asking = Rest::new(&central).with("if-match", made["etag"].as_str().unwrap());
    assert_eq!(asking.refused("DELETE", primary, Value::Null).await.0, 412);
    rest.put(primary, json!({ "certificate": second.base64(), "etag": verified["etag"] })).await;
    stored(false).await;

    // One certificate, one group.
    rest.put("/api/enrollmentGroups/h", group(json!({}))).await;
    for place in ["g/certificates/secondary", "h/certificates/primary"] {
        let place = format!("/api/enrollmentGroups/{place}");
        let body = json!({ "certificate": second.base64() });
        assert_eq!(rest.refused("PUT", &place, body).await.0, 409, "{place}");
    }
    for (what, body, status) in [
        ("a device's", vouched(&first.leaf("d")), 422),
        ("nothing", json!({}), 422),
        ("no certificate", json!({ "certificate": "AAAA" }), 422),
    ] {
        assert_eq!(rest.refused("PUT", "/api/enrollmentGroups/h/certificates/primary", body).await.0, status, "{what}");
    }
    assert_eq!(rest.refused("GET", &format!("{path}/certificates/third"), Value::Null).await.0, 400);
    assert_eq!(rest.refused("GET", &format!("{path}/certificates/secondary"), Value::Null).await.0, 404);
    let with_keys = "/api/enrollmentGroups/SAS-IoT-Devices/certificates/primary";
    assert_eq!(rest.refused("PUT", with_keys, vouched(&first)).await.0, 400);
    rest.delete(primary).await;
    assert_eq!(rest.refused("GET", primary, Value::Null).await.0, 404);
    central.stop().await;
}

#[tokio::test]
async fn what_a_group_was_before_opens_nothing_when_it_is_that_again() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let path = "/api/enrollmentGroups/g";
    let plain = json!({ "displayName": "g", "type": "iot", "attestation": { "type": "symmetricKey" } });
    let before = rest.put(path, plain.clone()).await["attestation"].clone();
    let root = TestCertificate::root("root");
    rest.put(path, group(json!({ "primary": vouched(&root) }))).await;
    let after = rest.put(path, plain).await["attestation"].clone();
    assert_eq!(after["type"], "symmetricKey");
    assert_ne!(after, before);
    // Nor do its certificates come back by themselves.
    let again = rest.patch(path, json!({ "attestation": { "type": "x509" } })).await;
    assert_eq!(again["attestation"]["x509"]["signingCertificates"], json!({}));
    assert_eq!(Session::enroll(&central, &root.leaf("d"), "d").await.err(), Some(NOT_AUTHORIZED));
    // A device that is made over REST gets the keys of a group that has some.
    for group in ["SAS-IoT-Devices", "SAS-IoT-Edge-Devices"] {
        rest.delete(&format!("/api/enrollmentGroups/{group}")).await;
    }
    rest.put("/api/devices/d", json!({})).await;
    assert_eq!(rest.get("/api/devices/d/credentials").await.get("symmetricKey"), None);
    central.stop().await;
}

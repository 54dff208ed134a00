//! The same table for certificates: whom one speaks for, and everybody it does not.

use std::sync::Arc;

use testkit::certificates::{TestCertificate, TestCertificateSpec};

use super::super::super::certificate::{Authority, ClientCertificate, Thumbprint, Untrusted};
use super::*;

const ENDS: u64 = NOW + 60;

fn certificate(spec: TestCertificateSpec) -> TestCertificateSpec {
    spec.between(NOW - 60, ENDS - 1)
}

fn self_signed(name: &str) -> TestCertificate {
    certificate(TestCertificateSpec::leaf(name)).self_signed()
}

fn root(name: &str) -> TestCertificate {
    certificate(TestCertificateSpec::authority(name)).self_signed()
}

fn signed(name: &str, by: &TestCertificate) -> TestCertificate {
    certificate(TestCertificateSpec::leaf(name)).signed_by(by)
}

fn thumbprints(certificates: &[&TestCertificate]) -> Authentication {
    Authentication::Thumbprints(certificates.iter().map(|one| Thumbprint::sha256_of(one.der())).collect())
}

fn authorities(certificates: &[&TestCertificate]) -> Authentication {
    let read = |one: &&TestCertificate| Arc::new(Authority::read(one.der()).unwrap());
    Authentication::Authorities(certificates.iter().map(read).collect())
}

/// What becomes of whoever shows a certificate and says to be somebody.
fn shown(
    shown: &TestCertificate,
    identity: &str,
    chain: Option<&str>,
    world: &Facts,
    now: u64,
) -> Result<Admitted, Denied> {
    let certificate = ClientCertificate::read(shown.chain()).unwrap();
    let identity = Identity::from_client_id(identity);
    let credential = Credential::Certificate(&certificate);
    let case = open(Claim { identity: &identity, hosts: &[HUB], credential, auth_chain: chain }, now)?;
    let facts = looked_up(world, &case);
    case.decide(&facts)
}

struct Certified {
    world: Facts,
    root: TestCertificate,
    first: TestCertificate,
    second: TestCertificate,
}

/// `leaf` has two certificates of its own, and `leaf/m` one; `lone` and `lone/m` are of an authority; the others have keys.
fn certified() -> Certified {
    let (root, first, second) = (root("root"), self_signed("whatever"), self_signed("leaf"));
    let mut world = world();
    let mut set = |id: &str, authentication: Authentication| {
        world.devices.get_mut(id).unwrap().authentication = authentication;
    };
    set("leaf", thumbprints(&[&first, &second]));
    set("lone", authorities(&[&root]));
    set("off", thumbprints(&[&first]));
    world.modules.insert(Identity::module("leaf", "m"), thumbprints(&[&second]));
    world.modules.insert(Identity::module("lone", "m"), authorities(&[&root]));
    Certified { world, root, first, second }
}

#[test]
fn a_certificate_opens_what_it_is_of_until_it_ends() {
    let Certified { world, root, first, second } = certified();
    let admitted = Ok(Admitted { signed_by: SignedBy::Identity, session_ends_at_secs: ENDS });
    let (of_lone, of_module) = (signed("lone", &root), signed("lone/m", &root));
    for (certificate, identity) in
        [(&first, "leaf"), (&second, "leaf"), (&second, "leaf/m"), (&of_lone, "lone"), (&of_module, "lone/m")]
    {
        assert_eq!(shown(certificate, identity, None, &world, NOW), admitted, "{identity}");
    }
    // In whatever form its thumbprint is known.
    let mut sha1 = world.clone();
    let known = Authentication::Thumbprints(vec![Thumbprint::sha1_of(first.der())]);
    sha1.devices.get_mut("leaf").unwrap().authentication = known;
    assert_eq!(shown(&first, "leaf", None, &sha1, NOW), admitted);
    assert_eq!(shown(&second, "leaf", None, &sha1, NOW), Err(Denied::Thumbprint(Identity::device("leaf"))));
}

#[test]
fn everybody_elses_certificate_opens_nothing() {
    let Certified { world, root, first, .. } = certified();
    let id = Identity::from_client_id;
    let (stranger, other_root) = (self_signed("leaf"), self::root("root"));
    let untrusted = |name: &str, why| Denied::Untrusted(id(name), why);
    let table = [
        ("a stranger's of the same name", &stranger, "leaf", Denied::Thumbprint(id("leaf"))),
        ("its device's", &first, "leaf/m", Denied::Thumbprint(id("leaf/m"))),
        ("for one with keys", &first, "top", Denied::Certless(id("top"))),
        ("for a module with keys", &first, "top/m", Denied::Certless(id("top/m"))),
        ("for one with nothing", &first, "bare", Denied::Certless(id("bare"))),
        ("for one who is not there", &first, "nobody", unknown("nobody")),
        ("self-signed for an authority's", &self_signed("lone"), "lone", untrusted("lone", Untrusted::NoAuthority)),
        ("another's of the authority", &signed("leaf", &root), "lone", Denied::CommonName(id("lone"))),
        ("in other letters", &signed("Lone", &root), "lone", Denied::CommonName(id("lone"))),
        ("its device's of the authority", &signed("lone", &root), "lone/m", Denied::CommonName(id("lone/m"))),
        ("a false authority's", &signed("lone", &other_root), "lone", untrusted("lone", Untrusted::Signature)),
        ("the authority's for a thumbprint", &signed("leaf", &root), "leaf", Denied::Thumbprint(id("leaf"))),
        ("of one who is blocked", &first, "off", Denied::Disabled("off".into())),
    ];
    for (what, certificate, identity, denied) in table {
        assert_eq!(shown(certificate, identity, None, &world, NOW), Err(denied), "{what}");
    }
    // An authority that nobody verified is not among the facts.
    let mut unverified = world.clone();
    unverified.devices.get_mut("lone").unwrap().authentication = Authentication::Authorities(Vec::new());
    let denied = shown(&signed("lone", &root), "lone", None, &unverified, NOW);
    assert_eq!(denied, Err(untrusted("lone", Untrusted::NoAuthority)));
    // A certificate of a device speaks for nobody below it either.
    assert_eq!(shown(&first, "leaf", Some("leaf;low"), &world, NOW), Err(Denied::Certless(id("low/$edgeHub"))));
}

#[test]
fn a_certificate_is_good_in_its_time() {
    let Certified { world, root, first, .. } = certified();
    for (certificate, identity) in [(&first, "leaf"), (&signed("lone", &root), "lone")] {
        for (now, denied) in [(NOW - 61, Denied::NotYetValid), (ENDS, Denied::CertificateExpired)] {
            assert_eq!(shown(certificate, identity, None, &world, now), Err(denied), "{identity}");
        }
        assert!(shown(certificate, identity, None, &world, ENDS - 1).is_ok());
    }
    // A session ends with the first of the chain.
    let short = TestCertificateSpec::authority("root").between(NOW, NOW + 9).self_signed();
    let mut world = world;
    world.devices.get_mut("lone").unwrap().authentication = authorities(&[&short]);
    let admitted = shown(&signed("lone", &short), "lone", None, &world, NOW).unwrap();
    assert_eq!(admitted.session_ends_at_secs, NOW + 10);
}

#[test]
fn a_token_does_not_open_what_has_certificates() {
    let Certified { world, .. } = certified();
    for identity in ["leaf", "leaf/m", "lone", "lone/m"] {
        let resource = format!("hub.example.test/devices/{}", identity.replace('/', "/modules/"));
        let attempt = Attempt { identity, resource: &resource, signed_by: identity, ..Attempt::default() };
        let denied = judge(&attempt, &world).unwrap_err();
        assert_eq!(denied, Denied::Keyless(Identity::from_client_id(identity)));
        assert!(denied.depends_on_identities());
    }
}

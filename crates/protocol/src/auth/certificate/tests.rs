//! Chains that lead somewhere, and the many that do not.
#![allow(clippy::unwrap_used)]

use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use testkit::certificates::{TestCertificate, TestCertificateSpec};

use super::*;

const NOW: u64 = 1_700_000_000;
const LATER: u64 = NOW + 1_000;

fn good(spec: TestCertificateSpec) -> TestCertificateSpec {
    spec.between(NOW - 1_000, LATER)
}

fn root() -> TestCertificate {
    good(TestCertificateSpec::authority("root")).self_signed()
}

fn leaf() -> TestCertificateSpec {
    good(TestCertificateSpec::leaf("d"))
}

fn authority(name: &str) -> TestCertificateSpec {
    good(TestCertificateSpec::authority(name))
}

fn read(certificate: &TestCertificate) -> ClientCertificate {
    ClientCertificate::read(certificate.chain()).unwrap()
}

fn registered(certificate: &TestCertificate) -> Authority {
    Authority::read(certificate.der()).unwrap()
}

fn leads(certificate: &TestCertificate, to: &TestCertificate) -> Result<u64, Untrusted> {
    read(certificate).leads_to([&registered(to)], NOW)
}

#[test]
fn a_thumbprint_is_the_same_however_it_is_written() {
    let sha1 = "5F3AE1098C0D3A6CDC55FC1FB86372A9A16A20CD";
    let parsed = Thumbprint::parse(sha1).unwrap();
    assert_eq!(parsed.to_string(), sha1);
    let spaced: Vec<&str> = (0..20).map(|n| &sha1[2 * n..2 * n + 2]).collect();
    for text in [sha1.to_lowercase(), spaced.join(":"), spaced.join(" "), spaced.join("-"), format!("\u{200e}{sha1}")] {
        assert_eq!(Thumbprint::parse(&text), Some(parsed), "{text}");
    }
    let sha256 = "ab".repeat(32);
    assert_eq!(Thumbprint::parse(&sha256).unwrap().to_string(), sha256.to_uppercase());
    for text in [
        "",
        "ab",
        &sha1[1..],
        &sha1[2..],
        &format!("{sha1}AA"),
        &"ab".repeat(33),
        "5F3AE1098C0D3A6CDC55FC1FB86372A9A16A20CG",
    ] {
        assert_eq!(Thumbprint::parse(text), None, "{text}");
    }
}

#[test]
fn a_certificate_says_what_it_is() {
    let made = TestCertificate::self_signed("d");
    let certificate = read(&made);
    assert_eq!(certificate.common_name(), Some("d"));
    assert!(certificate.is(&Thumbprint::sha1_of(made.der())) && certificate.is(&Thumbprint::sha256_of(made.der())));
    assert!(!certificate.is(&Thumbprint::sha256_of(b"another")));
    assert_eq!(ClientCertificate::from_text(&certificate.to_text()).unwrap(), certificate);
    for text in [made.base64(), made.chain_pem(), format!("some words\n{}", made.chain_pem())] {
        assert_eq!(ClientCertificate::from_text(&text).unwrap(), certificate, "{text}");
    }
    for text in ["", "no base64!", "bm8gUEVN", &made.base64()[4..]] {
        assert_eq!(ClientCertificate::from_text(text), Err(CertificateError::Malformed), "{text}");
    }
    let two = leaf().with(|params| params.distinguished_name.push(rcgen::DnType::CustomDnType(vec![2, 5, 4, 3]), "e"));
    assert_eq!(read(&two.self_signed()).common_name(), None, "which of two names is meant is not known");
}

#[test]
fn a_certificate_is_good_from_its_first_second_to_its_last() {
    let certificate = read(&leaf().self_signed());
    let table = [(NOW - 1_001, false), (NOW - 1_000, true), (LATER, true), (LATER + 1, false)];
    for (now_secs, is_valid) in table {
        assert_eq!(certificate.is_valid_at(now_secs), is_valid, "{now_secs}");
    }
    assert_eq!(certificate.ends_at_secs(), LATER + 1);
}

#[test]
fn a_chain_leads_to_whoever_signed_it() {
    let root = root();
    let middle = authority("middle").signed_by(&root);
    let low = authority("low").signed_by(&middle);
    let device = leaf().signed_by(&low);
    for (to, name) in [(&root, "root"), (&middle, "middle"), (&low, "low")] {
        assert_eq!(leads(&device, to), Ok(LATER + 1), "{name}");
    }
    assert_eq!(leads(&leaf().signed_by(&root), &root), Ok(LATER + 1));
    // The client may send more than is needed, in any order, the root too.
    let mut shuffled: Vec<&[u8]> = device.chain().collect();
    shuffled.push(root.der());
    shuffled[1..].reverse();
    assert!(ClientCertificate::read(shuffled).unwrap().leads_to([&registered(&root)], NOW).is_ok());
    let found = read(&device).issuers();
    assert!(found.iter().any(|issuer| **issuer == *registered(&low).subject()));
    assert_eq!(read(&device).leads_to([], NOW), Err(Untrusted::NoAuthority));
}

#[test]
fn a_chain_ends_when_the_first_of_its_certificates_does() {
    let root = TestCertificateSpec::authority("root").between(NOW - 5, NOW + 5).self_signed();
    let middle = TestCertificateSpec::authority("middle").between(NOW - 3, NOW + 3).signed_by(&root);
    let device = leaf().signed_by(&middle);
    assert_eq!(leads(&device, &root), Ok(NOW + 4));
    for now_secs in [NOW - 4, NOW + 4] {
        assert_eq!(read(&device).leads_to([&registered(&root)], now_secs), Err(Untrusted::OutOfTime), "{now_secs}");
    }
    let old = TestCertificateSpec::authority("old").between(NOW - 5, NOW - 1).self_signed();
    assert_eq!(leads(&leaf().signed_by(&old), &old), Err(Untrusted::OutOfTime), "a registered one has an end too");
}

#[test]
fn a_chain_that_leads_elsewhere_or_by_the_wrong_way_does_not_count() {
    let root = root();
    let impostor = self::root();
    let no_authority = leaf().signed_by(&root);
    let end = |spec: TestCertificateSpec| leaf().signed_by(&spec.signed_by(&root));
    let two_deep = |spec: TestCertificateSpec| {
        let upper = spec.signed_by(&root);
        leaf().signed_by(&authority("lower").signed_by(&upper))
    };
    let critical = |spec: TestCertificateSpec| {
        spec.with(|params| {
            let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
            extension.set_criticality(true);
            params.custom_extensions.push(extension);
        })
    };
    let of_module = |uri: &str| {
        let name = rcgen::SanType::URI(uri.try_into().unwrap());
        leaf().with(|params| params.subject_alt_names.push(name)).signed_by(&root)
    };
    assert!(leads(&of_module("urn:device:d"), &root).is_ok());
    let table = [
        ("a stranger's of the same name", leaf().signed_by(&impostor), Untrusted::Signature),
        ("self-signed", leaf().self_signed(), Untrusted::NoAuthority),
        ("signed by a device", leaf().signed_by(&no_authority), Untrusted::MayNotSign),
        (
            "an authority for another use",
            end(authority("a").key_usage(KeyUsagePurpose::CrlSign)),
            Untrusted::MayNotSign,
        ),
        ("one authority too many", two_deep(authority("a").may_sign(Some(0))), Untrusted::MayNotSign),
        ("an authority with an unknown rule", end(critical(authority("a"))), Untrusted::Extension),
        ("a device with an unknown rule", critical(leaf()).signed_by(&root), Untrusted::Extension),
        ("a module's of an edge", of_module("azureiot://hub/devices/e/modules/d"), Untrusted::Purpose),
        ("the same in other letters", of_module("AzureIoT://hub/devices/e/modules/d"), Untrusted::Purpose),
        ("a server's", leaf().purpose(ExtendedKeyUsagePurpose::ServerAuth).signed_by(&root), Untrusted::Purpose),
    ];
    for (what, chain, why) in table {
        assert_eq!(leads(&chain, &root), Err(why), "{what}");
    }
    assert!(leads(&two_deep(authority("a").may_sign(Some(1))), &root).is_ok());
    assert!(leads(&leaf().purpose(ExtendedKeyUsagePurpose::ClientAuth).signed_by(&root), &root).is_ok());
    assert_eq!(
        Authority::read(no_authority.der()),
        Err(CertificateError::NoAuthority),
        "a device's is not taken for an authority's"
    );
}

#[test]
fn certificates_made_without_a_thought_are_taken_if_they_are_sound() {
    const FAR: u64 = 2_000_000_000;
    let root = Authority::from_text(include_str!("../../../tests/certificates/old-root.pem")).unwrap();
    let device = ClientCertificate::from_text(include_str!("../../../tests/certificates/old-device.pem")).unwrap();
    assert!(device.leads_to([&root], FAR).is_ok() && root.signed(&device), "version 1, RSA");
    let sha1 = ClientCertificate::from_text(include_str!("../../../tests/certificates/old-device-sha1.pem")).unwrap();
    assert_eq!(sha1.leads_to([&root], FAR), Err(Untrusted::Signature));
    assert!(!root.signed(&sha1));
    // It has no way to say that it may not sign: nobody takes it for an authority.
    assert_eq!(Authority::read(device.leaf()), Err(CertificateError::NoAuthority));
}

#[test]
fn as_many_certificates_are_read_and_no_more() {
    let root = root();
    let mut issuers = vec![authority("0").signed_by(&root)];
    for n in 1..CLIENT_CHAIN_CERTIFICATES_MAX {
        issuers.push(authority(&n.to_string()).signed_by(&issuers[n - 1]));
    }
    let below = |n: usize| leaf().signed_by(&issuers[n]);
    let longest = below(CLIENT_CHAIN_CERTIFICATES_MAX - 2);
    assert_eq!(longest.chain().count(), CLIENT_CHAIN_CERTIFICATES_MAX);
    assert!(leads(&longest, &root).is_ok());
    let too_deep = below(CLIENT_CHAIN_CERTIFICATES_MAX - 1);
    assert_eq!(ClientCertificate::read(too_deep.chain()), Err(CertificateError::TooLong));
    assert_eq!(ClientCertificate::read([]), Err(CertificateError::Empty));
}

#[test]
fn as_many_bytes_are_read_and_no_more() {
    let device = leaf().self_signed();
    let padding = vec![0; CLIENT_CHAIN_BYTES_MAX - device.der().len() + 1];
    assert!(ClientCertificate::read([device.der(), &padding[1..]]).is_ok(), "only the leaf is parsed");
    assert_eq!(ClientCertificate::read([device.der(), &padding]), Err(CertificateError::TooLong));
    assert_eq!(Authority::read(&vec![0; CLIENT_CHAIN_BYTES_MAX + 1]), Err(CertificateError::TooLong));
    let text = "A".repeat(4 * CLIENT_CHAIN_BYTES_MAX + 1);
    assert_eq!(ClientCertificate::from_text(&text), Err(CertificateError::TooLong));
}

#[test]
fn a_chain_costs_so_many_signatures_and_no_more() {
    // Authorities of one name, each with another key: every one of them might be the one that signed.
    let false_roots: Vec<Authority> = (0..CLIENT_CHAIN_SIGNATURES_MAX).map(|_| registered(&root())).collect();
    let right = root();
    let device = read(&leaf().signed_by(&right));
    let with = |wrong: usize| {
        let all: Vec<Authority> = false_roots[..wrong].iter().cloned().chain([registered(&right)]).collect();
        device.leads_to(&all, NOW)
    };
    assert!(with(CLIENT_CHAIN_SIGNATURES_MAX - 1).is_ok());
    assert_eq!(with(CLIENT_CHAIN_SIGNATURES_MAX), Err(Untrusted::Signature));
}

#[test]
fn proof_of_a_key_is_a_signature_and_nothing_else() {
    let (root, other) = (root(), root());
    let proof = |by: &TestCertificate| read(&TestCertificateSpec::leaf("CODE").signed_by(by));
    assert!(registered(&root).signed(&proof(&root)));
    assert!(!registered(&root).signed(&proof(&other)));
}

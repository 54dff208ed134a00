//! Client certificates: what is read off the chain a client sent, and whether it leads to an authority.
//!
//! ```text
//!   sent by the client                        registered by people
//!   leaf ──signed by──► intermediate ─ … ──signed by──► authority
//!     └─ thumbprint, common name, dates
//! ```
//!
//! Pure, and no judgement of identities: that is [`judge`](super::judge)'s. That the client holds the leaf's key has been
//! proved by TLS.
//!
//! Devices carry what people made with a few lines of OpenSSL, so that little is asked of a leaf: version 1, no extensions, no
//! key usage and a certificate authority's own flag are all fine. Of whatever signs others everything is asked. A critical
//! extension that is not understood ends the chain, and so does a signature over SHA-1 or by an RSA key under 2048 bits.

use std::fmt;

use aws_lc_rs::{digest, signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::asn1_rs::{Any, Oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_NIST_HASH_SHA256,
    OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512, OID_PKCS1_RSAENCRYPTION, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA256WITHRSA,
    OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512, OID_SIG_ED25519, OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
    OID_X509_EXT_CERTIFICATE_POLICIES, OID_X509_EXT_SUBJECT_ALT_NAME, OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo, X509Version};

use crate::limits::{CLIENT_CHAIN_BYTES_MAX, CLIENT_CHAIN_CERTIFICATES_MAX, CLIENT_CHAIN_SIGNATURES_MAX};

/// The digest of a certificate that people compare it by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thumbprint {
    /// 40 hex digits.
    Sha1([u8; 20]),
    /// 64 hex digits.
    Sha256([u8; 32]),
}

impl Thumbprint {
    /// SHA-1 of a certificate: what interfaces show.
    pub fn sha1_of(der: &[u8]) -> Self {
        Self::Sha1(sized(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()))
    }

    /// SHA-256 of a certificate: what is kept.
    pub fn sha256_of(der: &[u8]) -> Self {
        Self::Sha256(sized(digest::digest(&digest::SHA256, der).as_ref()))
    }

    /// Reads hex digits in either case; spaces, colons and dashes between them do not count.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = text.chars().filter(|c| !matches!(c, ' ' | ':' | '-' | '\u{200e}')).map(|c| c.to_digit(16));
        let mut bytes = Vec::with_capacity(32);
        while let Some(high) = digits.next() {
            bytes.push(u8::try_from(high? * 16 + digits.next()??).ok()?);
            if bytes.len() > 32 {
                return None;
            }
        }
        match bytes.len() {
            20 => Some(Self::Sha1(sized(&bytes))),
            32 => Some(Self::Sha256(sized(&bytes))),
            _ => None,
        }
    }
}

fn sized<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the digest has its own length")
}

/// As interfaces show it: hex digits in upper case, nothing between.
impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        };
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why bytes are no certificate of use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is none.
    #[error("there is no certificate")]
    Empty,
    /// Longer than is read.
    #[error("the certificates are {CLIENT_CHAIN_BYTES_MAX} bytes at most, {CLIENT_CHAIN_CERTIFICATES_MAX} of them")]
    TooLong,
    /// Not DER of a certificate.
    #[error("this is no X.509 certificate")]
    Malformed,
    /// It may not sign others.
    #[error("the certificate is not that of a certificate authority")]
    NoAuthority,
}

/// What a client that proved to hold the leaf's key has shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// DER, leaf first.
    chain: Box<[Box<[u8]>]>,
    thumbprints: [Thumbprint; 2],
    common_name: Option<Box<str>>,
    validity: Validity,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("common_name", &self.common_name)
            .field("sha256", &self.thumbprints[1])
            .finish_non_exhaustive()
    }
}

/// Unix seconds between which a certificate is good, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    not_before_secs: i64,
    not_after_secs: i64,
}

/// When a certificate is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutOfTime {
    NotYet,
    Over,
}

impl Validity {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { not_before_secs: validity.not_before.timestamp(), not_after_secs: validity.not_after.timestamp() }
    }

    pub(super) fn check(self, now_secs: u64) -> Result<(), OutOfTime> {
        let now_secs = i64::try_from(now_secs).unwrap_or(i64::MAX);
        if now_secs < self.not_before_secs {
            return Err(OutOfTime::NotYet);
        }
        if now_secs > self.not_after_secs { Err(OutOfTime::Over) } else { Ok(()) }
    }

    /// The first second at which it is no good any more.
    pub(super) fn ends_at_secs(self) -> u64 {
        u64::try_from(self.not_after_secs.saturating_add(1)).unwrap_or(0)
    }
}

impl ClientCertificate {
    /// Reads a chain as TLS brought it, leaf first.
    pub fn read<'c>(chain: impl IntoIterator<Item = &'c [u8]>) -> Result<Self, CertificateError> {
        let mut ders: Vec<Box<[u8]>> = Vec::new();
        let mut bytes = 0_usize;
        for der in chain {
            bytes = bytes.saturating_add(der.len());
            if ders.len() >= CLIENT_CHAIN_CERTIFICATES_MAX || bytes > CLIENT_CHAIN_BYTES_MAX {
                return Err(CertificateError::TooLong);
            }
            ders.push(der.into());
        }
        let leaf_der = ders.first().ok_or(CertificateError::Empty)?;
        let leaf = parse(leaf_der)?;
        let thumbprints = [Thumbprint::sha1_of(leaf_der), Thumbprint::sha256_of(leaf_der)];
        let (common_name, validity) = (common_name(&leaf).map(Into::into), Validity::of(&leaf));
        Ok(Self { chain: ders.into(), thumbprints, common_name, validity })
    }

    /// Reads one certificate as people hand it over: base64 of a PEM file, the file's text itself, or base64 of DER.
    pub fn from_text(text: &str) -> Result<Self, CertificateError> {
        Self::read([der_of_text(text)?.as_slice()])
    }

    /// The leaf as base64 of DER, which `from_text` reads again.
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.leaf())
    }

    /// DER of the leaf.
    pub fn leaf(&self) -> &[u8] {
        &self.chain[0]
    }

    /// The leaf's SHA-1.
    pub fn sha1(&self) -> Thumbprint {
        self.thumbprints[0]
    }

    /// The leaf's SHA-256.
    pub fn sha256(&self) -> Thumbprint {
        self.thumbprints[1]
    }

    /// Whether the leaf is the certificate with this thumbprint.
    pub fn is(&self, thumbprint: &Thumbprint) -> bool {
        self.thumbprints.contains(thumbprint)
    }

    /// The common name of the leaf's subject.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// Whether the leaf is good at this time, in Unix seconds.
    pub fn is_valid_at(&self, now_secs: u64) -> bool {
        self.validity.check(now_secs).is_ok()
    }

    /// The first second at which the leaf is no good any more.
    pub fn ends_at_secs(&self) -> u64 {
        self.validity.ends_at_secs()
    }

    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    /// Names of whoever is said to have signed the certificates: an authority with another name needs no further look.
    pub fn issuers(&self) -> Vec<Box<[u8]>> {
        let parsed = self.chain.iter().filter_map(|der| parse(der).ok());
        parsed.map(|certificate| certificate.tbs_certificate.issuer.as_raw().into()).collect()
    }

    /// Whether the chain leads to one of these authorities, everything on the way good now; answers when the first of it will be
    /// no more.
    pub fn leads_to<'a>(
        &self,
        authorities: impl IntoIterator<Item = &'a Authority>,
        now_secs: u64,
    ) -> Result<u64, Untrusted> {
        let parsed: Vec<X509Certificate<'_>> = self.chain.iter().filter_map(|der| parse(der).ok()).collect();
        let (leaf, intermediates) = parsed.split_first().ok_or(Untrusted::NoAuthority)?;
        is_leaf(leaf)?;
        let authorities: Vec<X509Certificate<'_>> =
            authorities.into_iter().filter_map(|authority| parse(&authority.der).ok()).collect();
        let mut search = Search { authorities: &authorities, intermediates, now_secs, signatures: 0, why: None };
        let ends_at_secs = search.step(leaf, 0, Validity::of(leaf).ends_at_secs());
        ends_at_secs.ok_or(search.why.unwrap_or(Untrusted::NoAuthority))
    }
}

/// Why a chain is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It leads to no authority that is registered and verified.
    #[error("it leads to no certificate authority that is registered here and verified")]
    NoAuthority,
    /// What signed it is not good now.
    #[error("a certificate on the way to the certificate authority is not valid now")]
    OutOfTime,
    /// What signed it may not.
    #[error("a certificate on the way to the certificate authority may not sign others")]
    MayNotSign,
    /// It is not signed with the key it names.
    #[error("a signature in the chain is wrong, or of a kind that is not accepted")]
    Signature,
    /// A critical extension that nobody here knows.
    #[error("a certificate has a critical extension that is not understood")]
    Extension,
    /// The leaf is for something else.
    #[error("the certificate is not a device's: it is for servers, or for a module of an edge")]
    Purpose,
}

/// The certificate of an authority whose devices are let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    der: Box<[u8]>,
    subject: Box<[u8]>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.sha256())
    }
}

impl Authority {
    /// Reads DER.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CLIENT_CHAIN_BYTES_MAX {
            return Err(CertificateError::TooLong);
        }
        let certificate = parse(der)?;
        may_sign(&certificate, 0, Registered::Yes).map_err(|_| CertificateError::NoAuthority)?;
        Ok(Self { der: der.into(), subject: certificate.tbs_certificate.subject.as_raw().into() })
    }

    /// Reads one as people hand it over, as [`ClientCertificate::from_text`] does.
    pub fn from_text(text: &str) -> Result<Self, CertificateError> {
        Self::read(&der_of_text(text)?)
    }

    /// DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its name, as certificates it signed say it.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// It as base64 of DER, which `from_text` reads again.
    pub fn to_text(&self) -> String {
        STANDARD.encode(&self.der)
    }

    /// Its SHA-1.
    pub fn sha1(&self) -> Thumbprint {
        Thumbprint::sha1_of(&self.der)
    }

    /// Its SHA-256.
    pub fn sha256(&self) -> Thumbprint {
        Thumbprint::sha256_of(&self.der)
    }

    /// Whether its key signed a certificate that says so, whatever else that may be: proof that somebody has the key.
    pub fn signed(&self, certificate: &ClientCertificate) -> bool {
        match (parse(&self.der), parse(certificate.leaf())) {
            (Ok(own), Ok(leaf)) => is_issued_by(&leaf, &own) && is_signed_with(&leaf, own.public_key()),
            _ => false,
        }
    }
}

/// The way up from a leaf, depth first. Each step is paid for with signatures, of which there are so many and no more.
struct Search<'s, 'c> {
    authorities: &'s [X509Certificate<'c>],
    intermediates: &'s [X509Certificate<'c>],
    now_secs: u64,
    signatures: usize,
    /// The first thing that was wrong.
    why: Option<Untrusted>,
}

impl<'s> Search<'s, '_> {
    /// Answers when a good way from this certificate to an authority ends. `below` intermediates are already on it.
    fn step(&mut self, certificate: &X509Certificate<'_>, below: usize, ends_at_secs: u64) -> Option<u64> {
        let (authorities, intermediates): (&'s [_], &'s [_]) = (self.authorities, self.intermediates);
        for authority in authorities {
            if let Some(validity) = self.signs((authority, Registered::Yes), certificate, below) {
                return Some(ends_at_secs.min(validity.ends_at_secs()));
            }
        }
        if below >= intermediates.len() {
            return None;
        }
        for intermediate in intermediates {
            if let Some(validity) = self.signs((intermediate, Registered::No), certificate, below)
                && let Some(found) = self.step(intermediate, below + 1, ends_at_secs.min(validity.ends_at_secs()))
            {
                return Some(found);
            }
        }
        None
    }

    fn signs(
        &mut self,
        (issuer, registered): (&X509Certificate<'_>, Registered),
        certificate: &X509Certificate<'_>,
        below: usize,
    ) -> Option<Validity> {
        if !is_issued_by(certificate, issuer) || self.signatures >= CLIENT_CHAIN_SIGNATURES_MAX {
            return None;
        }
        self.signatures += 1;
        let validity = Validity::of(issuer);
        let checked = may_sign(issuer, below, registered)
            .and_then(|()| validity.check(self.now_secs).map_err(|_| Untrusted::OutOfTime))
            .and_then(|()| is_signed_with(certificate, issuer.public_key()).then_some(()).ok_or(Untrusted::Signature));
        match checked {
            Ok(()) => Some(validity),
            Err(why) => {
                self.why.get_or_insert(why);
                None
            }
        }
    }
}

/// Where a public key stands in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey<'c> {
    /// The whole `SubjectPublicKeyInfo`.
    pub info: &'c [u8],
    /// What is inside its `AlgorithmIdentifier`.
    pub algorithm: &'c [u8],
    /// The key itself.
    pub key: &'c [u8],
}

/// The public key of a certificate, for whoever checks what was signed with the private one.
pub fn public_key(der: &[u8]) -> Result<PublicKey<'_>, CertificateError> {
    let malformed = |_| CertificateError::Malformed;
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    let info = certificate.tbs_certificate.subject_pki.raw;
    let (_, fields) = Any::from_der(info).map_err(malformed)?;
    let (rest, algorithm) = Any::from_der(fields.data).map_err(malformed)?;
    let (_, bits) = Any::from_der(rest).map_err(malformed)?;
    // A bit string starts with how many bits of its last byte do not count: none.
    let key = bits.data.strip_prefix(&[0]).ok_or(CertificateError::Malformed)?;
    Ok(PublicKey { info, algorithm: algorithm.data, key })
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Malformed),
    }
}

fn der_of_text(text: &str) -> Result<Vec<u8>, CertificateError> {
    // Base64 takes four letters for three bytes, of a PEM file which does the same; and some lines around.
    if text.len() > 4 * CLIENT_CHAIN_BYTES_MAX {
        return Err(CertificateError::TooLong);
    }
    let decoded;
    let bytes = if text.contains("-----BEGIN") {
        text.as_bytes()
    } else {
        let letters: String = text.split_ascii_whitespace().collect();
        decoded = STANDARD.decode(letters).map_err(|_| CertificateError::Malformed)?;
        &decoded
    };
    let is_der = bytes.first() == Some(&0x30);
    if is_der {
        return Ok(bytes.to_vec());
    }
    let found = Pem::iter_from_buffer(bytes).filter_map(Result::ok).find(|pem| pem.label == "CERTIFICATE");
    found.map(|pem| pem.contents).ok_or(CertificateError::Malformed)
}

/// The common name. Of two it is not known which one is meant.
fn common_name<'c>(certificate: &X509Certificate<'c>) -> Option<&'c str> {
    let mut names = certificate.tbs_certificate.subject.iter_common_name();
    let name = names.next().filter(|_| names.next().is_none())?;
    // Not `as_str`: the text has to live as long as the certificate's bytes.
    let value: &Any<'c> = name.attr_value();
    std::str::from_utf8(value.data).ok()
}

fn is_issued_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    certificate.tbs_certificate.issuer.as_raw() == issuer.tbs_certificate.subject.as_raw()
}

/// What the name of a module begins with in a certificate that an edge made for it.
const MODULE_OF_EDGE: &str = "azureiot://";

/// Whether a device may show it. An edge makes certificates for its modules, in names that whoever deploys them chose: where its
/// authority leads to one that devices have too, they would be good for any device.
fn is_leaf(certificate: &X509Certificate<'_>) -> Result<(), Untrusted> {
    understood(certificate)?;
    let names = certificate.subject_alternative_name().map_err(|_| Untrusted::Extension)?;
    let mut names = names.iter().flat_map(|names| &names.value.general_names);
    let is_scheme =
        |uri: &str| uri.get(..MODULE_OF_EDGE.len()).is_some_and(|head| head.eq_ignore_ascii_case(MODULE_OF_EDGE));
    if names.any(|name| matches!(name, GeneralName::URI(uri) if is_scheme(uri))) {
        return Err(Untrusted::Purpose);
    }
    match certificate.extended_key_usage() {
        Ok(Some(usage)) if !usage.value.client_auth && !usage.value.any => Err(Untrusted::Purpose),
        Ok(_) => Ok(()),
        Err(_) => Err(Untrusted::Extension),
    }
}

/// Whether people have registered an authority, or a client brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registered {
    Yes,
    No,
}

/// Whether it may sign others, with so many authorities between it and the leaf. One of version 1 has no way to say so: it may when
/// people registered it, and it signed itself.
fn may_sign(certificate: &X509Certificate<'_>, below: usize, registered: Registered) -> Result<(), Untrusted> {
    understood(certificate)?;
    if certificate.version() != X509Version::V3 {
        let is_root = registered == Registered::Yes && is_issued_by(certificate, certificate);
        return if is_root { Ok(()) } else { Err(Untrusted::MayNotSign) };
    }
    let constraints = certificate.basic_constraints().map_err(|_| Untrusted::Extension)?;
    let constraints = constraints.ok_or(Untrusted::MayNotSign)?.value;
    let usage = certificate.key_usage().map_err(|_| Untrusted::Extension)?;
    let is_deep_enough = constraints.path_len_constraint.is_none_or(|most| below <= most as usize);
    let signs_certificates = usage.is_none_or(|usage| usage.value.key_cert_sign());
    if constraints.ca && is_deep_enough && signs_certificates { Ok(()) } else { Err(Untrusted::MayNotSign) }
}

fn understood(certificate: &X509Certificate<'_>) -> Result<(), Untrusted> {
    let harmless = [
        OID_X509_EXT_SUBJECT_ALT_NAME,
        OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
        OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
        OID_X509_EXT_CERTIFICATE_POLICIES,
    ];
    let is_understood = certificate.extensions().iter().filter(|extension| extension.critical).all(|extension| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::BasicConstraints(_) | ParsedExtension::KeyUsage(_) | ParsedExtension::ExtendedKeyUsage(_)
        ) || harmless.contains(&extension.oid)
    });
    if is_understood { Ok(()) } else { Err(Untrusted::Extension) }
}

fn is_signed_with(certificate: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &certificate.signature_algorithm;
    // The one outside is not signed itself.
    if *algorithm != certificate.tbs_certificate.signature {
        return false;
    }
    let Some(verification) = verification(algorithm, key) else { return false };
    let key = signature::UnparsedPublicKey::new(verification, &key.subject_public_key.data);
    key.verify(certificate.tbs_certificate.as_ref(), &certificate.signature_value.data).is_ok()
}

/// How a signature of this kind is checked with a key of this kind; SHA-1 and short keys are not.
fn verification(
    algorithm: &AlgorithmIdentifier<'_>,
    key: &SubjectPublicKeyInfo<'_>,
) -> Option<&'static dyn signature::VerificationAlgorithm> {
    let kind = &algorithm.algorithm;
    let is_rsa = key.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION;
    if *kind == OID_SIG_ED25519 {
        return (key.algorithm.algorithm == OID_SIG_ED25519).then_some(&signature::ED25519);
    }
    if *kind == OID_PKCS1_RSASSAPSS {
        let is_pss = key.algorithm.algorithm == OID_PKCS1_RSASSAPSS;
        let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
        return (is_rsa || is_pss).then(|| rsa_pss(parameters.hash_algorithm_oid())).flatten();
    }
    let rsa: [(&Oid<'_>, &'static dyn signature::VerificationAlgorithm); 3] = [
        (&OID_PKCS1_SHA256WITHRSA, &signature::RSA_PKCS1_2048_8192_SHA256),
        (&OID_PKCS1_SHA384WITHRSA, &signature::RSA_PKCS1_2048_8192_SHA384),
        (&OID_PKCS1_SHA512WITHRSA, &signature::RSA_PKCS1_2048_8192_SHA512),
    ];
    if let Some((_, found)) = rsa.into_iter().find(|(oid, _)| *oid == kind) {
        return is_rsa.then_some(found);
    }
    if key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return None;
    }
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let ecdsa: [(&Oid<'_>, &Oid<'_>, &'static dyn signature::VerificationAlgorithm); 8] = [
        (&OID_EC_P256, &OID_SIG_ECDSA_WITH_SHA256, &signature::ECDSA_P256_SHA256_ASN1),
        (&OID_EC_P256, &OID_SIG_ECDSA_WITH_SHA384, &signature::ECDSA_P256_SHA384_ASN1),
        (&OID_EC_P256, &OID_SIG_ECDSA_WITH_SHA512, &signature::ECDSA_P256_SHA512_ASN1),
        (&OID_NIST_EC_P384, &OID_SIG_ECDSA_WITH_SHA256, &signature::ECDSA_P384_SHA256_ASN1),
        (&OID_NIST_EC_P384, &OID_SIG_ECDSA_WITH_SHA384, &signature::ECDSA_P384_SHA384_ASN1),
        (&OID_NIST_EC_P384, &OID_SIG_ECDSA_WITH_SHA512, &signature::ECDSA_P384_SHA512_ASN1),
        (&OID_NIST_EC_P521, &OID_SIG_ECDSA_WITH_SHA256, &signature::ECDSA_P521_SHA256_ASN1),
        (&OID_NIST_EC_P521, &OID_SIG_ECDSA_WITH_SHA512, &signature::ECDSA_P521_SHA512_ASN1),
    ];
    ecdsa.into_iter().find(|(on, oid, _)| **on == curve && *oid == kind).map(|(_, _, found)| found)
}

fn rsa_pss(hash: &Oid<'_>) -> Option<&'static dyn signature::VerificationAlgorithm> {
    let known: [(&Oid<'_>, &'static dyn signature::VerificationAlgorithm); 3] = [
        (&OID_NIST_HASH_SHA256, &signature::RSA_PSS_2048_8192_SHA256),
        (&OID_NIST_HASH_SHA384, &signature::RSA_PSS_2048_8192_SHA384),
        (&OID_NIST_HASH_SHA512, &signature::RSA_PSS_2048_8192_SHA512),
    ];
    known.into_iter().find(|(oid, _)| *oid == hash).map(|(_, found)| found)
}

#[cfg(test)]
mod tests;

//! Certificates of devices, and of authorities that sign them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};
pub use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use transport::tls::{ServerIdentity, client_config_as};

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct TestCertificateSpec {
    params: CertificateParams,
}

impl TestCertificateSpec {
    /// A device's, good from yesterday until tomorrow.
    pub fn leaf(common_name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let now = SystemTime::now();
        let day = Duration::from_secs(24 * 60 * 60);
        params.not_before = (now - day).into();
        params.not_after = (now + day).into();
        Self { params }
    }

    /// An authority's.
    pub fn authority(common_name: &str) -> Self {
        Self::leaf(common_name).may_sign(None)
    }

    /// The same of an authority, with at most so many others below it.
    #[must_use]
    pub fn may_sign(mut self, path_length: Option<u8>) -> Self {
        self.params.is_ca = IsCa::Ca(match path_length {
            Some(most) => BasicConstraints::Constrained(most),
            None => BasicConstraints::Unconstrained,
        });
        self
    }

    /// The same with this use of the key.
    #[must_use]
    pub fn key_usage(mut self, usage: KeyUsagePurpose) -> Self {
        self.params.key_usages = vec![usage];
        self
    }

    /// The same for this purpose.
    #[must_use]
    pub fn purpose(mut self, purpose: ExtendedKeyUsagePurpose) -> Self {
        self.params.extended_key_usages = vec![purpose];
        self
    }

    /// The same with this URI as another name.
    #[must_use]
    pub fn uri(mut self, uri: &str) -> Self {
        self.params.subject_alt_names.push(SanType::URI(uri.try_into().expect("a URI is ASCII")));
        self
    }

    /// The same with anything else.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        change(&mut self.params);
        self
    }

    /// The same between these Unix seconds.
    #[must_use]
    pub fn between(mut self, not_before_secs: u64, not_after_secs: u64) -> Self {
        self.params.not_before = (UNIX_EPOCH + Duration::from_secs(not_before_secs)).into();
        self.params.not_after = (UNIX_EPOCH + Duration::from_secs(not_after_secs)).into();
        self
    }

    /// Signs it with its own key.
    pub fn self_signed(self) -> TestCertificate {
        let key = KeyPair::generate().expect("a key can be generated");
        let der = self.params.self_signed(&key).expect("the certificate can be made").der().to_vec();
        TestCertificate { params: self.params, key, chain: vec![der], is_root: true }
    }

    /// Signs it with another one's key.
    pub fn signed_by(self, issuer: &TestCertificate) -> TestCertificate {
        let key = KeyPair::generate().expect("a key can be generated");
        let by = Issuer::from_params(&issuer.params, &issuer.key);
        let der = self.params.signed_by(&key, &by).expect("the certificate can be made").der().to_vec();
        let mut chain = vec![der];
        if !issuer.is_root {
            chain.extend(issuer.chain.iter().cloned());
        }
        TestCertificate { params: self.params, key, chain, is_root: false }
    }
}

/// A certificate with its key, and those that lead to a root.
#[derive(Debug)]
pub struct TestCertificate {
    params: CertificateParams,
    key: KeyPair,
    /// DER, leaf first, without the root.
    chain: Vec<Vec<u8>>,
    is_root: bool,
}

impl TestCertificate {
    /// A device's that signed itself.
    pub fn self_signed(common_name: &str) -> Self {
        TestCertificateSpec::leaf(common_name).self_signed()
    }

    /// A root authority.
    pub fn root(common_name: &str) -> Self {
        TestCertificateSpec::authority(common_name).self_signed()
    }

    /// A root authority whose certificate is about as large as one may be.
    pub fn large_root(common_name: &str) -> Self {
        let name = "x".repeat(protocol::limits::CLIENT_CHAIN_BYTES_MAX / 2 - 512);
        let named = |params: &mut CertificateParams| params.distinguished_name.push(DnType::OrganizationName, name);
        TestCertificateSpec::authority(common_name).with(named).self_signed()
    }

    /// An authority below this one.
    pub fn authority(&self, common_name: &str) -> Self {
        TestCertificateSpec::authority(common_name).signed_by(self)
    }

    /// A device's below this one.
    pub fn leaf(&self, common_name: &str) -> Self {
        TestCertificateSpec::leaf(common_name).signed_by(self)
    }

    /// DER.
    pub fn der(&self) -> &[u8] {
        &self.chain[0]
    }

    /// DER of it and of what leads to the root, which is left out.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.chain.iter().map(Vec::as_slice)
    }

    /// PEM of the same.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|der| pem(der)).collect()
    }

    /// As interfaces take it: base64 of a PEM file.
    pub fn base64(&self) -> String {
        STANDARD.encode(pem(self.der()))
    }

    /// The private key, PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A client that shows it and trusts this root.
    pub fn client(&self, root_pem: &str) -> Arc<rustls::ClientConfig> {
        let identity = ServerIdentity::from_pem(self.chain_pem().as_bytes(), self.key_pem().as_bytes());
        let identity = identity.expect("what was just made fits together");
        client_config_as(Some(root_pem.as_bytes()), identity).expect("the root can be trusted")
    }
}

fn pem(der: &[u8]) -> String {
    let lines: Vec<String> =
        STANDARD.encode(der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

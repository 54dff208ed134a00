//! A small certificate authority: a root, and server certificates below it or below an intermediate. ECDSA P-256, PKCS#8.
//!
//! ```text
//! root (create_ca) --> server certificate (issue_server)
//! ```

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::{IdentityError, ServerIdentity};

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Certified {
    /// The certificate, and for certificates below the root the authorities that lead to it, leaf first. The root itself is
    /// left out below the first level: whoever checks has it.
    pub chain_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
}

/// Keys stay out of logs.
impl std::fmt::Debug for Certified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certified").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

impl Certified {
    /// As a listener's identity.
    pub fn server_identity(&self) -> Result<ServerIdentity, IdentityError> {
        ServerIdentity::from_pem(self.chain_pem.as_bytes(), self.key_pem.as_bytes())
    }
}

/// Why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A name is neither a DNS name nor an IP address, or a key or certificate cannot be read.
    #[error("the certificate cannot be issued")]
    Generate(#[from] rcgen::Error),
    /// A server certificate needs a name.
    #[error("a server certificate needs at least one name")]
    NoName,
}

/// Clocks of devices may be behind: a certificate is valid from this long before it was made.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// A new self-signed root authority.
pub fn create_ca(common_name: &str, validity: Duration) -> Result<Certified, IssueError> {
    let key = KeyPair::generate()?;
    let certificate = ca_params(common_name, validity).self_signed(&key)?;
    Ok(Certified { chain_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// A new server certificate. Names that read as IP addresses become IP entries, the others DNS entries; the first is also
/// the common name.
pub fn issue_server(ca: &Certified, names: &[String], validity: Duration) -> Result<Certified, IssueError> {
    let first = names.first().ok_or(IssueError::NoName)?;
    let mut params = params(first, validity);
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(ca, params)
}

fn issue(ca: &Certified, params: CertificateParams) -> Result<Certified, IssueError> {
    let issuer = Issuer::from_ca_cert_pem(&ca.chain_pem, KeyPair::from_pem(&ca.key_pem)?)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Certified { chain_pem: certificate.pem() + &ca.chain_pem, key_pem: key.serialize_pem() })
}

fn ca_params(common_name: &str, validity: Duration) -> CertificateParams {
    let mut params = params(common_name, validity);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn params(common_name: &str, validity: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + validity).into();
    params.use_authority_key_identifier_extension = true;
    params
}

#[cfg(test)]
mod tests;

//! Certificates of authorities whose devices a group lets in: two, so that one takes the place of the other without a gap.

use super::engine::Value;
use super::new_etag;

/// The certificate of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningCertificate {
    /// Base64 of DER.
    pub certificate: String,
    /// Whether somebody proved to have its key, or vouched for it. Without that it lets nobody in.
    pub verified: bool,
    /// What a certificate has to be named that proves it, once that was asked for.
    pub code: Option<String>,
    /// Changes with every write of it.
    pub etag: String,
}

impl SigningCertificate {
    /// A certificate of which nobody has proved anything yet, unless it is vouched for.
    pub fn new(certificate: String, verified: bool) -> Self {
        Self { certificate, verified, code: None, etag: new_etag() }
    }

    fn from_columns(columns: OneColumns) -> Option<Self> {
        Some(Self {
            certificate: columns.certificate?,
            verified: columns.verified.unwrap_or_default(),
            code: columns.code,
            etag: columns.etag.unwrap_or_default(),
        })
    }
}

/// The certificates of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningCertificates {
    /// One of them.
    pub primary: Option<SigningCertificate>,
    /// The other.
    pub secondary: Option<SigningCertificate>,
}

impl SigningCertificates {
    /// Those that let somebody in, base64 of DER.
    pub fn verified(&self) -> impl Iterator<Item = &str> {
        let both = [&self.primary, &self.secondary].into_iter().flatten();
        both.filter(|certificate| certificate.verified).map(|certificate| certificate.certificate.as_str())
    }
}

/// The columns of the table, in its order.
pub(super) const COLUMNS: [&str; 9] = [
    "attestation",
    "primary_certificate",
    "primary_verified",
    "primary_code",
    "primary_certificate_etag",
    "secondary_certificate",
    "secondary_verified",
    "secondary_code",
    "secondary_certificate_etag",
];

/// Their values.
pub(super) fn values(certificates: Option<&SigningCertificates>) -> Vec<Value<'_>> {
    let attestation = if certificates.is_some() { X509 } else { "symmetricKey" };
    let mut values: Vec<Value<'_>> = vec![attestation.into()];
    let both = certificates.map(|both| [both.primary.as_ref(), both.secondary.as_ref()]).unwrap_or_default();
    for one in both {
        values.push(one.map(|one| one.certificate.as_str()).into());
        values.push(one.is_some_and(|one| one.verified).into());
        values.push(one.and_then(|one| one.code.as_deref()).into());
        values.push(one.map(|one| one.etag.as_str()).into());
    }
    values
}

const X509: &str = "x509";

struct OneColumns {
    certificate: Option<String>,
    verified: Option<bool>,
    code: Option<String>,
    etag: Option<String>,
}

/// The columns of a group that may not be there, or have keys.
#[derive(sqlx::FromRow)]
pub(super) struct CertificateColumns {
    attestation: Option<String>,
    primary_certificate: Option<String>,
    primary_verified: Option<bool>,
    primary_code: Option<String>,
    primary_certificate_etag: Option<String>,
    secondary_certificate: Option<String>,
    secondary_verified: Option<bool>,
    secondary_code: Option<String>,
    secondary_certificate_etag: Option<String>,
}

impl From<CertificateColumns> for Option<SigningCertificates> {
    fn from(columns: CertificateColumns) -> Self {
        if columns.attestation.as_deref() != Some(X509) {
            return None;
        }
        let primary = OneColumns {
            certificate: columns.primary_certificate,
            verified: columns.primary_verified,
            code: columns.primary_code,
            etag: columns.primary_certificate_etag,
        };
        let secondary = OneColumns {
            certificate: columns.secondary_certificate,
            verified: columns.secondary_verified,
            code: columns.secondary_code,
            etag: columns.secondary_certificate_etag,
        };
        let (primary, secondary) =
            (SigningCertificate::from_columns(primary), SigningCertificate::from_columns(secondary));
        Some(SigningCertificates { primary, secondary })
    }
}

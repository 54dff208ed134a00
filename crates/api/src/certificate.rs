//! Certificates of devices and of the authorities that sign them. They are written as base64 of a PEM file and never read
//! back: what is shown of one is its thumbprint.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What tells a certificate from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct X509CertificateInfo {
    /// SHA-1 of the certificate, hex digits.
    pub sha1_thumbprint: String,
}

/// A certificate a device may show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct X509Certificate {
    /// Base64 of a PEM file. Left out of what is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// What tells it from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub info: Option<X509CertificateInfo>,
}

/// The certificates a device may show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct X509Certificates {
    /// One of them.
    pub primary: X509Certificate,
    /// Another one, to change over to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<X509Certificate>,
}

/// What a device with certificates proves itself with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct X509 {
    /// The certificates it may show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<X509Certificates>,
}

/// The certificate of an authority whose devices a group lets in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningX509Certificate {
    /// Whether somebody proved to have its key, or vouches for it. Only then does it let devices in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(default = false)]
    pub verified: Option<bool>,
    /// Base64 of a PEM file. Left out of what is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// What tells it from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub info: Option<X509CertificateInfo>,
    /// Changes with every write; send it back to detect a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// The certificates of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningX509Certificates {
    /// One of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<SigningX509Certificate>,
    /// The other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<SigningX509Certificate>,
}

/// What the devices of a group prove themselves with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningX509 {
    /// The certificates theirs lead to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_certificates: Option<SigningX509Certificates>,
}

/// What a certificate has to be named that proves possession of an authority's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct X509VerificationCode {
    /// The common name it needs.
    #[schema(read_only)]
    pub verification_code: String,
}

/// The proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct X509VerificationCertificate {
    /// Base64 of a PEM file: a certificate named by the code and signed with the authority's key.
    pub certificate: String,
}

//! `[provisioning]`: how this device gets its identity.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::{BadValue, read_text};
use crate::limits;

/// The section as written: the keys of every kind side by side, as in the original; which belong together is checked after.
#[derive(Debug, Deserialize)]
pub(super) struct ProvisioningSection {
    source: String,
    connection_string: Option<String>,
    iothub_hostname: Option<String>,
    device_id: Option<String>,
    authentication: Option<AuthenticationSection>,
    global_endpoint: Option<String>,
    id_scope: Option<String>,
    payload: Option<SecretEntry>,
    attestation: Option<AttestationSection>,
    #[serde(flatten)]
    unknown: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Deserialize)]
struct AuthenticationSection {
    method: String,
    device_id_pk: Option<SecretEntry>,
    identity_cert: Option<toml::Value>,
    identity_pk: Option<toml::Value>,
    #[serde(flatten)]
    unknown: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Deserialize)]
struct AttestationSection {
    method: String,
    registration_id: Option<String>,
    symmetric_key: Option<SecretEntry>,
    identity_cert: Option<toml::Value>,
    identity_pk: Option<toml::Value>,
    #[serde(flatten)]
    unknown: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretEntry {
    value: Option<String>,
    uri: Option<String>,
}

/// Where a secret is: in the file itself, or in one of its own. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    /// In `config.toml`.
    Value(String),
    /// In a file.
    File(PathBuf),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Value(_) => f.write_str("Value(…)"),
            Place::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// A secret's file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the key file {}", path.display())]
pub struct ReadSecretError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl Secret {
    /// Whether the secret can be read, without showing it.
    pub fn check_readable(&self) -> Result<(), ReadSecretError> {
        self.reveal().map(drop)
    }

    /// The secret itself, without blanks around it; for [`crate::identity`] only.
    pub(crate) fn reveal(&self) -> Result<String, ReadSecretError> {
        match &self.0 {
            Place::Value(value) => Ok(value.trim().to_owned()),
            Place::File(path) => {
                let failed = |source| ReadSecretError { path: path.clone(), source };
                Ok(read_text(path, limits::KEY_FILE_BYTES_MAX).map_err(failed)?.trim().to_owned())
            }
        }
    }
}

/// A certificate that this device shows, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityCertificate {
    /// File with the certificate and those between it and its authority, its own first.
    pub certificate: PathBuf,
    /// File with its private key.
    pub key: PathBuf,
}

/// What this device proves itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceProof {
    /// Tokens signed with this key, base64.
    Key(Secret),
    /// A certificate.
    Certificate(IdentityCertificate),
}

/// An identity written down by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubIdentity {
    /// The hub's name.
    pub hub_host: String,
    /// This device.
    pub device_id: String,
    /// What it proves itself with.
    pub proof: DeviceProof,
}

/// An enrollment in a provisioning service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpsEnrollment {
    /// `https://host[:port]`.
    pub endpoint: String,
    /// Id scope.
    pub id_scope: String,
    /// Registration id.
    pub registration_id: String,
    /// What it proves itself with: the registration's own key (for a group: the derived one), or its certificate.
    pub proof: DeviceProof,
    /// File with a JSON payload for the provisioning service.
    pub payload: Option<PathBuf>,
}

/// How this device gets its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisioning {
    /// It is written down.
    Manual(HubIdentity),
    /// It is asked for.
    Dps(DpsEnrollment),
}

impl Provisioning {
    /// What this device proves itself with.
    pub fn proof(&self) -> &DeviceProof {
        match self {
            Self::Manual(manual) => &manual.proof,
            Self::Dps(enrollment) => &enrollment.proof,
        }
    }

    /// The certificate it shows, if it has one.
    pub fn certificate(&self) -> Option<&IdentityCertificate> {
        match self.proof() {
            DeviceProof::Key(_) => None,
            DeviceProof::Certificate(certificate) => Some(certificate),
        }
    }
}

/// The names of a method's keys, for messages.
struct ProofKeys {
    section: &'static str,
    method: &'static str,
    key: &'static str,
    certificate: &'static str,
    private_key: &'static str,
}

const MANUAL_KEYS: ProofKeys = ProofKeys {
    section: "provisioning.authentication",
    method: "sas",
    key: "provisioning.authentication.device_id_pk",
    certificate: "provisioning.authentication.identity_cert",
    private_key: "provisioning.authentication.identity_pk",
};

const DPS_KEYS: ProofKeys = ProofKeys {
    section: "provisioning.attestation",
    method: "symmetric_key",
    key: "provisioning.attestation.symmetric_key",
    certificate: "provisioning.attestation.identity_cert",
    private_key: "provisioning.attestation.identity_pk",
};

/// What a section says of the proof.
struct ProofSection {
    method: String,
    key: Option<SecretEntry>,
    certificate: Option<toml::Value>,
    private_key: Option<toml::Value>,
}

impl ProofSection {
    fn check(self, keys: &ProofKeys) -> Result<DeviceProof, BadValue> {
        if self.method == keys.method {
            if self.certificate.is_some() || self.private_key.is_some() {
                return Err(BadValue::new(keys.section, format!("is {} but names a certificate", keys.method)));
            }
            return Ok(DeviceProof::Key(need(keys.key, self.key)?.check(keys.key, true)?));
        }
        if self.method != "x509" {
            let what = format!("has the method {:?}; {:?} and \"x509\" are known", self.method, keys.method);
            return Err(BadValue::new(keys.section, what));
        }
        if self.key.is_some() {
            return Err(BadValue::new(keys.section, "is x509 but names a key to sign with"));
        }
        let file = |key: &'static str, value: Option<toml::Value>| match need(key, value)? {
            toml::Value::String(uri) => file_of_uri(key, &uri),
            _ => Err(BadValue::new(key, "is no text; only file:///PATH is supported")),
        };
        Ok(DeviceProof::Certificate(IdentityCertificate {
            certificate: file(keys.certificate, self.certificate)?,
            key: file(keys.private_key, self.private_key)?,
        }))
    }
}

impl ProvisioningSection {
    /// Keys nobody knows, with the section below this one they are in.
    pub(super) fn unknown(&self) -> Vec<(Option<&str>, &str)> {
        let authentication = self.authentication.iter().flat_map(|section| section.unknown.keys());
        let attestation = self.attestation.iter().flat_map(|section| section.unknown.keys());
        let own = self.unknown.keys().map(|key| (None, key.as_str()));
        let authentication = authentication.map(|key| (Some("authentication"), key.as_str()));
        own.chain(authentication).chain(attestation.map(|key| (Some("attestation"), key.as_str()))).collect()
    }

    pub(super) fn check(self) -> Result<Provisioning, BadValue> {
        match self.source.as_str() {
            "manual" => self.check_manual().map(Provisioning::Manual),
            "dps" => self.check_dps().map(Provisioning::Dps),
            other => {
                Err(BadValue::new("provisioning.source", format!("is {other:?}; \"manual\" and \"dps\" are known")))
            }
        }
    }

    fn check_manual(self) -> Result<HubIdentity, BadValue> {
        if self.global_endpoint.is_some() || self.id_scope.is_some() || self.attestation.is_some() {
            return Err(BadValue::new(
                "provisioning",
                "is manual but holds keys of dps (global_endpoint, id_scope, attestation)",
            ));
        }
        if let Some(text) = self.connection_string {
            return parse_connection_string(&text);
        }
        let authentication = need("provisioning.authentication", self.authentication)?;
        let proof = ProofSection {
            method: authentication.method,
            key: authentication.device_id_pk,
            certificate: authentication.identity_cert,
            private_key: authentication.identity_pk,
        };
        let proof = proof.check(&MANUAL_KEYS)?;
        Ok(HubIdentity {
            hub_host: need("provisioning.iothub_hostname", self.iothub_hostname)?,
            device_id: need("provisioning.device_id", self.device_id)?,
            proof,
        })
    }

    fn check_dps(self) -> Result<DpsEnrollment, BadValue> {
        if self.connection_string.is_some() || self.iothub_hostname.is_some() || self.authentication.is_some() {
            return Err(BadValue::new(
                "provisioning",
                "is dps but holds keys of manual (connection_string, iothub_hostname, authentication)",
            ));
        }
        let attestation = need("provisioning.attestation", self.attestation)?;
        let proof = ProofSection {
            method: attestation.method,
            key: attestation.symmetric_key,
            certificate: attestation.identity_cert,
            private_key: attestation.identity_pk,
        };
        let proof = proof.check(&DPS_KEYS)?;
        let endpoint =
            self.global_endpoint.unwrap_or_else(|| "https://global.azure-devices-provisioning.net".to_owned());
        if !endpoint.starts_with("https://") || endpoint.len() <= "https://".len() {
            return Err(BadValue::new(
                "provisioning.global_endpoint",
                format!("is {endpoint:?}, not https://HOST[:PORT]"),
            ));
        }
        let payload = match self.payload {
            Some(entry) => match entry.check("provisioning.payload", false)? {
                Secret(Place::File(path)) => Some(path),
                Secret(Place::Value(_)) => return Err(BadValue::new("provisioning.payload", "needs a uri of a file")),
            },
            None => None,
        };
        Ok(DpsEnrollment {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            id_scope: need("provisioning.id_scope", self.id_scope)?,
            registration_id: need("provisioning.attestation.registration_id", attestation.registration_id)?,
            proof,
            payload,
        })
    }
}

impl SecretEntry {
    fn check(self, key: &'static str, is_key: bool) -> Result<Secret, BadValue> {
        match (self.value, self.uri) {
            (Some(value), None) => {
                if is_key {
                    check_base64(key, &value)?;
                }
                Ok(Secret(Place::Value(value)))
            }
            (None, Some(uri)) => Ok(Secret(Place::File(file_of_uri(key, &uri)?))),
            _ => Err(BadValue::new(key, "needs either value or uri")),
        }
    }
}

/// The path of a `file://` URI; a plain absolute path is taken as well.
pub(super) fn file_of_uri(key: &'static str, uri: &str) -> Result<PathBuf, BadValue> {
    let path = uri.strip_prefix("file://").unwrap_or(uri);
    if path.starts_with('/') {
        Ok(PathBuf::from(path))
    } else {
        Err(BadValue::new(key, format!("is {uri:?}; only file:///PATH is supported")))
    }
}

fn parse_connection_string(text: &str) -> Result<HubIdentity, BadValue> {
    const KEY: &str = "provisioning.connection_string";
    let part = |name: &str| {
        text.split(';')
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let needed = |name: &str| part(name).ok_or_else(|| BadValue::new(KEY, format!("has no {name}")));
    let key = needed("SharedAccessKey")?;
    check_base64(KEY, &key)?;
    let proof = DeviceProof::Key(Secret(Place::Value(key)));
    Ok(HubIdentity { hub_host: needed("HostName")?, device_id: needed("DeviceId")?, proof })
}

fn check_base64(key: &'static str, value: &str) -> Result<(), BadValue> {
    match protocol::auth::sas::decode_base64(value) {
        Ok(bytes) if !bytes.is_empty() => Ok(()),
        _ => Err(BadValue::new(key, "is no base64 key")),
    }
}

fn need<T>(key: &'static str, value: Option<T>) -> Result<T, BadValue> {
    value.ok_or_else(|| BadValue::new(key, "is missing"))
}

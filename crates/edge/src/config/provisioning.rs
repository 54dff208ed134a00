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
    // Accepted so that the message can say what is missing instead of "unknown key".
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

/// An identity written down by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubIdentity {
    /// The hub's name.
    pub hub_host: String,
    /// This device.
    pub device_id: String,
    /// Its key, base64.
    pub key: Secret,
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
    /// The registration's own key (for a group: the derived one), base64.
    pub key: Secret,
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
        if authentication.method != "sas" {
            return Err(unsupported("provisioning.authentication.method", &authentication.method, "sas"));
        }
        if authentication.identity_cert.is_some() || authentication.identity_pk.is_some() {
            return Err(BadValue::new("provisioning.authentication", "is sas but names a certificate"));
        }
        Ok(HubIdentity {
            hub_host: need("provisioning.iothub_hostname", self.iothub_hostname)?,
            device_id: need("provisioning.device_id", self.device_id)?,
            key: need("provisioning.authentication.device_id_pk", authentication.device_id_pk)?
                .check("provisioning.authentication.device_id_pk", true)?,
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
        if attestation.method != "symmetric_key" {
            return Err(unsupported("provisioning.attestation.method", &attestation.method, "symmetric_key"));
        }
        if attestation.identity_cert.is_some() || attestation.identity_pk.is_some() {
            return Err(BadValue::new("provisioning.attestation", "is symmetric_key but names a certificate"));
        }
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
            key: need("provisioning.attestation.symmetric_key", attestation.symmetric_key)?
                .check("provisioning.attestation.symmetric_key", true)?,
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
    Ok(HubIdentity { hub_host: needed("HostName")?, device_id: needed("DeviceId")?, key: Secret(Place::Value(key)) })
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

fn unsupported(key: &'static str, method: &str, supported: &str) -> BadValue {
    BadValue::new(key, format!("is {method:?}; this version supports {supported:?} only"))
}

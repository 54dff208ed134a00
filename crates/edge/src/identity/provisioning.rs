//! How this device learns who it is: from the configuration, or from a provisioning service.
//!
//! The service's answer is kept on disk: a start without network uses it. It is asked again when the configuration names
//! another enrollment, and when the hub refuses the credential.

use std::path::Path;
use std::sync::Arc;

use protocol::dps::POLICY;
use transport::client::dps::{ProvisionError, register_at};
use transport::client::https::HttpsClient;
use transport::client::{Proxies, SharedKey, TokenSource};

use super::device::{Device, Provisioned};
use super::key::SharedAccessKey;
use crate::config::{DeviceProof, DpsEnrollment, HubIdentity, Provisioning, ReadSecretError};
use crate::limits::CONFIG_BYTES_MAX;
use crate::state::StateError;

/// The device has no identity.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionDeviceError {
    /// The key named in the configuration cannot be read.
    #[error(transparent)]
    Secret(#[from] ReadSecretError),
    /// The payload file named in the configuration cannot be used.
    #[error("cannot use the provisioning payload {}: {what}", path.display())]
    Payload {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The service did not assign the device.
    #[error("{endpoint} did not assign registration {registration_id} in scope {id_scope}")]
    Service {
        /// The service.
        endpoint: String,
        /// The id scope.
        id_scope: String,
        /// The registration.
        registration_id: String,
        /// Why.
        #[source]
        source: Box<ProvisionError>,
    },
    /// The service's answer lacks what is needed.
    #[error("the provisioning service's answer names no {0}")]
    Incomplete(&'static str),
    /// The outcome cannot be kept.
    #[error(transparent)]
    File(#[from] StateError),
}

impl ProvisionDeviceError {
    /// Whether trying again soon is pointless because somebody has to mend something.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Service { source, .. } => match source.as_ref() {
                ProvisionError::Refused(error) => !error.is_retryable(),
                ProvisionError::NotAssigned(_) => true,
                _ => false,
            },
            Self::Secret(_) | Self::Payload { .. } => true,
            Self::Incomplete(_) | Self::File(_) => false,
        }
    }
}

/// The identity kept from an earlier start, if it still belongs to this configuration. Changes nothing.
pub(super) fn read_earlier(provisioning: &Provisioning, path: &Path) -> Result<Option<Provisioned>, StateError> {
    Provisioned::read(path, &source_of(provisioning))
}

/// The same for the daemon, which writes anew what an earlier version wrote and sets damage aside.
pub(super) fn open_earlier(provisioning: &Provisioning, path: &Path) -> Result<Option<Provisioned>, StateError> {
    Provisioned::open(path, &source_of(provisioning))
}

/// Obtains the identity and keeps it.
pub(super) async fn provision(
    provisioning: &Provisioning,
    path: &Path,
    tls: Arc<rustls::ClientConfig>,
    proxies: &Proxies,
) -> Result<Provisioned, ProvisionDeviceError> {
    let provisioned = match provisioning {
        Provisioning::Manual(manual) => from_configuration(manual)?,
        Provisioning::Dps(enrollment) => register(enrollment, tls, proxies).await?,
    };
    provisioned.write(path)?;
    Ok(provisioned)
}

fn from_configuration(manual: &HubIdentity) -> Result<Provisioned, ProvisionDeviceError> {
    Ok(Provisioned {
        device: Device { hub_host: manual.hub_host.clone(), device_id: manual.device_id.clone() },
        key: key_of(&manual.proof)?,
        source: source_of_manual(manual),
    })
}

fn key_of(proof: &DeviceProof) -> Result<Option<SharedAccessKey>, ReadSecretError> {
    match proof {
        DeviceProof::Key(secret) => secret.reveal().map(SharedAccessKey::new).map(Some),
        DeviceProof::Certificate(_) => Ok(None),
    }
}

async fn register(
    enrollment: &DpsEnrollment,
    tls: Arc<rustls::ClientConfig>,
    proxies: &Proxies,
) -> Result<Provisioned, ProvisionDeviceError> {
    let DpsEnrollment { endpoint, id_scope, registration_id, .. } = enrollment;
    let key = key_of(&enrollment.proof)?;
    let payload = match &enrollment.payload {
        Some(path) => Some(read_payload(path)?),
        None => None,
    };
    let failed = |source| ProvisionDeviceError::Service {
        endpoint: endpoint.clone(),
        id_scope: id_scope.clone(),
        registration_id: registration_id.clone(),
        source: Box::new(source),
    };
    let client = HttpsClient::from_url(endpoint, tls).map_err(|error| failed(error.into()))?.through(proxies.clone());
    let tokens = key.as_ref().map(|key| SharedKey::new(key.text()).with_policy(POLICY));
    let tokens = tokens.as_ref().map(|tokens| tokens as &dyn TokenSource);
    let state = register_at(&client, id_scope, registration_id, tokens, payload).await.map_err(failed)?;
    Ok(Provisioned {
        device: Device {
            hub_host: state.assigned_hub.ok_or(ProvisionDeviceError::Incomplete("hub"))?,
            device_id: state.device_id.ok_or(ProvisionDeviceError::Incomplete("device id"))?,
        },
        key,
        source: source_of_dps(enrollment),
    })
}

fn read_payload(path: &Path) -> Result<serde_json::Value, ProvisionDeviceError> {
    let failed = |what: String| ProvisionDeviceError::Payload { path: path.to_owned(), what };
    let bytes = storage::state_file::read(path, CONFIG_BYTES_MAX).map_err(|error| failed(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| failed("it is not there".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}

fn source_of(provisioning: &Provisioning) -> String {
    match provisioning {
        Provisioning::Manual(manual) => source_of_manual(manual),
        Provisioning::Dps(enrollment) => source_of_dps(enrollment),
    }
}

fn source_of_manual(manual: &HubIdentity) -> String {
    format!("manual {} {}{}", manual.hub_host, manual.device_id, kind_of(&manual.proof))
}

fn source_of_dps(enrollment: &DpsEnrollment) -> String {
    let DpsEnrollment { endpoint, id_scope, registration_id, proof, .. } = enrollment;
    format!("dps {endpoint} {id_scope} {registration_id}{}", kind_of(proof))
}

/// A device that gets a certificate in place of a key does not go on with the key.
fn kind_of(proof: &DeviceProof) -> &'static str {
    match proof {
        DeviceProof::Key(_) => "",
        DeviceProof::Certificate(_) => " x509",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_payload_of_the_largest_size_is_read_and_one_byte_more_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("payload.json");
        for (bytes, fine) in [(CONFIG_BYTES_MAX, true), (CONFIG_BYTES_MAX + 1, false)] {
            std::fs::write(&path, format!("{{}}{}", " ".repeat(bytes as usize - 2))).unwrap();
            let read = read_payload(&path).map_err(|error| error.to_string());
            let refusal = format!(
                "cannot use the provisioning payload {0}: {0} has {bytes} bytes, more than the {CONFIG_BYTES_MAX} allowed",
                path.display()
            );
            assert_eq!(read, if fine { Ok(serde_json::json!({})) } else { Err(refusal) });
        }
    }
}

//! How a device proves who it is: its own attestation, and the credentials it ends up with.

use api::device::{Attestation, DeviceCredentials, SymmetricKey};
use events::clock::now_ms;
use protocol::auth::sas::{self, derive_device_key};
use registry::{AttestationRow, DeviceProof, SymmetricKeys};
use serde_json::{Map, Value};

use crate::app::{Access, App, AppError, certificates, resource};

/// The keys as the interface shows them.
pub fn keys_to_api(keys: SymmetricKeys) -> SymmetricKey {
    SymmetricKey { primary_key: keys.primary, secondary_key: keys.secondary }
}

/// Checks keys a caller chose: base64 of 16 to 64 bytes, as the hub's own rule is.
pub fn check_keys(pointer: &str, keys: &SymmetricKey) -> Result<SymmetricKeys, AppError> {
    for (name, key) in [("primaryKey", &keys.primary_key), ("secondaryKey", &keys.secondary_key)] {
        let is_key = sas::decode_base64(key).is_ok_and(|bytes| (16..=64).contains(&bytes.len()));
        if !is_key {
            return Err(AppError::fault(format!("{pointer}/{name}"), "a key is base64 of 16 to 64 bytes"));
        }
    }
    Ok(SymmetricKeys { primary: keys.primary_key.clone(), secondary: keys.secondary_key.clone() })
}

impl App {
    /// A device's own attestation.
    pub async fn attestation(&self, access: &Access, device: &str) -> Result<Attestation, AppError> {
        self.device_row(access, device).await?;
        let row = self.registry().attestation_get(access.application(), device).await?;
        let row = row.ok_or_else(|| AppError::not_found("attestation of its own of device", device))?;
        Ok(match row.proof {
            DeviceProof::Keys(keys) => Attestation::SymmetricKey { symmetric_key: keys_to_api(keys) },
            DeviceProof::Certificates(certificates) => {
                Attestation::X509 { x509: certificates::device_to_api(&certificates)? }
            }
        })
    }

    /// Sets a device's own attestation.
    pub async fn attestation_put(
        &self,
        access: &Access,
        device: &str,
        attestation: &Attestation,
    ) -> Result<Attestation, AppError> {
        self.device_row(access, device).await?;
        let proof = match attestation {
            Attestation::SymmetricKey { symmetric_key } => {
                DeviceProof::Keys(check_keys("/symmetricKey", symmetric_key)?)
            }
            Attestation::X509 { x509 } => {
                let known = match self.registry().attestation_get(access.application(), device).await? {
                    Some(AttestationRow { proof: DeviceProof::Certificates(known), .. }) => Some(known),
                    _ => None,
                };
                DeviceProof::Certificates(certificates::device_from_api(x509, known)?)
            }
        };
        let row = AttestationRow { proof, updated_ms: now_ms() };
        self.registry().attestation_put(access.application(), device, &row).await?;
        tracing::info!(actor = access.actor().id(), device, "attestation set");
        self.attestation(access, device).await
    }

    /// Changes a device's own attestation.
    pub async fn attestation_patch(
        &self,
        access: &Access,
        device: &str,
        patch: &Map<String, Value>,
    ) -> Result<Attestation, AppError> {
        let known = self.attestation(access, device).await?;
        let merged = resource::merged("attestation", &known, patch)?;
        self.attestation_put(access, device, &merged).await
    }

    /// Deletes a device's own attestation, and with it the identity it gave.
    pub async fn attestation_delete(&self, access: &Access, device: &str) -> Result<(), AppError> {
        self.device_row(access, device).await?;
        if !self.registry().attestation_delete(access.application(), device, now_ms()).await? {
            return Err(AppError::not_found("attestation of its own of device", device));
        }
        tracing::info!(actor = access.actor().id(), device, "attestation deleted");
        Ok(())
    }

    /// What a device needs to be provisioned.
    pub async fn credentials(&self, access: &Access, device: &str) -> Result<DeviceCredentials, AppError> {
        let row = self.device_row(access, device).await?;
        let own = self.registry().attestation_get(access.application(), device).await?;
        let (keys, x509) = match own.map(|attestation| attestation.proof) {
            Some(DeviceProof::Keys(keys)) => (Some(keys), None),
            Some(DeviceProof::Certificates(certificates)) => (None, Some(certificates::device_to_api(&certificates)?)),
            None => {
                let derived = self.derived_keys(access, &row.id, row.enrollment_group.as_deref(), row.is_edge).await?;
                (derived.map(|(keys, _)| keys), None)
            }
        };
        let id_scope = access.id_scope().to_owned();
        Ok(DeviceCredentials { id_scope, symmetric_key: keys.map(keys_to_api), x509 })
    }

    /// The keys of a device without an attestation of its own: derived from the group it registered through, or else from the
    /// first enabled group of its kind that has keys. With the id of the group.
    pub(super) async fn derived_keys(
        &self,
        access: &Access,
        device: &str,
        registered: Option<&str>,
        is_edge: bool,
    ) -> Result<Option<(SymmetricKeys, String)>, AppError> {
        let groups = self.registry().enrollment_groups_list(access.application()).await?;
        let group = groups.iter().find(|group| Some(group.id.as_str()) == registered).or_else(|| {
            let mut with_keys = groups.iter().filter(|group| group.certificates.is_none());
            with_keys.find(|group| group.enabled && group.is_edge == is_edge)
        });
        let Some(group) = group.filter(|group| group.certificates.is_none()) else { return Ok(None) };
        let derive = |key: &str| {
            derive_device_key(key, device).map_err(|error| AppError::internal("a group's key is not base64", error))
        };
        let keys = SymmetricKeys { primary: derive(&group.keys.primary)?, secondary: derive(&group.keys.secondary)? };
        Ok(Some((keys, group.id.clone())))
    }
}

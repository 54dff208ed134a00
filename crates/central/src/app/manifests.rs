//! Deployment manifests: storing them, and giving one to a device.

use api::error::ErrorContext;
use api::manifest::DeploymentManifest;
use events::clock::now_ms;
use model::identity::Identity;
use model::manifest::Manifest;
use registry::{DeviceManifestRow, ManifestRow, StoreError, new_etag, new_id};
use serde_json::{Map, Value};

use super::devices::manifest_to_api;
use super::filter::Filter;
use super::{Access, App, AppError};
use crate::limits::{DISPLAY_NAME_CHARS_MAX, MANIFESTS_MAX};

/// Reads a manifest a caller sent as `data`; the faults are those of the service's own check.
pub(super) fn parse(data: &Value) -> Result<Manifest, AppError> {
    Manifest::parse(data).map_err(|errors| {
        let faults = errors
            .into_iter()
            .map(|error| ErrorContext { data_path: format!("/data{}", error.pointer), message: error.message })
            .collect();
        AppError::unprocessable("The deployment manifest is not valid.", faults)
    })
}

fn check_manifest_id(id: &str) -> Result<(), AppError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == ';';
    if !id.is_empty() && id.len() <= 255 && id.chars().all(allowed) {
        return Ok(());
    }
    let message = format!("'{id}' is not a valid id of a deployment manifest: letters, digits, ':' and ';'.");
    Err(AppError::BadRequest(message))
}

fn check_display_name(name: Option<&str>, default: &str) -> Result<String, AppError> {
    let name = name.unwrap_or(default);
    if !(1..=DISPLAY_NAME_CHARS_MAX).contains(&name.chars().count()) {
        let message = format!("displayName has 1 to {DISPLAY_NAME_CHARS_MAX} characters");
        return Err(AppError::fault("/displayName", message));
    }
    Ok(name.to_owned())
}

fn to_api(row: ManifestRow) -> Result<DeploymentManifest, AppError> {
    let data = serde_json::from_str(&row.data)
        .map_err(|source| StoreError::Corrupt { what: "deployment manifest", source })?;
    Ok(DeploymentManifest {
        id: Some(row.id),
        display_name: Some(row.display_name),
        data,
        etag: Some(row.etag),
        organizations: row.organization.map(|organization| vec![organization]),
    })
}

impl App {
    /// The stored manifests that pass a filter.
    pub async fn manifests(
        &self,
        access: &Access,
        filter: Option<&Filter>,
    ) -> Result<Vec<DeploymentManifest>, AppError> {
        let rows = self.registry().manifest_list(access.application()).await?;
        let mut manifests = Vec::with_capacity(rows.len());
        for row in rows {
            let field = |name: &str| match name {
                "id" => Some(row.id.clone()),
                "displayName" => Some(row.display_name.clone()),
                _ => None,
            };
            if filter.map_or(Ok(true), |filter| filter.passes(&field))? {
                manifests.push(to_api(row)?);
            }
        }
        Ok(manifests)
    }

    /// One stored manifest.
    pub async fn manifest(&self, access: &Access, id: &str) -> Result<DeploymentManifest, AppError> {
        let row = self.registry().manifest_get(access.application(), id).await?;
        to_api(row.ok_or_else(|| AppError::not_found("deployment manifest", id))?)
    }

    /// Stores a manifest. Devices that were given it keep their copies.
    pub async fn manifest_put(
        &self,
        access: &Access,
        id: &str,
        wanted: &DeploymentManifest,
    ) -> Result<DeploymentManifest, AppError> {
        check_manifest_id(id)?;
        let display_name = check_display_name(wanted.display_name.as_deref(), id)?;
        if let Some(organization) = wanted.organizations.as_ref().and_then(|list| list.first()) {
            return Err(AppError::fault("/organizations/0", format!("there is no organization '{organization}'")));
        }
        parse(&wanted.data)?;
        let application = access.application();
        let known = self.registry().manifest_get(application, id).await?;
        if known.is_none() {
            if wanted.etag.is_some() {
                return Err(AppError::EtagMismatch);
            }
            if self.registry().manifest_list(application).await?.len() >= MANIFESTS_MAX {
                let message = format!("The application has {MANIFESTS_MAX} deployment manifests, which is the limit.");
                return Err(AppError::Conflict(message));
            }
        }
        let now_ms = now_ms();
        let row = ManifestRow {
            id: id.to_owned(),
            etag: wanted.etag.clone().unwrap_or_default(),
            display_name,
            organization: None,
            data: wanted.data.to_string(),
            created_ms: known.map_or(now_ms, |known| known.created_ms),
            updated_ms: now_ms,
        };
        let stored = self.registry().manifest_put(application, &row).await?;
        tracing::info!(actor = access.actor().id(), manifest = id, "deployment manifest stored");
        to_api(stored)
    }

    /// Changes a stored manifest.
    pub async fn manifest_patch(
        &self,
        access: &Access,
        id: &str,
        patch: &Map<String, Value>,
    ) -> Result<DeploymentManifest, AppError> {
        let known = DeploymentManifest { etag: None, ..self.manifest(access, id).await? };
        let mut document = serde_json::to_value(known).expect("a deployment manifest is plain JSON");
        model::twin::merge_patch(&mut document, &Value::Object(patch.clone()));
        let merged = serde_json::from_value(document)
            .map_err(|error| AppError::unprocessable(format!("The manifest is not valid: {error}."), Vec::new()))?;
        self.manifest_put(access, id, &merged).await
    }

    /// Deletes a stored manifest. Devices that were given it keep their copies.
    pub async fn manifest_delete(&self, access: &Access, id: &str) -> Result<(), AppError> {
        if !self.registry().manifest_delete(access.application(), id).await? {
            return Err(AppError::not_found("deployment manifest", id));
        }
        tracing::info!(actor = access.actor().id(), manifest = id, "deployment manifest deleted");
        Ok(())
    }

    /// Gives an edge device a manifest: the desired properties of every twin it lists are replaced, all or none, and the
    /// device keeps a copy.
    pub async fn manifest_apply(
        &self,
        access: &Access,
        device: &str,
        wanted: &DeploymentManifest,
    ) -> Result<DeploymentManifest, AppError> {
        let row = self.device_row(access, device).await?;
        if !row.is_edge {
            return Err(AppError::BadRequest(format!("The device '{device}' is not an edge device.")));
        }
        let display_name = check_display_name(wanted.display_name.as_deref(), "Deployment manifest")?;
        let manifest = parse(&wanted.data)?;
        let documents = manifest
            .desired
            .into_iter()
            .map(|(module, desired)| (Identity::module(device, &module), Value::Object(desired)))
            .collect();
        // Twins first: if the copy is not stored after that, applying again leads to the same state.
        self.twins().replace_desired_group(access.application(), documents).await?;
        let copy = DeviceManifestRow {
            id: new_id(),
            etag: new_etag(),
            display_name,
            data: wanted.data.to_string(),
            applied_ms: now_ms(),
        };
        self.registry().device_manifest_put(access.application(), device, &copy).await?;
        tracing::info!(actor = access.actor().id(), device, "deployment manifest applied");
        manifest_to_api(copy)
    }
}

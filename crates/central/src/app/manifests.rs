//! Deployment manifests: storing them, and giving one to a device.

use api::error::ErrorContext;
use api::manifest::DeploymentManifest;
use events::clock::now_ms;
use model::identity::Identity;
use model::manifest::Manifest;
use registry::{CountMax, DeviceManifestRow, ManifestRow, NamedField, Precondition, StoreError, new_etag, new_id};
use serde_json::Value;

use super::page::Cursor;
use super::resource::{self, Edited, Managed, named_field};
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

/// A manifest as the interface shows it, of no organization.
fn shown(id: String, display_name: String, data: &str, etag: String) -> Result<DeploymentManifest, AppError> {
    let data =
        serde_json::from_str(data).map_err(|source| StoreError::Corrupt { what: "deployment manifest", source })?;
    let (id, display_name, etag) = (Some(id), Some(display_name), Some(etag));
    Ok(DeploymentManifest { id, display_name, data, etag, organizations: None })
}

/// The manifest a device was given.
pub(super) fn of_device(row: DeviceManifestRow) -> Result<DeploymentManifest, AppError> {
    shown(row.id, row.display_name, &row.data, row.etag)
}

/// Stored deployment manifests, as people manage them.
pub struct Manifests;

impl Managed for Manifests {
    type Row = ManifestRow;
    type Api = DeploymentManifest;
    const WHAT: &'static str = "deployment manifest";
    const COUNT_MAX: CountMax = CountMax(MANIFESTS_MAX);

    fn field(name: &str) -> Option<NamedField> {
        named_field(name)
    }

    fn to_api(_: &Access, row: ManifestRow) -> Result<DeploymentManifest, AppError> {
        let organizations = row.organization.map(|organization| vec![organization]);
        Ok(DeploymentManifest { organizations, ..shown(row.id, row.display_name, &row.data, row.etag)? })
    }

    fn cursor(row: &ManifestRow) -> Cursor {
        Cursor { name: row.display_name.clone(), id: row.id.clone() }
    }

    fn etag(row: &ManifestRow) -> Option<&str> {
        Some(&row.etag)
    }
}

impl Edited for Manifests {
    /// Devices that were given the manifest keep their copies.
    async fn put(
        app: &App,
        access: &Access,
        id: &str,
        wanted: DeploymentManifest,
        precondition: Precondition,
    ) -> Result<DeploymentManifest, AppError> {
        check_manifest_id(id)?;
        let display_name = check_display_name(wanted.display_name.as_deref(), id)?;
        if let Some(organization) = wanted.organizations.as_ref().and_then(|list| list.first()) {
            return Err(AppError::fault("/organizations/0", format!("there is no organization '{organization}'")));
        }
        parse(&wanted.data)?;
        let now_ms = now_ms();
        let row = ManifestRow {
            id: id.to_owned(),
            etag: String::new(),
            display_name,
            organization: None,
            data: wanted.data.to_string(),
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        let precondition = resource::precondition(&precondition, wanted.etag.as_deref());
        Manifests::to_api(access, app.resource_store::<Manifests>(access, &row, &precondition).await?)
    }
}

impl App {
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
        let copy = DeviceManifestRow {
            id: new_id(),
            etag: new_etag(),
            display_name,
            data: wanted.data.to_string(),
            applied_ms: now_ms(),
        };
        self.twins().deploy(access.application(), documents, copy.clone()).await?;
        tracing::info!(actor = access.actor().id(), device, "deployment manifest applied");
        of_device(copy)
    }
}

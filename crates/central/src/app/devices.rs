//! Devices: the record, its credentials, and what hangs on it.

pub mod credentials;
mod list;

use api::device::{Device, DeviceType};
use api::permission::Permission;
use events::clock::now_ms;
use model::identity::Identity;
use registry::{ChangedDevice, DeviceChange, DeviceRow, NewDevice, Precondition, StoreError};
use serde_json::{Map, Value};

use super::{Access, App, AppError, manifests, resource};
use crate::limits::{DISPLAY_NAME_CHARS_MAX, ID_CHARS_MAX};

pub use list::device_filter;

/// The record as the interface shows it.
pub fn to_api(row: DeviceRow) -> Device {
    Device {
        id: Some(row.id),
        etag: Some(row.etag),
        display_name: Some(row.display_name),
        template: row.template,
        enabled: Some(row.enabled),
        provisioned: Some(row.provisioned),
        simulated: Some(row.simulated),
        organizations: row.organization.map(|organization| vec![organization]),
        kind: row.is_edge.then(|| vec![DeviceType::IotEdge]),
        deployment_manifest: None,
    }
}

/// Whether an id may be a device's: what the hub's own rule allows, 1 to 128 characters.
fn check_device_id(id: &str) -> Result<(), AppError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.%_#*?!(),:=@$'".contains(c);
    if !id.is_empty() && id.len() <= ID_CHARS_MAX && id.chars().all(allowed) {
        return Ok(());
    }
    Err(AppError::BadRequest(format!(
        "'{id}' is not a valid device id: 1 to {ID_CHARS_MAX} letters, digits and -._: characters."
    )))
}

/// What a caller asked to become of a device's record, whole.
struct Wanted {
    display_name: String,
    template: Option<String>,
    enabled: bool,
    etag: Option<String>,
}

impl Wanted {
    /// Checks what does not need the registry.
    fn check(&self) -> Result<(), AppError> {
        if self.display_name.chars().count() > DISPLAY_NAME_CHARS_MAX {
            let message = format!("displayName has at most {DISPLAY_NAME_CHARS_MAX} characters");
            return Err(AppError::fault("/displayName", message));
        }
        Ok(())
    }
}

fn etag_of(precondition: &Precondition) -> Option<String> {
    match precondition {
        Precondition::Etag(etag) => Some(etag.clone()),
        Precondition::None | Precondition::Absent | Precondition::Present => None,
    }
}

fn check_organizations(organizations: Option<&[String]>) -> Result<(), AppError> {
    match organizations.and_then(<[String]>::first) {
        None => Ok(()),
        Some(organization) => {
            Err(AppError::fault("/organizations/0", format!("there is no organization '{organization}'")))
        }
    }
}

impl App {
    /// The row of a device, or the refusal callers see.
    pub(super) async fn device_row(&self, access: &Access, id: &str) -> Result<DeviceRow, AppError> {
        let row = self.registry().device_get(access.application(), id).await?;
        row.ok_or_else(|| AppError::not_found("device", id))
    }

    /// One device; with `with_manifest`, the manifest it was given too.
    pub async fn device(&self, access: &Access, id: &str, with_manifest: bool) -> Result<Device, AppError> {
        let row = self.device_row(access, id).await?;
        self.device_to_api(access, row, with_manifest).await
    }

    pub(super) async fn device_to_api(
        &self,
        access: &Access,
        row: DeviceRow,
        with_manifest: bool,
    ) -> Result<Device, AppError> {
        let id = row.id.clone();
        let mut device = to_api(row);
        if with_manifest {
            access.require(Permission::ManifestsReadInstance)?;
            let manifest = self.registry().device_manifest_get(access.application(), &id).await?;
            device.deployment_manifest = manifest.map(manifests::of_device).transpose()?;
        }
        Ok(device)
    }

    /// Makes or replaces a device.
    pub async fn device_put(
        &self,
        access: &Access,
        id: &str,
        body: &Device,
        precondition: &Precondition,
        with_manifest: bool,
    ) -> Result<Device, AppError> {
        check_device_id(id)?;
        check_organizations(body.organizations.as_deref())?;
        let wanted = Wanted {
            display_name: body.display_name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_owned()),
            template: body.template.clone().filter(|template| !template.is_empty()),
            enabled: body.enabled.unwrap_or(true),
            etag: etag_of(&resource::precondition(precondition, body.etag.as_deref())),
        };
        wanted.check()?;
        let row = match self.registry().device_get(access.application(), id).await? {
            Some(_) if *precondition == Precondition::Absent => return Err(AppError::EtagMismatch),
            None if *precondition == Precondition::Present => return Err(AppError::EtagMismatch),
            Some(row) => {
                let is_edge = body.kind.as_ref().map(|kinds| !kinds.is_empty());
                if is_edge.is_some_and(|is_edge| is_edge != row.is_edge) {
                    return Err(AppError::fault("/type", "the type of a device is fixed when it is made"));
                }
                self.device_change(access, row, wanted).await?
            }
            None => self.device_make(access, id, body, wanted).await?,
        };
        self.device_to_api(access, row, with_manifest).await
    }

    async fn device_make(
        &self,
        access: &Access,
        id: &str,
        body: &Device,
        wanted: Wanted,
    ) -> Result<DeviceRow, AppError> {
        access.require(Permission::DevicesCreate)?;
        if wanted.etag.is_some() {
            return Err(AppError::EtagMismatch);
        }
        if body.simulated == Some(true) {
            let message = "Simulated devices are not supported: nothing would send their telemetry.";
            return Err(AppError::NotSupported(message.to_owned()));
        }
        let mut is_edge = body.kind.as_ref().is_some_and(|kinds| !kinds.is_empty());
        let template = match &wanted.template {
            Some(template) => Some(self.assignable_template(access, template).await?),
            None => None,
        };
        // Without the member, the template decides.
        if body.kind.is_none() {
            is_edge = template.as_ref().is_some_and(|template| template.is_edge());
        }
        let (keys, enrollment_group) = self.derived_keys(access, id, None, is_edge).await?.unzip();
        let device = NewDevice {
            id: id.to_owned(),
            display_name: wanted.display_name,
            template: wanted.template,
            enabled: wanted.enabled,
            awaiting_approval: false,
            simulated: false,
            is_edge,
            organization: None,
            keys,
            enrollment_group,
            created_ms: now_ms(),
        };
        let row = match self.registry().device_create(access.application(), device).await {
            Err(StoreError::Duplicate(..)) => {
                return Err(AppError::Conflict(format!("A device '{id}' was made at the same time.")));
            }
            done => done?,
        };
        self.last_seen().made(access.application(), id, !row.enabled);
        if let Some(template) = template {
            self.write_initial_values(access, id, &template).await?;
        }
        tracing::info!(actor = access.actor().id(), device = id, "device made");
        Ok(row)
    }

    async fn device_change(&self, access: &Access, row: DeviceRow, wanted: Wanted) -> Result<DeviceRow, AppError> {
        let assigned = match &wanted.template {
            Some(template) if row.template.as_ref() != Some(template) => {
                Some(self.assignable_template(access, template).await?)
            }
            _ => None,
        };
        let change = DeviceChange {
            display_name: wanted.display_name,
            template: wanted.template,
            enabled: wanted.enabled,
            organization: row.organization,
            updated_ms: now_ms(),
        };
        let application = access.application();
        let ChangedDevice { before, after } =
            self.registry().device_update(application, &row.id, change, wanted.etag.as_deref()).await?;
        if before.enabled != after.enabled {
            self.last_seen().block(application, &after.id, !after.enabled);
        }
        if before.enabled && !after.enabled {
            tracing::info!(actor = access.actor().id(), device = after.id, "device blocked");
        }
        if before.template != after.template {
            self.telemetry().templates_changed();
        }
        if let Some(template) = assigned.filter(|_| before.template.is_none()) {
            self.write_initial_values(access, &after.id, &template).await?;
        }
        Ok(after)
    }

    /// Changes a device.
    pub async fn device_patch(
        &self,
        access: &Access,
        id: &str,
        patch: &Map<String, Value>,
        precondition: &Precondition,
        with_manifest: bool,
    ) -> Result<Device, AppError> {
        let row = self.device_row(access, id).await?;
        let body_etag = patch.get("etag").and_then(Value::as_str);
        let etag = etag_of(&resource::precondition(precondition, body_etag));
        let merged = resource::merged("device", &to_api(row.clone()), patch)?;
        check_organizations(merged.organizations.as_deref())?;
        if merged.kind.as_ref().is_some_and(|kinds| !kinds.is_empty()) != row.is_edge {
            return Err(AppError::fault("/type", "the type of a device is fixed when it is made"));
        }
        if merged.simulated.unwrap_or(false) != row.simulated {
            return Err(AppError::fault("/simulated", "whether a device is simulated is fixed when it is made"));
        }
        let wanted = Wanted {
            display_name: merged.display_name.filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_owned()),
            template: merged.template.filter(|template| !template.is_empty()),
            enabled: merged.enabled.unwrap_or(true),
            etag,
        };
        wanted.check()?;
        let row = self.device_change(access, row, wanted).await?;
        self.device_to_api(access, row, with_manifest).await
    }

    /// Deletes a device with all that belongs to it, and ends its connections.
    pub async fn device_delete(&self, access: &Access, id: &str) -> Result<(), AppError> {
        if !self.registry().device_delete(access.application(), id, now_ms()).await? {
            return Err(AppError::not_found("device", id));
        }
        self.sessions().forget_device(access.application(), id);
        self.device_messages().forget_device(access.application(), id);
        self.telemetry().forget_device(access.application(), id);
        tracing::info!(actor = access.actor().id(), device = id, "device deleted");
        Ok(())
    }

    /// The identity of a device, or of a module of it, that callers name in a path.
    pub(super) fn identity(device: &str, module: Option<&str>) -> Identity {
        match module {
            Some(module) => Identity::module(device, module),
            None => Identity::device(device),
        }
    }
}

//! Properties: what a device reported, what it is asked for, and what the application keeps, in one document.
//!
//! ```text
//! { "serial": "PX-1107",                 reported value
//!   "site": "Hall 2",                    cloud property
//!   "motor": { …, "$metadata": {…} },    component, shaped the same
//!   "$metadata": { "targetRpm": { "desiredValue", "desiredVersion", "lastUpdateTime", "ackVersion", "ackCode", "ackDescription" } } }
//! ```
//!
//! Reading joins the two twin sections with the application's values; writing takes the document apart again: writable
//! properties become a patch of the desired section, cloud properties rows of the registry. A device without a template has
//! only what is *unmodeled*, so everything is shown and taken there.

mod read;
mod write;

use std::sync::Arc;

use api::device::DeviceProperties;
use events::clock::now_ms;
use model::template::{DeviceTemplate, Scope};
use serde_json::{Map, Value};

use super::{Access, App, AppError};

/// Which properties: those of a device, a component, a module or a module's component.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The device.
    pub device: &'a str,
    /// The module, if not of the device itself.
    pub module: Option<&'a str>,
    /// The component, if not at the root.
    pub component: Option<&'a str>,
}

impl Place<'_> {
    /// Where a template declares this place.
    pub(super) fn scope(&self) -> Scope {
        Scope::new(self.module, self.component)
    }
}

impl App {
    /// The template of a device, if it has one, checked to declare the place.
    pub(super) async fn template_with(
        &self,
        access: &Access,
        place: Place<'_>,
    ) -> Result<Option<Arc<DeviceTemplate>>, AppError> {
        let template = self.device_template(access, place.device).await?;
        if let Some(template) = &template
            && template.capabilities().scope(&place.scope()).is_none()
        {
            return Err(match (place.module, place.component) {
                (Some(module), None) => AppError::not_found("module", module),
                (_, component) => AppError::not_found("component", component.unwrap_or_default()),
            });
        }
        Ok(template)
    }

    /// The properties of a place. With `unmodeled`, also those the template does not describe.
    pub async fn properties(
        &self,
        access: &Access,
        place: Place<'_>,
        unmodeled: bool,
    ) -> Result<DeviceProperties, AppError> {
        let template = self.template_with(access, place).await?;
        let identity = Self::identity(place.device, place.module);
        let twin = self.twins().get(access.application(), &identity).await?;
        let reader = read::Reader { template: template.as_deref(), module: place.module, unmodeled };
        let mut document = reader.document(&twin, place.component);
        if place.module.is_none() && place.component.is_none() {
            let cloud = self.registry().cloud_properties(access.application(), place.device).await?;
            reader.add_cloud(&mut document, &cloud)?;
        }
        Ok(DeviceProperties(document))
    }

    /// Writes writable and cloud properties of a place; with `replace`, those not named are cleared. Answers what was asked for.
    pub async fn properties_write(
        &self,
        access: &Access,
        place: Place<'_>,
        body: &Map<String, Value>,
        replace: bool,
        unmodeled: bool,
    ) -> Result<DeviceProperties, AppError> {
        let template = self.template_with(access, place).await?;
        let application = access.application();
        let identity = Self::identity(place.device, place.module);
        let mut writer = write::Writer::new(template.as_deref(), place, unmodeled);
        let answer = writer.take(body)?;
        if replace {
            let twin = self.twins().get(application, &identity).await?;
            writer.clear_others(&twin, body);
        }
        let (cloud, desired) = writer.finish();
        let replace_cloud = replace && place.module.is_none() && place.component.is_none();
        if !cloud.is_empty() || replace_cloud {
            self.registry().cloud_properties_write(application, place.device, &cloud, replace_cloud, now_ms()).await?;
        }
        if !desired.is_empty() {
            self.twins().patch_desired(application, &identity, Value::Object(desired)).await?;
        }
        Ok(DeviceProperties(answer))
    }
}

#[cfg(test)]
mod tests;

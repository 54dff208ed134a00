//! The values a template gives to a new device.

use std::collections::BTreeMap;

use events::clock::now_ms;
use model::template::DeviceTemplate;
use model::twin::mark_component;
use serde_json::{Map, Value};

use crate::app::{Access, App, AppError};

impl App {
    /// Writes the initial values of a template to a device that just got it: writable properties become desired values,
    /// cloud properties values of the application.
    pub(in crate::app) async fn write_initial_values(
        &self,
        access: &Access,
        device: &str,
        template: &DeviceTemplate,
    ) -> Result<(), AppError> {
        let mut cloud = Vec::new();
        let mut desired: BTreeMap<Option<String>, Map<String, Value>> = BTreeMap::new();
        for (scope, capabilities) in template.capabilities().scopes() {
            for property in &capabilities.properties {
                let Some(value) = &property.initial_value else { continue };
                let name = property.element.name.clone();
                if property.cloud {
                    cloud.push((name, Some(value.to_string())));
                } else if property.writable {
                    let twin = desired.entry(scope.module.clone()).or_default();
                    match &scope.component {
                        None => drop(twin.insert(name, value.clone())),
                        Some(component) => {
                            let inner = twin.entry(component.clone()).or_insert_with(|| Value::Object(Map::new()));
                            if let Value::Object(inner) = inner {
                                mark_component(inner);
                                inner.insert(name, value.clone());
                            }
                        }
                    }
                }
            }
        }
        if !cloud.is_empty() {
            self.registry().cloud_properties_write(access.application(), device, &cloud, false, now_ms()).await?;
        }
        for (module, patch) in desired {
            let identity = Self::identity(device, module.as_deref());
            self.twins().patch_desired(access.application(), &identity, Value::Object(patch)).await?;
        }
        Ok(())
    }
}

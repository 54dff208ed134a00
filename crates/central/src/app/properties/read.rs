//! Twin and cloud values as one document.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use events::clock::rfc3339_ms;
use model::template::{DeviceTemplate, Scope};
use model::twin::{Acknowledgement, COMPONENT_MARKER, Twin, is_component};
use registry::{CloudPropertyRow, StoreError};
use serde_json::{Map, Value, json};

use crate::app::AppError;

/// Member that holds what is known about the values beside it.
pub(super) const METADATA: &str = "$metadata";

/// Joins the sections of a twin.
pub(super) struct Reader<'a> {
    /// The device's template.
    pub template: Option<&'a DeviceTemplate>,
    /// The module whose twin it is.
    pub module: Option<&'a str>,
    /// Whether to show what the template does not describe.
    pub unmodeled: bool,
}

/// One level of a twin: two sections with their metadata.
#[derive(Clone, Copy)]
struct Level<'t> {
    desired: &'t Map<String, Value>,
    desired_metadata: &'t Map<String, Value>,
    reported: &'t Map<String, Value>,
    reported_metadata: &'t Map<String, Value>,
}

static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

fn inner<'t>(section: &'t Map<String, Value>, name: &str) -> &'t Map<String, Value> {
    section.get(name).and_then(Value::as_object).unwrap_or(&NOTHING)
}

impl<'t> Level<'t> {
    fn root(twin: &'t Twin) -> Self {
        Self {
            desired: &twin.desired.properties,
            desired_metadata: &twin.desired.metadata,
            reported: &twin.reported.properties,
            reported_metadata: &twin.reported.metadata,
        }
    }

    fn component(&self, name: &str) -> Self {
        Self {
            desired: inner(self.desired, name),
            desired_metadata: inner(self.desired_metadata, name),
            reported: inner(self.reported, name),
            reported_metadata: inner(self.reported_metadata, name),
        }
    }

    fn names(&self) -> BTreeSet<&'t str> {
        let names = self.desired.keys().chain(self.reported.keys());
        names.map(String::as_str).filter(|name| *name != COMPONENT_MARKER).collect()
    }

    fn is_component(&self, name: &str) -> bool {
        [self.desired, self.reported].into_iter().any(|section| section.get(name).is_some_and(is_component))
    }
}

impl Reader<'_> {
    /// The document of the root or of a component.
    pub(super) fn document(&self, twin: &Twin, component: Option<&str>) -> Map<String, Value> {
        let level = Level::root(twin);
        match component {
            Some(component) => self.level(&level.component(component), Some(component)),
            None => self.level(&level, None),
        }
    }

    fn level(&self, level: &Level<'_>, component: Option<&str>) -> Map<String, Value> {
        let mut document = Map::new();
        let mut metadata = Map::new();
        for name in level.names() {
            match self.kind(level, component, name) {
                Kind::Hidden => {}
                Kind::Component => {
                    let inner = self.level(&level.component(name), Some(name));
                    // A component with nothing but empty metadata says nothing.
                    if inner.len() > 1 || inner.get(METADATA) != Some(&json!({})) {
                        document.insert(name.to_owned(), Value::Object(inner));
                    }
                }
                Kind::Property => {
                    let (value, about) = property(level, name);
                    if let Some(value) = value {
                        document.insert(name.to_owned(), value);
                    }
                    metadata.insert(name.to_owned(), Value::Object(about));
                }
            }
        }
        document.insert(METADATA.to_owned(), Value::Object(metadata));
        document
    }

    fn kind(&self, level: &Level<'_>, component: Option<&str>, name: &str) -> Kind {
        let declared = self.template.map(|template| template.capabilities());
        let scope = declared.and_then(|all| all.scope(&Scope::new(self.module, component)));
        let is_declared_component =
            scope.is_some_and(|scope| scope.components.iter().any(|element| element.name == name));
        let is_declared = scope.is_some_and(|scope| scope.property(name).is_some_and(|property| !property.cloud));
        if is_declared_component {
            Kind::Component
        } else if is_declared {
            Kind::Property
        } else if self.template.is_some() && !self.unmodeled {
            Kind::Hidden
        } else if component.is_none() && level.is_component(name) {
            Kind::Component
        } else {
            Kind::Property
        }
    }

    /// Adds the application's values to the document of the root.
    pub(super) fn add_cloud(
        &self,
        document: &mut Map<String, Value>,
        cloud: &[CloudPropertyRow],
    ) -> Result<(), AppError> {
        let declared = self.template.map(|template| template.capabilities().root());
        for row in cloud {
            let is_declared = declared.and_then(|root| root.property(&row.name)).is_some_and(|property| property.cloud);
            if !is_declared && !self.unmodeled && self.template.is_some() {
                continue;
            }
            let value: Value = serde_json::from_str(&row.value)
                .map_err(|source| StoreError::Corrupt { what: "cloud property", source })?;
            document.insert(row.name.clone(), value);
            if let Some(Value::Object(metadata)) = document.get_mut(METADATA) {
                metadata.insert(row.name.clone(), json!({ "lastUpdateTime": rfc3339_ms(row.updated_ms) }));
            }
        }
        Ok(())
    }
}

enum Kind {
    Hidden,
    Component,
    Property,
}

/// The reported value of a property, and what is known about it.
fn property(level: &Level<'_>, name: &str) -> (Option<Value>, Map<String, Value>) {
    let mut about = Map::new();
    let updated = |metadata: &Map<String, Value>| {
        metadata.get(name).and_then(|entry| entry.get("$lastUpdated")).and_then(Value::as_str).map(str::to_owned)
    };
    // Both are UTC texts of one form, so the later one is the greater one.
    let times = [updated(level.desired_metadata), updated(level.reported_metadata)];
    if let Some(time) = times.into_iter().flatten().max() {
        about.insert("lastUpdateTime".to_owned(), time.into());
    }
    if let Some(desired) = level.desired.get(name) {
        about.insert("desiredValue".to_owned(), desired.clone());
        let version = level.desired_metadata.get(name).and_then(|entry| entry.get("$lastUpdatedVersion"));
        if let Some(version) = version {
            about.insert("desiredVersion".to_owned(), version.clone());
        }
    }
    let Some(reported) = level.reported.get(name) else { return (None, about) };
    let Some(acknowledgement) = Acknowledgement::recognize(reported) else { return (Some(reported.clone()), about) };
    about.insert("ackVersion".to_owned(), acknowledgement.av.into());
    about.insert("ackCode".to_owned(), acknowledgement.ac.into());
    if let Some(description) = acknowledgement.ad {
        about.insert("ackDescription".to_owned(), description.into());
    }
    let value = (!acknowledgement.value.is_null()).then_some(acknowledgement.value);
    (value, about)
}

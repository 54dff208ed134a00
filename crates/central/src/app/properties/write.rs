//! A written document, taken apart.

use api::error::ErrorContext;
use model::template::{DeviceTemplate, Property, Scope, ScopeCapabilities};
use model::twin::{COMPONENT_MARKER, Twin, is_component, mark_component};
use serde_json::{Map, Value, json};

use super::Place;
use super::read::METADATA;
use crate::app::AppError;

/// Cloud properties to set (JSON text) and clear (`None`).
pub(super) type CloudChanges = Vec<(String, Option<String>)>;

/// Takes a document apart into cloud values and a desired patch.
pub(super) struct Writer<'a> {
    template: Option<&'a DeviceTemplate>,
    place: Place<'a>,
    unmodeled: bool,
    cloud: CloudChanges,
    desired: Map<String, Value>,
    faults: Vec<ErrorContext>,
}

/// What a name of the document is.
enum Target<'p> {
    Cloud(&'p Property),
    Writable(&'p Property),
    Unmodeled,
    Component,
    Refused(&'static str),
}

impl<'a> Writer<'a> {
    pub(super) fn new(template: Option<&'a DeviceTemplate>, place: Place<'a>, unmodeled: bool) -> Self {
        let unmodeled = unmodeled || template.is_none();
        Self { template, place, unmodeled, cloud: Vec::new(), desired: Map::new(), faults: Vec::new() }
    }

    /// Takes the document; answers what the caller is told: the desired value of each name.
    pub(super) fn take(&mut self, body: &Map<String, Value>) -> Result<Map<String, Value>, AppError> {
        let (patch, answer) = self.level(body, self.place.component, "");
        match self.place.component {
            Some(component) if !patch.is_empty() => self.put_component(component, patch),
            Some(_) => {}
            None => self.desired = patch,
        }
        if self.faults.is_empty() {
            return Ok(answer);
        }
        Err(AppError::unprocessable("Some properties cannot be written.", std::mem::take(&mut self.faults)))
    }

    fn put_component(&mut self, component: &str, mut members: Map<String, Value>) {
        mark_component(&mut members);
        self.desired.insert(component.to_owned(), Value::Object(members));
    }

    fn scope(&self, component: Option<&str>) -> Option<&'a ScopeCapabilities> {
        self.template.and_then(|template| template.capabilities().scope(&Scope::new(self.place.module, component)))
    }

    fn target(&self, component: Option<&str>, name: &str, value: &Value) -> Target<'a> {
        let scope = self.scope(component);
        if let Some(property) = scope.and_then(|scope| scope.property(name)) {
            return match property {
                property if property.cloud => Target::Cloud(property),
                property if property.writable => Target::Writable(property),
                _ => Target::Refused("is reported by the device and cannot be written"),
            };
        }
        let is_declared = scope.is_some_and(|scope| scope.components.iter().any(|element| element.name == name));
        if is_declared || (component.is_none() && self.unmodeled && is_component(value)) {
            return Target::Component;
        }
        if self.unmodeled { Target::Unmodeled } else { Target::Refused("is not in the device's template") }
    }

    fn level(
        &mut self,
        body: &Map<String, Value>,
        component: Option<&str>,
        at: &str,
    ) -> (Map<String, Value>, Map<String, Value>) {
        let (mut patch, mut answer, mut metadata) = (Map::new(), Map::new(), Map::new());
        for (name, value) in body.iter().filter(|(name, _)| *name != METADATA && *name != COMPONENT_MARKER) {
            let pointer = format!("{at}/{name}");
            match (self.target(component, name, value), value) {
                (Target::Component, Value::Object(members)) => {
                    let (mut inner, inner_answer) = self.level(members, Some(name), &pointer);
                    if !inner.is_empty() {
                        mark_component(&mut inner);
                        patch.insert(name.clone(), Value::Object(inner));
                    }
                    answer.insert(name.clone(), Value::Object(inner_answer));
                    continue;
                }
                (Target::Component, Value::Null) => drop(patch.insert(name.clone(), Value::Null)),
                (Target::Component, _) => self.fault(pointer, "is a component and must be an object"),
                (Target::Refused(why), _) => self.fault(pointer, why),
                (Target::Unmodeled, _) => drop(patch.insert(name.clone(), value.clone())),
                (Target::Writable(property), _) => {
                    if self.fits(property, value, &pointer) {
                        patch.insert(name.clone(), value.clone());
                    }
                }
                (Target::Cloud(property), _) => {
                    if self.fits(property, value, &pointer) {
                        self.cloud.push((name.clone(), (!value.is_null()).then(|| value.to_string())));
                    }
                }
            }
            metadata.insert(name.clone(), json!({ "desiredValue": value }));
        }
        answer.insert(METADATA.to_owned(), Value::Object(metadata));
        (patch, answer)
    }

    fn fits(&mut self, property: &Property, value: &Value, pointer: &str) -> bool {
        match property.schema.validate(value) {
            Ok(()) => true,
            Err(error) => {
                self.fault(format!("{pointer}{}", error.pointer), &error.message);
                false
            }
        }
    }

    fn fault(&mut self, pointer: String, message: &str) {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        let message = format!("{name} {message}");
        self.faults.push(ErrorContext { data_path: pointer, message });
    }

    /// Clears every writable value of the place that the document does not name.
    pub(super) fn clear_others(&mut self, twin: &Twin, body: &Map<String, Value>) {
        let root = &twin.desired.properties;
        match self.place.component {
            None => {
                let cleared = self.others(root, None, body);
                for (name, value) in cleared {
                    match (self.desired.get_mut(&name), value) {
                        (Some(Value::Object(kept)), Value::Object(cleared)) => kept.extend(cleared),
                        (_, value) => drop(self.desired.insert(name, value)),
                    }
                }
            }
            Some(component) => {
                let Some(Value::Object(members)) = root.get(component) else { return };
                let cleared = self.others(members, Some(component), body);
                if cleared.is_empty() {
                    return;
                }
                match self.desired.get_mut(component) {
                    Some(Value::Object(kept)) => kept.extend(cleared),
                    _ => self.put_component(component, cleared),
                }
            }
        }
    }

    fn others(
        &self,
        section: &Map<String, Value>,
        component: Option<&str>,
        body: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut cleared = Map::new();
        for (name, value) in section.iter().filter(|(name, _)| *name != COMPONENT_MARKER) {
            match self.target(component, name, value) {
                Target::Component => {
                    let (Some(members), named) = (value.as_object(), body.get(name)) else { continue };
                    let nothing = Map::new();
                    let named = named.and_then(Value::as_object).unwrap_or(&nothing);
                    let mut inner = self.others(members, Some(name), named);
                    if !inner.is_empty() {
                        mark_component(&mut inner);
                        cleared.insert(name.clone(), Value::Object(inner));
                    }
                }
                Target::Writable(_) | Target::Unmodeled if !body.contains_key(name) => {
                    cleared.insert(name.clone(), Value::Null);
                }
                _ => {}
            }
        }
        cleared
    }

    /// The changes: cloud values, and the desired patch.
    pub(super) fn finish(self) -> (CloudChanges, Map<String, Value>) {
        (self.cloud, self.desired)
    }
}

//! Reading what stands in `contents`: telemetry, properties, commands, components, relationships.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::cotypes::Semantics;
use super::element::Naming;
use super::{Reader, Rules, code, set_items};
use crate::dtdl::element::{Command, CommandPayload, Component, Content, Property, Relationship, Telemetry};
use crate::dtdl::semantic;
use crate::limits::{DTDL_CONTENTS_MAX, DTDL_MULTIPLICITY_MAX};
use crate::pointer::Pointer;

const KINDS: &[&str] = &["Command", "Component", "Property", "Relationship", "Telemetry"];
/// Names of telemetry that the platform's own columns have.
const RESERVED_TELEMETRY: &[&str] =
    &["EventEnqueuedUtcTime", "EventProcessedUtcTime", "PartitionId", "EventHub", "User", "$metadata", "$version"];

impl<'v> Reader<'v> {
    pub(super) fn content(&mut self, value: &'v Value, at: &Pointer<'_>) -> Option<Content> {
        let object = self.object(value, at, "an element of contents")?;
        let outer = self.iot_central;
        self.nested_context(object, at);
        let content = self.content_of_kind(object, at);
        self.iot_central = outer;
        content
    }

    fn content_of_kind(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) -> Option<Content> {
        let types = self.types(object, at);
        let mut kinds = KINDS.iter().filter(|kind| types.iter().any(|name| name == *kind));
        let Some(kind) = kinds.next() else {
            let code = if types.is_empty() { code::MISSING_TYPE } else { code::UNKNOWN_TYPE };
            self.add(at, code, format!("@type must hold one of {}", KINDS.join(", ")));
            return None;
        };
        if let Some(other) = kinds.next() {
            self.add(&at.key("@type"), code::BAD_COTYPE, format!("an element cannot be {kind} and {other} at once"));
            return None;
        }
        match *kind {
            "Telemetry" => self.telemetry(object, types, at).map(Content::Telemetry),
            "Property" => self.property(object, types, at).map(Content::Property),
            "Command" => self.command(object, types, at).map(|command| Content::Command(Box::new(command))),
            "Component" => self.component(object, types, at).map(Content::Component),
            _ => self.relationship(object, types, at).map(Content::Relationship),
        }
    }

    fn telemetry(&mut self, object: &'v Map<String, Value>, types: Vec<String>, at: &Pointer<'_>) -> Option<Telemetry> {
        let element = self.element(object, at, types, Naming::Required);
        if self.rules == Rules::Template && RESERVED_TELEMETRY.contains(&element.name.as_str()) {
            self.add(&at.key("name"), code::RESERVED_NAME, format!("{:?} is kept for the platform", element.name));
        }
        let described = self.required_schema(object, "schema", at);
        let semantics = self.semantics(&element, "Telemetry", described.as_ref(), at);
        let unit = self.unit(object, &semantics, at);
        self.unknown_members(object, at, &["name", "schema", "unit"], semantics.has_undefined);
        let schema = described?.schema;
        Some(Telemetry { element, schema, semantic_type: semantics.semantic_type, unit })
    }

    fn property(&mut self, object: &'v Map<String, Value>, types: Vec<String>, at: &Pointer<'_>) -> Option<Property> {
        let element = self.element(object, at, types, Naming::Required);
        let described = self.required_schema(object, "schema", at);
        if described.as_ref().is_some_and(|described| described.has_array) {
            self.add(&at.key("schema"), code::ARRAY_IN_PROPERTY, "the schema of a property must not hold an array");
        }
        let semantics = self.semantics(&element, "Property", described.as_ref(), at);
        let unit = self.unit(object, &semantics, at);
        self.unknown_members(object, at, &["name", "schema", "unit", "writable"], semantics.has_undefined);
        let writable = self.boolean(object, at, "writable");
        let schema = described?.schema;
        let initial_value = object.get("initialValue").filter(|_| element.has_type("Initialized"));
        if let Some(error) = initial_value.and_then(|value| schema.validate(value).err()) {
            self.add(&at.key("initialValue"), code::BAD_INITIAL_VALUE, format!("initialValue {}", error.message));
        }
        Some(Property {
            cloud: element.has_type("Cloud"),
            element,
            schema,
            semantic_type: semantics.semantic_type,
            unit,
            writable,
            initial_value: initial_value.cloned(),
        })
    }

    fn unit(&mut self, object: &'v Map<String, Value>, semantics: &Semantics, at: &Pointer<'_>) -> Option<String> {
        let semantic_type = semantics.semantic_type.as_deref();
        let unit_type = semantic_type.and_then(|name| match name {
            "VelocityVector" => Some("VelocityUnit"),
            "AccelerationVector" => Some("AccelerationUnit"),
            name => semantic::unit_type(name),
        });
        let Some(unit) = object.get("unit") else {
            let required = semantic_type.is_some_and(|name| semantic::unit_type(name).is_some());
            if required && self.rules == Rules::Language {
                self.add(at, code::MISSING_UNIT, "a semantic type needs a unit");
            }
            return None;
        };
        let at = at.key("unit");
        let Some(text) = unit.as_str() else {
            self.add(&at, code::WRONG_TYPE, "unit must be a text");
            return None;
        };
        let name = text.strip_prefix("dtmi:standard:unit:").and_then(|rest| rest.strip_suffix(";2")).unwrap_or(text);
        match unit_type {
            Some(unit_type) if !semantic::units(unit_type).contains(&name) => {
                let message = format!("{text:?} is no {unit_type}: {}", semantic::units(unit_type).join(", "));
                self.add(&at, code::BAD_UNIT, message);
            }
            None if self.rules == Rules::Language && !semantics.has_undefined => {
                self.add(&at, code::BAD_UNIT, "a unit needs a semantic type in @type");
            }
            _ => {}
        }
        Some(name.to_owned())
    }

    fn command(&mut self, object: &'v Map<String, Value>, types: Vec<String>, at: &Pointer<'_>) -> Option<Command> {
        let has_undefined = self.plain_cotypes(&types, "Command", at);
        let element = self.element(object, at, types, Naming::Required);
        let known: &[&str] = match self.iot_central {
            true => &["name", "commandType", "request", "response", "durable"],
            false => &["name", "commandType", "request", "response"],
        };
        self.unknown_members(object, at, known, has_undefined);
        if let Some(kind) = object.get("commandType")
            && !matches!(kind.as_str(), Some("synchronous" | "asynchronous"))
        {
            let message = "commandType must be synchronous or asynchronous";
            self.add(&at.key("commandType"), code::BAD_COMMAND_TYPE, message);
        }
        Some(Command {
            element,
            request: object.get("request").and_then(|value| self.payload(value, &at.key("request"))),
            response: object.get("response").and_then(|value| self.payload(value, &at.key("response"))),
            durable: if self.iot_central { self.boolean(object, at, "durable") } else { false },
        })
    }

    fn payload(&mut self, value: &'v Value, at: &Pointer<'_>) -> Option<CommandPayload> {
        let object = self.object(value, at, "a command's payload")?;
        let (types, has_undefined) = self.optional_type(object, at, "CommandPayload");
        let element = self.element(object, at, types, Naming::Required);
        self.unknown_members(object, at, &["name", "schema"], has_undefined);
        let schema = self.required_schema(object, "schema", at)?.schema;
        Some(CommandPayload { element, schema })
    }

    fn component(&mut self, object: &'v Map<String, Value>, types: Vec<String>, at: &Pointer<'_>) -> Option<Component> {
        let has_undefined = self.plain_cotypes(&types, "Component", at);
        let element = self.element(object, at, types, Naming::Required);
        self.unknown_members(object, at, &["name", "schema"], has_undefined);
        let value = self.required(object, at, "schema")?;
        let interface = self.interface_or_reference(value, &at.key("schema"))?;
        Some(Component { element, interface })
    }

    fn relationship(
        &mut self,
        object: &'v Map<String, Value>,
        types: Vec<String>,
        at: &Pointer<'_>,
    ) -> Option<Relationship> {
        let has_undefined = self.plain_cotypes(&types, "Relationship", at);
        let is_module = types.iter().any(|name| name == "EdgeModule");
        let may_hold_several = is_module || types.iter().any(|name| name == "GatewayDevice");
        let naming = if is_module && self.rules == Rules::Template { Naming::Module } else { Naming::Required };
        let element = self.element(object, at, types, naming);
        let known = &["maxMultiplicity", "minMultiplicity", "name", "properties", "target", "writable"];
        self.unknown_members(object, at, known, has_undefined);
        self.multiplicity(object, "minMultiplicity", 0, 0, at);
        self.multiplicity(object, "maxMultiplicity", 1, DTDL_MULTIPLICITY_MAX, at);
        let mut targets = Vec::new();
        if let Some(target) = object.get("target") {
            let at = at.key("target");
            for (item, at) in set_items(target, &at) {
                targets.extend(self.target(item, may_hold_several, &at));
            }
            if !may_hold_several && target.as_array().is_some_and(|items| items.len() > 1) {
                self.add(&at, code::BAD_TARGET, "a relationship has one target");
            }
        }
        Some(Relationship {
            properties: self.relationship_properties(object, at),
            writable: self.boolean(object, at, "writable"),
            element,
            targets,
        })
    }

    /// An id, by reference; the relationships of templates may also spell the interface out.
    fn target(&mut self, item: &'v Value, may_be_inline: bool, at: &Pointer<'_>) -> Option<String> {
        if may_be_inline && item.is_object() {
            return self.interface_or_reference(item, at);
        }
        let id = item.as_str().filter(|text| self.is_id(text));
        if id.is_none() {
            self.add(at, code::BAD_TARGET, "a relationship's target must be a DTMI");
        }
        id.map(str::to_owned)
    }

    fn multiplicity(&mut self, object: &Map<String, Value>, name: &str, min: u64, max: u64, at: &Pointer<'_>) {
        if let Some(value) = object.get(name)
            && !value.as_u64().is_some_and(|number| (min..=max).contains(&number))
        {
            let range = if min == max { format!("{min}") } else { format!("{min} to {max}") };
            self.add(&at.key(name), code::BAD_MULTIPLICITY, format!("{name} must be {range}"));
        }
    }

    fn relationship_properties(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) -> Vec<Property> {
        let Some(value) = object.get("properties") else { return Vec::new() };
        let at = at.key("properties");
        let (mut properties, mut names) = (Vec::new(), HashSet::new());
        for (count, (item, at)) in set_items(value, &at).enumerate() {
            if count == DTDL_CONTENTS_MAX {
                self.add(&at, code::TOO_MANY, format!("a relationship has at most {DTDL_CONTENTS_MAX} properties"));
                break;
            }
            match self.content(item, &at) {
                Some(Content::Property(property)) => {
                    if !names.insert(property.element.name.clone()) {
                        let message = format!("there are two properties {:?}", property.element.name);
                        self.add(&at.key("name"), code::DUPLICATE_NAME, message);
                    }
                    properties.push(property);
                }
                Some(_) => self.add(&at, code::UNKNOWN_TYPE, "a relationship has only properties"),
                None => {}
            }
        }
        properties
    }
}

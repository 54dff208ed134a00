//! Reading schemas.
//!
//! A schema is a word, an id, or an object that spells a complex one out. Ids lead to the `schemas` of the same
//! interface; each of those is read once, however often it is used, so that a few schemas which use one another cannot
//! unfold into millions.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::element::Naming;
use super::{Reader, code, set_items};
use crate::dtdl::schema::{EnumSchema, EnumValue, Field, Schema};
use crate::limits::{DTDL_ENUM_VALUES_MAX, DTDL_FIELDS_MAX, DTDL_SCHEMA_DEPTH_MAX};
use crate::pointer::Pointer;

/// A schema, with what its place may forbid.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) schema: Schema,
    /// Complex schemas inside one another; 0 for a primitive one.
    depth: usize,
    pub(super) has_array: bool,
}

/// A schema of the interface's `schemas`.
#[derive(Debug, Clone)]
pub(super) enum Reusable<'v> {
    Unread { json: &'v Value, pointer: String },
    Reading,
    Read(Option<Described>),
}

const COMPLEX: &[&str] = &["Array", "Enum", "Map", "Object"];

impl<'v> Reader<'v> {
    /// Reads the required member `name` as a schema.
    pub(super) fn required_schema(
        &mut self,
        object: &'v Map<String, Value>,
        name: &str,
        at: &Pointer<'_>,
    ) -> Option<Described> {
        let value = self.required(object, at, name)?;
        self.schema(value, &at.key(name), 1)
    }

    /// `level` counts the complex schemas around this one, itself included if it is complex.
    fn schema(&mut self, value: &'v Value, at: &Pointer<'_>, level: usize) -> Option<Described> {
        match value {
            Value::String(text) => self.schema_reference(text, at, level),
            Value::Object(object) => {
                if object.len() == 1
                    && let Some(id) = object.get("@id").and_then(Value::as_str)
                {
                    return self.schema_reference(id, at, level);
                }
                if level > DTDL_SCHEMA_DEPTH_MAX {
                    self.add_too_deep(at);
                    return None;
                }
                self.complex(object, at, level)
            }
            _ => {
                self.add(at, code::BAD_SCHEMA, "a schema is a name, an id, or an object");
                None
            }
        }
    }

    fn schema_reference(&mut self, text: &'v str, at: &Pointer<'_>, level: usize) -> Option<Described> {
        if let Some(schema) = Schema::named(text) {
            if schema.is_iot_central() && !self.iot_central {
                let message = format!("schema {text:?} needs the context \"dtmi:iotcentral:context;2\"");
                self.add(at, code::BAD_SCHEMA, message);
            }
            return Some(Described { schema, depth: 0, has_array: false });
        }
        let described = match self.reusable.get(text) {
            Some(Reusable::Read(described)) => described.clone()?,
            Some(Reusable::Reading) => {
                self.add(at, code::CYCLE, format!("schema {text:?} contains itself"));
                return None;
            }
            Some(Reusable::Unread { .. }) => self.read_reusable(text)?,
            None if text.starts_with("dtmi:") => {
                let message = format!("schema {text:?} is not among the schemas of this interface");
                self.add(at, code::UNRESOLVED_REFERENCE, message);
                return None;
            }
            None => {
                self.add(at, code::BAD_SCHEMA, format!("there is no schema {text:?}"));
                return None;
            }
        };
        if level + described.depth > DTDL_SCHEMA_DEPTH_MAX + 1 {
            self.add_too_deep(at);
            return None;
        }
        Some(described)
    }

    /// Reads a schema of `schemas`, unless that is done or under way.
    pub(super) fn read_reusable(&mut self, id: &'v str) -> Option<Described> {
        let entry = self.reusable.get_mut(id)?;
        let Reusable::Unread { json, pointer } = std::mem::replace(entry, Reusable::Reading) else { return None };
        let described = json.as_object().and_then(|object| self.complex(object, &Pointer::root(&pointer), 1));
        self.reusable.insert(id, Reusable::Read(described.clone()));
        described
    }

    /// Notes the complex schemas with ids inside `value` as reusable too: any element of the same interface may refer to
    /// them. Interfaces further in are left alone.
    pub(super) fn note_inline_schemas(&mut self, value: &'v Value, at: &Pointer<'_>) {
        match value {
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| self.note_inline_schemas(item, &at.index(index)));
            }
            Value::Object(object) => {
                let is = |wanted: &str| match object.get("@type") {
                    Some(Value::Array(types)) => types.iter().any(|name| name == wanted),
                    Some(name) => name == wanted,
                    None => false,
                };
                if is("Interface") {
                    return;
                }
                if let Some(id) = object.get("@id").and_then(Value::as_str)
                    && COMPLEX.iter().any(|kind| is(kind))
                {
                    let entry = || Reusable::Unread { json: value, pointer: at.to_string() };
                    self.reusable.entry(id).or_insert_with(entry);
                }
                object.iter().for_each(|(name, member)| self.note_inline_schemas(member, &at.key(name)));
            }
            _ => {}
        }
    }

    fn add_too_deep(&mut self, at: &Pointer<'_>) {
        self.add(at, code::TOO_DEEP, format!("more than {DTDL_SCHEMA_DEPTH_MAX} complex schemas inside one another"));
    }

    fn complex(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>, level: usize) -> Option<Described> {
        let types = self.types(object, at);
        let Some(kind) = COMPLEX.iter().find(|kind| types.iter().any(|name| name == *kind)) else {
            let code = if types.is_empty() { code::MISSING_TYPE } else { code::UNKNOWN_TYPE };
            self.add(at, code, "@type of a schema must hold one of Array, Enum, Map, Object");
            return None;
        };
        let undefined = self.plain_cotypes(&types, kind, at);
        self.element(object, at, types, Naming::Optional);
        let (known, described): (&[&str], _) = match *kind {
            "Array" => (&["elementSchema"], self.array(object, at, level)),
            "Enum" => (&["enumValues", "valueSchema"], self.enumeration(object, at)),
            "Map" => (&["mapKey", "mapValue"], self.map(object, at, level)),
            _ => (&["fields"], self.fields(object, at, level)),
        };
        self.unknown_members(object, at, known, undefined);
        described
    }

    fn array(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>, level: usize) -> Option<Described> {
        let value = self.required(object, at, "elementSchema")?;
        let inner = self.schema(value, &at.key("elementSchema"), level + 1)?;
        Some(Described { schema: Schema::Array(Arc::new(inner.schema)), depth: inner.depth + 1, has_array: true })
    }

    fn map(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>, level: usize) -> Option<Described> {
        let key = self.required(object, at, "mapKey");
        let value = self.required(object, at, "mapValue");
        if let Some(key) = key {
            let at = at.key("mapKey");
            let described = self.map_part(key, "MapKey", &at, level);
            if described.is_some_and(|described| described.schema != Schema::String) {
                self.add(&at, code::BAD_SCHEMA, "the schema of a map's key must be string");
            }
        }
        let inner = self.map_part(value?, "MapValue", &at.key("mapValue"), level)?;
        Some(Described {
            schema: Schema::Map(Arc::new(inner.schema)),
            depth: inner.depth + 1,
            has_array: inner.has_array,
        })
    }

    fn map_part(&mut self, value: &'v Value, kind: &str, at: &Pointer<'_>, level: usize) -> Option<Described> {
        let part = self.object(value, at, "a map's key or value")?;
        let (types, undefined) = self.optional_type(part, at, kind);
        self.element(part, at, types, Naming::Required);
        self.unknown_members(part, at, &["name", "schema"], undefined);
        let schema = self.required(part, at, "schema")?;
        self.schema(schema, &at.key("schema"), level + 1)
    }

    fn fields(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>, level: usize) -> Option<Described> {
        let value = self.required(object, at, "fields")?;
        let at = at.key("fields");
        let (mut fields, mut names) = (Vec::new(), HashSet::new());
        let (mut depth, mut has_array) = (0, false);
        for (count, (item, at)) in set_items(value, &at).enumerate() {
            if count == DTDL_FIELDS_MAX {
                self.add(&at, code::TOO_MANY, format!("an object has at most {DTDL_FIELDS_MAX} fields"));
                break;
            }
            let Some(field) = self.object(item, &at, "a field") else { continue };
            let (types, undefined) = self.optional_type(field, &at, "Field");
            let element = self.element(field, &at, types, Naming::Required);
            self.unknown_members(field, &at, &["name", "schema"], undefined);
            if !element.name.is_empty() && !names.insert(element.name.clone()) {
                self.add(&at.key("name"), code::DUPLICATE_NAME, format!("there are two fields {:?}", element.name));
            }
            let Some(schema) = self.required(field, &at, "schema") else { continue };
            let Some(described) = self.schema(schema, &at.key("schema"), level + 1) else { continue };
            depth = depth.max(described.depth);
            has_array |= described.has_array;
            let Described { schema, .. } = described;
            fields.push(Field { name: element.name, display_name: element.display_name, schema });
        }
        Some(Described { schema: Schema::Object(fields.into()), depth: depth + 1, has_array })
    }

    fn enumeration(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) -> Option<Described> {
        let value_schema = self.required(object, at, "valueSchema");
        let values = self.required(object, at, "enumValues");
        let integer = match value_schema.and_then(Value::as_str).and_then(Schema::named) {
            Some(Schema::Integer) => true,
            Some(Schema::String) => false,
            _ => {
                if value_schema.is_some() {
                    let message = "valueSchema must be integer or string";
                    self.add(&at.key("valueSchema"), code::BAD_SCHEMA, message);
                }
                return None;
            }
        };
        let at = at.key("enumValues");
        let mut read = Vec::<EnumValue>::new();
        for (count, (item, at)) in set_items(values?, &at).enumerate() {
            if count == DTDL_ENUM_VALUES_MAX {
                self.add(&at, code::TOO_MANY, format!("an enum has at most {DTDL_ENUM_VALUES_MAX} values"));
                break;
            }
            let Some(value) = self.enum_value(item, integer, &at) else { continue };
            if read.iter().any(|other| other.name == value.name) {
                self.add(&at.key("name"), code::DUPLICATE_NAME, format!("there are two values {:?}", value.name));
            }
            if read.iter().any(|other| other.value == value.value) {
                let message = format!("the value {} is given twice", value.value);
                self.add(&at.key("enumValue"), code::BAD_ENUM_VALUE, message);
            }
            read.push(value);
        }
        if read.is_empty() {
            self.add(&at, code::MISSING_PROPERTY, "an enum needs at least one value");
        }
        let schema = Schema::Enum(Arc::new(EnumSchema { integer, values: read }));
        Some(Described { schema, depth: 1, has_array: false })
    }

    fn enum_value(&mut self, item: &'v Value, integer: bool, at: &Pointer<'_>) -> Option<EnumValue> {
        let object = self.object(item, at, "an enum value")?;
        let (types, undefined) = self.optional_type(object, at, "EnumValue");
        let element = self.element(object, at, types, Naming::Required);
        self.unknown_members(object, at, &["enumValue", "name"], undefined);
        let value = self.required(object, at, "enumValue")?;
        let fits = if integer { value.as_i64().is_some_and(|v| i32::try_from(v).is_ok()) } else { value.is_string() };
        if !fits {
            let wanted = if integer { "a 32-bit whole number" } else { "a text" };
            self.add(&at.key("enumValue"), code::BAD_ENUM_VALUE, format!("enumValue must be {wanted}"));
            return None;
        }
        Some(EnumValue { name: element.name, display_name: element.display_name, value: value.clone() })
    }
}

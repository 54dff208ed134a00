//! Reading interfaces, at the top of a document or inline, into the table.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::element::Naming;
use super::schema::Reusable;
use super::{Node, Reader, Rules, code, set_items};
use crate::dtdl::element::{Content, Interface};
use crate::limits::{DTDL_CONTENTS_MAX, DTDL_EXTENDS_MAX};
use crate::pointer::Pointer;

const MEMBERS: &[&str] = &["contents", "extends", "schemas"];

impl<'v> Reader<'v> {
    /// Reads an interface into the table and returns its id, if it has a usable one.
    pub(crate) fn interface(&mut self, json: &'v Value, at: &Pointer<'_>) -> Option<String> {
        let object = self.object(json, at, "an interface")?;
        let types = self.types(object, at);
        if !types.iter().any(|name| name == "Interface") {
            let code = if types.is_empty() { code::MISSING_TYPE } else { code::UNKNOWN_TYPE };
            self.add(at, code, "@type must hold Interface");
            return None;
        }
        let has_undefined = self.plain_cotypes(&types, "Interface", at);
        let id = self.interface_id(object, at);
        if let Some(id) = id
            && self.is_known(id, json, at)
        {
            return Some(id.to_owned());
        }
        if let Some(id) = id {
            self.note_id(id, at);
        }
        let outer_extension = self.iot_central;
        self.nested_context(object, at);
        let mut element = self.element_without_id(object, at, types, Naming::Optional);
        element.id = id.map(str::to_owned);
        self.unknown_members(object, at, MEMBERS, has_undefined);

        let outer = std::mem::take(&mut self.reusable);
        self.reusable_schemas(object, at);
        if let Some(contents) = object.get("contents") {
            self.note_inline_schemas(contents, &at.key("contents"));
        }
        let (contents, content_pointers) = self.contents(object, at);
        self.reusable = outer;
        let (extends, extends_pointers) = self.extends(object, at);
        self.iot_central = outer_extension;
        let id = id?.to_owned();
        let node = Node {
            interface: Interface { element, contents, extends },
            json,
            file: self.file,
            pointer: at.to_string(),
            content_pointers,
            extends_pointers,
        };
        self.nodes.insert(id.clone(), node);
        Some(id)
    }

    /// Whether the table has this interface already. Two definitions are an error of a document; in a template the same
    /// interface may be written out wherever it is used.
    fn is_known(&mut self, id: &str, json: &Value, at: &Pointer<'_>) -> bool {
        let Some(node) = self.nodes.get(id) else { return false };
        if self.rules == Rules::Language || node.json != json {
            let place = node.pointer.clone();
            let message = format!("{id:?} is defined a second time (first at \"{place}\")");
            self.add(&at.key("@id"), code::DUPLICATE_ID, message);
        }
        true
    }

    /// An interface spelled out, or the id of one.
    pub(super) fn interface_or_reference(&mut self, value: &'v Value, at: &Pointer<'_>) -> Option<String> {
        let reference = match value {
            Value::String(text) => Some(text),
            Value::Object(object) if object.len() == 1 => match object.get("@id") {
                Some(Value::String(text)) => Some(text),
                _ => None,
            },
            _ => None,
        };
        let Some(reference) = reference else { return self.interface(value, at) };
        if !self.is_id(reference) {
            self.add(at, code::BAD_DTMI, format!("{reference:?} is no DTMI of an interface"));
            return None;
        }
        Some(reference.clone())
    }

    fn contents(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) -> (Vec<Content>, Vec<String>) {
        let (mut contents, mut pointers) = (Vec::new(), Vec::new());
        let Some(value) = object.get("contents") else { return (contents, pointers) };
        let at = at.key("contents");
        for (count, (item, at)) in set_items(value, &at).enumerate() {
            if count == DTDL_CONTENTS_MAX {
                self.add(&at, code::TOO_MANY, format!("an interface has at most {DTDL_CONTENTS_MAX} contents"));
                break;
            }
            if let Some(content) = self.content(item, &at) {
                contents.push(content);
                pointers.push(at.to_string());
            }
        }
        (contents, pointers)
    }

    fn extends(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) -> (Vec<String>, Vec<String>) {
        let (mut extends, mut pointers) = (Vec::new(), Vec::new());
        let Some(value) = object.get("extends") else { return (extends, pointers) };
        let at = at.key("extends");
        for (count, (item, at)) in set_items(value, &at).enumerate() {
            if count == DTDL_EXTENDS_MAX {
                self.add(&at, code::TOO_MANY, format!("an interface extends at most {DTDL_EXTENDS_MAX} others"));
                break;
            }
            if let Some(id) = self.interface_or_reference(item, &at) {
                extends.push(id);
                pointers.push(at.to_string());
            }
        }
        (extends, pointers)
    }

    /// Notes the interface's reusable schemas by id, then reads each.
    fn reusable_schemas(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) {
        let Some(value) = object.get("schemas") else { return };
        let at = at.key("schemas");
        let mut found = HashMap::new();
        for (item, at) in set_items(value, &at) {
            let Some(schema) = self.object(item, &at, "a reusable schema") else { continue };
            let Some(id) = schema.get("@id").and_then(Value::as_str) else {
                self.add(&at, code::MISSING_ID, "a reusable schema needs an @id");
                continue;
            };
            let entry = Reusable::Unread { json: item, pointer: at.to_string() };
            if found.insert(id, entry).is_some() {
                self.add(&at.key("@id"), code::DUPLICATE_ID, format!("there are two schemas {id:?}"));
            }
        }
        let ids: Vec<&str> = found.keys().copied().collect();
        self.reusable = found;
        for id in ids {
            self.read_reusable(id);
        }
    }
}

//! Members that many elements share: `@type`, `@id`, `name`, texts for people.

use serde_json::{Map, Value};

use super::{Reader, Rules, code, set_items};
use crate::dtdl::element::{Element, LocalText};
use crate::dtdl::{dtmi, terms};
use crate::limits::{
    DTDL_DESCRIPTION_CHARS_MAX, DTDL_DISPLAY_NAME_CHARS_MAX, DTDL_ID_CHARS_MAX, DTDL_INTERFACE_ID_CHARS_MAX,
    DTDL_NAME_CHARS_MAX, TEMPLATE_TEXT_CHARS_MAX,
};
use crate::pointer::Pointer;

/// What the name of an element may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// Required, by the language's rule.
    Required,
    /// Required; a module's name.
    Module,
    /// May be absent (`NamedInterface`).
    Optional,
}

const COMMON_MEMBERS: &[&str] = &["comment", "description", "displayName"];

impl<'v> Reader<'v> {
    pub(super) fn object(&mut self, value: &'v Value, at: &Pointer<'_>, what: &str) -> Option<&'v Map<String, Value>> {
        if !value.is_object() {
            self.add(at, code::WRONG_TYPE, format!("{what} must be an object"));
        }
        value.as_object()
    }

    pub(crate) fn required(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        name: &str,
    ) -> Option<&'v Value> {
        let value = object.get(name).filter(|value| !value.is_null());
        if value.is_none() {
            self.add(at, code::MISSING_PROPERTY, format!("{name} is required"));
        }
        value
    }

    pub(super) fn boolean(&mut self, object: &Map<String, Value>, at: &Pointer<'_>, name: &str) -> bool {
        match object.get(name) {
            None => false,
            Some(Value::Bool(value)) => *value,
            Some(_) => {
                self.add(&at.key(name), code::WRONG_TYPE, format!("{name} must be true or false"));
                false
            }
        }
    }

    /// Everything in `@type`; empty when it is missing or no text.
    pub(crate) fn types(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) -> Vec<String> {
        let Some(value) = object.get("@type") else { return Vec::new() };
        let at = at.key("@type");
        let mut types = Vec::new();
        for (item, at) in set_items(value, &at) {
            match item.as_str() {
                Some(text) => types.push(terms::type_word(text).to_owned()),
                None => self.add(&at, code::WRONG_TYPE, "a type must be a text"),
            }
        }
        types
    }

    /// `@type` of an element that needs none: when there is one, it must hold `wanted`. Also whether there are undefined
    /// co-types.
    pub(super) fn optional_type(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        wanted: &str,
    ) -> (Vec<String>, bool) {
        let types = self.types(object, at);
        if object.contains_key("@type") && !types.iter().any(|name| name == wanted) {
            self.add(&at.key("@type"), code::UNKNOWN_TYPE, format!("@type must hold {wanted} here"));
            return (types, true);
        }
        let has_undefined = self.plain_cotypes(&types, wanted, at);
        (types, has_undefined)
    }

    /// Name, id and texts. A name that cannot be used is reported and kept.
    pub(super) fn element(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        types: Vec<String>,
        naming: Naming,
    ) -> Element {
        let id = object.get("@id").and_then(|id| self.id(id, &at.key("@id"), DTDL_ID_CHARS_MAX));
        if let Some(id) = id {
            self.note_id(id, at);
        }
        Element { id: id.map(str::to_owned), ..self.element_without_id(object, at, types, naming) }
    }

    /// As [`Reader::element`], for an interface: its id has a rule of its own.
    pub(super) fn element_without_id(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        types: Vec<String>,
        naming: Naming,
    ) -> Element {
        Element {
            name: self.name(object, at, naming),
            id: None,
            types,
            display_name: self.local_text(object, at, "displayName", DTDL_DISPLAY_NAME_CHARS_MAX),
            description: self.local_text(object, at, "description", DTDL_DESCRIPTION_CHARS_MAX),
            comment: self.comment(object, at),
        }
    }

    /// `displayName` and `description` of a template, which are not bound to the lengths of the language.
    pub(crate) fn texts(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
    ) -> (Option<LocalText>, Option<LocalText>) {
        let display_name = self.local_text(object, at, "displayName", TEMPLATE_TEXT_CHARS_MAX);
        (display_name, self.local_text(object, at, "description", TEMPLATE_TEXT_CHARS_MAX))
    }

    pub(super) fn interface_id(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) -> Option<&'v str> {
        match object.get("@id") {
            Some(id) => self.id(id, &at.key("@id"), DTDL_INTERFACE_ID_CHARS_MAX),
            None => {
                self.add(at, code::MISSING_ID, "@id is required");
                None
            }
        }
    }

    /// Whether a text may be an id of something a document defines or refers to.
    pub(super) fn is_id(&self, text: &str) -> bool {
        match self.rules {
            Rules::Language => dtmi::is_user_dtmi(text),
            Rules::Template => dtmi::is_template_element_id(text),
        }
    }

    fn id(&mut self, id: &'v Value, at: &Pointer<'_>, chars_max: usize) -> Option<&'v str> {
        let Some(text) = id.as_str().filter(|text| self.is_id(text)) else {
            let message = "an id must be a DTMI: dtmi:<segment>[:<segment>…];<version>, not of the reserved ones";
            self.add(at, code::BAD_DTMI, message);
            return None;
        };
        self.check_length(text, at, chars_max);
        Some(text)
    }

    /// Notes where an id is defined; a second place is an error of a document. (A template may write the same element
    /// out wherever it is used.)
    pub(super) fn note_id(&mut self, id: &'v str, at: &Pointer<'_>) {
        if self.rules == Rules::Template {
            return;
        }
        let place = (self.file, at.to_string());
        match self.ids.get(id) {
            Some(first) if *first != place => {
                let message = format!("{id:?} is defined a second time (first at \"{}\")", first.1);
                self.add(&at.key("@id"), code::DUPLICATE_ID, message);
            }
            Some(_) => {}
            None => {
                self.ids.insert(id, place);
            }
        }
    }

    fn name(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>, naming: Naming) -> String {
        let Some(name) = object.get("name") else {
            if naming != Naming::Optional {
                self.add(at, code::MISSING_NAME, "name is required");
            }
            return String::new();
        };
        let at = at.key("name");
        let Some(name) = name.as_str() else {
            self.add(&at, code::WRONG_TYPE, "name must be a text");
            return String::new();
        };
        if naming == Naming::Module {
            if !crate::manifest::is_module_name(name) {
                self.add(&at, code::BAD_NAME, "a module's name has only letters, digits, '_' and '-', at most 128");
            }
        } else if name.chars().count() > DTDL_NAME_CHARS_MAX {
            self.add(&at, code::TOO_LONG, format!("a name has at most {DTDL_NAME_CHARS_MAX} characters"));
        } else if !dtmi::is_user_segment(name) {
            let message = "a name has letters, digits and underscores, starts with a letter and does not end with '_'";
            self.add(&at, code::BAD_NAME, message);
        }
        name.to_owned()
    }

    pub(super) fn local_text(
        &mut self,
        object: &'v Map<String, Value>,
        at: &Pointer<'_>,
        name: &str,
        chars_max: usize,
    ) -> Option<LocalText> {
        let value = object.get(name)?;
        let at = at.key(name);
        match value {
            Value::String(text) => {
                self.check_length(text, &at, chars_max);
                Some(LocalText::Plain(text.clone()))
            }
            Value::Object(languages) => {
                let mut texts = std::collections::BTreeMap::new();
                for (tag, text) in languages {
                    let at = at.key(tag);
                    if !is_language_tag(tag) {
                        self.add(&at, code::BAD_LANGUAGE, format!("{tag:?} is no language tag"));
                    }
                    let Some(text) = text.as_str() else {
                        self.add(&at, code::WRONG_TYPE, format!("{name} must be a text in each language"));
                        continue;
                    };
                    self.check_length(text, &at, chars_max);
                    texts.insert(tag.clone(), text.to_owned());
                }
                Some(LocalText::Languages(texts))
            }
            _ => {
                self.add(&at, code::WRONG_TYPE, format!("{name} must be a text, or an object of texts by language"));
                None
            }
        }
    }

    fn comment(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) -> Option<String> {
        let value = object.get("comment")?;
        let at = at.key("comment");
        let Some(text) = value.as_str() else {
            self.add(&at, code::WRONG_TYPE, "comment must be a text");
            return None;
        };
        self.check_length(text, &at, DTDL_DESCRIPTION_CHARS_MAX);
        Some(text.to_owned())
    }

    fn check_length(&mut self, text: &str, at: &Pointer<'_>, chars_max: usize) {
        if text.chars().count() > chars_max {
            self.add(at, code::TOO_LONG, format!("longer than {chars_max} characters"));
        }
    }

    /// Reports members that an element does not have. An element with an undefined co-type may have any: the type's
    /// unknown definition may add them.
    pub(super) fn unknown_members(
        &mut self,
        object: &Map<String, Value>,
        at: &Pointer<'_>,
        known: &[&str],
        has_undefined_type: bool,
    ) {
        self.check_nested_context(object, at);
        if self.rules == Rules::Template || has_undefined_type {
            return;
        }
        for name in object.keys() {
            // Other keywords of JSON-LD are discouraged, not forbidden.
            let is_keyword = name.starts_with('@') && name != "@graph";
            if !is_keyword && !COMMON_MEMBERS.contains(&name.as_str()) && !known.contains(&name.as_str()) {
                self.add(&at.key(name), code::UNKNOWN_PROPERTY, format!("{name} is not defined for this element"));
            }
        }
    }
}

/// A language tag by its outer form: `en`, `de-AT`, `zh-Hant-TW`.
fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let primary = parts.next().unwrap_or_default();
    (2..=8).contains(&primary.len())
        && primary.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

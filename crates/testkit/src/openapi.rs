//! Checks answers of an HTTP interface against its OpenAPI document, version 2 or 3.
//!
//! A subset of JSON Schema, the part such documents use: `type`, `properties`, `required`, `enum`, `items`, `$ref`, `allOf`,
//! `oneOf`, `additionalProperties`, lengths and bounds, `format`, and version 2's `discriminator`. Stricter in one point: a member
//! no schema declares is a fault, because a misspelled member would otherwise pass; schemas may be named open.

use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document {
    json: Value,
    open: Vec<String>,
}

/// What checking a schema and all it takes over brings up.
#[derive(Default)]
struct Found {
    faults: Vec<String>,
    declared: Vec<String>,
    is_open: bool,
}

impl Document {
    /// Reads a document. `open` names the schemas that may have members they do not declare.
    ///
    /// # Panics
    /// When the text is not JSON.
    pub fn new(text: &str, open: &[&str]) -> Self {
        let json = serde_json::from_str(text).expect("an OpenAPI document is JSON");
        Self { json, open: open.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// The operation of a method and path; `path` may start with the document's base path.
    fn operation(&self, method: &str, path: &str) -> Option<&Map<String, Value>> {
        let base = self.json.get("basePath").and_then(Value::as_str).unwrap_or("");
        let path = path.strip_prefix(base).unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let wanted: Vec<&str> = template.split('/').collect();
            let same = |(wanted, part): (&&str, &&str)| wanted.starts_with('{') || wanted == part;
            wanted.len() == parts.len() && wanted.iter().zip(&parts).all(same)
        };
        let paths = self.json["paths"].as_object()?;
        let mut fitting = paths.iter().filter(|(template, item)| fits(template) && item.get(method).is_some());
        fitting.next().and_then(|(_, item)| item[method].as_object())
    }

    /// Whether the document has an operation.
    pub fn has(&self, method: &str, path: &str) -> bool {
        self.operation(&method.to_lowercase(), path).is_some()
    }

    /// Checks an answer. Anything but a declared status must be the `default` answer.
    ///
    /// # Errors
    /// Every fault found, with its place.
    pub fn check_answer(&self, method: &str, path: &str, status: u16, body: &Value) -> Result<(), Vec<String>> {
        let Some(operation) = self.operation(&method.to_lowercase(), path) else {
            return Err(vec![format!("the document has no {method} {path}")]);
        };
        let answers = &operation["responses"];
        let answer = match answers.get(status.to_string()) {
            Some(answer) => answer,
            None if status < 400 => return Err(vec![format!("{method} {path} does not declare status {status}")]),
            None => &answers["default"],
        };
        let schema = answer.get("schema").or_else(|| answer.pointer("/content/application~1json/schema"));
        match (schema, body) {
            (None, Value::Null) => Ok(()),
            (None, _) => Err(vec![format!("{method} {path} declares no body for status {status}")]),
            (Some(schema), body) => {
                let mut faults = Vec::new();
                self.check(schema, body, "", &mut faults);
                if faults.is_empty() { Ok(()) } else { Err(faults) }
            }
        }
    }

    fn resolve<'d>(&'d self, schema: &'d Value) -> (&'d Value, Option<&'d str>) {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let target = self.json.pointer(reference.trim_start_matches('#'));
                let target = target.unwrap_or_else(|| panic!("the document has no {reference}"));
                (target, reference.rsplit('/').next())
            }
            None => (schema, None),
        }
    }

    /// The subtype a value names, for a schema with version 2's discriminator.
    fn subtype<'d>(&'d self, name: &str, schema: &'d Value, value: &Value) -> Option<(&'d str, &'d Value)> {
        let member = schema.get("discriminator")?.as_str()?;
        let kind = value.get(member)?.as_str()?;
        let definitions = self.json["definitions"].as_object()?;
        let reference = format!("#/definitions/{name}");
        let is_subtype = |candidate: &Value| {
            let bases = candidate.get("allOf").and_then(Value::as_array).into_iter().flatten();
            let extends = bases.into_iter().any(|base| base["$ref"] == reference.as_str());
            extends && candidate.get("x-ms-discriminator-value").and_then(Value::as_str) == Some(kind)
        };
        definitions.iter().find(|(_, candidate)| is_subtype(candidate)).map(|(name, found)| (name.as_str(), found))
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let (mut schema, name) = self.resolve(schema);
        if let Some(name) = name
            && let Some((_, subtype)) = self.subtype(name, schema, value)
        {
            schema = subtype;
        }
        let mut found = Found::default();
        self.check_chain(schema, name, value, at, &mut found);
        faults.append(&mut found.faults);
        if let (Value::Object(members), false, false) = (value, found.is_open, found.declared.is_empty()) {
            for member in members.keys().filter(|member| !found.declared.contains(member)) {
                faults.push(format!("{at}/{member} is not declared"));
            }
        }
    }

    /// Checks a schema and everything it takes over by `allOf`, noting what they declare together.
    fn check_chain(&self, schema: &Value, name: Option<&str>, value: &Value, at: &str, found: &mut Found) {
        found.is_open |= name.is_some_and(|name| self.open.iter().any(|open| open == name));
        for base in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let (base, name) = self.resolve(base);
            self.check_chain(base, name, value, at, found);
        }
        if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
            found.is_open = true;
            let fitting = choices.iter().filter(|choice| {
                let mut faults = Vec::new();
                self.check(choice, value, at, &mut faults);
                faults.is_empty()
            });
            if fitting.count() != 1 {
                found.faults.push(format!("{at} does not fit exactly one of its choices"));
            }
        }
        check_type(schema, value, at, &mut found.faults);
        check_bounds(schema, value, at, &mut found.faults);
        match value {
            Value::Object(members) => self.check_members(schema, members, at, found),
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.check(schema, item, &format!("{at}/{index}"), &mut found.faults);
                    }
                }
            }
            _ => {}
        }
    }

    fn check_members(&self, schema: &Value, members: &Map<String, Value>, at: &str, found: &mut Found) {
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if required.as_str().is_some_and(|name| !members.contains_key(name)) {
                found.faults.push(format!("{at} lacks {required}"));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            found.declared.push(name.clone());
            if let Some(value) = members.get(name) {
                self.check(property, value, &format!("{at}/{name}"), &mut found.faults);
            }
        }
        match schema.get("additionalProperties") {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => found.is_open = true,
            Some(schema) => {
                found.is_open = true;
                let is_known = |name: &String| properties.is_some_and(|properties| properties.contains_key(name));
                for (name, value) in members.iter().filter(|(name, _)| !is_known(name)) {
                    self.check(schema, value, &format!("{at}/{name}"), &mut found.faults);
                }
            }
        }
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn check_type(schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let fits = match schema.get("type") {
        Some(Value::String(name)) => is_of_type(name, value),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| is_of_type(name, value)),
        _ => true,
    };
    if !fits {
        faults.push(format!("{at} is {value}, which is not of type {}", schema["type"]));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        faults.push(format!("{at} is {value}, which is not among {allowed:?}"));
    }
    if let (Some(format), Some(text)) = (schema.get("format").and_then(Value::as_str), value.as_str()) {
        let fits = match format {
            "date-time" => is_date_time(text),
            "date-time-rfc1123" => text.len() == 29 && text.ends_with(" GMT"),
            _ => true,
        };
        if !fits {
            faults.push(format!("{at} is {text:?}, which is no {format}"));
        }
    }
}

/// `2024-03-05T09:12:44Z`, with any number of decimals.
fn is_date_time(text: &str) -> bool {
    let Some(rest) = text.strip_suffix('Z') else { return false };
    let (seconds, decimals) = rest.split_once('.').unwrap_or((rest, "0"));
    let shape: String = seconds.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00" && !decimals.is_empty() && decimals.chars().all(|c| c.is_ascii_digit())
}

fn check_bounds(schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let mut check = |least: &str, most: &str, found: f64| {
        let fits = bound(least).is_none_or(|least| found >= least) && bound(most).is_none_or(|most| found <= most);
        if !fits {
            faults.push(format!("{at} is out of the bounds {least}, {most}"));
        }
    };
    match value {
        Value::Array(items) => check("minItems", "maxItems", items.len() as f64),
        Value::String(text) => check("minLength", "maxLength", text.chars().count() as f64),
        Value::Number(number) => check("minimum", "maximum", number.as_f64().unwrap_or(f64::NAN)),
        _ => {}
    }
}

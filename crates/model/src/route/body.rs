//! `$body.path`: the path, and the body it leads into.
//!
//! ```text
//! path = step { "." step }      step = name [ "[" digits "]" ]      a name is not all digits
//! ```
//! Of a body only a JSON object counts, of content type `application/json` and encoding `utf-8`, `utf-16` or `utf-32`
//! (the latter two little-endian, no byte order mark). It is decoded at most once per evaluation, and only when a route
//! that came as far as its condition asks for it.
//!
//! The original checks a path with this grammar but follows it with a richer one, and its check stops quietly behind the
//! first step that is not continued by `.`. So `a[0][1]` works, `*` as a name is any single child, `$` as first name is
//! the body itself, and `a[0]x` compiles and is undefined. Kept, except for `..`, quoted names and filters behind an index,
//! which are undefined here.
use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::Value as Json;

use super::date::is_date_time;
use super::message::MessageView;
use super::value::Value;

/// A compiled path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BodyPath {
    steps: Vec<Step>,
    /// The text went on with something that can be compiled but not followed.
    followable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
    AnyChild,
}

impl BodyPath {
    /// Compiles the text behind `$body.`; an error is the message and the byte it stands at.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        if text.is_empty() {
            return Err((0, "a $body path needs a name behind the '.'".to_owned()));
        }
        let mut path = Self { steps: Vec::new(), followable: true };
        let mut rest = text;
        loop {
            rest = path.checked_step(text, rest)?;
            match rest.strip_prefix('.') {
                Some(next) => rest = next,
                None => break,
            }
        }
        path.unchecked_steps(rest);
        Ok(path)
    }

    fn checked_step<'t>(&mut self, text: &str, rest: &'t str) -> Result<&'t str, (usize, String)> {
        let offset = text.len() - rest.len();
        let (name, rest) = split_name(rest);
        if name.is_empty() {
            return Err((offset, "empty step in a $body path".to_owned()));
        }
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err((offset, format!("'{name}' in a $body path is a number, not a name")));
        }
        match name {
            "$" if self.steps.is_empty() => {}
            "*" => self.steps.push(Step::AnyChild),
            _ => self.steps.push(Step::Name(name.to_owned())),
        }
        if !rest.starts_with('[') {
            return Ok(rest);
        }
        self.index(rest).ok_or_else(|| {
            let message = "the index in a $body path must be a whole number in brackets, like [0]";
            (offset + name.len(), message.to_owned())
        })
    }

    /// Reads `[digits]`. An index no array can have makes the path undefined, as in the original.
    fn index<'t>(&mut self, rest: &'t str) -> Option<&'t str> {
        let (digits, rest) = rest.strip_prefix('[')?.split_once(']')?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        match digits.parse::<i32>().ok().and_then(|index| usize::try_from(index).ok()) {
            Some(index) => self.steps.push(Step::Index(index)),
            None => self.followable = false,
        }
        Some(rest)
    }

    /// What the original does not check: followed as far as we can.
    fn unchecked_steps(&mut self, mut rest: &str) {
        while !rest.is_empty() && self.followable {
            if let Some(after) = self.index(rest) {
                rest = after;
                continue;
            }
            let (name, after) = rest.strip_prefix('.').map_or(("", rest), split_name);
            match name {
                "" => self.followable = false,
                "*" => self.steps.push(Step::AnyChild),
                _ => self.steps.push(Step::Name(name.to_owned())),
            }
            rest = after;
        }
    }

    /// Follows the path. A path that leads nowhere is [`Value::Missing`]; one that leads to several places, to an object,
    /// an array or a date-time is undefined.
    fn follow<'d>(&self, document: &'d Json) -> Value<'d> {
        if !self.followable {
            return Value::Undefined;
        }
        let mut places = vec![document];
        for step in &self.steps {
            places = places.into_iter().flat_map(|place| step.follow(place)).collect();
        }
        match places.as_slice() {
            [] => Value::Missing,
            [place] => leaf(place),
            _ => Value::Undefined,
        }
    }
}

fn split_name(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['.', '[', ']']).unwrap_or(rest.len()))
}

impl Step {
    fn follow<'d>(&self, place: &'d Json) -> Vec<&'d Json> {
        match (self, place) {
            (Self::Name(name), Json::Object(members)) => members.get(name).into_iter().collect(),
            (Self::Index(index), Json::Array(items)) => items.get(*index).into_iter().collect(),
            (Self::AnyChild, Json::Object(members)) => members.values().collect(),
            (Self::AnyChild, Json::Array(items)) => items.iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn leaf(place: &Json) -> Value<'_> {
    match place {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number.as_f64().map_or(Value::Undefined, Value::Number),
        Json::String(text) if is_date_time(text) => Value::Undefined,
        Json::String(text) => Value::Text(Some(Cow::Borrowed(text))),
        Json::Array(_) | Json::Object(_) => Value::Undefined,
    }
}

/// The message under evaluation, with its decoded body once somebody asked.
pub(super) struct Subject<'m> {
    pub(super) message: &'m dyn MessageView,
    document: OnceCell<Option<Json>>,
}

impl<'m> Subject<'m> {
    pub(super) fn new(message: &'m dyn MessageView) -> Self {
        Self { message, document: OnceCell::new() }
    }

    /// The value a path leads to; undefined without a body that counts.
    pub(super) fn body_value(&self, path: &BodyPath) -> Value<'_> {
        let document = self.document.get_or_init(|| decode(self.message));
        document.as_ref().map_or(Value::Undefined, |document| path.follow(document))
    }
}

fn decode(message: &dyn MessageView) -> Option<Json> {
    if !message.system("contentType")?.eq_ignore_ascii_case("application/json") {
        return None;
    }
    let encoding = message.system("contentEncoding")?;
    let body = message.body();
    let text = if encoding.eq_ignore_ascii_case("utf-8") {
        String::from_utf8_lossy(body)
    } else if encoding.eq_ignore_ascii_case("utf-16") {
        Cow::Owned(decode_utf16(body))
    } else if encoding.eq_ignore_ascii_case("utf-32") {
        Cow::Owned(decode_utf32(body))
    } else {
        return None;
    };
    serde_json::from_str(&text).ok().filter(Json::is_object)
}

/// Little-endian; an odd last byte and halves of pairs become U+FFFD.
fn decode_utf16(body: &[u8]) -> String {
    let (units, rest) = body.as_chunks::<2>();
    let decoded = char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit)));
    let mut text: String = decoded.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    text.extend((!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER));
    text
}

/// Little-endian; what is no character becomes U+FFFD.
fn decode_utf32(body: &[u8]) -> String {
    let (units, rest) = body.as_chunks::<4>();
    let decoded = units.iter().map(|unit| char::from_u32(u32::from_le_bytes(*unit)));
    let mut text: String = decoded.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    text.extend((!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER));
    text
}

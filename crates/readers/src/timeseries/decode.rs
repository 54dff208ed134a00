//! A telemetry record as rows: which values a message holds, for which component, at which time.
//!
//! - Values are the top-level names of a JSON object. An array is a row for each object in it. Any other body has no values and
//!   stays a raw message. Content type and encoding are not asked: clients leave them out, escape them twice, or set what their
//!   library sets. UTF-16 and UTF-32 are told from UTF-8 by their first bytes, JSON beginning with an ASCII character.
//! - The component is the property `$.sub`.
//! - The time is the property `iothub-creation-time-utc`, else `$.ctime`, where it is a time, else the time of arrival.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use events::clock::parse_iso8601_ms;
use events::record::{DecodeRecordError, RecordParts, Source};
use protocol::hub::bag;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use telemetry::{Row, Value};

use crate::limits::{
    KNOWN_SOURCES_BYTES_MAX, ROWS_PER_MESSAGE_MAX, SHARED_TEXT_BYTES_MAX, SHARED_TEXTS_BYTES_MAX, VALUES_PER_ROW_MAX,
};

#[cfg(test)]
mod tests;

/// What a telemetry record says beside its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Component, from `$.sub`.
    pub component: Option<String>,
    /// Telemetry time.
    pub ts_ms: i64,
}

/// Reads the properties of a telemetry record.
pub fn decode(record: &RecordParts) -> Decoded {
    let component = bag::get(&record.bag, bag::COMPONENT).filter(|name| !name.is_empty()).map(|name| name.into_owned());
    let time = |text: Option<Cow<'_, str>>| text.and_then(|text| parse_iso8601_ms(&text));
    let created = time(bag::get_ignore_case(&record.bag, bag::CREATION_TIME_UTC))
        .or_else(|| time(bag::get(&record.bag, bag::CREATION_TIME)));
    Decoded { component, ts_ms: created.unwrap_or(record.enqueued_ms) }
}

/// The values as JSON, for those who want them as they came; of an array the last value of each name. Empty when the body has none.
pub fn json_values(record: &RecordParts) -> serde_json::Map<String, serde_json::Value> {
    match serde_json::from_slice(&utf8(&record.body)) {
        Ok(serde_json::Value::Object(values)) => values,
        Ok(serde_json::Value::Array(elements)) => {
            elements.into_iter().fold(serde_json::Map::new(), |mut values, element| {
                if let serde_json::Value::Object(members) = element {
                    values.extend(members);
                }
                values
            })
        }
        _ => Default::default(),
    }
}

/// JSON as UTF-8. The first character being ASCII, its zeros tell how wide a character is and which byte comes first.
fn utf8(body: &[u8]) -> Cow<'_, [u8]> {
    match body {
        [0xEF, 0xBB, 0xBF, rest @ ..] => Cow::Borrowed(rest),
        [0xFF, 0xFE, 0, 0, rest @ ..] => utf32(rest, u32::from_le_bytes),
        [0, 0, 0xFE, 0xFF, rest @ ..] => utf32(rest, u32::from_be_bytes),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [1..=u8::MAX, 0, 0, 0, ..] => utf32(body, u32::from_le_bytes),
        [0, 0, 0, 1..=u8::MAX, ..] => utf32(body, u32::from_be_bytes),
        [1..=u8::MAX, 0, ..] => utf16(body, u16::from_le_bytes),
        [0, 1..=u8::MAX, ..] => utf16(body, u16::from_be_bytes),
        _ => Cow::Borrowed(body),
    }
}

fn utf16(body: &[u8], unit: fn([u8; 2]) -> u16) -> Cow<'_, [u8]> {
    let (units, _) = body.as_chunks();
    let text: String = char::decode_utf16(units.iter().map(|bytes| unit(*bytes)))
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    Cow::Owned(text.into_bytes())
}

fn utf32(body: &[u8], unit: fn([u8; 4]) -> u32) -> Cow<'_, [u8]> {
    let (units, _) = body.as_chunks();
    let text: String =
        units.iter().map(|bytes| char::from_u32(unit(*bytes)).unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Cow::Owned(text.into_bytes())
}

/// Ids and names shared between rows: most rows name the same few.
#[derive(Debug, Default)]
pub struct SharedTexts {
    known: HashSet<Arc<str>>,
    bytes: usize,
}

/// What keeping a text takes beside its bytes.
const SHARED_TEXT_OVERHEAD_BYTES: usize = size_of::<Arc<str>>() + 32;

impl SharedTexts {
    /// The shared form of a text; a long one is copied each time.
    pub fn share(&mut self, text: &str) -> Arc<str> {
        if text.len() > SHARED_TEXT_BYTES_MAX {
            return Arc::from(text);
        }
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        let bytes = SHARED_TEXT_OVERHEAD_BYTES + text.len();
        if self.bytes + bytes > SHARED_TEXTS_BYTES_MAX {
            *self = Self::default();
        }
        self.bytes += bytes;
        let shared: Arc<str> = Arc::from(text);
        self.known.insert(Arc::clone(&shared));
        shared
    }
}

/// The rows of a decoded record, none when it has no values, and how many values of it are not in them: those beyond the limits of a
/// message.
pub fn rows(
    record: &RecordParts,
    source: &KnownSource,
    decoded: &Decoded,
    offset: u64,
    template: Option<&Arc<str>>,
    texts: &mut SharedTexts,
) -> (Vec<Row>, u64) {
    let text = utf8(&record.body);
    let mut json = serde_json::Deserializer::from_slice(&text);
    let read = BodySeed { texts: &mut *texts }.deserialize(&mut json).and_then(|values| json.end().map(|()| values));
    let Ok(values) = read else { return (Vec::new(), 0) };
    let left_out = values.iter().map(|values| values.left_out).sum();
    let values = values.into_iter().map(|values| values.taken).filter(|values| !values.is_empty());
    let component = decoded.component.as_deref().map(|component| texts.share(component));
    let rows = values.map(|values| Row {
        device: Arc::clone(&source.device),
        module: source.module.clone(),
        component: component.clone(),
        ts_ms: decoded.ts_ms,
        enqueued_ms: record.enqueued_ms,
        offset,
        template: template.cloned(),
        values,
    });
    (rows.collect(), left_out)
}

/// A source whose ids are shared with every row of it.
#[derive(Debug, Clone)]
pub struct KnownSource {
    /// As the records say.
    pub source: Arc<Source>,
    /// Application.
    pub app: Arc<str>,
    /// Device id.
    pub device: Arc<str>,
    /// Module id.
    pub module: Option<Arc<str>>,
}

/// The sources of the records read lately, by their bytes.
#[derive(Debug, Default)]
pub struct KnownSources {
    known: HashMap<Bytes, KnownSource>,
    bytes: usize,
}

/// What keeping a source takes beside the bytes that say it, which are there twice: as they came, and taken apart.
const SOURCE_OVERHEAD_BYTES: usize = size_of::<(Bytes, KnownSource)>() + size_of::<Source>() + 64;

impl KnownSources {
    /// The source these bytes say.
    pub fn get(&mut self, bytes: &Bytes, texts: &mut SharedTexts) -> Result<KnownSource, DecodeRecordError> {
        if let Some(known) = self.known.get(bytes) {
            return Ok(known.clone());
        }
        let taken = SOURCE_OVERHEAD_BYTES + 2 * bytes.len();
        if self.bytes + taken > KNOWN_SOURCES_BYTES_MAX {
            *self = Self::default();
        }
        let source = Arc::new(Source::decode(bytes.clone())?);
        let known = KnownSource {
            app: texts.share(&source.application),
            device: texts.share(source.identity.device_id()),
            module: source.identity.module_id().map(|module| texts.share(module)),
            source,
        };
        // A copy: the record's bytes are a slice of the log's much larger reads.
        self.known.insert(Bytes::copy_from_slice(bytes), known.clone());
        self.bytes += taken;
        Ok(known)
    }
}

/// Reads a body: an object, or an array of them. A tree of it is never built.
struct BodySeed<'a> {
    texts: &'a mut SharedTexts,
}

impl<'de> DeserializeSeed<'de> for BodySeed<'_> {
    type Value = Vec<Values>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Values>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BodySeed<'_> {
    type Value = Vec<Values>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Vec<Values>, A::Error> {
        Ok(vec![ElementSeed { texts: self.texts, values_max: VALUES_PER_ROW_MAX }.visit_map(members)?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<Values>, A::Error> {
        let mut rows: Vec<Values> = Vec::new();
        let mut left_out = 0;
        loop {
            let values_max = if rows.len() < ROWS_PER_MESSAGE_MAX { VALUES_PER_ROW_MAX } else { 0 };
            match elements.next_element_seed(ElementSeed { texts: &mut *self.texts, values_max })? {
                Some(values) if values.taken.is_empty() => left_out += values.left_out,
                Some(values) => rows.push(values),
                None => break,
            }
        }
        // Of elements without a row, which there is room to say at any other.
        if let Some(last) = rows.last_mut() {
            last.left_out += left_out;
        }
        Ok(rows)
    }
}

/// Reads one element straight into values, sharing their names. What is no object has none.
struct ElementSeed<'a> {
    texts: &'a mut SharedTexts,
    values_max: usize,
}

/// The values of an object.
#[derive(Default)]
struct Values {
    taken: Vec<(Arc<str>, Value)>,
    left_out: u64,
}

impl<'de> DeserializeSeed<'de> for ElementSeed<'_> {
    type Value = Values;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Values, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ElementSeed<'_> {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Values, E> {
        Ok(Values::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Values, E> {
        Ok(Values::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Values, E> {
        Ok(Values::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Values, E> {
        Ok(Values::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Values, E> {
        Ok(Values::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Values, E> {
        Ok(Values::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Values, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Values::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Values, A::Error> {
        let mut values = Values::default();
        while values.taken.len() < self.values_max {
            let Some(name) = members.next_key_seed(NameSeed { texts: &mut *self.texts })? else { return Ok(values) };
            let value = members.next_value_seed(ValueSeed)?;
            values.taken.extend(value.map(|value| (name, value)));
        }
        // Names nobody will ask for are not shared either.
        while let Some((_, value)) = members.next_entry::<IgnoredAny, Option<IgnoredAny>>()? {
            values.left_out += u64::from(value.is_some());
        }
        Ok(values)
    }
}

struct NameSeed<'a> {
    texts: &'a mut SharedTexts,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Arc<str>, E> {
        Ok(self.texts.share(name))
    }
}

/// One member's value; `None` for `null`.
struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<Value>, E> {
        Ok(Some(Value::Boolean(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<Value>, E> {
        Ok(Some(Value::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<Value>, E> {
        let too_large = |_| Value::Json(Arc::from(value.to_string()));
        Ok(Some(i64::try_from(value).map_or_else(too_large, Value::Integer)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<Value>, E> {
        Ok(Some(Value::Double(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Option<Value>, E> {
        Ok(Some(Value::Text(Arc::from(value))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Option<Value>, A::Error> {
        let json = serde_json::Value::deserialize(SeqAccessDeserializer::new(items))?;
        Ok(Value::from_json(&json))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Option<Value>, A::Error> {
        let json = serde_json::Value::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Value::from_json(&json))
    }
}

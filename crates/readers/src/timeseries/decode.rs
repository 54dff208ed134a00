//! A telemetry record as a row: which values a message holds, for which component, at which time.
//!
//! - Values are the top-level names of a JSON object. A body of another kind, or with a content type that is not JSON, has no
//!   values and stays a raw message. JSON without a content type is read, as IoT Central does. Only UTF-8 is read.
//! - The component is the property `$.sub`.
//! - The time is the property `iothub-creation-time-utc` where it is a time, else the time of arrival.

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

use crate::limits::{SHARED_TEXT_BYTES_MAX, SHARED_TEXTS_MAX, VALUES_PER_MESSAGE_MAX};

#[cfg(test)]
mod tests;

/// What a telemetry record says beside its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Component, from `$.sub`.
    pub component: Option<String>,
    /// Telemetry time.
    pub ts_ms: i64,
    /// Whether the properties let the body be read as a JSON object.
    is_json: bool,
}

/// Reads the properties of a telemetry record.
pub fn decode(record: &RecordParts) -> Decoded {
    let component = bag::get(&record.bag, bag::COMPONENT).filter(|name| !name.is_empty()).map(|name| name.into_owned());
    let created = bag::get_ignore_case(&record.bag, bag::CREATION_TIME_UTC).and_then(|text| parse_iso8601_ms(&text));
    Decoded { component, ts_ms: created.unwrap_or(record.enqueued_ms), is_json: may_be_json(record) }
}

/// The body as JSON, for those who want it as it came; empty when it is no JSON object.
pub fn json_values(record: &RecordParts, decoded: &Decoded) -> serde_json::Map<String, serde_json::Value> {
    if decoded.is_json { serde_json::from_slice(&record.body).unwrap_or_default() } else { Default::default() }
}

fn may_be_json(record: &RecordParts) -> bool {
    // `application/json; charset=utf-8`, `application/vnd.x+json`, or nothing.
    let type_allows = bag::get(&record.bag, bag::CONTENT_TYPE).is_none_or(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind.is_empty() || kind == "text/json" || kind.ends_with("/json") || kind.ends_with("+json")
    });
    let encoding_allows = bag::get(&record.bag, bag::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.is_empty() || encoding.eq_ignore_ascii_case("utf-8"));
    type_allows && encoding_allows && record.body.trim_ascii_start().first() == Some(&b'{')
}

/// Ids and names shared between rows: most rows name the same few.
#[derive(Debug, Default)]
pub struct SharedTexts {
    known: HashSet<Arc<str>>,
}

impl SharedTexts {
    /// The shared form of a text; a long one is copied each time.
    pub fn share(&mut self, text: &str) -> Arc<str> {
        if text.len() > SHARED_TEXT_BYTES_MAX {
            return Arc::from(text);
        }
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        if self.known.len() >= SHARED_TEXTS_MAX {
            self.known.clear();
        }
        let shared: Arc<str> = Arc::from(text);
        self.known.insert(Arc::clone(&shared));
        shared
    }
}

/// The row of a decoded record, and how many values of the record are not in it: those beyond the limit of a message. `None`
/// when it has no values.
pub fn row(
    record: &RecordParts,
    source: &KnownSource,
    decoded: &Decoded,
    offset: u64,
    template: Option<Arc<str>>,
    texts: &mut SharedTexts,
) -> Option<(Row, u64)> {
    if !decoded.is_json {
        return None;
    }
    let mut json = serde_json::Deserializer::from_slice(&record.body);
    let Values { taken: values, left_out } = ValuesSeed { texts }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    if values.is_empty() {
        return None;
    }
    let row = Row {
        device: Arc::clone(&source.device),
        module: source.module.clone(),
        component: decoded.component.as_deref().map(|component| texts.share(component)),
        ts_ms: decoded.ts_ms,
        enqueued_ms: record.enqueued_ms,
        offset,
        template,
        values,
    };
    Some((row, left_out))
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
}

impl KnownSources {
    /// The source these bytes say.
    pub fn get(&mut self, bytes: &Bytes, texts: &mut SharedTexts) -> Result<KnownSource, DecodeRecordError> {
        if let Some(known) = self.known.get(bytes) {
            return Ok(known.clone());
        }
        if self.known.len() >= SHARED_TEXTS_MAX {
            self.known.clear();
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
        Ok(known)
    }
}

/// Reads the members of a JSON object straight into values, sharing their names: a tree of the body is never built.
struct ValuesSeed<'a> {
    texts: &'a mut SharedTexts,
}

/// The values of a message.
#[derive(Default)]
struct Values {
    taken: Vec<(Arc<str>, Value)>,
    left_out: u64,
}

impl<'de> DeserializeSeed<'de> for ValuesSeed<'_> {
    type Value = Values;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Values, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ValuesSeed<'_> {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Values, A::Error> {
        let mut values = Values::default();
        while values.taken.len() < VALUES_PER_MESSAGE_MAX {
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

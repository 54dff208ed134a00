//! A telemetry record as a row: which values a message holds, for which component, at which time.
//!
//! - Values are the top-level names of a JSON object. A body of another kind, or with a content type that is not JSON, has no
//!   values and stays a raw message. JSON without a content type is read, as IoT Central does. Only UTF-8 is read.
//! - The component is the property `$.sub`.
//! - The time is the property `iothub-creation-time-utc` where it is a time, else the time of arrival.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::hub::bag;
use telemetry::{Row, Value};

use crate::clock::parse_iso8601_ms;
use crate::limits::{SHARED_TEXTS_MAX, VALUES_PER_MESSAGE_MAX};
use crate::record::Record;

#[cfg(test)]
mod tests;

/// What a telemetry record says.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Component, from `$.sub`.
    pub component: Option<String>,
    /// Telemetry time.
    pub ts_ms: i64,
    /// Names and values; empty when the body is no JSON object.
    pub values: serde_json::Map<String, serde_json::Value>,
}

/// Reads a telemetry record.
pub fn decode(record: &Record) -> Decoded {
    let component = bag::get(&record.bag, bag::COMPONENT).filter(|name| !name.is_empty()).map(|name| name.into_owned());
    let created = bag::get_ignore_case(&record.bag, bag::CREATION_TIME_UTC).and_then(|text| parse_iso8601_ms(&text));
    let values =
        if may_be_json(record) { serde_json::from_slice(&record.body).unwrap_or_default() } else { Default::default() };
    Decoded { component, ts_ms: created.unwrap_or(record.enqueued_ms), values }
}

fn may_be_json(record: &Record) -> bool {
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
    /// The shared form of a text.
    pub fn share(&mut self, text: &str) -> Arc<str> {
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

/// The row of a decoded record; `None` when it has no values.
pub fn row(
    record: &Record,
    decoded: &Decoded,
    offset: u64,
    template: Option<Arc<str>>,
    texts: &mut SharedTexts,
) -> Option<Row> {
    let mut values = Vec::with_capacity(decoded.values.len().min(VALUES_PER_MESSAGE_MAX));
    for (name, json) in decoded.values.iter().take(VALUES_PER_MESSAGE_MAX) {
        if let Some(value) = Value::from_json(json) {
            values.push((texts.share(name), value));
        }
    }
    if values.is_empty() {
        return None;
    }
    Some(Row {
        device: texts.share(record.identity.device_id()),
        module: record.identity.module_id().map(|module| texts.share(module)),
        component: decoded.component.as_deref().map(|component| texts.share(component)),
        ts_ms: decoded.ts_ms,
        enqueued_ms: record.enqueued_ms,
        offset,
        template,
        values,
    })
}

//! `$metadata` of a twin section: the section's own tree, with a time at each level instead of the values.
//!
//! ```text
//! section   { "limits": { "warn": 4.5 }, "on": true }
//! metadata  { "$lastUpdated": T3, "limits": { "$lastUpdated": T2, "warn": { "$lastUpdated": T2 } },
//!                                 "on": { "$lastUpdated": T3 } }
//! ```
//! In desired sections `$lastUpdatedVersion` stands beside every `$lastUpdated`.

use serde_json::{Map, Value};
use time::{OffsetDateTime, UtcOffset};

/// The time, and in desired sections the version, to write at everything a patch touches.
pub(super) struct Stamp {
    time: String,
    version: Option<u64>,
}

impl Stamp {
    pub(super) fn new(now: OffsetDateTime, version: Option<u64>) -> Self {
        Self { time: format_time(now), version }
    }

    fn put(&self, level: &mut Map<String, Value>) {
        level.insert("$lastUpdated".to_owned(), self.time.clone().into());
        if let Some(version) = self.version {
            level.insert("$lastUpdatedVersion".to_owned(), version.into());
        }
    }
}

/// Follows a merge of `patch` in the metadata.
pub(super) fn update(metadata: &mut Map<String, Value>, patch: &Value, stamp: &Stamp) {
    stamp.put(metadata);
    let Value::Object(patch) = patch else {
        // A leaf has no levels below it, also where an object stood before.
        metadata.retain(|name, _| name.starts_with('$'));
        return;
    };
    for (name, change) in patch {
        if change.is_null() {
            metadata.remove(name);
            continue;
        }
        let level = metadata.entry(name.as_str()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(level) = level {
            update(level, change, stamp);
        }
    }
}

/// UTC with seven decimals of a second, as the service writes every time: `2024-03-05T09:12:44.0100000Z`.
pub fn format_time(time: OffsetDateTime) -> String {
    let utc = time.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:07}Z",
        utc.year(),
        u8::from(utc.month()),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second(),
        utc.nanosecond() / 100
    )
}

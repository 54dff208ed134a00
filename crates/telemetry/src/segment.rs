//! A segment: one immutable Parquet file of telemetry rows, sorted so that one device and time is a few pages of it.
//!
//! # Format, version 1
//!
//! Plain Parquet (zstd, no encryption, no nesting, no extension types): DuckDB, pyarrow, Spark and the like read a folder of
//! them as a table without knowing Tidegate. Rows are sorted by (`device`, `module`, `component`, `ts`, `offset`), nulls first.
//!
//! ```text
//! column            Parquet type                            meaning
//! device            string, required                        device id
//! module            string, optional                        module id; null: the device itself
//! component         string, optional                        component name; null: the root
//! ts                timestamp (ms, UTC), required           telemetry time
//! enqueued          timestamp (ms, UTC), required           when Central received it
//! offset            int64, required                         offset of the message in the application's log: identity of the row
//! template          string, optional                        template the device had then
//! more              string, optional                        JSON object of values that got no column (see below)
//! NAME_double       double, optional                        a number with fraction or exponent
//! NAME_integer      int64, optional                         a number without
//! NAME_boolean      boolean, optional
//! NAME_text         string, optional
//! NAME_json         string, optional                        an object, array or other JSON, as its text
//! ```
//!
//! One column for each telemetry name *and type*, so that a name whose type differs between devices or changed over time needs
//! no coercion, and so that the same name has the same column type in every file, which tools want when they read many files
//! as one table. No value column can collide with a fixed one, since the fixed ones have no underscore; and splitting at the last
//! underscore gives name and type back. In SQL: `coalesce(temperature_double, temperature_integer)`. The alternative, one column
//! with the widest type, would have to turn `21` into `21.0`, or numbers into text, for the sake of one odd message.
//!
//! Names beyond [`SEGMENT_COLUMNS_MAX`](crate::limits::SEGMENT_COLUMNS_MAX) (the rarest ones) or too long to be a column are kept
//! in `more`; readers of this crate see no difference. `NaN` cannot be said there, and cannot come from JSON either.
//!
//! File metadata: `tidegate.segment` = `1`, `tidegate.application` = the application's id. Row groups, pages and statistics (with
//! page index) are sized by [`limits`](crate::limits). The `created_by` field names this crate.
//!
//! # Life of a segment
//!
//! A file is written under a temporary name, synced, renamed, and its folder synced: under its final name it is complete. The name,
//! `OFFSET_FIRST-OFFSET_LAST-GENERATION.parquet`, says which part of the log it covers; writing the same rows again after a crash
//! replaces the same file. It exists for readers once the caller has put its [`SegmentMeta`] in the [catalog](crate::catalog).
//! [`compact`] merges neighbours into one file of the next generation; the caller swaps the entries in one transaction, then
//! deletes the old files ([`folder::remove_segment`]). A reader that finds a file gone asks the catalog again.
//!
//! The CRC-32 of the whole file is in its catalog entry. Parquet's own structure does not catch a flipped bit in a page; the
//! checksum is compared before a file is first read ([`store`](crate::store)), before its rows are merged, and by
//! [`folder::verify_segment`].

mod compact;
mod decode;
mod encode;
pub mod folder;
mod layout;
mod prune;
mod read;
pub mod rebuild;
mod write;

use serde::{Deserialize, Serialize};

pub use compact::{CompactSegmentsError, compact, plan_compaction};
pub use layout::ValueKind;
pub(crate) use read::Footer;
pub use read::{ReadSegmentError, SegmentReader, SegmentRows};
pub use write::{WriteSegmentError, write_segment};

use crate::selection::Devices;

/// What the catalog keeps of one segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentMeta {
    /// Name in the telemetry folder.
    pub file_name: String,
    /// How often its rows were merged: 0 as written from memory.
    pub generation: u32,
    /// Rows in it.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// CRC-32 of the file.
    pub crc32: u32,
    /// Earliest telemetry time.
    pub ts_min_ms: i64,
    /// Latest telemetry time.
    pub ts_max_ms: i64,
    /// Lowest log offset.
    pub offset_first: u64,
    /// Highest log offset.
    pub offset_last: u64,
    /// Devices with rows in it.
    pub devices: DeviceSet,
    /// Telemetry columns and how many values each holds, by name.
    pub columns: Vec<ColumnMeta>,
}

impl SegmentMeta {
    /// Whether rows of `devices` may be in the segment.
    pub fn may_hold(&self, devices: &Devices) -> bool {
        match (&self.devices, devices) {
            (DeviceSet::Many, _) | (_, Devices::Any) => true,
            (DeviceSet::Listed(own), Devices::Listed(wanted)) if wanted.len() <= own.len() => {
                wanted.iter().any(|device| own.binary_search_by(|own| own.as_str().cmp(device)).is_ok())
            }
            (DeviceSet::Listed(own), Devices::Listed(wanted)) => {
                own.iter().any(|device| wanted.contains(device.as_str()))
            }
        }
    }
}

/// The devices with rows in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceSet {
    /// These, sorted.
    Listed(Vec<String>),
    /// More than [`SEGMENT_DEVICES_LISTED_MAX`](crate::limits::SEGMENT_DEVICES_LISTED_MAX): the file has to be asked.
    Many,
}

/// One telemetry column of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMeta {
    /// Telemetry name.
    pub name: String,
    /// Type of its values here.
    pub kind: ValueKind,
    /// Rows that have such a value.
    pub values: u64,
}

#[cfg(test)]
mod tests;

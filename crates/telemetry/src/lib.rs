//! Telemetry at rest: sorted rows to Parquet segments, and the readers that answer queries over them.
//!
//! ```text
//!   log reader ──rows──► Newest (memory) ──write_pending──► segment file ──commit──► Catalog (caller's database)
//!                           │                                   │                       │
//!                           └────────────► TelemetryStore ◄─────┴───────────────────────┘
//!                                     range · series · last value · query
//! ```
//!
//! - [`row`]: one telemetry message as a [`Row`] of named, typed [`Value`]s.
//! - [`segment`]: the file format (plain Parquet, drawn there), its writer, reader and compaction.
//! - [`newest`]: the rows that are in the log but not yet in a segment. [`last_values`]: the newest value of each name.
//! - [`catalog`]: what the caller's database has to know about segments.
//! - [`store`]: the read paths over memory and files together. [`query`]: IoT Central's query language.
//!
//! **Invariants.** A row is identified by the offset of its message in the log, and is answered once however many places hold
//! it. What is read is what was written: a value keeps its type, and a name may change its type from one message to the next.
//! A file that is missing or damaged is named to the catalog's owner and left out of every read, from the first that meets it: its
//! checksum is compared before anything of it is believed.
//!
//! **What this crate refuses to know**: device templates (it takes names and values; see [`query::QueryColumns`]), the database
//! behind the catalog, the log, async runtimes. Every call here blocks; call it from a thread that may.

mod catalog;
mod last_values;
pub mod limits;
pub mod newest;
pub mod query;
mod row;
pub mod segment;
pub mod selection;
pub mod series;
pub mod store;

pub use catalog::{Catalog, CatalogError};
pub use last_values::{LastValue, LastValues, LastValuesLimits};
pub use newest::Newest;
pub use row::{Row, Value};
pub use segment::SegmentMeta;
pub use selection::{Devices, Names, Part, Selection, TimeRange};
pub use store::TelemetryStore;

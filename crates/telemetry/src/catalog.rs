//! The catalog of segments: kept by the caller, in the same database as the log position they cover.
//!
//! A segment exists once its [`SegmentMeta`] is in the catalog; a file without an entry is left over from a crash between
//! writing it and committing. Segment and covered log offset are committed in one transaction, so that a crash neither loses
//! nor doubles a row: the segments in the catalog never hold a row twice.

use std::collections::BTreeMap;

use crate::segment::SegmentMeta;
use crate::selection::TimeRange;

/// The catalog could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the catalog of telemetry segments")]
pub struct CatalogError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What the store asks of the caller's database. Calls may block.
pub trait Catalog: Send + Sync {
    /// The segments of `application` that may hold rows in `range`, and of `device` if one is given. A consistent snapshot: a
    /// compaction is either wholly in it or not at all. Segments that cannot match may be included; the store checks again.
    fn segments(
        &self,
        application: &str,
        range: TimeRange,
        device: Option<&str>,
    ) -> Result<Vec<SegmentMeta>, CatalogError>;

    /// Told when other files than before are left out of reads because they are damaged or missing: all of them, with what is wrong
    /// with each, by file name.
    fn damage_changed(&self, application: &str, files: &BTreeMap<String, String>);
}

//! The telemetry of one application: memory and files read as one.
//!
//! **Order of looking.** A read takes the rows in memory first and asks the catalog second. A row that is written and released in
//! between is then seen twice rather than never, and the second sighting is recognised by its offset. When a compaction deletes a
//! file under a read, the read starts again with a new snapshot of the catalog; a file that is gone while the catalog still
//! lists it counts as damaged.
//!
//! **Damage.** A file is compared with its checksum when it is first read, and one that is not what was written is left out of every
//! read. The owner of the catalog is told its name.

mod footers;
mod scan;
mod soundness;
pub(crate) mod top;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{Catalog, CatalogError};
use crate::last_values::{LastValue, LastValues};
use crate::limits::{RANGE_ROWS_MAX, SCAN_ROWS_MAX};
use crate::newest::{InsertRowsError, Newest, NewestLimits};
use crate::query::{Answer, PlannedQuery, QueryDevices, RunQueryError};
use crate::row::Row;
use crate::segment::{ReadSegmentError, SegmentMeta, WriteSegmentError, folder, write_segment};
use crate::selection::{Devices, Names, Part, Selection, TimeRange};
use crate::series::{ReadSeriesError, Series, SeriesRequest};
use footers::Footers;
use scan::{LastCollector, MessageCollector, RangeCollector};
pub(crate) use scan::{SegmentOrder, Visitor, ties, time_key};
use soundness::{Soundness, State};

/// Telemetry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The list of segments could not be had.
    #[error("cannot list the telemetry segments")]
    Catalog(#[source] CatalogError),
    /// A segment is missing or damaged.
    #[error("cannot read stored telemetry")]
    Segment(#[source] ReadSegmentError),
    /// More rows than one request may look at.
    #[error("more than {SCAN_ROWS_MAX} rows would have to be read: ask for fewer devices or a shorter time")]
    TooManyRows,
}

/// Which rows come first, by telemetry time and then by log offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    OldestFirst,
    /// Newest first.
    NewestFirst,
}

/// A read of rows.
#[derive(Debug, Clone)]
pub struct RangeRequest {
    /// Which rows.
    pub selection: Selection,
    /// Which values. Rows without any of listed names are left out.
    pub names: Names,
    /// Which come first.
    pub order: Order,
    /// How many, at most [`RANGE_ROWS_MAX`].
    pub limit: usize,
}

/// The telemetry of one application.
pub struct TelemetryStore {
    application: Arc<str>,
    folder: PathBuf,
    newest: Newest,
    last_values: LastValues,
    catalog: Arc<dyn Catalog>,
    footers: Footers,
    soundness: Soundness,
    /// [`SCAN_ROWS_MAX`], lower in tests.
    scan_rows_max: u64,
}

impl TelemetryStore {
    /// The store of `application` with its segments in `folder` (which must exist to write).
    pub fn new(application: &str, folder: &Path, catalog: Arc<dyn Catalog>, limits: NewestLimits) -> Self {
        Self {
            application: Arc::from(application),
            folder: folder.to_owned(),
            newest: Newest::new(limits),
            last_values: LastValues::default(),
            catalog,
            footers: Footers::default(),
            soundness: Soundness::default(),
            scan_rows_max: SCAN_ROWS_MAX,
        }
    }

    /// The rows not yet in a segment.
    pub fn newest(&self) -> &Newest {
        &self.newest
    }

    /// The newest value of each name.
    pub fn last_values(&self) -> &LastValues {
        &self.last_values
    }

    /// Adds rows from the log, in its order: they are answered from here on. See [`Newest::insert`] for when it refuses; the rows'
    /// last values are taken all the same, and taking them again changes nothing.
    pub fn insert(&self, rows: Vec<Row>) -> Result<(), InsertRowsError> {
        for row in &rows {
            self.last_values.observe(row);
        }
        self.newest.insert(rows)
    }

    /// Writes the rows in memory as a segment; `None` when there are none. Then commit the entry together with the covered log
    /// offset (`offset_last`), and call [`TelemetryStore::release`].
    pub fn write_pending(&self) -> Result<Option<SegmentMeta>, WriteSegmentError> {
        let mut rows = self.newest.rows();
        if rows.is_empty() {
            return Ok(None);
        }
        write_segment(&self.folder, &self.application, &mut rows).map(Some)
    }

    /// Forgets the rows in memory that a segment, now in the catalog, has.
    pub fn release(&self, committed: &SegmentMeta) {
        self.newest.release(committed.offset_last);
    }

    /// The selected rows.
    pub fn range(&self, request: &RangeRequest) -> Result<Vec<Row>, ScanError> {
        let limit = request.limit.min(RANGE_ROWS_MAX);
        let collector = self
            .scan(&request.selection, &request.names, || RangeCollector::new(request.order, limit, &request.names))?;
        Ok(collector.into_rows())
    }

    /// The newest messages of a device by log offset, before offset `before` if one is given: newest first, with all values. The body
    /// as it came is in the log, at the offset.
    pub fn messages(
        &self,
        device: &str,
        module: Part,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Row>, ScanError> {
        let selection =
            Selection { devices: Devices::one(device), module, component: Part::Any, range: TimeRange::ALL };
        let limit = limit.min(RANGE_ROWS_MAX);
        let collector = self.scan(&selection, &Names::All, || MessageCollector::new(before, limit))?;
        Ok(collector.into_rows())
    }

    /// The newest value of a name, from memory or else from the segments.
    pub fn last_value(
        &self,
        device: &str,
        module: Option<&str>,
        component: Option<&str>,
        name: &str,
    ) -> Result<Option<LastValue>, ScanError> {
        let held = match self.last_values.look_up(device, module, component, name) {
            Some((held, true)) => return Ok(Some(held)),
            Some((held, false)) => Some(held),
            None => None,
        };
        // No row counts as newer than its own time.
        let from_ms = held.as_ref().map_or(i64::MIN, |held| held.newest_by.0);
        let selection = Selection {
            devices: Devices::one(device),
            module: Part::exactly(module),
            component: Part::exactly(component),
            range: TimeRange { from_ms, ..TimeRange::ALL },
        };
        let names = Names::listed([name]);
        let row = self.scan(&selection, &names, || LastCollector::new(&names))?.into_row();
        let stored = row.and_then(|mut row| {
            let ((name, value), newest_by) = (row.values.pop()?, row.newest_by());
            let Row { device, module, component, ts_ms, .. } = row;
            Some(LastValue { device, module, component, name, ts_ms, newest_by, value })
        });
        let newest = held.into_iter().chain(stored).max_by_key(|last| last.newest_by);
        if let Some(newest) = &newest {
            self.last_values.confirm(newest.clone());
        }
        Ok(newest)
    }

    /// Compares a file with its checksum, whatever was known of it; answers whether it is whole. An error says nothing of the file.
    pub fn check(&self, meta: &SegmentMeta) -> Result<bool, ScanError> {
        match folder::verify_segment(&self.folder, meta) {
            Ok(()) => {
                if self.soundness.is_whole(&meta.file_name) {
                    self.tell_damage();
                }
                Ok(true)
            }
            // Merged meanwhile.
            Err(ReadSegmentError::Missing { .. }) if !self.lists(&meta.file_name)? => Ok(true),
            Err(error) if error.is_damage() => {
                self.quarantine(&meta.file_name, &error);
                Ok(false)
            }
            Err(error) => Err(ScanError::Segment(error)),
        }
    }

    /// Whether a file is left out of reads.
    pub fn is_damaged(&self, file_name: &str) -> bool {
        self.soundness.of(file_name) == State::Damaged
    }

    /// Forgets what is known of files that are gone from the catalog.
    pub fn forget_unlisted(&self) {
        let Ok(listed) = self.catalog.segments(&self.application, TimeRange::ALL, None) else { return };
        let listed: HashSet<String> = listed.into_iter().map(|meta| meta.file_name).collect();
        if self.soundness.keep(|name| listed.contains(name)) {
            self.tell_damage();
        }
    }

    /// Leaves a file out of reads from now on.
    fn quarantine(&self, file_name: &str, error: &ReadSegmentError) {
        if self.soundness.is_damaged(file_name, error.to_string()) {
            self.tell_damage();
        }
    }

    fn tell_damage(&self) {
        self.catalog.damage_changed(&self.application, &self.soundness.damaged());
    }

    fn lists(&self, file_name: &str) -> Result<bool, ScanError> {
        let listed = self.catalog.segments(&self.application, TimeRange::ALL, None).map_err(ScanError::Catalog)?;
        Ok(listed.iter().any(|meta| meta.file_name == file_name))
    }

    /// Values of a device over time, thinned out for a chart.
    pub fn series(&self, request: &SeriesRequest) -> Result<Vec<Series>, ReadSeriesError> {
        crate::series::read(self, request)
    }

    /// Runs a telemetry query.
    pub fn query(&self, query: &PlannedQuery, devices: &dyn QueryDevices) -> Result<Answer, RunQueryError> {
        crate::query::run(self, query, devices)
    }
}

#[cfg(test)]
mod tests;

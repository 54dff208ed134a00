//! Walking over the selected rows in memory and files, each once; and the collectors of whole rows.

use std::borrow::Cow;
use std::collections::HashSet;

use super::soundness::State;
use super::top::{Ties, Top};
use super::{Order, ScanError, TelemetryStore};
use crate::limits::SCAN_ATTEMPTS_MAX;
use crate::row::Row;
use crate::segment::{ReadSegmentError, SegmentMeta, SegmentReader, folder};
use crate::selection::{Devices, Names, Selection};

/// In which order a scan opens the segments, so that a visitor that has enough can do without the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentOrder {
    /// By telemetry time.
    Time(Order),
    /// By log offset, the highest first.
    Log,
}

/// What a scan shows its rows to, each once, in no particular order.
pub(crate) trait Visitor {
    /// In which order to open segments.
    fn segment_order(&self) -> SegmentOrder {
        SegmentOrder::Time(Order::OldestFirst)
    }

    /// Whether rows of this segment can still matter.
    fn wants(&self, _segment: &SegmentMeta) -> bool {
        true
    }

    /// A selected row. It may have more values than were named.
    fn visit(&mut self, row: Cow<'_, Row>) -> Result<(), ScanError>;
}

impl TelemetryStore {
    /// Shows every selected row once to a visitor. It is made anew when the scan has to start again.
    pub(crate) fn scan<V: Visitor>(
        &self,
        selection: &Selection,
        names: &Names,
        visitor: impl Fn() -> V,
    ) -> Result<V, ScanError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut visitor = visitor();
            match self.scan_snapshot(selection, names, &mut visitor) {
                Ok(()) => return Ok(visitor),
                Err((ScanError::Segment(error), Some(name))) if error.is_damage() => {
                    // One that was merged away is no damage; one that is still listed is left out from now on.
                    let is_gone = matches!(error, ReadSegmentError::Missing { .. });
                    if !is_gone || self.is_listed(selection, &name)? {
                        self.quarantine(&name, &error);
                        attempts -= 1;
                    } else if attempts >= SCAN_ATTEMPTS_MAX {
                        return Err(ScanError::Segment(error));
                    }
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// One walk over memory and one snapshot of the catalog. An error comes with the name of the segment it is about.
    fn scan_snapshot(
        &self,
        selection: &Selection,
        names: &Names,
        visitor: &mut dyn Visitor,
    ) -> Result<(), (ScanError, Option<String>)> {
        if selection.range.is_empty() {
            return Ok(());
        }
        let in_memory = self.newest.select(selection);
        let mut segments = self.segments(selection).map_err(|error| (error, None))?;
        match visitor.segment_order() {
            SegmentOrder::Time(Order::OldestFirst) => segments.sort_by_key(|meta| meta.ts_min_ms),
            SegmentOrder::Time(Order::NewestFirst) => segments.sort_by_key(|meta| !meta.ts_max_ms),
            SegmentOrder::Log => segments.sort_by_key(|meta| !meta.offset_last),
        }
        let mut scan = SegmentScan {
            selection,
            names,
            seen: HashSet::with_capacity(in_memory.len()),
            rows_left: self.scan_rows_max,
        };
        for row in &in_memory {
            scan.seen.insert(row.offset);
            visitor.visit(Cow::Borrowed(row)).map_err(|error| (error, None))?;
        }
        for meta in &segments {
            if visitor.wants(meta) && self.soundness.of(&meta.file_name) != State::Damaged {
                let reader = self.open_segment(meta).map_err(ScanError::Segment);
                reader
                    .and_then(|reader| scan.walk(&reader, visitor))
                    .map_err(|error| (error, Some(meta.file_name.clone())))?;
            }
        }
        Ok(())
    }

    fn open_segment(&self, meta: &SegmentMeta) -> Result<SegmentReader, ReadSegmentError> {
        if self.soundness.of(&meta.file_name) == State::Unknown {
            folder::verify_segment(&self.folder, meta)?;
            self.soundness.is_whole(&meta.file_name);
        }
        let cached = self.footers.get(&meta.file_name);
        let is_new = cached.is_none();
        let reader = SegmentReader::open_with_footer(&self.folder, meta, cached)?;
        if is_new {
            self.footers.put(&meta.file_name, reader.footer());
        }
        Ok(reader)
    }

    /// The segments that may hold selected rows.
    fn segments(&self, selection: &Selection) -> Result<Vec<SegmentMeta>, ScanError> {
        let device = match &selection.devices {
            Devices::Listed(listed) if listed.len() == 1 => listed.first().map(AsRef::as_ref),
            _ => None,
        };
        let mut segments =
            self.catalog.segments(&self.application, selection.range, device).map_err(ScanError::Catalog)?;
        segments.retain(|meta| {
            selection.range.overlaps(meta.ts_min_ms, meta.ts_max_ms) && meta.may_hold(&selection.devices)
        });
        Ok(segments)
    }

    /// Whether the catalog (still) lists the segment.
    fn is_listed(&self, selection: &Selection, file_name: &str) -> Result<bool, ScanError> {
        Ok(self.segments(selection)?.iter().any(|meta| meta.file_name == file_name))
    }
}

/// The part of a scan that goes over files.
struct SegmentScan<'a> {
    selection: &'a Selection,
    names: &'a Names,
    /// Offsets of rows shown from memory.
    seen: HashSet<u64>,
    rows_left: u64,
}

impl SegmentScan<'_> {
    fn walk(&mut self, reader: &SegmentReader, visitor: &mut dyn Visitor) -> Result<(), ScanError> {
        for row in reader.rows(self.selection, self.names).map_err(ScanError::Segment)? {
            let row = row.map_err(ScanError::Segment)?;
            self.rows_left = self.rows_left.checked_sub(1).ok_or(ScanError::TooManyRows)?;
            if !self.seen.contains(&row.offset) {
                visitor.visit(Cow::Owned(row))?;
            }
        }
        Ok(())
    }
}

/// The first rows of a range.
pub(super) struct RangeCollector<'a> {
    order: Order,
    names: &'a Names,
    top: Top<(i64, u64), Row>,
}

impl<'a> RangeCollector<'a> {
    pub fn new(order: Order, limit: usize, names: &'a Names) -> Self {
        Self { order, names, top: Top::new(limit, ties(order)) }
    }

    pub fn into_rows(self) -> Vec<Row> {
        self.top.into_values().collect()
    }
}

/// A key that ascends in the wanted order: the complement of an integer has the opposite order.
pub(crate) fn time_key(order: Order, ts_ms: i64, offset: u64) -> (i64, u64) {
    match order {
        Order::OldestFirst => (ts_ms, offset),
        Order::NewestFirst => (!ts_ms, !offset),
    }
}

/// The rows of one message come in the order they have in it.
pub(crate) fn ties(order: Order) -> Ties {
    match order {
        Order::OldestFirst => Ties::OldestFirst,
        Order::NewestFirst => Ties::NewestFirst,
    }
}

impl Visitor for RangeCollector<'_> {
    fn segment_order(&self) -> SegmentOrder {
        SegmentOrder::Time(self.order)
    }

    fn wants(&self, segment: &SegmentMeta) -> bool {
        match self.order {
            Order::OldestFirst => self.top.wants(&(segment.ts_min_ms, 0)),
            Order::NewestFirst => self.top.wants(&(!segment.ts_max_ms, 0)),
        }
    }

    fn visit(&mut self, row: Cow<'_, Row>) -> Result<(), ScanError> {
        let has_named = match self.names {
            Names::All => true,
            Names::Listed(_) => row.values.iter().any(|(name, _)| self.names.contains(name)),
        };
        if has_named {
            let key = time_key(self.order, row.ts_ms, row.offset);
            let names = self.names;
            self.top.insert(key, || {
                let mut row = row.into_owned();
                row.values.retain(|(name, _)| names.contains(name));
                row
            });
        }
        Ok(())
    }
}

/// The newest row that has a name, by [`Row::newest_by`].
pub(super) struct LastCollector<'a> {
    names: &'a Names,
    last: Option<Row>,
}

impl<'a> LastCollector<'a> {
    pub fn new(names: &'a Names) -> Self {
        Self { names, last: None }
    }

    pub fn into_row(self) -> Option<Row> {
        self.last
    }
}

impl Visitor for LastCollector<'_> {
    fn segment_order(&self) -> SegmentOrder {
        SegmentOrder::Time(Order::NewestFirst)
    }

    fn wants(&self, segment: &SegmentMeta) -> bool {
        // No row counts as newer than its own time.
        self.last.as_ref().is_none_or(|last| segment.ts_max_ms >= last.newest_by().0)
    }

    fn visit(&mut self, row: Cow<'_, Row>) -> Result<(), ScanError> {
        let is_newer = self.last.as_ref().is_none_or(|last| row.newest_by() >= last.newest_by());
        if is_newer && row.values.iter().any(|(name, _)| self.names.contains(name)) {
            let mut row = row.into_owned();
            row.values.retain(|(name, _)| self.names.contains(name));
            self.last = Some(row);
        }
        Ok(())
    }
}

/// The newest messages.
pub(super) struct MessageCollector {
    before: Option<u64>,
    top: Top<u64, Row>,
}

impl MessageCollector {
    pub fn new(before: Option<u64>, limit: usize) -> Self {
        Self { before, top: Top::new(limit, Ties::NewestFirst) }
    }

    pub fn into_rows(self) -> Vec<Row> {
        self.top.into_values().collect()
    }
}

impl Visitor for MessageCollector {
    fn segment_order(&self) -> SegmentOrder {
        SegmentOrder::Log
    }

    fn wants(&self, segment: &SegmentMeta) -> bool {
        self.before.is_none_or(|before| segment.offset_first < before) && self.top.wants(&!segment.offset_last)
    }

    fn visit(&mut self, row: Cow<'_, Row>) -> Result<(), ScanError> {
        if self.before.is_none_or(|before| row.offset < before) {
            self.top.insert(!row.offset, || row.into_owned());
        }
        Ok(())
    }
}

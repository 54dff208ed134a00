//! From the statistics in a footer: which row groups, and which rows of them, can hold what a read is about.

use std::ops::Range;

use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::metadata::page_index::RowGroupPageIndex;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use crate::selection::{Devices, Selection, TimeRange};

/// What has to be read.
pub(super) struct ReadPlan {
    pub row_groups: Vec<usize>,
    /// Among the rows of those row groups; `None` is all.
    pub rows: Option<RowSelection>,
}

/// Statistics only ever widen (a shortened text bound is rounded outwards), so what is skipped here cannot match.
pub(super) fn plan_read(
    metadata: &ParquetMetaData,
    device_column: usize,
    ts_column: usize,
    selection: &Selection,
) -> ReadPlan {
    let devices = WantedDevices::new(&selection.devices);
    let mut row_groups = Vec::new();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut rows_total = 0;
    for (index, row_group) in metadata.row_groups().iter().enumerate() {
        let rows = usize::try_from(row_group.num_rows()).unwrap_or(0);
        if !devices.may_be_in_row_group(row_group.column(device_column).statistics())
            || !range_may_be_in_row_group(selection.range, row_group.column(ts_column).statistics())
        {
            continue;
        }
        let pages = metadata.page_index_for_row_group(index);
        let by_device = page_ranges(&pages, device_column, rows, |bounds, page| devices.may_be_in_page(bounds, page));
        let by_time =
            page_ranges(&pages, ts_column, rows, |bounds, page| range_may_be_in_page(selection.range, bounds, page));
        row_groups.push(index);
        ranges.extend(intersect(&by_device, &by_time).into_iter().map(|range| shift(&range, rows_total)));
        rows_total += rows;
    }
    let rows = RowSelection::from_consecutive_ranges(ranges.into_iter(), rows_total);
    ReadPlan { row_groups, rows: (rows.skipped_row_count() > 0).then_some(rows) }
}

/// The wanted devices as sorted bytes, the form statistics have.
enum WantedDevices<'a> {
    Any,
    Sorted(Vec<&'a [u8]>),
}

impl<'a> WantedDevices<'a> {
    fn new(devices: &'a Devices) -> Self {
        match devices {
            Devices::Any => WantedDevices::Any,
            Devices::Listed(listed) => WantedDevices::Sorted(listed.iter().map(|device| device.as_bytes()).collect()),
        }
    }

    fn may_be_between(&self, min: &[u8], max: &[u8]) -> bool {
        match self {
            WantedDevices::Any => true,
            WantedDevices::Sorted(devices) => {
                let first = devices.partition_point(|device| *device < min);
                devices.get(first).is_some_and(|device| *device <= max)
            }
        }
    }

    fn may_be_in_row_group(&self, statistics: Option<&Statistics>) -> bool {
        match statistics.map(|statistics| (statistics.min_bytes_opt(), statistics.max_bytes_opt())) {
            Some((Some(min), Some(max))) => self.may_be_between(min, max),
            _ => true,
        }
    }

    fn may_be_in_page(&self, bounds: &ColumnIndexMetaData, page: usize) -> bool {
        match bounds {
            ColumnIndexMetaData::BYTE_ARRAY(bounds) => match (bounds.min_value(page), bounds.max_value(page)) {
                (Some(min), Some(max)) => self.may_be_between(min, max),
                _ => true,
            },
            _ => true,
        }
    }
}

fn range_may_be_in_row_group(range: TimeRange, statistics: Option<&Statistics>) -> bool {
    match statistics {
        Some(Statistics::Int64(statistics)) => match (statistics.min_opt(), statistics.max_opt()) {
            (Some(min), Some(max)) => range.overlaps(*min, *max),
            _ => true,
        },
        _ => true,
    }
}

fn range_may_be_in_page(range: TimeRange, bounds: &ColumnIndexMetaData, page: usize) -> bool {
    match bounds {
        ColumnIndexMetaData::INT64(bounds) => match (bounds.min_value(page), bounds.max_value(page)) {
            (Some(min), Some(max)) => range.overlaps(*min, *max),
            _ => true,
        },
        _ => true,
    }
}

/// The rows of the pages of a column that may match, as ascending ranges in the row group.
fn page_ranges(
    pages: &RowGroupPageIndex,
    column: usize,
    rows: usize,
    may_match: impl Fn(&ColumnIndexMetaData, usize) -> bool,
) -> Vec<Range<usize>> {
    let everything = 0..rows;
    let (Some(bounds), Some(locations)) = (pages.column_index(column), pages.page_locations(column)) else {
        return vec![everything];
    };
    if bounds.num_pages() != locations.len() as u64 {
        return vec![everything];
    }
    let first_row = |page: usize| {
        locations.get(page).map_or(rows, |location| usize::try_from(location.first_row_index).unwrap_or(rows).min(rows))
    };
    let matching = (0..locations.len()).filter(|page| may_match(bounds, *page));
    matching.map(|page| first_row(page)..first_row(page + 1)).filter(|range| !range.is_empty()).collect()
}

/// What is in both of two ascending lists of ranges.
fn intersect(left: &[Range<usize>], right: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut both = Vec::new();
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let range = a.start.max(b.start)..a.end.min(b.end);
        if !range.is_empty() {
            both.push(range);
        }
        if a.end <= b.end {
            left.next();
        } else {
            right.next();
        }
    }
    both
}

fn shift(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

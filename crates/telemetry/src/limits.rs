//! Every bound of this crate, with the reason for its size. Each has a test at the limit.

/// Rows [`crate::Newest`] holds before it refuses more. About 64 MiB with ten fields a row.
pub const NEWEST_ROWS_MAX: usize = 200_000;

/// Estimated memory [`crate::Newest`] holds before it refuses more: Central promises to idle below 150 MiB.
pub const NEWEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Estimated memory of the newest values of all devices; beyond it those of the devices silent for longest are forgotten and
/// looked up in the segments. About 300,000 numbers.
pub const LAST_VALUES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Estimated memory of the newest values of one device, its modules and components; beyond it that device's oldest are
/// forgotten, and nobody else's. About 4,000 numbers.
pub const LAST_VALUES_DEVICE_BYTES_MAX: usize = 1024 * 1024;

/// Typed columns in one segment. Further names go to the `more` column: a device that puts, say, a time into the *names* of its
/// fields must not make files that no tool can open.
pub const SEGMENT_COLUMNS_MAX: usize = 1_000;

/// Bytes of a telemetry name that may become a column; longer names go to the `more` column.
pub const COLUMN_NAME_BYTES_MAX: usize = 128;

/// Rows in a row group, the unit that is read or skipped first.
pub const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Rows in a data page, the unit that is read or skipped inside a row group: one device and hour is rarely more.
pub const PAGE_ROWS: usize = 4 * 1024;

/// Rows encoded or decoded at a time; with [`COMPACT_SEGMENTS_MAX`] it bounds the memory of a compaction.
pub const BATCH_ROWS: usize = 8 * 1024;

/// Device names listed in a segment's catalog entry; with more, only the file itself can tell.
pub const SEGMENT_DEVICES_LISTED_MAX: usize = 1_000;

/// Segments merged by one compaction. The files' decoders are open at the same time, a batch of rows each.
pub const COMPACT_SEGMENTS_MAX: usize = 8;

/// Segments at or above this size are not compacted again.
pub const COMPACT_SEGMENT_BYTES: u64 = 128 * 1024 * 1024;

/// Parsed file footers kept for the next read.
pub const FOOTERS_CACHED_MAX: usize = 64;

/// Rows one range read returns.
pub const RANGE_ROWS_MAX: usize = 100_000;

/// Points of one series, and series of one request.
pub const SERIES_POINTS_MAX: usize = 10_000;

/// Series in one request.
pub const SERIES_MAX: usize = 32;

/// Rows a single request may look at before it is refused with the advice to narrow it: about a minute of one core.
pub const SCAN_ROWS_MAX: u64 = 50_000_000;

/// Times a scan asks the catalog again because a compaction removed a file under it.
pub const SCAN_ATTEMPTS_MAX: u32 = 3;

/// Rows of a telemetry query's answer; `TOP` above it is cut to it.
pub const QUERY_ROWS_MAX: usize = 10_000;

/// Aggregated values that a query may have open: groups (windows times devices) times items. About 100 MB at worst.
pub const QUERY_ACCUMULATORS_MAX: usize = 1_000_000;

/// Depth of parentheses in a query's condition: bounds the recursion of the parser.
pub const QUERY_PARENTHESES_DEPTH_MAX: usize = 32;

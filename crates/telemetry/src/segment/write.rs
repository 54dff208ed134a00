//! Writing a segment: sort, encode, and make the file appear whole or not at all.

use std::borrow::Borrow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::encode::Encoder;
use super::folder::{SEGMENT_EXTENSION, TEMPORARY_EXTENSION, sync_folder};
use super::layout::{
    APPLICATION_KEY, Column, ColumnCounts, DEVICE, ENQUEUED, FORMAT_KEY, FORMAT_VERSION, OFFSET, TS, ValueKind,
};
use super::{ColumnMeta, DeviceSet, SegmentMeta};
use crate::limits::{BATCH_ROWS, PAGE_ROWS, ROW_GROUP_ROWS, SEGMENT_DEVICES_LISTED_MAX};
use crate::row::Row;

/// A segment could not be written. Nothing is left behind under its final name.
#[derive(Debug, thiserror::Error)]
pub enum WriteSegmentError {
    /// There were no rows: a segment without rows covers nothing.
    #[error("no rows to write")]
    NoRows,
    /// A log offset beyond the signed 64 bits of the column.
    #[error("log offset {0} does not fit a segment")]
    OffsetTooLarge(u64),
    /// The folder or file could not be written: disk full, no permission, gone.
    #[error("cannot write segment {}", path.display())]
    Write {
        /// The file that was being written.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Sorts `rows` and writes them as a segment of generation 0 into `folder`. The rows of one message stay in their order.
pub fn write_segment<R: Borrow<Row>>(
    folder: &Path,
    application: &str,
    rows: &mut [R],
) -> Result<SegmentMeta, WriteSegmentError> {
    let (first, last) = offset_range(rows).ok_or(WriteSegmentError::NoRows)?;
    if i64::try_from(last).is_err() {
        return Err(WriteSegmentError::OffsetTooLarge(last));
    }
    rows.sort_by(|left, right| left.borrow().storage_order(right.borrow()));
    let mut counts = ColumnCounts::default();
    for row in rows.iter() {
        counts.add_row(row.borrow());
    }
    let name = SegmentName { offset_first: first, offset_last: last, generation: 0 };
    let mut file = SegmentFile::create(folder, application, name, &counts.into_columns())?;
    for row in rows.iter() {
        file.append(row.borrow())?;
    }
    file.finish()
}

fn offset_range<R: Borrow<Row>>(rows: &[R]) -> Option<(u64, u64)> {
    let first = rows.iter().map(|row| row.borrow().offset).min()?;
    let last = rows.iter().map(|row| row.borrow().offset).max()?;
    Some((first, last))
}

/// What the name of a segment says.
#[derive(Debug, Clone, Copy)]
pub(super) struct SegmentName {
    pub offset_first: u64,
    pub offset_last: u64,
    pub generation: u32,
}

impl SegmentName {
    /// What a file's name says; `None` when it is no segment's.
    pub fn parse(file_name: &str) -> Option<Self> {
        let (range, generation) = file_name.strip_suffix(".parquet")?.rsplit_once('-')?;
        let (first, last) = range.split_once('-')?;
        let name = Self {
            offset_first: first.parse().ok()?,
            offset_last: last.parse().ok()?,
            generation: generation.parse().ok()?,
        };
        (name.file_name() == file_name && name.offset_first <= name.offset_last).then_some(name)
    }

    fn file_name(&self) -> String {
        format!("{:020}-{:020}-{}.{SEGMENT_EXTENSION}", self.offset_first, self.offset_last, self.generation)
    }
}

/// A segment being written, row by row in storage order.
pub(super) struct SegmentFile {
    folder: PathBuf,
    name: SegmentName,
    temporary: TemporaryFile,
    writer: ArrowWriter<ChecksumWriter>,
    encoder: Encoder,
    summary: Summary,
}

impl SegmentFile {
    pub fn create(
        folder: &Path,
        application: &str,
        name: SegmentName,
        columns: &[Column],
    ) -> Result<Self, WriteSegmentError> {
        let path = folder.join(format!("{}.{TEMPORARY_EXTENSION}", name.file_name()));
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| WriteSegmentError::Write { path: path.clone(), source };
        let file = File::create(&path).map_err(|source| failed(source.into()))?;
        let temporary = TemporaryFile { path: path.clone(), keep: false };
        let encoder = Encoder::new(columns);
        let properties = writer_properties(application, columns);
        // Parquet's own types say all there is to say.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(ChecksumWriter::new(file), encoder.schema(), options)
            .map_err(|source| failed(source.into()))?;
        let summary = Summary::new(columns);
        Ok(Self { folder: folder.to_owned(), name, temporary, writer, encoder, summary })
    }

    /// Adds the next row in storage order.
    pub fn append(&mut self, row: &Row) -> Result<(), WriteSegmentError> {
        let offset = i64::try_from(row.offset).map_err(|_| WriteSegmentError::OffsetTooLarge(row.offset))?;
        self.summary.add(row);
        self.encoder.append(row, offset);
        if self.encoder.rows() >= BATCH_ROWS { self.encode() } else { Ok(()) }
    }

    fn encode(&mut self) -> Result<(), WriteSegmentError> {
        let written = match self.encoder.finish_batch() {
            Ok(batch) => {
                self.summary.count_values(&batch);
                self.writer.write(&batch)
            }
            Err(source) => Err(source.into()),
        };
        written.map_err(|source| self.failed(source))
    }

    /// Completes the file: contents synced, then the name, then the folder.
    pub fn finish(mut self) -> Result<SegmentMeta, WriteSegmentError> {
        if self.encoder.rows() > 0 {
            self.encode()?;
        }
        self.writer.finish().map_err(|source| self.failed(source))?;
        let output = self.writer.inner();
        let (bytes, crc32) = (output.bytes, output.crc.clone().finalize());
        output.file.sync_all().map_err(|source| self.failed(source))?;
        let file_name = self.name.file_name();
        fs::rename(&self.temporary.path, self.folder.join(&file_name)).map_err(|source| self.failed(source))?;
        self.temporary.keep = true;
        sync_folder(&self.folder).map_err(|source| self.failed(source))?;
        Ok(self.summary.into_meta(file_name, self.name, bytes, crc32))
    }

    fn failed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteSegmentError {
        WriteSegmentError::Write { path: self.temporary.path.clone(), source: source.into() }
    }
}

/// What the catalog entry says, gathered while rows pass.
struct Summary {
    rows: u64,
    ts_min_ms: i64,
    ts_max_ms: i64,
    devices: DeviceSet,
    columns: Vec<ColumnMeta>,
}

impl Summary {
    fn new(columns: &[Column]) -> Self {
        let columns =
            columns.iter().map(|column| ColumnMeta { name: column.name.to_string(), kind: column.kind, values: 0 });
        Self {
            rows: 0,
            ts_min_ms: i64::MAX,
            ts_max_ms: i64::MIN,
            devices: DeviceSet::Listed(Vec::new()),
            columns: columns.collect(),
        }
    }

    fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.ts_min_ms = self.ts_min_ms.min(row.ts_ms);
        self.ts_max_ms = self.ts_max_ms.max(row.ts_ms);
        if let DeviceSet::Listed(devices) = &mut self.devices
            && devices.last().is_none_or(|last| last.as_str() != row.device.as_ref())
        {
            if devices.len() < SEGMENT_DEVICES_LISTED_MAX {
                devices.push(row.device.to_string());
            } else {
                self.devices = DeviceSet::Many;
            }
        }
    }

    fn count_values(&mut self, batch: &arrow_array::RecordBatch) {
        use arrow_array::Array;
        let fixed = batch.num_columns() - self.columns.len();
        for (column, array) in self.columns.iter_mut().zip(&batch.columns()[fixed..]) {
            column.values += (array.len() - array.null_count()) as u64;
        }
    }

    fn into_meta(self, file_name: String, name: SegmentName, bytes: u64, crc32: u32) -> SegmentMeta {
        SegmentMeta {
            file_name,
            generation: name.generation,
            rows: self.rows,
            bytes,
            crc32,
            ts_min_ms: self.ts_min_ms,
            ts_max_ms: self.ts_max_ms,
            offset_first: name.offset_first,
            offset_last: name.offset_last,
            devices: self.devices,
            columns: self.columns,
        }
    }
}

/// Sorted integers are small differences; measurements share sign, exponent and first digits.
fn writer_properties(application: &str, columns: &[Column]) -> WriterProperties {
    let metadata = [(FORMAT_KEY, FORMAT_VERSION), (APPLICATION_KEY, application)]
        .map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
    let sorting = (0..4).map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true });
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("tidegate-telemetry ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a zstd level")))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_key_value_metadata(Some(metadata.to_vec()))
        .set_sorting_columns(Some(sorting.collect()));
    for column in [TS, ENQUEUED, OFFSET] {
        let path = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for column in columns {
        let encoding = match column.kind {
            ValueKind::Double => Encoding::BYTE_STREAM_SPLIT,
            ValueKind::Integer => Encoding::DELTA_BINARY_PACKED,
            ValueKind::Boolean | ValueKind::Text | ValueKind::Json => continue,
        };
        // Tried first is a dictionary, which few distinct values fill; this is what follows once it is full.
        properties = properties.set_column_encoding(ColumnPath::from(column.physical_name()), encoding);
    }
    properties.set_column_dictionary_enabled(ColumnPath::from(DEVICE), true).build()
}

/// The output file, with the checksum and size of what was written.
struct ChecksumWriter {
    file: File,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl ChecksumWriter {
    fn new(file: File) -> Self {
        Self { file, crc: crc32fast::Hasher::new(), bytes: 0 }
    }
}

impl Write for ChecksumWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.crc.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes the file when the write did not come to its end.
struct TemporaryFile {
    path: PathBuf,
    keep: bool,
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.keep {
            // Left over files are removed at the next start as well (`folder::inspect`).
            let _ = fs::remove_file(&self.path);
        }
    }
}

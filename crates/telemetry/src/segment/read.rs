//! Reading a segment: from the footer decide which row groups and pages can matter, decode those, filter exactly.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowFilter,
};
use parquet::file::metadata::PageIndexPolicy;
use parquet::schema::types::SchemaDescriptor;

use super::SegmentMeta;
use super::decode::{BatchDecoder, MissingColumn, selected_rows};
use super::layout::{
    COMPONENT, Column, DEVICE, ENQUEUED, FORMAT_KEY, FORMAT_VERSION, MODULE, MORE, OFFSET, TEMPLATE, TS,
};
use super::prune::plan_read;
use crate::limits::BATCH_ROWS;
use crate::row::Row;
use crate::selection::{Names, Selection};

/// A segment could not be read. Each says which file.
#[derive(Debug, thiserror::Error)]
pub enum ReadSegmentError {
    /// The catalog lists the file, the folder does not have it.
    #[error("telemetry segment {} is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or read: permission, device error.
    #[error("cannot read telemetry segment {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The file is not as long as it was written.
    #[error("telemetry segment {} has {found} bytes instead of {expected}", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Size in the catalog.
        expected: u64,
        /// Size found.
        found: u64,
    },
    /// The file is not what was written.
    #[error("telemetry segment {} does not match its checksum", path.display())]
    WrongChecksum {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer program.
    #[error("telemetry segment {} has format version {version}, this program knows version {FORMAT_VERSION}", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// The file cannot be decoded.
    #[error("telemetry segment {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the decoder stopped.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ReadSegmentError {
    pub(super) fn open(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            ReadSegmentError::Missing { path: path.to_owned() }
        } else {
            ReadSegmentError::Open { path: path.to_owned(), source }
        }
    }

    /// Whether it says that the file is not what was written. A file of a later version, and one that cannot be opened, are not.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::WrongSize { .. } | Self::WrongChecksum { .. } | Self::Damaged { .. } => true,
            Self::Open { .. } | Self::UnknownVersion { .. } => false,
        }
    }

    pub(super) fn damaged(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        ReadSegmentError::Damaged { path: path.to_owned(), source: source.into() }
    }
}

/// The decoder panics on some damaged pages, which are data and no error of the program. This is the one place where that is
/// caught; what was being decoded is dropped, so nothing half-done is seen again.
fn decode<T, E>(path: &Path, work: impl FnOnce() -> Result<T, E>) -> Result<T, ReadSegmentError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|source| ReadSegmentError::damaged(path, source)),
        Err(_) => Err(ReadSegmentError::damaged(path, "the decoder stopped at impossible data")),
    }
}

/// The parsed end of a segment: schema, row groups, statistics, page index. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Footer(ArrowReaderMetadata);

/// An open segment.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    file: File,
    footer: Footer,
}

impl SegmentReader {
    /// Opens the file of a catalog entry, checks its size and parses its footer.
    pub fn open(folder: &Path, meta: &SegmentMeta) -> Result<Self, ReadSegmentError> {
        Self::open_with_footer(folder, meta, None)
    }

    /// As [`SegmentReader::open`], with the footer of an earlier read. The file is opened and its size checked all the same.
    pub(crate) fn open_with_footer(
        folder: &Path,
        meta: &SegmentMeta,
        footer: Option<Footer>,
    ) -> Result<Self, ReadSegmentError> {
        let path = folder.join(&meta.file_name);
        let file = File::open(&path).map_err(|source| ReadSegmentError::open(&path, source))?;
        let found = file.metadata().map_err(|source| ReadSegmentError::open(&path, source))?.len();
        if found != meta.bytes {
            return Err(ReadSegmentError::WrongSize { path, expected: meta.bytes, found });
        }
        let footer = match footer {
            Some(footer) => footer,
            None => {
                let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
                let metadata = decode(&path, || ArrowReaderMetadata::load(&file, options))?;
                check_version(&path, &metadata)?;
                Footer(metadata)
            }
        };
        Ok(Self { path, file, footer })
    }

    #[cfg(test)]
    pub(super) fn row_groups(&self) -> usize {
        self.footer.0.metadata().num_row_groups()
    }

    /// Its telemetry columns.
    pub(super) fn columns(&self) -> Vec<Column> {
        self.footer.0.parquet_schema().columns().iter().filter_map(|column| Column::parse(column.name())).collect()
    }

    pub(crate) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The selected rows with the named values, in storage order.
    pub fn rows(&self, selection: &Selection, names: &Names) -> Result<SegmentRows, ReadSegmentError> {
        let schema = self.footer.0.parquet_schema();
        let key = [DEVICE, MODULE, COMPONENT, TS];
        let key_indexes = root_indexes(schema, &key).map_err(|source| ReadSegmentError::damaged(&self.path, source))?;
        let plan = decode(&self.path, || {
            Ok::<_, MissingColumn>(plan_read(self.footer.0.metadata(), key_indexes[0], key_indexes[3], selection))
        })?;
        let file = self.file.try_clone().map_err(|source| ReadSegmentError::open(&self.path, source))?;
        let wanted = selection.clone();
        let predicate = ArrowPredicateFn::new(ProjectionMask::leaves(schema, key_indexes), move |batch| {
            selected_rows(&batch, &wanted)
        });
        let filter = RowFilter::new(vec![Box::new(predicate)]);
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.footer.0.clone())
            .with_batch_size(BATCH_ROWS)
            .with_row_groups(plan.row_groups)
            .with_projection(projection(schema, names));
        if *selection != Selection::everything() {
            builder = builder.with_row_filter(filter);
        }
        if let Some(rows) = plan.rows {
            builder = builder.with_row_selection(rows);
        }
        let batches = decode(&self.path, || builder.build())?;
        Ok(SegmentRows {
            path: self.path.clone(),
            batches: Some(batches),
            names: names.clone(),
            ready: VecDeque::new(),
        })
    }
}

/// Refuses what says that it is of another version. What says nothing is judged by its columns.
fn check_version(path: &Path, metadata: &ArrowReaderMetadata) -> Result<(), ReadSegmentError> {
    let entries = metadata.metadata().file_metadata().key_value_metadata();
    let version =
        entries.into_iter().flatten().find(|entry| entry.key == FORMAT_KEY).and_then(|entry| entry.value.as_deref());
    match version {
        Some(version) if version != FORMAT_VERSION => {
            Err(ReadSegmentError::UnknownVersion { path: path.to_owned(), version: version.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The rows of a read, in storage order. Decodes a batch at a time.
pub struct SegmentRows {
    path: PathBuf,
    /// `None` after an error: what comes after it is not to be trusted.
    batches: Option<ParquetRecordBatchReader>,
    names: Names,
    ready: VecDeque<Row>,
}

impl Iterator for SegmentRows {
    type Item = Result<Row, ReadSegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(Ok(row));
            }
            if let Err(error) = self.decode_batch()? {
                self.batches = None;
                return Some(Err(error));
            }
        }
    }
}

impl SegmentRows {
    /// Decodes the next batch into `ready`; `None` at the end.
    fn decode_batch(&mut self) -> Option<Result<(), ReadSegmentError>> {
        let batches = self.batches.as_mut()?;
        let batch = match decode(&self.path, || batches.next().transpose()) {
            Ok(batch) => batch?,
            Err(error) => return Some(Err(error)),
        };
        Some(decode(&self.path, || BatchDecoder::new(&batch)?.decode(&self.names, &mut self.ready)))
    }
}

fn root_indexes<const N: usize>(
    schema: &SchemaDescriptor,
    names: &[&'static str; N],
) -> Result<[usize; N], MissingColumn> {
    let mut indexes = [0; N];
    for (index, name) in indexes.iter_mut().zip(names) {
        *index =
            schema.columns().iter().position(|column| column.path().parts() == [*name]).ok_or(MissingColumn(name))?;
    }
    Ok(indexes)
}

/// The fixed columns and those of the names.
fn projection(schema: &SchemaDescriptor, names: &Names) -> ProjectionMask {
    let fixed = [DEVICE, MODULE, COMPONENT, TS, ENQUEUED, OFFSET, TEMPLATE, MORE];
    let wanted = schema.columns().iter().enumerate().filter(|(_, column)| {
        let physical = column.name();
        fixed.contains(&physical) || Column::parse(physical).is_some_and(|column| names.contains(&column.name))
    });
    ProjectionMask::leaves(schema, wanted.map(|(index, _)| index))
}

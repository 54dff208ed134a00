//! The reader `telemetry`: rows in memory and in Parquet, last values, newest raw messages.
//!
//! ```text
//!                         ┌─► raw messages (memory, bounded)
//!   log ──► reader ───────┼─► rows in memory ──flush──► segment file ──┐
//!     ▲                   ├─► last values (memory)                     ├─ one transaction of the registry
//!     │                   └─► live events          next offset ────────┘
//!     └── trimmed behind the slowest reader, with a margin
//! ```
//!
//! The reader has one stored position: everything before it is in segments. It starts there again after a crash and rebuilds
//! what was in memory, so a row is neither lost nor doubled. It never delays ingest: when it falls behind, the log grows.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`catalog`] | which segments there are, mirrored from the registry |
//! | [`compaction`] | joining small segments, in a task of its own |
//! | [`decode`] | a log record as a row |
//! | [`newest_committed`] | how far the folder goes, as it knows itself |
//! | [`older_catalog`] | going on with a registry that is older than the folder |
//! | [`raw_messages`] | the newest messages as they came |
//! | [`reader`] | the reader: read, insert, flush |
//! | [`scrub`] | comparing files with their checksums, again and again |

pub mod catalog;
pub mod compaction;
mod config;
pub mod decode;
pub mod newest_committed;
pub mod older_catalog;
pub mod raw_messages;
pub mod reader;
pub mod scrub;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use registry::{Registry, StoreError};
use telemetry::TelemetryStore;
use telemetry::newest::NewestLimits;

pub use catalog::{CatalogSegment, ReadEntryError, SegmentCatalog};
pub use config::TelemetryConfig;
pub use raw_messages::{RawMessage, RawMessages};

/// Telemetry of every application. Cheap to clone.
#[derive(Clone)]
pub struct TimeSeries {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    catalog: Arc<SegmentCatalog>,
    raw: RawMessages,
    applications: Mutex<HashMap<Arc<str>, Arc<TelemetryStore>>>,
    templates_changed: AtomicU64,
    /// Held while registry and mirror are changed together by others than the reader.
    catalog_changes: tokio::sync::Mutex<()>,
}

/// The telemetry store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenTelemetryError {
    /// The catalog cannot be read.
    #[error("the catalog of telemetry segments cannot be read")]
    Catalog(#[source] StoreError),
    /// An entry of the catalog cannot be understood.
    #[error("the catalog of telemetry segments cannot be read")]
    Entry(#[from] ReadEntryError),
}

/// An application's telemetry folder cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the telemetry folder {}", path.display())]
pub struct CreateFolderError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl TimeSeries {
    /// Opens the store in `folder`, reading the catalog.
    pub async fn open(folder: &Path, registry: &Registry) -> Result<Self, OpenTelemetryError> {
        let rows = registry.segments_list().await.map_err(OpenTelemetryError::Catalog)?;
        let segments = rows.into_iter().map(CatalogSegment::from_row).collect::<Result<_, _>>()?;
        let inner = Inner {
            folder: folder.to_owned(),
            catalog: Arc::new(SegmentCatalog::new(segments)),
            raw: RawMessages::default(),
            applications: Mutex::default(),
            templates_changed: AtomicU64::new(0),
            catalog_changes: tokio::sync::Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Telemetry of one application; made on first use. Blocks for a folder's creation then.
    pub fn application(&self, app: &str) -> Result<Arc<TelemetryStore>, CreateFolderError> {
        let mut applications = self.inner.applications.lock().expect("nothing panics while it holds the applications");
        if let Some(found) = applications.get(app) {
            return Ok(Arc::clone(found));
        }
        let folder = self.folder_of(app);
        fs::create_dir_all(&folder).map_err(|source| CreateFolderError { path: folder.clone(), source })?;
        let catalog: Arc<dyn telemetry::Catalog> = Arc::<SegmentCatalog>::clone(&self.inner.catalog);
        let application = Arc::new(TelemetryStore::new(app, &folder, catalog, NewestLimits::default()));
        applications.insert(app.into(), Arc::clone(&application));
        Ok(application)
    }

    /// Where everything is.
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// Where an application's segments are.
    pub fn folder_of(&self, app: &str) -> PathBuf {
        self.inner.folder.join(app)
    }

    /// The newest raw messages of a device, newest first: of one module when it is named, older than the offset `before`.
    pub fn messages(
        &self,
        app: &str,
        device: &str,
        module: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<Arc<RawMessage>> {
        self.inner.raw.newest(app, device, module, before, limit)
    }

    /// A device's template was changed: rows read from now on carry the new one.
    pub fn templates_changed(&self) {
        self.inner.templates_changed.fetch_add(1, Ordering::Release);
    }

    /// Forgets what is held in memory of a deleted device. Its rows in segments stay, as the vendor keeps them too.
    pub fn forget_device(&self, app: &str, device: &str) {
        if let Ok(application) = self.application(app) {
            application.last_values().remove_device(device);
        }
        self.inner.raw.forget(app, device);
    }

    /// Which segments there are.
    pub fn catalog(&self) -> &Arc<SegmentCatalog> {
        &self.inner.catalog
    }

    /// Forgets what a run of the reader that ended unasked had in memory: the next one reads it again from its stored position.
    async fn read_again(&self, registry: &Registry) -> Result<(), OpenTelemetryError> {
        let _changing = self.inner.catalog_changes.lock().await;
        let rows = registry.segments_list().await.map_err(OpenTelemetryError::Catalog)?;
        let segments = rows.into_iter().map(CatalogSegment::from_row).collect::<Result<_, _>>()?;
        self.inner.catalog.reload(segments);
        for (_, store) in self.applications() {
            store.newest().clear();
        }
        self.inner.raw.clear();
        Ok(())
    }

    fn applications(&self) -> Vec<(Arc<str>, Arc<TelemetryStore>)> {
        let applications = self.inner.applications.lock().expect("nothing panics while it holds the applications");
        applications.iter().map(|(id, application)| (Arc::clone(id), Arc::clone(application))).collect()
    }
}

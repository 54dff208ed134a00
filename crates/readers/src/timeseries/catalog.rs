//! The catalog of segments in memory, mirrored from the registry: a query reads no database to learn which files to open.
//!
//! The registry is written first, then the mirror; a crash in between loses only the mirror.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};

use events::health::Condition;

use registry::SegmentRow;
use telemetry::{Catalog, CatalogError, SegmentMeta, TimeRange};

/// A segment in the catalog, and its application.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogSegment {
    /// Its application.
    pub application: String,
    /// What is known of the file.
    pub meta: SegmentMeta,
}

/// An entry of the registry that this program does not understand.
#[derive(Debug, thiserror::Error)]
#[error("the catalog entry of telemetry file {file_name} cannot be understood")]
pub struct ReadEntryError {
    /// The file.
    pub file_name: String,
    /// Why.
    #[source]
    pub source: serde_json::Error,
}

impl CatalogSegment {
    /// Reads an entry of the registry.
    pub fn from_row(row: SegmentRow) -> Result<Self, ReadEntryError> {
        match serde_json::from_str(&row.meta) {
            Ok(meta) => Ok(Self { application: row.application, meta }),
            Err(source) => Err(ReadEntryError { file_name: row.file_name, source }),
        }
    }

    /// The entry for the registry.
    pub fn to_row(&self) -> SegmentRow {
        let Self { application, meta } = self;
        SegmentRow {
            application: application.clone(),
            file_name: meta.file_name.clone(),
            offset_first: meta.offset_first,
            offset_last: meta.offset_last,
            ts_min_ms: meta.ts_min_ms,
            ts_max_ms: meta.ts_max_ms,
            bytes: meta.bytes,
            meta: serde_json::to_string(meta).expect("a segment's description always serializes"),
        }
    }
}

/// Every segment of every application.
#[derive(Debug, Default)]
pub struct SegmentCatalog {
    segments: RwLock<Vec<CatalogSegment>>,
    damage: Mutex<Damage>,
}

/// What is left out of queries, and who is told.
#[derive(Debug, Default)]
struct Damage {
    /// By application and file name.
    files: BTreeMap<String, BTreeMap<String, String>>,
    health: Condition,
}

/// Damaged files that are named; of more, only how many there are.
const DAMAGED_NAMED_MAX: usize = 5;

impl SegmentCatalog {
    /// As read from the registry.
    pub fn new(segments: Vec<CatalogSegment>) -> Self {
        Self { segments: RwLock::new(segments), ..Self::default() }
    }

    /// Whoever is told from now on when files are left out of queries because they are damaged.
    pub fn tell(&self, health: Condition) {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.health = health;
        damage.tell();
    }

    /// The applications that have segments.
    pub fn applications(&self) -> Vec<String> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let applications: std::collections::BTreeSet<&String> = segments.iter().map(|row| &row.application).collect();
        applications.into_iter().cloned().collect()
    }

    /// Every segment of an application.
    pub fn of_application(&self, app: &str) -> Vec<SegmentMeta> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.iter().filter(|row| row.application == app).map(|row| row.meta.clone()).collect()
    }

    /// Enters segments the registry holds now, and takes those out they replace: readers see both changes or neither.
    pub fn replace(&self, old: &[SegmentMeta], new: Vec<CatalogSegment>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        for row in &new {
            let is_replaced = |known: &CatalogSegment| {
                known.application == row.application && old.iter().any(|old| old.file_name == known.meta.file_name)
            };
            segments.retain(|known| !is_replaced(known));
        }
        segments.extend(new);
    }

    /// As read from the registry again.
    pub(super) fn reload(&self, segments: Vec<CatalogSegment>) {
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = segments;
    }

    /// Segments, over all applications.
    pub fn count(&self) -> usize {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Damage {
    fn tell(&self) {
        let problems: Vec<&String> = self.files.values().flat_map(BTreeMap::values).collect();
        if problems.is_empty() {
            if self.health.restore() {
                tracing::info!("every telemetry file is whole again");
            }
            return;
        }
        let named: Vec<&str> = problems.iter().take(DAMAGED_NAMED_MAX).map(|problem| problem.as_str()).collect();
        let more = problems.len() - named.len();
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        self.health.break_with(format!(
            "left out of queries: {}{more}. Restore what is damaged, or start once with --accept-data-loss to go on without",
            named.join("; ")
        ));
    }
}

impl Catalog for SegmentCatalog {
    fn damage_changed(&self, application: &str, files: &BTreeMap<String, String>) {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        let known = damage.files.insert(application.to_owned(), files.clone()).unwrap_or_default();
        for (name, problem) in files.iter().filter(|(name, _)| !known.contains_key(*name)) {
            tracing::error!(application, file = name, "a telemetry file is left out of queries: {problem}");
        }
        damage.tell();
    }

    fn segments(
        &self,
        application: &str,
        range: TimeRange,
        device: Option<&str>,
    ) -> Result<Vec<SegmentMeta>, CatalogError> {
        use telemetry::segment::DeviceSet;
        let holds_device = |meta: &SegmentMeta| match (&meta.devices, device) {
            (DeviceSet::Listed(listed), Some(device)) => listed.iter().any(|listed| listed == device),
            _ => true,
        };
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let selected = segments.iter().filter(|row| {
            row.application == application
                && range.overlaps(row.meta.ts_min_ms, row.meta.ts_max_ms)
                && holds_device(&row.meta)
        });
        Ok(selected.map(|row| row.meta.clone()).collect())
    }
}

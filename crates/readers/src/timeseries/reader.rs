//! The task that turns the log into telemetry: read, insert, flush, compact, trim.
//!
//! *Invariant*: the stored position moves only in the transaction that enters the segments covering everything before it. Killed
//! at any line, the task starts again from there; a segment file written without its entry is replaced by the same rows.
//!
//! A record this program cannot read is counted, named in the log and passed over: it is not lost, it stays in the log until
//! trimmed. An error of the disk or registry is shown as not ready and tried again after a pause.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use events::health::{Condition, with_causes};
use events::last_seen::LastSeen;
use events::live::LiveEvent;
use events::record::{Kind, RecordParts};
use events::{Events, LogConfig};
use model::identity::Identity;
use registry::{LastSeenRow, Registry, StoreError};
use storage::log::{Log, Offset, ReadError, Reader};
use telemetry::segment::{compact, folder, plan_compaction};
use telemetry::{SegmentMeta, TelemetryStore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decode::{KnownSource, KnownSources, SharedTexts, decode, json_values, row};
use super::raw_messages::RawMessage;
use super::{CatalogSegment, Telemetry, TelemetryConfig};
use crate::limits::{
    BYTES_PER_READ_MAX, RECORDS_PER_READ_MAX, REPLAYED_RECORDS_MAX, TEMPLATE_CACHE_AGE, TEMPLATE_CACHE_DEVICES_MAX,
};
use crate::metrics::ReaderMetrics;

/// Name of the stored position.
const READER: &str = "telemetry";
/// Pause after an error of disk or registry.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Everything the task works with.
pub struct TelemetryReader {
    telemetry: Telemetry,
    registry: Registry,
    log: Log,
    events: Events,
    last_seen: LastSeen,
    metrics: ReaderMetrics,
    health: Condition,
    log_config: LogConfig,
    config: TelemetryConfig,
    /// Everything before it is in segments.
    stored: u64,
    /// Records before it were in the log when this process started.
    replayed_until: u64,
    /// When the oldest record not in a segment was read.
    oldest_pending: Option<Instant>,
    texts: SharedTexts,
    templates: Templates,
    sources: KnownSources,
    seen: HashMap<(Arc<str>, Identity), i64>,
}

/// What the reader is given.
pub struct ReaderParts {
    /// Where rows go.
    pub telemetry: Telemetry,
    /// Positions and catalog.
    pub registry: Registry,
    /// Where records come from.
    pub events: Events,
    /// When devices were last seen.
    pub last_seen: LastSeen,
    /// Counters.
    pub metrics: ReaderMetrics,
    /// Whether it works.
    pub health: Condition,
    /// Size of the log.
    pub log_config: LogConfig,
    /// When to flush.
    pub config: TelemetryConfig,
}

/// A flush that did not happen; the rows stay in memory and in the log.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// A segment cannot be written.
    #[error("a telemetry segment cannot be written")]
    Write(#[source] telemetry::segment::WriteSegmentError),
    /// The registry refused.
    #[error("a telemetry segment cannot be entered into the catalog")]
    Commit(#[source] StoreError),
    /// The application's folder cannot be made.
    #[error("the telemetry folder of an application cannot be used")]
    Folder(#[source] super::CreateFolderError),
}

#[derive(Debug, thiserror::Error)]
enum CompactError {
    #[error("the segments cannot be merged")]
    Merge(#[source] telemetry::segment::CompactSegmentsError),
    #[error("the merged segment cannot be entered into the catalog")]
    Commit(#[source] StoreError),
    #[error("a merged segment cannot be deleted")]
    Remove(#[source] std::io::Error),
}

/// The telemetry reader cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartReaderError {
    /// Its position cannot be read.
    #[error("the telemetry reader's position cannot be read")]
    Store(#[from] StoreError),
    /// The log ends before what was already read from it.
    #[error(
        "the log ends at record {next}, but {stored} records of it are already in the telemetry store: log/ was replaced"
    )]
    LogReplaced {
        /// The log's end.
        next: u64,
        /// Records covered.
        stored: u64,
    },
    /// The log begins after what was read from it.
    #[error(
        "the log begins at record {first}, but only {stored} records are in the telemetry store: files of log/ were removed"
    )]
    LogGap {
        /// The log's first record.
        first: u64,
        /// Records covered.
        stored: u64,
    },
}

impl TelemetryReader {
    /// Finds the position and restores when devices were last seen.
    pub async fn start(parts: ReaderParts) -> Result<Self, StartReaderError> {
        let ReaderParts { telemetry, registry, events, last_seen, metrics, health, log_config, config } = parts;
        let log = events.log().clone();
        let stored = registry.checkpoint_get(READER).await?.unwrap_or(0);
        let (first, next) = (log.first_offset().0, log.next_offset().0);
        if stored > next {
            return Err(StartReaderError::LogReplaced { next, stored });
        }
        if first > stored {
            return Err(StartReaderError::LogGap { first, stored });
        }
        for row in registry.last_seen_list().await? {
            let identity = match &row.module {
                Some(module) => Identity::module(&row.device, module),
                None => Identity::device(&row.device),
            };
            last_seen.touch(&row.application, &identity, row.last_seen_ms);
        }
        Ok(Self {
            telemetry,
            registry,
            log,
            events,
            last_seen,
            metrics,
            health,
            log_config,
            config,
            stored,
            replayed_until: next,
            oldest_pending: None,
            texts: SharedTexts::default(),
            templates: Templates::default(),
            sources: KnownSources::default(),
            seen: HashMap::new(),
        })
    }

    /// Runs until the token is cancelled; then flushes, so that the next start has little to read again.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let from = self.stored.saturating_sub(REPLAYED_RECORDS_MAX).max(self.log.first_offset().0);
        let mut reader = self.log.reader(Offset(from));
        loop {
            let flush_at = self.oldest_pending.map(|since| since + self.config.flush_after());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = sleep_until(flush_at) => drop(self.flush_and_say(reader.position()).await),
                batch = reader.next_batch(RECORDS_PER_READ_MAX, BYTES_PER_READ_MAX) => {
                    if !self.take(batch, &mut reader).await {
                        break;
                    }
                }
            }
        }
        self.flush_and_say(reader.position()).await;
    }

    /// Handles what was read; `false` when the log was closed.
    async fn take(&mut self, batch: Result<Vec<storage::log::Record>, ReadError>, reader: &mut Reader) -> bool {
        let batch = match batch {
            Ok(batch) => batch,
            Err(ReadError::Closed) => return false,
            Err(error) => {
                self.say_problem(&error);
                tokio::time::sleep(RETRY_PAUSE).await;
                return true;
            }
        };
        self.insert(&batch, reader).await;
        self.metrics.read.inc_by(batch.len() as u64);
        let lag = self.log.next_offset().0.saturating_sub(reader.position().0);
        self.metrics.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
        if self.is_flush_due() {
            self.flush_and_say(reader.position()).await;
        }
        true
    }

    async fn insert(&mut self, batch: &[storage::log::Record], reader: &Reader) {
        let mut rows: HashMap<Arc<str>, Vec<telemetry::Row>> = HashMap::new();
        let mut events: Vec<(Arc<str>, LiveEvent)> = Vec::new();
        for logged in batch {
            let offset = logged.offset.0;
            let record = RecordParts::decode(logged.payload.clone());
            let known = record.and_then(|record| Ok((self.sources.get(&record.source, &mut self.texts)?, record)));
            let (source, record) = match known {
                Ok(known) => known,
                Err(error) => {
                    self.metrics.unreadable.inc();
                    tracing::error!(offset, %error, "a log record is passed over");
                    continue;
                }
            };
            if offset >= self.stored {
                self.oldest_pending.get_or_insert_with(Instant::now);
                self.note_seen(&record, &source, offset);
            }
            if record.kind == Kind::Telemetry {
                events.extend(self.insert_telemetry(&record, &source, offset, &mut rows).await);
            }
        }
        let mut waiting: Vec<(Arc<str>, Vec<telemetry::Row>)> = rows.into_iter().collect();
        while let Some((app, rows)) = waiting.pop() {
            let Err(rejected) = self.try_insert(&app, rows) else { continue };
            waiting.push((app, rejected));
            // Full memory: what is in it goes to a segment first. Until that works, reading waits; the log does not.
            let first = waiting.iter().filter_map(|(_, rows)| rows.first()).map(|row| row.offset).min();
            if !self.flush_and_say(first.map_or(reader.position(), Offset)).await {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        // Told only now: whoever hears of a value can read it.
        for (app, event) in events {
            self.events.live().publish(&app, event);
        }
    }

    /// Inserts rows, or gives them back.
    fn try_insert(&self, app: &str, rows: Vec<telemetry::Row>) -> Result<(), Vec<telemetry::Row>> {
        match self.telemetry.application(app) {
            Ok(store) => store.insert(rows).map_err(|full| full.rejected),
            Err(error) => {
                self.say_problem(&error);
                Err(rows)
            }
        }
    }

    /// Takes a message apart; answers the event for those who watch the device, if anybody does.
    async fn insert_telemetry(
        &mut self,
        record: &RecordParts,
        known: &KnownSource,
        offset: u64,
        rows: &mut HashMap<Arc<str>, Vec<telemetry::Row>>,
    ) -> Option<(Arc<str>, LiveEvent)> {
        let KnownSource { source, app, device, .. } = known;
        let decoded = decode(record);
        let message = RawMessage::new(record, source, decoded.component.clone(), offset);
        self.telemetry.inner.raw.push(app, device, message);
        if offset < self.stored {
            return None;
        }
        let generation = self.telemetry.inner.templates_changed.load(Ordering::Acquire);
        let template = self.templates.of(&self.registry, app, device, generation).await;
        if let Some(row) = row(record, known, &decoded, offset, template, &mut self.texts) {
            rows.entry(Arc::clone(app)).or_default().push(row);
        }
        if !self.events.live().is_watched(app, device) {
            return None;
        }
        let values = json_values(record, &decoded);
        if values.is_empty() {
            return None;
        }
        let event = LiveEvent::Telemetry {
            device: device.to_string(),
            module: source.identity.module_id().map(str::to_owned),
            component: decoded.component,
            ts_ms: decoded.ts_ms,
            values,
            offset,
        };
        Some((Arc::clone(app), event))
    }

    fn note_seen(&mut self, record: &RecordParts, known: &KnownSource, offset: u64) {
        let identity = &known.source.identity;
        // What came since this start was noted by the session that brought it.
        if offset < self.replayed_until {
            self.last_seen.touch(&known.app, identity, record.enqueued_ms);
        }
        let seen = self.seen.entry((Arc::clone(&known.app), identity.clone())).or_default();
        *seen = record.enqueued_ms.max(*seen);
    }

    fn is_flush_due(&self) -> bool {
        let pending: usize =
            self.telemetry.applications().iter().map(|(_, store)| store.newest().pending().bytes).sum();
        let limit = telemetry::newest::NewestLimits::default().bytes_max / 2;
        let log_is_filling = self.oldest_pending.is_some() && self.log.bytes() > self.log_config.max_bytes / 4 * 3;
        pending as u64 >= self.config.flush_bytes.min(limit as u64) || log_is_filling
    }

    /// Flushes, and shows whether that worked.
    async fn flush_and_say(&mut self, position: Offset) -> bool {
        match self.flush(position.0).await {
            Ok(()) => {
                if self.health.restore() {
                    tracing::info!("the telemetry reader works again");
                }
                true
            }
            Err(error) => {
                self.say_problem(&error);
                // Not again at once: the rows are safe in the log.
                self.oldest_pending = Some(Instant::now());
                false
            }
        }
    }

    /// Writes everything in memory to segments and stores `next` as the position. All rows in memory lie before it.
    async fn flush(&mut self, next: u64) -> Result<(), FlushError> {
        if next <= self.stored {
            return Ok(());
        }
        let mut written: Vec<(Arc<TelemetryStore>, CatalogSegment)> = Vec::new();
        for (app, store) in self.telemetry.applications() {
            let writer = Arc::clone(&store);
            let meta = blocking(move || writer.write_pending()).await.map_err(FlushError::Write)?;
            if let Some(meta) = meta {
                written.push((store, CatalogSegment { application: app.to_string(), meta }));
            }
        }
        let segments: Vec<CatalogSegment> = written.iter().map(|(_, segment)| segment.clone()).collect();
        let rows: Vec<_> = segments.iter().map(CatalogSegment::to_row).collect();
        let seen = self.take_seen();
        let committed = self.registry.segments_commit(&rows, READER, next, &seen).await;
        committed.map_err(FlushError::Commit)?;
        self.telemetry.catalog().replace(&[], segments);
        for (store, segment) in &written {
            store.release(&segment.meta);
            self.metrics.rows_flushed.inc_by(segment.meta.rows);
            self.metrics.segments_written.inc();
        }
        self.stored = next;
        self.oldest_pending = None;
        self.trim().await;
        for (app, _) in self.telemetry.applications() {
            self.compact(&app).await;
        }
        Ok(())
    }

    fn take_seen(&mut self) -> Vec<LastSeenRow> {
        let rows = self.seen.drain().map(|((application, identity), last_seen_ms)| LastSeenRow {
            application: application.to_string(),
            device: identity.device_id().to_owned(),
            module: identity.module_id().map(str::to_owned),
            last_seen_ms,
        });
        rows.collect()
    }

    /// Lets go of log segments that are covered, keeping a margin unless room is short.
    async fn trim(&self) {
        let is_short = self.log.bytes() > self.log_config.max_bytes / 2;
        let margin = if is_short { 0 } else { self.log_config.keep_records };
        let keep_from = Offset(self.stored.saturating_sub(margin));
        let log = self.log.clone();
        match blocking(move || log.trim_before(keep_from)).await {
            Ok(trimmed) if trimmed.segments > 0 => self.events.room_made(),
            Ok(_) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the log could not be trimmed"),
        }
    }

    /// Joins small segments. An error is told and the segments stay as they are: the next flush tries again.
    async fn compact(&self, app: &Arc<str>) {
        let Some(inputs) = plan_compaction(&self.telemetry.catalog().of_application(app)) else { return };
        if let Err(error) = self.try_compact(app, &inputs).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(application = &**app, error, "telemetry segments could not be compacted");
        }
    }

    async fn try_compact(&self, app: &Arc<str>, inputs: &[SegmentMeta]) -> Result<(), CompactError> {
        let folder = self.telemetry.folder_of(app);
        let (work_folder, work_app, work_inputs) = (folder.clone(), Arc::clone(app), inputs.to_vec());
        let meta =
            blocking(move || compact(&work_folder, &work_app, &work_inputs)).await.map_err(CompactError::Merge)?;
        let segment = CatalogSegment { application: app.to_string(), meta };
        let merged: Vec<&str> = inputs.iter().map(|input| input.file_name.as_str()).collect();
        self.registry.segments_replace(&merged, &segment.to_row()).await.map_err(CompactError::Commit)?;
        self.telemetry.catalog().replace(inputs, vec![segment]);
        for input in inputs {
            folder::remove_segment(&folder, &input.file_name).map_err(CompactError::Remove)?;
        }
        Ok(())
    }

    fn say_problem(&self, error: &dyn std::error::Error) {
        let text = with_causes(error);
        if self.health.break_with(text.clone()) {
            tracing::error!("telemetry is stored in the log only: {text}");
        }
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic, and the runtime outlives this task")
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Application and device.
type DeviceKey = (Arc<str>, Arc<str>);

/// Which template a device has, remembered for a while.
#[derive(Default)]
struct Templates {
    known: HashMap<DeviceKey, (Option<Arc<str>>, Instant)>,
    generation: u64,
}

impl Templates {
    async fn of(
        &mut self,
        registry: &Registry,
        app: &Arc<str>,
        device: &Arc<str>,
        generation: u64,
    ) -> Option<Arc<str>> {
        if self.generation != generation || self.known.len() >= TEMPLATE_CACHE_DEVICES_MAX {
            self.known.clear();
            self.generation = generation;
        }
        let key = (Arc::clone(app), Arc::clone(device));
        if let Some((template, at)) = self.known.get(&key)
            && at.elapsed() < TEMPLATE_CACHE_AGE
        {
            return template.clone();
        }
        // A row without template is a smaller harm than a reader that stops.
        let device = registry.device_get(app, device).await.ok().flatten();
        let template: Option<Arc<str>> = device.and_then(|device| device.template).map(Arc::from);
        self.known.insert(key, (template.clone(), Instant::now()));
        template
    }
}

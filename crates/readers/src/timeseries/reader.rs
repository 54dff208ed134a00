//! The reader `telemetry`: read, insert, flush.
//!
//! *Invariant*: the stored position moves only in the transaction that enters the segments covering everything before it. Killed
//! at any line, the reader starts again from there; a segment file written without its entry is replaced by the same rows.
//!
//! A record this program cannot read is counted, named in the log and passed over: it is not lost, it stays in the log until
//! trimmed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use events::Events;
use events::health::{Condition, with_causes};
use events::live::LiveEvent;
use events::record::{Kind, RecordParts};
use registry::{Registry, StoreError};
use storage::log::Record;
use telemetry::TelemetryStore;
use telemetry::newest::NewestLimits;
use tokio::time::Instant;

use super::compaction::CompactionWanted;
use super::decode::{KnownSource, KnownSources, SharedTexts, decode, json_values, rows};
use super::raw_messages::RawMessage;
use super::{CatalogSegment, TelemetryConfig, TimeSeries, newest_committed};
use crate::limits::{REPLAYED_RECORDS_MAX, ROWS_PER_INSERT_MAX, TEMPLATE_CACHE_AGE, TEMPLATE_CACHE_DEVICES_MAX};
use crate::metrics::TelemetryMetrics;
use crate::positions::{Begin, Position, ReaderName};
use crate::runner::{COMMIT_RETRY_PAUSE, Reader, ReaderError, Run, is_in_doubt};

#[cfg(test)]
mod tests;

/// Name and place of the reader.
pub const NAME: ReaderName = ReaderName {
    name: "telemetry",
    about: "Takes messages apart for charts, queries and raw data, and stores their values.",
    counts: true,
    begin: Begin::First,
};

/// What the reader is given. Cheap to clone.
#[derive(Clone)]
pub struct TelemetryReaderParts {
    /// Where rows go.
    pub telemetry: TimeSeries,
    /// Position and catalog.
    pub registry: Registry,
    /// Live updates.
    pub events: Events,
    /// Where it is.
    pub position: Position,
    /// Whether it works.
    pub health: Condition,
    /// Counters.
    pub metrics: TelemetryMetrics,
    /// When to flush.
    pub config: TelemetryConfig,
    /// Woken when segments were written.
    pub compaction: CompactionWanted,
}

/// Turns the log into telemetry.
pub struct TelemetryReader {
    parts: TelemetryReaderParts,
    /// Whether this is a run after another one, of which rows may be in memory.
    is_restart: AtomicBool,
}

/// One run of it.
pub struct TelemetryRun {
    parts: TelemetryReaderParts,
    /// Everything before it is in segments.
    stored: u64,
    /// When the oldest record not in a segment was read.
    oldest_pending: Option<Instant>,
    texts: SharedTexts,
    templates: Templates,
    sources: KnownSources,
}

/// Rows by application.
type Rows = HashMap<Arc<str>, Vec<telemetry::Row>>;

/// A flush that did not happen; the rows stay in memory and in the log.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// A segment cannot be written.
    #[error("a telemetry segment cannot be written")]
    Write(#[source] telemetry::segment::WriteSegmentError),
    /// Writing one ended unexpectedly.
    #[error("writing a telemetry segment panicked")]
    Panic(#[source] tokio::task::JoinError),
    /// The registry refused.
    #[error("a telemetry segment cannot be entered into the catalog")]
    Commit(#[source] StoreError),
}

impl TelemetryReader {
    /// With everything it needs.
    pub fn new(parts: TelemetryReaderParts) -> Self {
        Self { parts, is_restart: AtomicBool::new(false) }
    }
}

impl Reader for TelemetryReader {
    type Run = TelemetryRun;

    const NAME: ReaderName = NAME;

    fn read_from(&self, position: u64) -> u64 {
        // For the newest raw messages, which are in memory only.
        position.saturating_sub(REPLAYED_RECORDS_MAX)
    }

    async fn start(&self) -> Result<(TelemetryRun, u64), ReaderError> {
        let parts = self.parts.clone();
        if self.is_restart.swap(true, Ordering::AcqRel) {
            parts.telemetry.read_again(&parts.registry).await?;
        }
        let stored = parts.registry.checkpoint_get(NAME.name).await?.unwrap_or(0);
        let run = TelemetryRun {
            parts,
            stored,
            oldest_pending: None,
            texts: SharedTexts::default(),
            templates: Templates::default(),
            sources: KnownSources::default(),
        };
        Ok((run, stored))
    }
}

impl Run for TelemetryRun {
    async fn handle(&mut self, batch: &[Record]) -> Result<(), ReaderError> {
        let mut rows = Rows::default();
        let mut told: Vec<(Arc<str>, LiveEvent)> = Vec::new();
        let mut first = batch.first().map_or(self.stored, |first| first.offset.0);
        for logged in batch {
            let offset = logged.offset.0;
            if rows.values().map(Vec::len).sum::<usize>() >= ROWS_PER_INSERT_MAX {
                self.insert(std::mem::take(&mut rows), first).await?;
                first = offset;
            }
            let record = RecordParts::decode(logged.payload.clone());
            let known = record.and_then(|record| Ok((self.sources.get(&record.source, &mut self.texts)?, record)));
            if offset >= self.stored {
                self.oldest_pending.get_or_insert_with(Instant::now);
            }
            match known {
                Ok((source, record)) if record.kind == Kind::Telemetry => {
                    told.extend(self.insert_telemetry(&record, &source, offset, &mut rows).await);
                }
                Ok(_) => {}
                Err(error) => {
                    self.parts.metrics.unreadable.inc();
                    tracing::error!(offset, %error, "a log record is passed over");
                }
            }
        }
        self.insert(rows, first).await?;
        // Told only now: whoever hears of a value can read it.
        for (app, event) in told {
            self.parts.events.live().publish(&app, event);
        }
        Ok(())
    }

    fn commit_at(&self) -> Option<Instant> {
        let since = self.oldest_pending?;
        let applications = self.parts.telemetry.applications();
        let pending: usize = applications.iter().map(|(_, store)| store.newest().pending().bytes).sum();
        let limit = NewestLimits::default().bytes_max / 2;
        let is_due = pending as u64 >= self.parts.config.flush_bytes.min(limit as u64);
        Some(if is_due { since } else { since + self.parts.config.flush_after() })
    }

    async fn commit(&mut self, next: u64) -> Result<(), ReaderError> {
        Ok(self.flush(next).await?)
    }
}

impl TelemetryRun {
    /// Inserts the rows of a batch that begins with the record `first`: those of every application, or none.
    async fn insert(&mut self, rows: Rows, first: u64) -> Result<(), ReaderError> {
        let mut waiting: Vec<(Arc<TelemetryStore>, Vec<telemetry::Row>)> = Vec::with_capacity(rows.len());
        for (app, rows) in rows {
            waiting.push((self.parts.telemetry.application(&app)?, rows));
        }
        while !waiting.iter().all(|(store, rows)| store.newest().has_room(rows)) {
            // Full memory: what is in it goes to a segment first, and all of it lies before this batch. Until that works,
            // reading waits; the log does not.
            match self.flush(first).await {
                Ok(()) => {
                    self.parts.position.set_durable(self.stored);
                    break;
                }
                Err(error) if is_in_doubt(&error) => return Err(error.into()),
                Err(error) => {
                    self.say_problem(&error);
                    tokio::time::sleep(COMMIT_RETRY_PAUSE).await;
                }
            }
        }
        for (store, rows) in waiting {
            store.insert(rows)?;
        }
        Ok(())
    }

    /// Takes a message apart; answers the event for those who watch the device, if anybody does.
    async fn insert_telemetry(
        &mut self,
        record: &RecordParts,
        known: &KnownSource,
        offset: u64,
        into: &mut Rows,
    ) -> Option<(Arc<str>, LiveEvent)> {
        let KnownSource { source, app, device, .. } = known;
        let decoded = decode(record);
        let message = RawMessage::new(record, source, decoded.component.clone(), offset);
        self.parts.telemetry.inner.raw.push(app, device, message);
        if offset < self.stored {
            return None;
        }
        let template = self.template(app, device, offset).await;
        let (mut rows, left_out) = rows(record, known, &decoded, offset, template.as_ref(), &mut self.texts);
        self.parts.metrics.values_left_out.inc_by(left_out);
        if !rows.is_empty() {
            into.entry(Arc::clone(app)).or_default().append(&mut rows);
        }
        if !self.parts.events.live().is_watched(app, device) {
            return None;
        }
        let values = json_values(record);
        if values.is_empty() {
            return None;
        }
        let event = LiveEvent::Telemetry {
            device: device.to_string(),
            module: source.identity.module_id().map(str::to_owned),
            component: decoded.component,
            // Nothing is newer than its arrival: whoever watches compares by this time.
            ts_ms: decoded.ts_ms.min(record.enqueued_ms),
            values,
            offset,
        };
        Some((Arc::clone(app), event))
    }

    /// The template of a device. A row keeps the one it was stored with: while the registry does not answer, reading waits; the
    /// log does not.
    async fn template(&mut self, app: &Arc<str>, device: &Arc<str>, offset: u64) -> Option<Arc<str>> {
        loop {
            let TelemetryReaderParts { telemetry, registry, .. } = &self.parts;
            let generation = telemetry.inner.templates_changed.load(Ordering::Acquire);
            match self.templates.of(registry, app, device, generation).await {
                Ok(template) => return template,
                Err(error) if error.is_passing() => {
                    self.say_problem(&error);
                    tokio::time::sleep(COMMIT_RETRY_PAUSE).await;
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(device = &**device, offset, error, "a message is stored without its template");
                    return None;
                }
            }
        }
    }

    /// Writes everything in memory to segments and stores `next` as the position. All rows in memory lie before it.
    async fn flush(&mut self, next: u64) -> Result<(), FlushError> {
        if next <= self.stored {
            return Ok(());
        }
        let telemetry = &self.parts.telemetry;
        let mut written: Vec<(Arc<TelemetryStore>, CatalogSegment)> = Vec::new();
        for (app, store) in telemetry.applications() {
            let writer = Arc::clone(&store);
            let writing = tokio::task::spawn_blocking(move || writer.write_pending());
            let meta = writing.await.map_err(FlushError::Panic)?.map_err(FlushError::Write)?;
            if let Some(meta) = meta {
                written.push((store, CatalogSegment { application: app.to_string(), meta }));
            }
        }
        let segments: Vec<CatalogSegment> = written.iter().map(|(_, segment)| segment.clone()).collect();
        let rows: Vec<_> = segments.iter().map(CatalogSegment::to_row).collect();
        let committed = self.parts.registry.segments_commit(&rows, NAME.name, next).await;
        committed.map_err(FlushError::Commit)?;
        telemetry.catalog().replace(&[], segments);
        for (store, segment) in &written {
            store.release(&segment.meta);
            self.parts.metrics.rows_flushed.inc_by(segment.meta.rows);
            self.parts.metrics.segments_written.inc();
        }
        self.stored = next;
        self.oldest_pending = None;
        self.note_committed(next).await;
        if !written.is_empty() {
            self.parts.compaction.wake();
        }
        Ok(())
    }

    /// The folder learns how far it goes. One that could not be told is behind, which is safe.
    async fn note_committed(&self, next: u64) {
        let folder = self.parts.telemetry.folder().to_owned();
        let noting = tokio::task::spawn_blocking(move || newest_committed::write(&folder, next)).await;
        match noting {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the telemetry folder was not told how far it goes");
            }
            Err(error) => tracing::warn!(%error, "the telemetry folder was not told how far it goes"),
        }
    }

    fn say_problem(&self, error: &dyn std::error::Error) {
        let text = with_causes(error);
        if self.parts.health.break_with(text.clone()) {
            tracing::error!("telemetry is stored in the log only: {text}");
        }
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
    ) -> Result<Option<Arc<str>>, StoreError> {
        if self.generation != generation {
            self.known.clear();
            self.generation = generation;
        }
        let key = (Arc::clone(app), Arc::clone(device));
        if let Some((template, at)) = self.known.get(&key)
            && at.elapsed() < TEMPLATE_CACHE_AGE
        {
            return Ok(template.clone());
        }
        let device = registry.device_get(app, device).await?;
        let template: Option<Arc<str>> = device.and_then(|device| device.template).map(Arc::from);
        if self.known.len() >= TEMPLATE_CACHE_DEVICES_MAX && !self.known.contains_key(&key) {
            self.known.clear();
        }
        self.known.insert(key, (template.clone(), Instant::now()));
        Ok(template)
    }
}

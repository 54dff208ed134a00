//! The reader `last_seen`: the newest time of each identity, committed once a minute with the position it leads to.
//!
//! It looks at the head of a record and no further: for most records that is one look-up.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use events::last_seen::LastSeen;
use events::record::{DecodeRecordError, Kind, RecordHead, Source};
use model::identity::Identity;
use registry::{LastSeenRow, Registry};
use storage::log::{Log, Record};
use tokio::time::Instant;

use crate::limits::{LAST_SEEN_COMMIT_AFTER, LAST_SEEN_PENDING_MAX};
use crate::positions::{Begin, ReaderName};
use crate::runner::{Reader, ReaderError, Run};
use crate::timeseries;

#[cfg(test)]
mod tests;

/// Name and place of the reader. It was a part of the reader `telemetry` once: an older folder has only that position.
pub const NAME: ReaderName = ReaderName {
    name: "last_seen",
    about: "Stores when each device and module was last heard of.",
    counts: true,
    begin: Begin::Like(timeseries::reader::NAME.name),
};

/// Stores when identities were last heard of.
pub struct LastSeenReader {
    registry: Registry,
    last_seen: LastSeen,
    /// Records before it were in the log when this process started; what came since was noted by the session that brought it.
    replayed_until: u64,
}

/// One run of it.
pub struct LastSeenRun {
    registry: Registry,
    last_seen: LastSeen,
    replayed_until: u64,
    /// Newest time by the bytes of a record's source.
    seen: HashMap<Bytes, i64>,
    pending_since: Option<Instant>,
}

impl LastSeenReader {
    /// For a log, before anybody can write to it.
    pub fn new(registry: Registry, log: &Log, last_seen: LastSeen) -> Self {
        Self { registry, last_seen, replayed_until: log.next_offset().0 }
    }

    /// Gives back what was stored. Before anybody can ask: a device that is not connected must not look as never seen.
    pub async fn restore(&self) -> Result<(), registry::StoreError> {
        for row in self.registry.last_seen_list().await? {
            let identity = match &row.module {
                Some(module) => Identity::module(&row.device, module),
                None => Identity::device(&row.device),
            };
            self.last_seen.touch(&row.application, &identity, row.last_seen_ms);
        }
        for (application, device, is_enabled) in self.registry.devices_enabled().await? {
            self.last_seen.made(&application, &device, !is_enabled);
        }
        Ok(())
    }
}

impl Reader for LastSeenReader {
    type Run = LastSeenRun;

    const NAME: ReaderName = NAME;

    async fn start(&self) -> Result<(LastSeenRun, u64), ReaderError> {
        let position = self.registry.checkpoint_get(NAME.name).await?.unwrap_or(0);
        let run = LastSeenRun {
            registry: self.registry.clone(),
            last_seen: self.last_seen.clone(),
            replayed_until: self.replayed_until,
            seen: HashMap::new(),
            pending_since: None,
        };
        Ok((run, position))
    }
}

impl Run for LastSeenRun {
    async fn handle(&mut self, batch: &[Record]) -> Result<(), ReaderError> {
        let mut replayed: HashSet<Bytes> = HashSet::new();
        for logged in batch {
            // Who counts unreadable records is the reader of telemetry.
            let Ok(head) = RecordHead::decode(&logged.payload) else { continue };
            if !matches!(head.kind, Kind::Telemetry | Kind::ReportedProperties | Kind::Connection) {
                continue;
            }
            match self.seen.get_mut(head.source) {
                Some(newest) => *newest = head.enqueued_ms.max(*newest),
                // A copy: the record's bytes are a slice of the log's much larger reads.
                None => drop(self.seen.insert(Bytes::copy_from_slice(head.source), head.enqueued_ms)),
            }
            if logged.offset.0 < self.replayed_until && !replayed.contains(head.source) {
                replayed.insert(Bytes::copy_from_slice(head.source));
            }
        }
        self.pending_since.get_or_insert_with(Instant::now);
        for source in replayed {
            if let (Ok(known), Some(at)) = (Source::decode(source.clone()), self.seen.get(&source)) {
                self.last_seen.touch(&known.application, &known.identity, *at);
            }
        }
        Ok(())
    }

    fn commit_at(&self) -> Option<Instant> {
        let since = self.pending_since?;
        Some(if self.seen.len() >= LAST_SEEN_PENDING_MAX { since } else { since + LAST_SEEN_COMMIT_AFTER })
    }

    async fn commit(&mut self, next: u64) -> Result<(), ReaderError> {
        let rows: Vec<LastSeenRow> = self.seen.iter().filter_map(|(source, at)| row(source, *at).ok()).collect();
        self.registry.last_seen_commit(&rows, NAME.name, next).await?;
        self.seen.clear();
        self.pending_since = None;
        Ok(())
    }
}

fn row(source: &Bytes, last_seen_ms: i64) -> Result<LastSeenRow, DecodeRecordError> {
    let source = Source::decode(source.clone())?;
    Ok(LastSeenRow {
        application: source.application.to_string(),
        device: source.identity.device_id().to_owned(),
        module: source.identity.module_id().map(str::to_owned),
        last_seen_ms,
    })
}

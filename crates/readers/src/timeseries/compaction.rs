//! Joins small segments, in a task of its own: no reader waits for it.
//!
//! Killed at any line: a merged file without its entry is quarantined at the next start, and so are files whose entry is gone.

use std::sync::Arc;

use registry::{Registry, StoreError};
use telemetry::segment::{CompactSegmentsError, compact, folder, plan_compaction};
use telemetry::{SegmentMeta, TelemetryStore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{CatalogSegment, TimeSeries};

/// Wakes the compaction when a segment was written. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CompactionWanted(Arc<Notify>);

/// The task.
pub struct Compaction {
    telemetry: TimeSeries,
    registry: Registry,
    wanted: CompactionWanted,
}

#[derive(Debug, thiserror::Error)]
enum CompactError {
    #[error("the segments cannot be merged")]
    Merge(#[source] CompactSegmentsError),
    #[error("merging the segments panicked")]
    Panic(#[source] tokio::task::JoinError),
    #[error("the merged segment cannot be entered into the catalog")]
    Commit(#[source] StoreError),
    #[error("a merged segment cannot be deleted")]
    Remove(#[source] std::io::Error),
}

impl CompactionWanted {
    /// Segments were written.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

impl Compaction {
    /// For the segments of every application; whoever writes some wakes it.
    pub fn new(telemetry: TimeSeries, registry: Registry, wanted: CompactionWanted) -> Self {
        Self { telemetry, registry, wanted }
    }

    /// Runs until the token is cancelled. What was begun is finished.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = self.wanted.0.notified() => {}
                () = shutdown.cancelled() => return,
            }
            for (app, store) in self.telemetry.applications() {
                self.compact(&app, &store).await;
            }
        }
    }

    /// Joins segments while there are some to join. An error is told and the segments stay as they are: the next ones that are
    /// written wake it again.
    async fn compact(&self, app: &Arc<str>, store: &Arc<TelemetryStore>) {
        loop {
            let mut whole = self.telemetry.catalog().of_application(app);
            whole.retain(|meta| !store.is_damaged(&meta.file_name));
            let Some(inputs) = plan_compaction(&whole) else { return };
            let Err(error) = self.try_compact(app, &inputs).await else { continue };
            // Damage is told by its name, and the others are merged without it.
            if matches!(&error, CompactError::Merge(CompactSegmentsError::Read(_))) && find_damage(store, inputs).await
            {
                continue;
            }
            let error = &error as &dyn std::error::Error;
            return tracing::error!(application = &**app, error, "telemetry segments could not be compacted");
        }
    }

    async fn try_compact(&self, app: &Arc<str>, inputs: &[SegmentMeta]) -> Result<(), CompactError> {
        let folder = self.telemetry.folder_of(app);
        let (work_folder, work_app, work_inputs) = (folder.clone(), Arc::clone(app), inputs.to_vec());
        let merging = tokio::task::spawn_blocking(move || compact(&work_folder, &work_app, &work_inputs));
        let meta = merging.await.map_err(CompactError::Panic)?.map_err(CompactError::Merge)?;
        let segment = CatalogSegment { application: app.to_string(), meta };
        let merged: Vec<&str> = inputs.iter().map(|input| input.file_name.as_str()).collect();
        let changing = self.telemetry.inner.catalog_changes.lock().await;
        self.registry.segments_replace(&merged, &segment.to_row()).await.map_err(CompactError::Commit)?;
        self.telemetry.catalog().replace(inputs, vec![segment]);
        drop(changing);
        for input in inputs {
            folder::remove_segment(&folder, &input.file_name).map_err(CompactError::Remove)?;
        }
        Ok(())
    }
}

/// Looks for what is damaged among files that could not be merged. Answers whether anything was found.
async fn find_damage(store: &Arc<TelemetryStore>, files: Vec<SegmentMeta>) -> bool {
    let store = Arc::clone(store);
    let checking = tokio::task::spawn_blocking(move || {
        // Each of them, so that one look is enough.
        files.iter().filter(|meta| matches!(store.check(meta), Ok(false))).count()
    });
    checking.await.is_ok_and(|damaged| damaged > 0)
}

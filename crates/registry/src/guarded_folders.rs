//! Markers of the folders that must not vanish unnoticed, and the losses an operator accepted.

use super::engine::{Engine, Locks, Statement};
use super::{Registry, StoreError};

const TABLE: &str = "guarded_folders";

impl Registry {
    /// The marker a folder must hold; `None` when it was never made.
    pub async fn guarded_folder_marker(&self, name: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT marker FROM guarded_folders WHERE application = '' AND name = $1";
        let row = self.engine.fetch_optional(Statement::new("read a folder's marker", TABLE, sql).bind(name)).await?;
        Ok(row.map(|(marker,)| marker))
    }

    /// Remembers a folder that was just made.
    pub async fn guarded_folder_put(&self, name: &str, marker: &str, now_ms: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO guarded_folders (application, name, marker, created_ms) VALUES ('', $1, $2, $3) \
             ON CONFLICT (application, name) DO UPDATE SET marker = $2, created_ms = $3";
        let statement = Statement::new("store a folder's marker", TABLE, sql).bind(name).bind(marker).bind(now_ms);
        self.engine.execute(statement).await.map(drop)
    }

    /// Drops the catalog of telemetry files that are gone, and keeps the loss on record.
    pub async fn telemetry_loss_accept(&self, detail: &str, now_ms: i64) -> Result<(), StoreError> {
        let forget = Statement::new("drop the catalog of telemetry", "segments", "DELETE FROM segments");
        self.engine.write(&Locks::none(), &[forget, record_loss(detail, now_ms)]).await.map(drop)
    }

    /// Keeps the loss of the log on record, and takes every reader to where the new log will begin: behind the reader that was
    /// furthest.
    pub async fn log_loss_accept(&self, detail: &str, now_ms: i64) -> Result<(), StoreError> {
        let sql = "UPDATE checkpoints SET next_offset = (SELECT MAX(next_offset) FROM checkpoints)";
        let forward = Statement::new("move the readers' positions", "checkpoints", sql);
        self.engine.write(&Locks::none(), &[forward, record_loss(detail, now_ms)]).await.map(drop)
    }

    /// Takes a telemetry file that is damaged or gone out of the catalog, and keeps the loss on record.
    pub async fn segment_loss_accept(
        &self,
        application: &str,
        file_name: &str,
        detail: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM segments WHERE application = $1 AND file_name = $2";
        let forget = Statement::new("take out a telemetry segment", "segments", sql).bind(application).bind(file_name);
        self.engine.write(&Locks::none(), &[forget, record_loss(detail, now_ms)]).await.map(drop)
    }

    /// Takes readers that are before the log's oldest record there, and keeps the loss on record.
    pub async fn log_gap_accept(&self, first: u64, detail: &str, now_ms: i64) -> Result<(), StoreError> {
        let sql = "UPDATE checkpoints SET next_offset = $1 WHERE next_offset < $1";
        let forward = Statement::new("move the readers' positions", "checkpoints", sql).bind(first);
        self.engine.write(&Locks::none(), &[forward, record_loss(detail, now_ms)]).await.map(drop)
    }

    /// Keeps another loss on record.
    pub async fn data_loss_record(&self, detail: &str, now_ms: i64) -> Result<(), StoreError> {
        self.engine.execute(record_loss(detail, now_ms)).await.map(drop)
    }
}

/// Every accepted loss, oldest first: when, and what.
pub(super) async fn losses(engine: &Engine) -> Result<Vec<(i64, String)>, StoreError> {
    let sql = "SELECT accepted_ms, detail FROM data_losses WHERE application = '' ORDER BY accepted_ms, detail";
    engine.fetch_all(Statement::new("list the accepted losses", "data_losses", sql)).await
}

pub(super) fn record_loss(detail: &str, now_ms: i64) -> Statement<'_> {
    let sql = "INSERT INTO data_losses (application, accepted_ms, detail) VALUES ('', $1, $2) ON CONFLICT DO NOTHING";
    Statement::new("record a loss", "data_losses", sql).bind(now_ms).bind(detail)
}

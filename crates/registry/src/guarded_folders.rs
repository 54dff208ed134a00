//! Markers of the folders that must not vanish unnoticed, and the losses an operator accepted.

use sqlx::Row;

use super::{Registry, StoreError};

impl Registry {
    /// The marker a folder must hold; `None` when it was never made.
    pub async fn guarded_folder_marker(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT marker FROM guarded_folders WHERE application = '' AND name = $1")
            .bind(name)
            .fetch_optional(self.reader())
            .await?;
        Ok(row.map(|row| row.try_get("marker")).transpose()?)
    }

    /// Remembers a folder that was just made.
    pub async fn guarded_folder_put(&self, name: &str, marker: &str, now_ms: i64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO guarded_folders (application, name, marker, created_ms) VALUES ('', $1, $2, $3) \
             ON CONFLICT (application, name) DO UPDATE SET marker = $2, created_ms = $3",
        )
        .bind(name)
        .bind(marker)
        .bind(now_ms)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Drops the catalog of telemetry files that are gone, and keeps the loss on record.
    pub async fn telemetry_loss_accept(&self, detail: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.writer().begin().await?;
        sqlx::query("DELETE FROM segments").execute(&mut *transaction).await?;
        record_loss(&mut transaction, detail, now_ms).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Keeps the loss of the log on record, and takes every reader to where the new log will begin: behind the reader that was
    /// furthest.
    pub async fn log_loss_accept(&self, detail: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.writer().begin().await?;
        sqlx::query("UPDATE checkpoints SET next_offset = (SELECT MAX(next_offset) FROM checkpoints)")
            .execute(&mut *transaction)
            .await?;
        record_loss(&mut transaction, detail, now_ms).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Every accepted loss, oldest first: when, and what.
    pub async fn data_losses_list(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT accepted_ms, detail FROM data_losses WHERE application = '' ORDER BY accepted_ms, detail",
        )
        .fetch_all(self.reader())
        .await?;
        let read = |row: &sqlx::sqlite::SqliteRow| Ok((row.try_get("accepted_ms")?, row.try_get("detail")?));
        Ok(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?)
    }
}

async fn record_loss(connection: &mut sqlx::SqliteConnection, detail: &str, now_ms: i64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO data_losses (application, accepted_ms, detail) VALUES ('', $1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(now_ms)
    .bind(detail)
    .execute(connection)
    .await?;
    Ok(())
}

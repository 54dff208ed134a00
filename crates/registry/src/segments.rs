//! The catalog of telemetry segments, the readers' positions in the log, and when devices were last seen.
//!
//! *Invariant*: what a reader stores and the log offset it covers become durable together, so that a crash neither loses nor
//! doubles a row.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Registry, StoreError};

/// When an identity was last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSeenRow {
    /// Its application.
    pub application: String,
    /// Device id.
    pub device: String,
    /// Module id, if it is a module.
    pub module: Option<String>,
    /// When.
    pub last_seen_ms: i64,
}

/// A segment of the telemetry store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// Its application.
    pub application: String,
    /// Name in the application's telemetry folder.
    pub file_name: String,
    /// Lowest log offset.
    pub offset_first: u64,
    /// Highest log offset.
    pub offset_last: u64,
    /// Earliest telemetry time.
    pub ts_min_ms: i64,
    /// Latest telemetry time.
    pub ts_max_ms: i64,
    /// Size of the file.
    pub bytes: u64,
    /// What the telemetry store says about it, a JSON text.
    pub meta: String,
}

fn stored(value: u64) -> i64 {
    i64::try_from(value).expect("offsets and sizes stay below 2^63")
}

fn from_row(row: &SqliteRow) -> Result<SegmentRow, sqlx::Error> {
    let unsigned = |column: &str| row.try_get(column).map(i64::unsigned_abs);
    Ok(SegmentRow {
        application: row.try_get("application")?,
        file_name: row.try_get("file_name")?,
        offset_first: unsigned("offset_first")?,
        offset_last: unsigned("offset_last")?,
        ts_min_ms: row.try_get("ts_min_ms")?,
        ts_max_ms: row.try_get("ts_max_ms")?,
        bytes: unsigned("bytes")?,
        meta: row.try_get("meta")?,
    })
}

async fn insert(connection: &mut SqliteConnection, segment: &SegmentRow) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO segments (application, file_name, offset_first, offset_last, ts_min_ms, ts_max_ms, bytes, meta) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&segment.application)
    .bind(&segment.file_name)
    .bind(stored(segment.offset_first))
    .bind(stored(segment.offset_last))
    .bind(segment.ts_min_ms)
    .bind(segment.ts_max_ms)
    .bind(stored(segment.bytes))
    .bind(&segment.meta)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_checkpoint(connection: &mut SqliteConnection, reader: &str, next_offset: u64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO checkpoints (application, reader, next_offset) VALUES ('', $1, $2) \
         ON CONFLICT (application, reader) DO UPDATE SET next_offset = $2",
    )
    .bind(reader)
    .bind(stored(next_offset))
    .execute(connection)
    .await?;
    Ok(())
}

impl Registry {
    /// Every segment of every application, oldest offsets first.
    pub async fn segments_list(&self) -> Result<Vec<SegmentRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT application, file_name, offset_first, offset_last, ts_min_ms, ts_max_ms, bytes, meta FROM segments \
             ORDER BY application, offset_first, file_name",
        )
        .fetch_all(self.reader())
        .await?;
        Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
    }

    /// Enters new segments together with the reader's position they lead to.
    pub async fn segments_commit(
        &self,
        segments: &[SegmentRow],
        reader: &str,
        next_offset: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writer().begin().await?;
        for segment in segments {
            insert(&mut transaction, segment).await?;
        }
        put_checkpoint(&mut transaction, reader, next_offset).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Stores when identities were last heard of, together with the reader's position they lead to. Never moves a time back.
    pub async fn last_seen_commit(
        &self,
        seen: &[LastSeenRow],
        reader: &str,
        next_offset: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writer().begin().await?;
        put_checkpoint(&mut transaction, reader, next_offset).await?;
        for row in seen {
            // A device may have been deleted since it was heard of.
            sqlx::query(
                "INSERT INTO last_seen (application, device, module, last_seen_ms) SELECT $1, $2, $3, $4 \
                 WHERE EXISTS (SELECT 1 FROM devices WHERE application = $1 AND id = $2) \
                 ON CONFLICT (application, device, module) DO UPDATE SET last_seen_ms = $4 \
                 WHERE last_seen.last_seen_ms < $4",
            )
            .bind(&row.application)
            .bind(&row.device)
            .bind(row.module.as_deref().unwrap_or_default())
            .bind(row.last_seen_ms)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Puts one segment in the place of those it was made from, given by their file names.
    pub async fn segments_replace(&self, old: &[&str], new: &SegmentRow) -> Result<(), StoreError> {
        let mut transaction = self.writer().begin().await?;
        for file_name in old {
            let done = sqlx::query("DELETE FROM segments WHERE application = $1 AND file_name = $2")
                .bind(&new.application)
                .bind(*file_name)
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() != 1 {
                return Err(StoreError::Missing);
            }
        }
        insert(&mut transaction, new).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Stores a reader's next offset without anything else: where a new reader begins.
    pub async fn checkpoint_put(&self, reader: &str, next_offset: u64) -> Result<(), StoreError> {
        let mut connection = self.writer().acquire().await?;
        put_checkpoint(&mut connection, reader, next_offset).await
    }

    /// Every reader that ever stored a position, by name, with its next offset.
    pub async fn checkpoints_list(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query("SELECT reader, next_offset FROM checkpoints WHERE application = '' ORDER BY reader")
            .fetch_all(self.reader())
            .await?;
        let read = |row: &SqliteRow| -> Result<(String, u64), sqlx::Error> {
            let next: i64 = row.try_get("next_offset")?;
            Ok((row.try_get("reader")?, next.unsigned_abs()))
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// A reader's next offset; `None` when it never stored one.
    pub async fn checkpoint_get(&self, reader: &str) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query("SELECT next_offset FROM checkpoints WHERE application = '' AND reader = $1")
            .bind(reader)
            .fetch_optional(self.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let next: i64 = row.try_get("next_offset")?;
        Ok(Some(next.unsigned_abs()))
    }

    /// When identities were last heard of, as of the position of the reader that stores it.
    pub async fn last_seen_list(&self) -> Result<Vec<LastSeenRow>, StoreError> {
        let rows = sqlx::query("SELECT application, device, module, last_seen_ms FROM last_seen")
            .fetch_all(self.reader())
            .await?;
        let read = |row: &SqliteRow| -> Result<LastSeenRow, sqlx::Error> {
            let module: String = row.try_get("module")?;
            Ok(LastSeenRow {
                application: row.try_get("application")?,
                device: row.try_get("device")?,
                module: Some(module).filter(|module| !module.is_empty()),
                last_seen_ms: row.try_get("last_seen_ms")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?)
    }
}

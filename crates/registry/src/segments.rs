//! The catalog of telemetry segments, the readers' positions in the log, and when devices were last seen.
//!
//! *Invariant*: what a reader stores and the log offset it covers become durable together, so that a crash neither loses nor
//! doubles a row.

use super::engine::{Engine, Locks, Statement};
use super::guarded_folders::record_loss;
use super::{Registry, StoreError};

const TABLE: &str = "segments";

/// When an identity was last heard of.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
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
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SegmentRow {
    /// Its application.
    pub application: String,
    /// Name in the application's telemetry folder.
    pub file_name: String,
    /// Lowest log offset.
    #[sqlx(try_from = "i64")]
    pub offset_first: u64,
    /// Highest log offset.
    #[sqlx(try_from = "i64")]
    pub offset_last: u64,
    /// Earliest telemetry time.
    pub ts_min_ms: i64,
    /// Latest telemetry time.
    pub ts_max_ms: i64,
    /// Size of the file.
    #[sqlx(try_from = "i64")]
    pub bytes: u64,
    /// What the telemetry store says about it, a JSON text.
    pub meta: String,
}

fn insert(segment: &SegmentRow) -> Statement<'_> {
    let sql = "INSERT INTO segments (application, file_name, offset_first, offset_last, ts_min_ms, ts_max_ms, bytes, meta) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    Statement::new("enter a telemetry segment", TABLE, sql)
        .bind(&segment.application)
        .bind(&segment.file_name)
        .bind(segment.offset_first)
        .bind(segment.offset_last)
        .bind(segment.ts_min_ms)
        .bind(segment.ts_max_ms)
        .bind(segment.bytes)
        .bind(&segment.meta)
}

fn put_checkpoint(reader: &str, next_offset: u64) -> Statement<'_> {
    let sql = "INSERT INTO checkpoints (application, reader, next_offset) VALUES ('', $1, $2) \
         ON CONFLICT (application, reader) DO UPDATE SET next_offset = $2";
    Statement::new("store a reader's position", "checkpoints", sql).bind(reader).bind(next_offset)
}

pub(super) async fn list(engine: &Engine) -> Result<Vec<SegmentRow>, StoreError> {
    let sql = "SELECT application, file_name, offset_first, offset_last, ts_min_ms, ts_max_ms, bytes, meta \
         FROM segments ORDER BY application, offset_first, file_name";
    engine.fetch_all(Statement::new("list the telemetry segments", TABLE, sql)).await
}

pub(super) async fn checkpoints(engine: &Engine) -> Result<Vec<(String, u64)>, StoreError> {
    let sql = "SELECT reader, next_offset FROM checkpoints WHERE application = '' ORDER BY reader";
    let rows: Vec<(String, i64)> =
        engine.fetch_all(Statement::new("list the readers' positions", "checkpoints", sql)).await?;
    Ok(rows.into_iter().map(|(reader, next)| (reader, next.unsigned_abs())).collect())
}

impl Registry {
    /// Every segment of every application, oldest offsets first.
    pub async fn segments_list(&self) -> Result<Vec<SegmentRow>, StoreError> {
        list(&self.engine).await
    }

    /// Enters new segments together with the reader's position they lead to.
    pub async fn segments_commit(
        &self,
        segments: &[SegmentRow],
        reader: &str,
        next_offset: u64,
    ) -> Result<(), StoreError> {
        let mut statements: Vec<Statement<'_>> = segments.iter().map(insert).collect();
        statements.push(put_checkpoint(reader, next_offset));
        self.engine.write(&Locks::none(), &statements).await.map(drop)
    }

    /// Stores when identities were last heard of, together with the reader's position they lead to. Never moves a time back.
    pub async fn last_seen_commit(
        &self,
        seen: &[LastSeenRow],
        reader: &str,
        next_offset: u64,
    ) -> Result<(), StoreError> {
        let mut statements = vec![put_checkpoint(reader, next_offset)];
        statements.extend(seen.iter().map(|row| self.see(row)));
        self.engine.write(&Locks::none(), &statements).await.map(drop)
    }

    /// A device may have been deleted since it was heard of.
    fn see<'q>(&self, row: &'q LastSeenRow) -> Statement<'q> {
        let sql = format!(
            "INSERT INTO last_seen (application, device, module, last_seen_ms) \
             SELECT application, id, $3, $4 FROM devices WHERE application = $1 AND id = $2 {} \
             ON CONFLICT (application, device, module) DO UPDATE SET last_seen_ms = $4 WHERE last_seen.last_seen_ms < $4",
            self.engine.keep_rows()
        );
        Statement::new("store when a device was seen", "last_seen", sql)
            .bind(&row.application)
            .bind(&row.device)
            .bind(row.module.as_deref().unwrap_or_default())
            .bind(row.last_seen_ms)
    }

    /// Puts one segment in the place of those it was made from, given by their file names.
    pub async fn segments_replace(&self, old: &[&str], new: &SegmentRow) -> Result<(), StoreError> {
        let delete = |file_name: &&'_ str| {
            let sql = "DELETE FROM segments WHERE application = $1 AND file_name = $2";
            let statement = Statement::new("take out a telemetry segment", TABLE, sql);
            statement.bind(&new.application).bind((*file_name).to_owned()).must_change()
        };
        let statements: Vec<Statement<'_>> = old.iter().map(delete).chain([insert(new)]).collect();
        self.engine.write(&Locks::none(), &statements).await.map(drop)
    }

    /// Brings a catalog that was older than its files up to them: takes entries out, by application and file name, enters others,
    /// moves the reader to where they lead, and keeps what is lost on record.
    pub async fn segments_take_over(
        &self,
        old: &[(String, String)],
        new: &[SegmentRow],
        (reader, next_offset): (&str, u64),
        losses: &[String],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let delete = |(application, file_name): &(String, String)| {
            let sql = "DELETE FROM segments WHERE application = $1 AND file_name = $2";
            let statement = Statement::new("take out a telemetry segment", TABLE, sql);
            statement.bind(application.clone()).bind(file_name.clone())
        };
        let mut statements: Vec<Statement<'_>> = old.iter().map(delete).chain(new.iter().map(insert)).collect();
        statements.push(put_checkpoint(reader, next_offset));
        statements.extend(losses.iter().map(|detail| record_loss(detail, now_ms)));
        self.engine.write(&Locks::none(), &statements).await.map(drop)
    }

    /// Stores a reader's next offset without anything else: where a new reader begins.
    pub async fn checkpoint_put(&self, reader: &str, next_offset: u64) -> Result<(), StoreError> {
        self.engine.execute(put_checkpoint(reader, next_offset)).await.map(drop)
    }

    /// Every reader that ever stored a position, by name, with its next offset.
    pub async fn checkpoints_list(&self) -> Result<Vec<(String, u64)>, StoreError> {
        checkpoints(&self.engine).await
    }

    /// A reader's next offset; `None` when it never stored one.
    pub async fn checkpoint_get(&self, reader: &str) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT next_offset FROM checkpoints WHERE application = '' AND reader = $1";
        let statement = Statement::new("read a reader's position", "checkpoints", sql).bind(reader);
        let row: Option<(i64,)> = self.engine.fetch_optional(statement).await?;
        Ok(row.map(|(next,)| next.unsigned_abs()))
    }

    /// When identities were last heard of, as of the position of the reader that stores it.
    pub async fn last_seen_list(&self) -> Result<Vec<LastSeenRow>, StoreError> {
        let sql = "SELECT application, device, NULLIF(module, '') AS module, last_seen_ms FROM last_seen";
        self.engine.fetch_all(Statement::new("list when devices were seen", "last_seen", sql)).await
    }
}

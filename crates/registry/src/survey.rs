//! What a registry says of the data folder it belongs to, read before anything is changed: neither the schema is brought up to
//! date nor a file made.

use std::path::Path;

use super::engine::postgres::PostgresEngine;
use super::engine::sqlite::SqliteEngine;
use super::engine::{Engine, Statement};
use super::migrations::{POSTGRES_NEWEST, SQLITE_NEWEST};
use super::{DatabaseUrl, OpenRegistryError, Registry, SegmentRow, StoreError};

/// Schema of a SQLite file before which it knew neither log nor telemetry.
const SQLITE_FIRST_WITH_FOLDERS: i64 = 2;

/// How a SQLite file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Before a start: nobody else has it open. What SQLite keeps beside the file (`-shm`) may be made anew.
    Start,
    /// Nobody else has it open, and nothing at all is touched.
    Untouched,
    /// Beside a server that has it open.
    Beside,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Ids of the applications; none when a first start did not come so far.
    pub applications: Vec<String>,
    /// Marker of each folder that must not vanish, by the folder's name.
    pub markers: Vec<(String, String)>,
    /// Next offset of each reader of the log, by its name.
    pub checkpoints: Vec<(String, u64)>,
    /// The catalog of telemetry files.
    pub segments: Vec<SegmentRow>,
    /// Accepted losses, oldest first: when, and what.
    pub losses: Vec<(i64, String)>,
    /// Whether the schema is the newest this program knows.
    pub is_current: bool,
}

impl Survey {
    /// Looks at a SQLite file; `None` when it is not there, or nothing was ever in it.
    ///
    /// # Errors
    /// When it cannot be read, or a later version of the program has been there.
    pub async fn of_file(path: &Path, look: Look) -> Result<Option<Self>, OpenRegistryError> {
        let Some((engine, version, copy)) = SqliteEngine::look(path, look).await? else { return Ok(None) };
        let surveyed = Self::of(Engine::Sqlite(engine), version >= SQLITE_FIRST_WITH_FOLDERS).await;
        drop(copy);
        Ok(Some(Self { is_current: version == SQLITE_NEWEST, ..surveyed? }))
    }

    /// Looks at a PostgreSQL database; `None` when nothing was ever in it.
    ///
    /// # Errors
    /// When it cannot be read, or a later version of the program has been there.
    pub async fn of_server(database: &DatabaseUrl) -> Result<Option<Self>, OpenRegistryError> {
        let Some((engine, version)) = PostgresEngine::look(database).await? else { return Ok(None) };
        let surveyed = Self::of(Engine::Postgres(engine), true).await?;
        Ok(Some(Self { is_current: version == POSTGRES_NEWEST, ..surveyed }))
    }

    async fn of(engine: Engine, knows_folders: bool) -> Result<Self, OpenRegistryError> {
        let read = Self::read(&engine, knows_folders).await.map_err(OpenRegistryError::Read);
        engine.close().await;
        read
    }

    async fn read(engine: &Engine, knows_folders: bool) -> Result<Self, StoreError> {
        let applications: Vec<(String,)> = engine
            .fetch_all(Statement::new("list the applications", "applications", "SELECT id FROM applications"))
            .await?;
        let applications = applications.into_iter().map(|(id,)| id).collect();
        if !knows_folders {
            return Ok(Self { applications, ..Self::default() });
        }
        let sql = "SELECT name, marker FROM guarded_folders ORDER BY name";
        let markers = engine.fetch_all(Statement::new("read the folders' markers", "guarded_folders", sql)).await?;
        Ok(Self {
            applications,
            markers,
            checkpoints: super::segments::checkpoints(engine).await?,
            segments: super::segments::list(engine).await?,
            losses: super::guarded_folders::losses(engine).await?,
            is_current: false,
        })
    }

    /// The marker of a folder, if it was ever made.
    pub fn marker(&self, folder: &str) -> Option<&str> {
        self.markers.iter().find(|(name, _)| name == folder).map(|(_, marker)| marker.as_str())
    }

    /// The next offset of a reader, if it ever stored one.
    pub fn checkpoint(&self, reader: &str) -> Option<u64> {
        self.checkpoints.iter().find(|(name, _)| name == reader).map(|&(_, next)| next)
    }
}

impl Registry {
    /// What it says of the data folder now.
    pub async fn survey(&self) -> Result<Survey, StoreError> {
        Ok(Survey { is_current: true, ..Survey::read(&self.engine, true).await? })
    }
}

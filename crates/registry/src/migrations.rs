//! The schema's history: numbered files, applied in order, once each.
//!
//! A file that was released is never edited (its checksum is stored and compared at every start); a change of the schema is a
//! new file. The list is written out, so that the files are part of the program and their order is visible.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqliteConnection, SqlitePool};

/// Version, title, statements.
const FILES: [(i64, &str, &str); 4] = [
    (1, "registry", include_str!("../migrations/0001_registry.sql")),
    (2, "hub", include_str!("../migrations/0002_hub.sql")),
    (3, "outbox", include_str!("../migrations/0003_outbox.sql")),
    (4, "application names", include_str!("../migrations/0004_application_names.sql")),
];

/// Version of the last one.
pub(super) const NEWEST: i64 = FILES[FILES.len() - 1].0;

/// The newest version that was applied to a file; `None` when none was.
pub(super) async fn newest_applied(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    let known = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(known).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(connection).await
}

/// Brings the schema up to date.
pub(super) async fn run(writer: &SqlitePool) -> Result<(), MigrateError> {
    let files = FILES
        .iter()
        .map(|&(version, title, sql)| {
            Migration::new(version, title.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(files).run(writer).await
}

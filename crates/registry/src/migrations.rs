//! The schema's history: numbered files, applied in order, once each.
//!
//! A file that was released is never edited (its checksum is stored and compared at every start); a change of the schema is a
//! new file. The list is written out, so that the files are part of the program and their order is visible.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqlitePool};

/// Version, title, statements.
const FILES: [(i64, &str, &str); 3] = [
    (1, "registry", include_str!("../migrations/0001_registry.sql")),
    (2, "hub", include_str!("../migrations/0002_hub.sql")),
    (4, "application names", include_str!("../migrations/0004_application_names.sql")),
];

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

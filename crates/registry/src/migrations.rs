//! The schema's history, of either engine: numbered files, applied in order, once each.
//!
//! A file that was released is never edited (its checksum is stored and compared at every start); a change of the schema is a
//! new file in both folders. The numbers of the two are their own: PostgreSQL began with the sum of what SQLite had by then. The
//! lists are written out, so that the files are part of the program and their order is visible. A database that a newer
//! version changed is refused.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Version, title, statements.
type File = (i64, &'static str, &'static str);

const SQLITE: [File; 11] = [
    (1, "registry", include_str!("../migrations/sqlite/0001_registry.sql")),
    (2, "hub", include_str!("../migrations/sqlite/0002_hub.sql")),
    (3, "outbox", include_str!("../migrations/sqlite/0003_outbox.sql")),
    (4, "application names", include_str!("../migrations/sqlite/0004_application_names.sql")),
    (5, "device totals", include_str!("../migrations/sqlite/0005_device_totals.sql")),
    (6, "fleet lists", include_str!("../migrations/sqlite/0006_fleet_lists.sql")),
    (7, "kept sessions", include_str!("../migrations/sqlite/0007_kept_sessions.sql")),
    (8, "keys of groups", include_str!("../migrations/sqlite/0008_keys_of_groups.sql")),
    (9, "certificates", include_str!("../migrations/sqlite/0009_certificates.sql")),
    (10, "device messages", include_str!("../migrations/sqlite/0010_device_messages.sql")),
    (11, "device files", include_str!("../migrations/sqlite/0011_device_files.sql")),
];

const POSTGRES: [File; 8] = [
    (1, "registry", include_str!("../migrations/postgres/0001_registry.sql")),
    (2, "device totals", include_str!("../migrations/postgres/0002_device_totals.sql")),
    (3, "fleet lists", include_str!("../migrations/postgres/0003_fleet_lists.sql")),
    (4, "kept sessions", include_str!("../migrations/postgres/0004_kept_sessions.sql")),
    (5, "keys of groups", include_str!("../migrations/postgres/0005_keys_of_groups.sql")),
    (6, "certificates", include_str!("../migrations/postgres/0006_certificates.sql")),
    (7, "device messages", include_str!("../migrations/postgres/0007_device_messages.sql")),
    (8, "device files", include_str!("../migrations/postgres/0008_device_files.sql")),
];

/// Version of the newest file of SQLite's.
pub(super) const SQLITE_NEWEST: i64 = SQLITE[SQLITE.len() - 1].0;

/// Version of the newest file of PostgreSQL's.
pub(super) const POSTGRES_NEWEST: i64 = POSTGRES[POSTGRES.len() - 1].0;

/// Answers the newest version that was applied, where the table of versions exists.
pub(super) const NEWEST_APPLIED: &str = "SELECT MAX(version) FROM _sqlx_migrations";

/// The history of a SQLite file.
pub(super) fn sqlite() -> Migrator {
    migrator(&SQLITE)
}

/// The history of a PostgreSQL database.
pub(super) fn postgres() -> Migrator {
    migrator(&POSTGRES)
}

fn migrator(files: &[File]) -> Migrator {
    let files = files
        .iter()
        .map(|&(version, title, sql)| {
            Migration::new(version, title.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(files)
}

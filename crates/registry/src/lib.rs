//! The registry: the only place that holds SQL.
//!
//! [`Registry`] is a cheap-to-clone handle on a SQLite file (`registry.db`, the default: one machine needs nothing else) or on a
//! PostgreSQL database. What a method answered `Ok` for has reached the disk, on either.
//!
//! Statements keep to what both share, with `$1` parameters, and are written once; rows are mapped by derived code that knows
//! no engine; what differs stands in `engine/`. The schemas are in `migrations/`. Every method takes the application first:
//! rows of two applications never meet. Text is compared and ordered by its bytes, and searched without regard to the case of
//! ASCII letters (of no others), on both engines alike.

mod access;
mod api_tokens;
mod applications;
mod attestations;
mod commands;
mod device_messages;
mod devices;
mod engine;
mod enrollment_groups;
mod error;
mod files;
mod guarded_folders;
mod lifecycle;
pub mod limits;
mod list;
mod manifests;
mod migrations;
mod modules;
mod outbox;
mod random;
mod relationships;
mod resource;
mod scope;
mod segments;
mod sessions;
mod signing_certificates;
mod survey;
mod templates;
mod twins;
mod users;
mod web_sessions;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::access::AccessChanges;
use self::engine::{Engine, Statement, Transaction};
use self::outbox::Relayed;

pub use access::{AccessMark, ChangedAccess, Ground};
pub use api_tokens::ApiTokenRow;
pub use applications::ApplicationRow;
pub use attestations::{AttestationRow, DeviceCertificates, DeviceProof};
pub use commands::{CommandRow, CommandTarget, NewCommand};
pub use device_messages::{
    Ack, DeviceMessageRow, EndOfMessage, EndedMessage, FeedbackRow, MessageTransaction, NewDeviceMessage, PutMessage,
    QueueLength, QueuedCommandRow, QueuedCommandState, Settlement, TakeMessages, TakenMessages, WhichMessage,
};
pub use devices::{
    AdmittedDevice, AdmittingGroup, ChangedDevice, CloudPropertyRow, DeviceChange, DeviceField, DeviceFilter,
    DeviceHead, DevicePage, DeviceQueried, DeviceRow, GroupProof, NewDevice, SymmetricKeys,
};
pub use engine::postgres::{DatabaseUrl, ParseDatabaseUrlError};
pub use enrollment_groups::EnrollmentGroupRow;
pub use error::{Act, OpenRegistryError, StoreError};
pub use files::{FileLimits, FileRow, FileState, KeptFile, NewFile, OpenedFile, WrittenBlob, WrittenFile};
pub use list::{Comparison, Field, IdField, ListFilter, ListPage, NamedField};
pub use manifests::{DeviceManifestRow, ManifestRow};
pub use modules::{ModuleAuthentication, ModuleChange, ModuleRow};
pub use outbox::{OutboxEvent, OutboxKind, OutboxRow};
pub use random::{new_etag, new_generation_id, new_id, new_symmetric_keys, random_bytes};
pub use relationships::RelationshipRow;
pub use resource::{Acts, CountMax, Precondition, Resource};
pub use scope::{ScopePage, ScopedDevice};
pub use segments::{LastSeenRow, SegmentRow};
pub use sessions::KeptSession;
pub use signing_certificates::{SigningCertificate, SigningCertificates};
pub use survey::{Look, Survey};
pub use templates::{TemplateField, TemplateRow};
pub use twins::{OwnedTwin, TwinTransaction};
pub use users::UserRow;
pub use web_sessions::SecretHash;

/// Handle on the registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    engine: Engine,
    outbox: Arc<Relayed>,
    /// Counts changes of what people manage.
    changes: Arc<AtomicU64>,
    access: Arc<AccessChanges>,
}

impl Registry {
    /// Opens a SQLite file, creating it and bringing its schema up to date where needed.
    pub async fn open(path: &Path) -> Result<Self, OpenRegistryError> {
        Self::on(Engine::open_file(path).await?).await
    }

    /// Connects to a PostgreSQL database, bringing its schema up to date where needed.
    pub async fn connect(database: &DatabaseUrl) -> Result<Self, OpenRegistryError> {
        Self::on(Engine::connect(database).await?).await
    }

    async fn on(engine: Engine) -> Result<Self, OpenRegistryError> {
        let outbox = Relayed::load(&engine).await.map_err(OpenRegistryError::Read)?;
        Ok(Self { engine, outbox, changes: Arc::default(), access: Arc::default() })
    }

    /// Copies a SQLite file as it is at one moment to a new or empty file, also while others write to it. The copy is checked.
    pub async fn snapshot(from: &Path, to: &Path) -> Result<(), OpenRegistryError> {
        engine::sqlite::snapshot(from, to).await
    }

    /// Whether the database answers.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let sql = "SELECT id FROM applications LIMIT 1";
        let _: Vec<(String,)> = self.engine.fetch_all(Statement::new("be probed", "applications", sql)).await?;
        Ok(())
    }

    /// Which of the changes this process made to what people manage ([`Resource`]) is the last: what was read before is to be read
    /// again when it is another one.
    pub fn resources_version(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn resources_changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Commits a change together with its events.
    async fn commit_with(&self, mut transaction: Transaction, events: &[OutboxEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return transaction.commit().await;
        }
        let last = outbox::write(&self.outbox, &mut transaction, events).await?;
        let done = transaction.commit().await;
        // One whose outcome is not known may have brought events: the relay looks.
        if matches!(done, Ok(()) | Err(StoreError::InDoubt(_))) {
            self.outbox_wake(last);
        }
        self.note_lifecycle(&done, events);
        done
    }

    /// Waits until no statement runs and closes the database. Later calls fail.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

//! A registry with two applications, on either engine.

use registry::{
    ApplicationRow, CountMax, DatabaseUrl, DeviceChange, DeviceRow, EnrollmentGroupRow, ListPage, NewDevice,
    OpenRegistryError, Precondition, Registry, Resource, StoreError, SymmetricKeys,
};
use tempfile::TempDir;
use testkit::postgres::{PostgresServer, TestDatabase};

/// The application under test.
pub const APP: &str = "a";
/// The one that must not notice.
pub const OTHER: &str = "other";

/// No limit a test comes near.
pub const MANY: CountMax = CountMax(1_000);

/// Stores a row, whatever is stored.
pub async fn put<R: Resource>(rig: &Rig, application: &str, row: &R) -> Result<R, StoreError> {
    rig.registry.resource_put(application, row, &Precondition::None, MANY).await
}

/// Every row of a kind, by id.
pub async fn list_all<R: Resource>(rig: &Rig, application: &str) -> Result<Vec<R>, StoreError> {
    rig.registry.resource_list(application, &ListPage { limit: 1_000, ..ListPage::default() }).await
}

pub struct Rig {
    pub registry: Registry,
    pub place: Place,
}

/// Where the rows are.
pub enum Place {
    File(TempDir),
    Database(TestDatabase),
}

/// Runs each test on both engines.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::rig::Rig::sqlite().await).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::rig::Rig::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both_engines;

impl Place {
    pub async fn open(&self) -> Result<Registry, OpenRegistryError> {
        match self {
            Self::File(folder) => Registry::open(&folder.path().join("registry.db")).await,
            Self::Database(database) => Registry::connect(&url(&database.url())).await,
        }
    }
}

impl Rig {
    pub async fn sqlite() -> Self {
        Self::in_place(Place::File(tempfile::tempdir().unwrap())).await
    }

    pub async fn postgres() -> Self {
        Self::in_place(Place::Database(PostgresServer::shared().database())).await
    }

    pub async fn in_place(place: Place) -> Self {
        let registry = place.open().await.unwrap();
        for id in [APP, OTHER] {
            let application =
                ApplicationRow { id: id.to_owned(), name: id.to_owned(), id_scope: format!("0ne{id}"), created_ms: 1 };
            registry.application_create(&application, &[]).await.unwrap();
        }
        Self { registry, place }
    }

    /// The registry after a restart.
    pub async fn restarted(self) -> Self {
        self.registry.close().await;
        let registry = self.place.open().await.unwrap();
        Self { registry, place: self.place }
    }

    /// The database behind, when it is PostgreSQL.
    pub fn database(&self) -> &TestDatabase {
        match &self.place {
            Place::Database(database) => database,
            Place::File(_) => panic!("it is a file"),
        }
    }

    pub async fn group(&self, id: &str) -> EnrollmentGroupRow {
        let group = EnrollmentGroupRow {
            id: id.to_owned(),
            etag: String::new(),
            display_name: id.to_owned(),
            enabled: true,
            is_edge: false,
            auto_approve: true,
            keys: keys(id),
            certificates: None,
            created_ms: 1,
            updated_ms: 1,
        };
        put(self, APP, &group).await.unwrap()
    }

    pub async fn device(&self, id: &str) -> DeviceRow {
        let device = NewDevice { id: id.to_owned(), enabled: true, created_ms: 5, ..NewDevice::default() };
        self.registry.device_create(APP, device).await.unwrap()
    }
}

pub fn url(text: &str) -> DatabaseUrl {
    text.parse().unwrap()
}

pub fn keys(name: &str) -> SymmetricKeys {
    SymmetricKeys { primary: format!("{name}-1"), secondary: format!("{name}-2") }
}

pub fn change(row: &DeviceRow) -> DeviceChange {
    DeviceChange {
        display_name: row.display_name.clone(),
        template: row.template.clone(),
        enabled: row.enabled,
        organization: row.organization.clone(),
        updated_ms: 9,
    }
}

//! What only a server has: passwords, encodings, refusals under load, connections that break.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use model::identity::Identity;
use registry::limits::{
    OUTCOME_ATTEMPTS_MAX, OUTCOME_INTERVAL, POSTGRES_CONNECTIONS_MAX, POSTGRES_OPERATION_TIMEOUT, WRITE_ATTEMPTS_MAX,
};
use registry::{OpenRegistryError, Registry, StoreError};
use testkit::postgres::{PASSWORD, PostgresServer};

use crate::hub::twin;
use crate::rig::{APP, Place, Rig, url};
use crate::wire::{Cut, Wire};

/// Everything an error says, to people and to programmers.
fn everything(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(|error| format!("{error} {error:?}\n")).collect()
}

#[tokio::test]
async fn a_refused_password_is_named_but_not_shown() {
    let database = PostgresServer::shared().database();
    let refused = Registry::connect(&url(&database.url_with("wr0ng-pw"))).await.unwrap_err();
    assert!(matches!(refused, OpenRegistryError::Connect { .. }), "{refused:?}");
    let said = everything(&refused);
    assert!(
        said.contains("password authentication failed for user") && said.contains("postgresql://postgres@"),
        "{said}"
    );
    assert!(!said.contains("wr0ng-pw"), "{said}");

    let registry = Registry::connect(&url(&database.url())).await.unwrap();
    assert!(!format!("{registry:?}").contains(PASSWORD));
    registry.close().await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_at_once() {
    let refused = Registry::connect(&url("postgresql://u:s3cret@%2Fnot%2Fthere/tidegate")).await.unwrap_err();
    let said = everything(&refused);
    assert!(said.contains("u@%2Fnot%2Fthere:5432/tidegate") && said.contains("No such file"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let database = PostgresServer::shared().database();
    let other = database.url().replace("/test_", "/no_");
    let said = everything(&Registry::connect(&url(&other)).await.unwrap_err());
    assert!(said.contains("does not exist") && !said.contains(PASSWORD), "{said}");
}

#[tokio::test]
async fn another_encoding_is_refused() {
    let database = PostgresServer::shared().database_with("ENCODING 'LATIN1' LOCALE 'C'");
    let refused = Registry::connect(&url(&database.url())).await.unwrap_err();
    assert!(matches!(&refused, OpenRegistryError::Encoding { encoding, .. } if encoding == "LATIN1"), "{refused:?}");
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_refused() {
    let rig = Rig::postgres().await;
    rig.database().sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', TRUE, '', 0)",
    );
    let refused = rig.place.open().await.unwrap_err();
    assert!(matches!(refused, OpenRegistryError::LaterVersion { version: 9999, .. }), "{refused:?}");
}

#[tokio::test]
async fn what_is_committed_is_on_the_disk_whatever_the_server_says() {
    let database = PostgresServer::shared().database();
    let name = database.sql("SELECT current_database()");
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    database.sql(
        "CREATE TABLE seen (synchronous TEXT, waiting TEXT); \
         CREATE FUNCTION note() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen VALUES (current_setting('synchronous_commit'), current_setting('statement_timeout')); \
         RETURN NEW; END $$",
    );
    let rig = Rig::in_place(Place::Database(database)).await;
    rig.database().sql("CREATE TRIGGER note AFTER INSERT ON devices FOR EACH ROW EXECUTE FUNCTION note()");
    rig.device("d").await;
    assert_eq!(rig.database().sql("SELECT * FROM seen"), "on|30s");
}

/// Makes the next writes of a device fail with a code of PostgreSQL, so many times. A sequence counts also what is rolled back.
fn fail_devices(rig: &Rig, code: &str, times: u32) {
    rig.database().sql(&format!(
        "DROP SEQUENCE IF EXISTS attempts; CREATE SEQUENCE attempts; \
         CREATE OR REPLACE FUNCTION fail() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('attempts') <= {times} THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = '{code}'; END IF; \
         RETURN NEW; END $$; \
         CREATE OR REPLACE TRIGGER fail BEFORE UPDATE ON devices FOR EACH ROW EXECUTE FUNCTION fail()"
    ));
}

#[tokio::test]
async fn a_write_in_the_way_of_others_is_tried_again_so_often() {
    let rig = Rig::postgres().await;
    rig.device("d").await;
    let change = async || rig.registry.device_mark_provisioned(APP, "d", None, None, 7).await;
    let statement = async || rig.registry.device_assign_template(APP, "d", "t", 7).await;
    for code in ["40001", "40P01"] {
        fail_devices(&rig, code, WRITE_ATTEMPTS_MAX - 1);
        change().await.unwrap();
        fail_devices(&rig, code, WRITE_ATTEMPTS_MAX);
        let refused = change().await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict(act, _) if act.table == "devices"), "{refused:?}");
        assert_eq!(rig.database().sql("SELECT last_value FROM attempts"), WRITE_ATTEMPTS_MAX.to_string());
    }
    fail_devices(&rig, "40001", WRITE_ATTEMPTS_MAX);
    assert!(matches!(statement().await, Err(StoreError::Conflict(..))));
    assert!(statement().await.unwrap());
}

#[tokio::test]
async fn codes_of_postgres_are_told_apart() {
    let rig = Rig::postgres().await;
    rig.device("d").await;
    let failure = async |code: &str| {
        fail_devices(&rig, code, 1);
        rig.registry.device_mark_provisioned(APP, "d", None, None, 7).await.unwrap_err()
    };
    assert!(matches!(failure("53100").await, StoreError::DiskFull(..)));
    assert!(matches!(failure("23505").await, StoreError::Duplicate(..)));
    assert!(matches!(failure("23503").await, StoreError::Missing(..)));
    for code in ["53300", "57P01", "57P03", "08006"] {
        assert!(matches!(failure(code).await, StoreError::Unavailable(..)), "{code}");
    }
    let other = failure("22000").await;
    assert!(matches!(other, StoreError::Database(..)));
    assert_eq!(other.to_string(), "the registry could not mark a device as provisioned (table devices)");
}

#[tokio::test]
async fn a_group_of_twins_with_a_failed_step_is_not_committed() {
    let rig = Rig::postgres().await;
    rig.device("d").await;
    rig.database().sql(
        "CREATE FUNCTION fail() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.module = 'bad' THEN RAISE EXCEPTION 'made to fail'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER fail BEFORE INSERT ON twins FOR EACH ROW EXECUTE FUNCTION fail()",
    );
    let (device, bad) = (Identity::device("d"), Identity::module("d", "bad"));
    let mut group = rig.registry.twin_transaction([(APP, "d")]).await.unwrap();
    group.put(APP, &device, &twin(1), 7).await.unwrap();
    assert!(matches!(group.put(APP, &bad, &twin(1), 7).await, Err(StoreError::Database(..))));
    assert!(matches!(group.put(APP, &device, &twin(2), 7).await, Err(StoreError::RolledBack(..))));
    // PostgreSQL itself would answer this commit with success, having rolled back.
    assert!(matches!(group.commit().await, Err(StoreError::RolledBack(..))));
    assert_eq!(rig.registry.twin_get(APP, &device).await.unwrap(), None);
}

#[tokio::test]
async fn a_lost_connection_is_told_and_heals() {
    let database = PostgresServer::start().database();
    let rig = Rig::in_place(Place::Database(database)).await;
    rig.device("d").await;
    let device = Identity::device("d");
    let mut group = rig.registry.twin_transaction([(APP, "d")]).await.unwrap();
    group.put(APP, &device, &twin(1), 7).await.unwrap();
    rig.database().server().stop();
    assert!(matches!(group.put(APP, &device, &twin(2), 7).await, Err(StoreError::Unavailable(..))));
    assert!(group.commit().await.is_err(), "what may not be there is not said to be");
    let lost = rig.registry.probe().await.unwrap_err();
    assert!(matches!(lost, StoreError::Unavailable(..)), "{lost:?}");
    assert!(!everything(&lost).contains(PASSWORD));

    rig.database().server().restart();
    rig.registry.probe().await.unwrap();
    assert_eq!(rig.registry.twin_get(APP, &device).await.unwrap(), None);
    rig.registry.device_assign_template(APP, "d", "t", 7).await.unwrap();
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let rig = Arc::new(Rig::postgres().await);
    rig.device("d").await;
    let mut group = rig.registry.twin_transaction([(APP, "d")]).await.unwrap();
    group.put(APP, &Identity::device("d"), &twin(1), 7).await.unwrap();
    let registry = rig.registry.clone();
    let waiting = tokio::spawn(async move { registry.module_delete(APP, "d", "m", 9).await });
    loop {
        let rig = Arc::clone(&rig);
        let count = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        if tokio::task::spawn_blocking(move || rig.database().sql(count)).await.unwrap() == "1" {
            break;
        }
    }
    // It waits for the device, which the group holds; the clock now runs ahead while nothing else happens.
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(matches!(refused, StoreError::Silent(act) if act.table == "modules"), "{refused:?}");
    let waited = before.elapsed();
    assert!(waited <= POSTGRES_OPERATION_TIMEOUT && waited > POSTGRES_OPERATION_TIMEOUT / 2, "{waited:?}");
    tokio::time::resume();
    group.commit().await.unwrap();
    assert!(!rig.registry.module_delete(APP, "d", "m", 9).await.unwrap());
}

#[tokio::test]
async fn there_are_no_more_connections_than_the_limit() {
    let rig = Rig::postgres().await;
    let mut groups = Vec::new();
    for n in 0..POSTGRES_CONNECTIONS_MAX {
        groups.push(rig.registry.twin_transaction([(APP, format!("d{n}").as_str())]).await.unwrap());
    }
    let count =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'tidegate' AND datname = current_database()";
    assert_eq!(rig.database().sql(count), POSTGRES_CONNECTIONS_MAX.to_string());
    tokio::time::pause();
    let refused = rig.registry.probe().await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(..)), "{refused:?}");
    tokio::time::resume();
    drop(groups);
    rig.registry.probe().await.unwrap();
}

#[tokio::test]
async fn many_changes_of_twins_are_one_commit() {
    let rig = Rig::postgres().await;
    let devices: Vec<String> = (0..50).map(|n| format!("d{n}")).collect();
    for device in &devices {
        rig.device(device).await;
    }
    rig.database().sql(
        "CREATE TABLE commits (id XID8); CREATE FUNCTION note() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO commits VALUES (pg_current_xact_id()); RETURN NEW; END $$; \
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON twins FOR EACH ROW EXECUTE FUNCTION note()",
    );
    let mut group = rig.registry.twin_transaction(devices.iter().map(|device| (APP, device.as_str()))).await.unwrap();
    for device in &devices {
        group.put(APP, &Identity::device(device), &twin(1), 7).await.unwrap();
    }
    group.commit().await.unwrap();
    assert_eq!(rig.database().sql("SELECT COUNT(*), COUNT(DISTINCT id) FROM commits"), "50|1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_made_on_another_runtime_outlives_it() {
    let rig = Rig::postgres().await;
    // More connections than the pool has yet, made and used where this runtime is not.
    let registry = rig.registry.clone();
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut groups = Vec::new();
            for n in 0..POSTGRES_CONNECTIONS_MAX {
                groups.push(registry.twin_transaction([(APP, format!("d{n}").as_str())]).await.unwrap());
            }
            for group in groups {
                group.commit().await.unwrap();
            }
        });
    });
    tokio::task::spawn_blocking(|| elsewhere.join().unwrap()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..POSTGRES_CONNECTIONS_MAX {
        let registry = rig.registry.clone();
        tasks.spawn(async move { registry.probe().await.unwrap() });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_asked_for() {
    let rig = Rig::postgres().await;
    rig.device("d").await;
    let wire = Wire::before(rig.database());
    let registry = Registry::connect(&url(&rig.database().url_at(wire.folder.path(), PASSWORD))).await.unwrap();
    wire.cut_at_commit(Cut::Answer);
    registry.device_mark_provisioned(APP, "d", None, None, 7).await.unwrap();
    assert!(rig.registry.device_get(APP, "d").await.unwrap().unwrap().provisioned);
    wire.cut_at_commit(Cut::Question);
    let lost = registry.device_assign_template(APP, "d", "t", 8).await.unwrap_err();
    assert!(matches!(lost, StoreError::Unavailable(..)), "{lost:?}");
    assert_eq!(rig.registry.device_get(APP, "d").await.unwrap().unwrap().template, None);
    assert!(registry.device_assign_template(APP, "d", "t", 8).await.unwrap());
    // While the server still waits for the commit, nobody can say; it is asked so often, and then that is said.
    wire.cut_at_commit(Cut::Client);
    let before = Instant::now();
    let doubtful = registry.device_mark_provisioned(APP, "d", None, None, 9).await.unwrap_err();
    assert!(matches!(doubtful, StoreError::InDoubt(act) if act.table == "devices"), "{doubtful:?}");
    assert!(before.elapsed() >= OUTCOME_INTERVAL * OUTCOME_ATTEMPTS_MAX);
    registry.close().await;
}

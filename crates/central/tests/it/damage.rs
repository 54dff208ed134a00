//! Damage in every part of the data folder: what refuses the start says so and leaves everything as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use central::config::Config;
use central::data_folder::DataFolder;
use central::database::Database;
use central::limits::{BACKUP_ATTEMPTS_MAX, BACKUP_LIST_BYTES_MAX};
use central::serve::ServeOptions;
use events::Batch;
use events::record::Origin;
use model::identity::Identity;
use model::message::Message;
use readers::timeseries::newest_committed;
use registry::{Look, Survey};
use serde_json::json;
use tempfile::TempDir;

use crate::central::{TestCentral, TestDevice, await_live, config, is_telemetry, options};
use crate::rest::client::Rest;

/// Configuration with which each message is in Parquet at once.
pub fn flushing() -> Config {
    let mut config = config();
    config.telemetry.flush_bytes = 1;
    config
}

/// Sends `n` as telemetry, one message each, and waits until each is readable.
pub async fn send_numbers(central: &TestCentral, device: &TestDevice, numbers: std::ops::Range<i64>) {
    let (client, _events) = central.connect(device).await;
    let mut live = central.watch(&device.id);
    for n in numbers {
        let body = json!({ "n": n }).to_string().into();
        client.send(vec![Message { bag: Bytes::new(), body }]).await.unwrap();
        await_live(&mut live, is_telemetry).await;
    }
    client.stop().await;
}

/// A folder that was used: a copy of it as it was some messages ago, and as it is now.
pub struct Used {
    dir: TempDir,
    pub device: TestDevice,
}

impl Used {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let central = TestCentral::start_with(&data, flushing()).await;
        let device = central.provision("d1").await;
        send_numbers(&central, &device, 0..3).await;
        central.stop().await;
        copy(&data, &dir.path().join("older"));
        let central = TestCentral::start_with(&data, flushing()).await;
        send_numbers(&central, &device, 3..6).await;
        central.stop().await;
        Self { dir, device }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn older(&self) -> PathBuf {
        self.dir.path().join("older")
    }

    /// A copy of its own.
    pub fn copy(&self, name: &str) -> PathBuf {
        let to = self.dir.path().join(name);
        copy(&self.dir.path().join("data"), &to);
        to
    }
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            match fs::copy(entry.path(), place) {
                // A server that runs has put it in the place of the file it makes anew.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            }
        }
    }
}

/// Every file with its contents, but for what is no data.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if !["serve.lock", "registry.db-shm"].iter().any(|name| path.ends_with(name)) {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}

pub fn segment(folder: &Path) -> PathBuf {
    let log = fs::read_dir(folder.join("log")).unwrap().map(|entry| entry.unwrap().path());
    log.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}

pub fn put(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

pub fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

pub async fn stored(central: &TestCentral) -> Vec<u64> {
    let store = central.running.core.telemetry.application(central.app()).unwrap();
    let mut offsets: Vec<u64> = store
        .messages("d1", telemetry::Part::Any, None, 100)
        .unwrap()
        .iter()
        .filter_map(|row| match row.value("n") {
            Some(telemetry::Value::Integer(n)) => Some(n.unsigned_abs()),
            _ => None,
        })
        .collect();
    offsets.sort_unstable();
    offsets
}

fn token_key(data: &Path) -> PathBuf {
    let mut keys = fs::read_dir(data.join("keys")).unwrap().map(|entry| entry.unwrap().path());
    keys.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("api-tokens-")).unwrap()
}

pub type Damage = fn(&Path, &Path);

/// What is done to the folder (given with an older copy of it), and what the refusal says.
pub const REFUSED: [(&str, Damage, &str); 15] = [
    ("older registry", |data, older| put(&older.join("registry.db"), &data.join("registry.db")), "older copy"),
    ("lost registry", |data, _| fs::remove_file(data.join("registry.db")).unwrap(), "missing or empty"),
    ("emptied registry", |data, _| fs::write(data.join("registry.db"), "").unwrap(), "missing or empty"),
    ("overwritten registry", |data, _| flip(&data.join("registry.db"), 0), "not a database"),
    ("removed log", |data, _| fs::remove_dir_all(data.join("log")).unwrap(), "was removed"),
    ("emptied log", |data, _| fs::remove_file(segment(data)).unwrap(), "was removed or emptied"),
    (
        "log without marker",
        |data, _| fs::remove_file(data.join("log/FOLDER")).unwrap(),
        "does not belong|not the folder",
    ),
    ("emptied marker", |data, _| fs::write(data.join("telemetry/FOLDER"), "").unwrap(), "not the folder"),
    ("older log", |data, older| put(&segment(older), &segment(data)), "log/ was replaced|acknowledged"),
    ("flipped log header", |data, _| flip(&segment(data), 20), "header"),
    ("flipped log group", |data, _| flip(&segment(data), 100), "damaged"),
    ("removed telemetry", |data, _| fs::remove_dir_all(data.join("telemetry")).unwrap(), "was removed"),
    ("flipped NEWEST", |data, _| flip(&data.join("telemetry/NEWEST"), 10), "how far the telemetry goes"),
    ("emptied key", |data, _| fs::write(token_key(data), "").unwrap(), "missing or damaged"),
    ("lost keys", |data, _| fs::remove_dir_all(data.join("keys")).unwrap(), "is missing"),
];

#[tokio::test]
async fn what_refuses_a_start_is_named_and_leaves_everything_as_it_is() {
    let used = Used::new().await;
    for (name, damage, says) in REFUSED {
        let data = used.copy(name);
        damage(&data, &used.older());
        let before = contents(&data);
        let refused = TestCentral::try_start(options(&data, flushing())).await.err();
        let refused = refused.unwrap_or_else(|| panic!("{name}: it starts"));
        let text = events::health::with_causes(&refused);
        assert!(says.split('|').any(|says| text.contains(says)), "{name}: {text}");
        assert!(refused.needs_mending(), "{name}: {text}");
        let after = contents(&data);
        let changed: Vec<&PathBuf> =
            before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key)).collect();
        assert!(changed.is_empty(), "{name}: {changed:?}");
    }
    // The damage was all that was wrong.
    let data = used.copy("sound");
    let central = TestCentral::start_with(&data, flushing()).await;
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5]);
    let device = TestDevice { id: used.device.id.clone(), key: used.device.key.clone() };
    send_numbers(&central, &device, 6..7).await;
    assert_eq!(stored(&central).await.last(), Some(&6));
    central.stop().await;
}

/// What can be made again, or vouches for nothing by itself, is no reason to refuse; the token in the file lets in.
#[tokio::test]
async fn what_can_be_made_again_is() {
    let used = Used::new().await;
    for name in ["admin.token", "tls/server.pem", "tls/server.key", "endpoints.json", "log/acknowledged"] {
        let data = used.copy(&name.replace('/', "-"));
        fs::write(data.join(name), "").unwrap();
        let central = TestCentral::start_with(&data, flushing()).await;
        assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5], "{name}");
        Rest::new(&central).get("/api/devices/d1").await;
        central.stop().await;
    }
}

#[tokio::test]
async fn a_lost_key_is_made_anew_once_that_is_accepted() {
    let used = Used::new().await;
    let data = used.copy("keyless");
    let before = fs::read(data.join("admin.token")).unwrap();
    fs::write(token_key(&data), "").unwrap();
    let central = accepting(&data).await;
    assert_ne!(fs::read(data.join("admin.token")).unwrap(), before);
    Rest::new(&central).get("/api/devices/d1").await;
    let losses = central.running.core.registry.survey().await.unwrap().losses;
    assert!(matches!(&losses[..], [(_, detail)] if detail.contains("api-tokens-")), "{losses:?}");
    central.stop_complaining(&["going on without"]).await;
}

#[tokio::test]
async fn a_registry_of_another_installation_is_refused() {
    let used = Used::new().await;
    let other = Used::new().await;
    let data = used.copy("mixed");
    fs::copy(other.older().join("registry.db"), data.join("registry.db")).unwrap();
    let refused = TestCentral::try_start(options(&data, flushing())).await.err().unwrap();
    let text = events::health::with_causes(&refused);
    assert!(
        refused.needs_mending() && (text.contains("is missing") || text.contains("one of the two was replaced")),
        "{text}"
    );
}

#[tokio::test]
async fn a_log_of_another_installation_is_set_aside_when_it_is_given_up() {
    let used = Used::new().await;
    let other = Used::new().await;
    let data = used.copy("mixed");
    fs::remove_dir_all(data.join("log")).unwrap();
    copy(&other.older().join("log"), &data.join("log"));
    let foreign = contents(&data.join("log"));
    let refused = TestCentral::try_start(options(&data, flushing())).await.err().unwrap();
    assert!(events::health::with_causes(&refused).contains("one of the two was replaced"), "{refused:?}");

    let accepting = ServeOptions { accept_data_loss: true, ..options(&data, flushing()) };
    let central = TestCentral::try_start(accepting).await.unwrap();
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5]);
    let losses = central.running.core.registry.survey().await.unwrap().losses;
    assert!(losses.iter().any(|(_, detail)| detail.contains("log.set-aside")), "{losses:?}");
    send_numbers(&central, &used.device, 6..7).await;
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5, 6]);
    central.stop_complaining(&["going on without"]).await;
    let aside = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let aside = aside.filter(|path| path.to_string_lossy().contains("log.set-aside")).collect::<Vec<_>>();
    let kept: Vec<Vec<u8>> = contents(&aside[0]).into_values().collect();
    assert_eq!(kept, foreign.into_values().collect::<Vec<_>>(), "nothing of it was changed");
}

#[tokio::test]
async fn a_file_the_catalog_does_not_list_is_quarantined_and_not_deleted() {
    let used = Used::new().await;
    let data = used.copy("leftover");
    let listed = contents(&data.join("telemetry"))
        .into_iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "parquet"));
    let (path, bytes) = listed.unwrap();
    let leftover = path.with_file_name("00000000000000000000-00000000000000000099-0.parquet");
    fs::write(&leftover, &bytes).unwrap();
    let central = TestCentral::start_with(&data, flushing()).await;
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5]);
    central.stop_complaining(&["was left by an interrupted write"]).await;
    assert!(!leftover.exists());
    let kept = contents(&path.with_file_name("quarantine"));
    assert_eq!(kept.into_values().collect::<Vec<_>>(), [bytes]);
}

/// A start that gives up what is damaged.
pub async fn accepting(data: &Path) -> TestCentral {
    TestCentral::try_start(ServeOptions { accept_data_loss: true, ..options(data, flushing()) }).await.unwrap()
}

pub fn parquet(data: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = contents(&data.join("telemetry")).into_keys().collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    all
}

fn problems(central: &TestCentral) -> String {
    central.running.core.health.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

#[tokio::test]
async fn a_broken_group_of_the_log_costs_its_records_once_that_is_accepted() {
    let used = Used::new().await;
    let data = used.copy("broken");
    flip(&segment(&data), 100);
    let refused = TestCentral::try_start(options(&data, flushing())).await.err().unwrap();
    assert!(refused.needs_mending());
    let central = accepting(&data).await;
    // Its records had reached Parquet.
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5]);
    let losses = central.running.core.registry.survey().await.unwrap().losses;
    assert!(matches!(&losses[..], [(_, detail)] if detail.contains("of log/ are lost")), "{losses:?}");
    send_numbers(&central, &used.device, 6..7).await;
    central.stop_complaining(&["going on without", "records of the log are lost"]).await;
    let central = TestCentral::start_with(&data, flushing()).await;
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(central.running.core.registry.survey().await.unwrap().losses.len(), 1);
    central.stop().await;
}

#[tokio::test]
async fn a_damaged_telemetry_file_is_named_and_left_out_until_it_is_restored_or_given_up() {
    let used = Used::new().await;
    let data = used.copy("flipped");
    let path = parquet(&data).remove(0);
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let sound = fs::read(&path).unwrap();
    flip(&path, 40);
    let central = TestCentral::start_with(&data, flushing()).await;
    let left = stored(&central).await;
    assert!(!left.is_empty() && left.len() < 6, "{left:?}");
    assert!(problems(&central).contains(&name), "{}", problems(&central));
    // Restored while Central runs: the next look finds it whole.
    fs::write(&path, &sound).unwrap();
    let store = central.running.core.telemetry.application(central.app()).unwrap();
    let listed = central.running.core.telemetry.catalog().of_application(central.app());
    let meta = listed.iter().find(|meta| meta.file_name == name).unwrap();
    assert!(store.check(meta).unwrap());
    assert_eq!(problems(&central), "");
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5]);
    central.stop_complaining(&["is left out of queries"]).await;

    flip(&path, 40);
    let damaged = fs::read(&path).unwrap();
    let central = accepting(&data).await;
    assert_eq!((stored(&central).await, problems(&central).as_str()), (left, ""));
    let losses = central.running.core.registry.survey().await.unwrap().losses;
    assert!(losses.iter().any(|(_, detail)| detail.contains(&name)), "{losses:?}");
    central.stop_complaining(&["going on without"]).await;
    let kept = contents(&path.with_file_name("quarantine"));
    assert_eq!(kept.into_values().collect::<Vec<_>>(), [damaged], "nothing is deleted");
}

#[tokio::test]
async fn damage_nobody_reads_is_found_by_the_scrub() {
    let used = Used::new().await;
    let data = used.copy("scrubbed");
    let path = parquet(&data).pop().unwrap();
    flip(&path, 40);
    let central = TestCentral::start_with(&data, flushing()).await;
    let found = async {
        while !problems(&central).contains("telemetry files") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::central::PATIENCE, found).await.unwrap();
    central.stop_complaining(&["is left out of queries"]).await;
}

#[tokio::test]
async fn a_background_task_that_panics_ends_central() {
    let (_dir, data) = crate::central::data();
    let central = TestCentral::start(&data).await;
    let tasks = tokio_util::task::TaskTracker::new();
    let supervisor = &central.running.core.supervisor;
    let stop = tokio_util::sync::CancellationToken::new();
    supervisor.spawn(&tasks, "told to end", stop.clone(), async {});
    stop.cancel();
    supervisor.spawn(&tasks, "test", tokio_util::sync::CancellationToken::new(), async { panic!("no more") });
    let core = central.running.core.clone();
    let error = central.ended().await.unwrap_err();
    assert!(events::health::with_causes(&error).contains("no more"), "{error:?}");
    assert!(!error.needs_mending(), "a supervisor starts it again");
    assert!(core.health.problems().iter().any(|problem| problem.text.contains("no more")));
    testkit::complaints::check(&["no more"]);
}

/// Nobody sends anything: Central finds out.
#[tokio::test]
async fn readiness_returns_by_itself_once_there_is_room() {
    let (_dir, data) = crate::central::data();
    let central = TestCentral::start(&data).await;
    let core = &central.running.core;
    core.log.set_total_bytes_max(core.log.bytes());
    let origin = Origin::new(central.app(), &Identity::device("d1"), "1", None, None).unwrap();
    let mut batch = Batch::with_capacity(1, 64);
    batch.telemetry(&origin, 0, b"", b"{}").unwrap();
    core.events.publish(batch).await.unwrap_err();
    assert!(problems(&central).contains("the log is full"), "{}", problems(&central));
    core.log.set_total_bytes_max(u64::MAX);
    let ready = async {
        while !core.health.problems().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::central::PATIENCE, ready).await.unwrap();
    central.stop_complaining(&["messages are refused"]).await;
}

fn tidegate(arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_while_central_serves_is_restored_with_everything_up_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, backup, restored) = (place("data"), place("backup"), place("restored"));
    let central = TestCentral::start_with(Path::new(&data), flushing()).await;
    let device = central.provision("d1").await;
    send_numbers(&central, &device, 0..20).await;
    let made = tidegate(&["backup", "--data", &data, "--to", &backup]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    send_numbers(&central, &device, 20..22).await;
    let again = tidegate(&["backup", "--data", &data, "--to", &backup]);
    assert_eq!(again.status.code(), Some(1), "a backup is not written over");
    central.stop().await;

    for taken in [&data, &backup] {
        let refused = tidegate(&["restore", "--from", &backup, "--data", taken]);
        assert_eq!(refused.status.code(), Some(1));
    }
    let done = tidegate(&["restore", "--from", &backup, "--data", &restored]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let central = TestCentral::start_with(Path::new(&restored), flushing()).await;
    send_numbers(&central, &device, 20..21).await;
    assert_eq!(stored(&central).await, (0..=20).collect::<Vec<_>>());
    Rest::new(&central).get("/api/devices/d1").await;
    central.stop().await;
}

#[tokio::test]
async fn a_backup_with_damage_in_any_file_is_not_restored() {
    let used = Used::new().await;
    let folder = DataFolder::existing(&used.copy("source")).unwrap();
    let backup = used.dir.path().join("backup");
    central::backup::make(&folder, &Database::Folder, &backup).await.unwrap();
    let files = contents(&backup);
    assert!(files.len() > 8, "{files:?}");
    for (number, (path, sound)) in files.iter().enumerate() {
        for damage in ["flipped", "shortened", "removed"] {
            match damage {
                "flipped" => flip(path, sound.len() / 2),
                "shortened" => fs::write(path, &sound[1..]).unwrap(),
                _ => fs::remove_file(path).unwrap(),
            }
            let to = used.dir.path().join(format!("to-{number}-{damage}"));
            let refused = central::backup::restore(&backup, &to).await;
            assert!(refused.is_err(), "{} {damage}", path.display());
            assert!(!to.exists(), "nothing is written before everything was checked");
            fs::write(path, sound).unwrap();
        }
    }
    let to = used.dir.path().join("to");
    central::backup::restore(&backup, &to).await.unwrap();
    let central = TestCentral::start_with(&to, flushing()).await;
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5]);
    central.stop().await;
}

#[tokio::test]
async fn a_backup_of_a_folder_that_would_not_start_is_refused_and_so_is_one_whose_registry_is_elsewhere() {
    let used = Used::new().await;
    let data = used.copy("behind");
    put(&used.older().join("registry.db"), &data.join("registry.db"));
    let folder = DataFolder::existing(&data).unwrap();
    let refused = central::backup::make(&folder, &Database::Folder, &used.dir.path().join("b1")).await.unwrap_err();
    assert!(events::health::with_causes(&refused).contains("older copy"), "{refused:?}");
    let doctor = tidegate(&["doctor", "--data", data.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.status.code() == Some(1) && said.contains("older copy"), "{said}");
    let server = Database::of_argument("postgresql://u@h/d").unwrap();
    let refused = central::backup::make(&folder, &server, &used.dir.path().join("b2")).await.unwrap_err();
    assert!(refused.to_string().contains("pg_dump"), "{refused}");
    assert!(!used.dir.path().join("b2").exists());
}

#[tokio::test]
async fn a_backup_names_telemetry_files_that_are_damaged_or_lost() {
    // The second attempt knows that it was not merged away.
    const { assert!(BACKUP_ATTEMPTS_MAX >= 2) };
    let used = Used::new().await;
    let data = used.copy("rotten");
    let files = parquet(&data);
    fs::remove_file(&files[0]).unwrap();
    flip(&files[1], 40);
    let folder = DataFolder::existing(&data).unwrap();
    let backup = used.dir.path().join("backup");
    let copied = central::backup::make(&folder, &Database::Folder, &backup).await.unwrap();
    let name = |path: &Path| path.strip_prefix(&data).unwrap().to_str().unwrap().to_owned();
    assert_eq!(copied.damaged, [name(&files[0]), name(&files[1])]);
    let list = fs::metadata(backup.join("backup.json")).unwrap().len();
    assert!(list < BACKUP_LIST_BYTES_MAX, "a path, a size and a checksum take about 200 bytes");
    let to = used.dir.path().join("to");
    central::backup::restore(&backup, &to).await.unwrap();
    let central = TestCentral::start_with(&to, flushing()).await;
    assert!(stored(&central).await.len() < 6);
    assert!(problems(&central).contains(files[0].file_name().unwrap().to_str().unwrap()));
    central.stop_complaining(&["is left out of queries", "is missing"]).await;
}

#[tokio::test]
async fn the_telemetry_folder_knows_how_far_it_goes() {
    let used = Used::new().await;
    let data = used.copy("committed");
    let survey = Survey::of_file(&data.join("registry.db"), Look::Untouched).await.unwrap().unwrap();
    let newest = newest_committed::read(&data.join("telemetry")).unwrap();
    assert!(newest.is_some_and(|newest| newest > 0));
    assert_eq!(newest, survey.checkpoint("telemetry"));
}

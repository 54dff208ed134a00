//! A registry that is older than its data folder: told, refused, and gone on with only when that is accepted.

use std::fs;
use std::path::Path;
use std::process::Command;

use central::data_folder::DataFolder;
use central::database::Database;
use central::generation;
use central::serve::{GuardError, ServeError, ServeOptions};
use events::clock::now_ms;
use readers::timeseries::newest_committed;
use registry::{Look, Survey};

use crate::central::{TestCentral, config, data, on_both_databases, options};
use crate::damage::{Used, accepting, copy, flushing, parquet, put, send_numbers, stored};

on_both_databases!(a_registry_behind_its_folder_is_refused_until_that_is_accepted);

async fn refusal(data: &Path) -> ServeError {
    TestCentral::try_start(options(data, flushing())).await.err().expect("it is refused")
}

fn put_registry(from: &Path, to: &Path) {
    // With what waits beside it, as somebody copies who knows SQLite.
    for name in ["registry.db", "registry.db-wal"] {
        let _ = fs::remove_file(to.join(name));
        if from.join(name).exists() {
            put(&from.join(name), &to.join(name));
        }
    }
}

/// Copies that were made at any time before the last stop, without a message in between, which `telemetry/NEWEST` tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_told_from_its_registry_although_no_telemetry_came_since() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let central = TestCentral::start_with(&data, flushing()).await;
    let device = central.provision("d1").await;
    send_numbers(&central, &device, 0..2).await;
    central.stop().await;
    let copy_as = |name: &str| copy(&data, &dir.path().join(name));
    copy_as("stopped");
    let central = TestCentral::start_with(&data, flushing()).await;
    copy_as("running");
    let arguments = ["token", "create", "--role", "operator", "--name", "t1", "--data", data.to_str().unwrap()];
    assert!(Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).status().unwrap().success());
    central.stop().await;
    copy_as("newest");
    for name in ["stopped", "running"] {
        let older = dir.path().join(name);
        // Whatever starts and stops left in the log: the telemetry does not tell.
        let known = Survey::of_file(&older.join("registry.db"), Look::Untouched).await.unwrap().unwrap();
        newest_committed::write(&data.join("telemetry"), known.checkpoint("telemetry").unwrap()).unwrap();
        put_registry(&older, &data);
        let refused = refusal(&data).await;
        assert!(refused.needs_mending());
        let ServeError::Guard(GuardError::OlderGeneration { stored, newest }) = &refused else { panic!("{refused:?}") };
        assert!(stored < newest);
        let text = events::health::with_causes(&refused);
        for says in ["older copy", "tidegate restore", "--accept-data-loss", "revocations"] {
            assert!(text.contains(says), "{name}: {text}");
        }
        let (folder, to) = (DataFolder::at(&data), dir.path().join(format!("backup of {name}")));
        let unsound = central::backup::make(&folder, &Database::Folder, &to).await.unwrap_err();
        let text = events::health::with_causes(&unsound);
        assert!(text.contains("older copy"), "{text}");
    }
    put_registry(&dir.path().join("newest"), &data);
    TestCentral::start_with(&data, flushing()).await.stop().await;
}

async fn a_registry_behind_its_folder_is_refused_until_that_is_accepted(database: Database) {
    let (_dir, data) = data();
    let with =
        |accept_data_loss| ServeOptions { database: database.clone(), accept_data_loss, ..options(&data, config()) };
    TestCentral::try_start(with(false)).await.unwrap().stop().await;
    let grown = generation::read(&data).unwrap().unwrap();
    // As if the folder had been used with a newer one.
    generation::write(&data, grown + 5).unwrap();
    let refused = TestCentral::try_start(with(false)).await.err().unwrap();
    assert!(matches!(&refused, ServeError::Guard(GuardError::OlderGeneration { .. })), "{refused:?}");
    assert_eq!(generation::read(&data).unwrap(), Some(grown + 5), "nothing was changed");
    let central = TestCentral::try_start(with(true)).await.unwrap();
    let losses = central.running.core.registry.survey().await.unwrap().losses;
    assert!(matches!(&losses[..], [(_, detail)] if detail.contains("older copy")), "{losses:?}");
    central.stop_complaining(&["going on without"]).await;
    TestCentral::try_start(with(false)).await.unwrap().stop().await;
    assert!(generation::read(&data).unwrap() > Some(grown + 5), "the newer one would be the older one now");
}

#[tokio::test]
async fn an_accepted_older_registry_takes_over_the_telemetry_it_did_not_list() {
    let used = Used::new().await;
    let data = used.copy("accepted");
    put_registry(&used.older(), &data);
    let files = parquet(&data);
    let central = accepting(&data).await;
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5], "each once");
    let losses = central.running.core.registry.survey().await.unwrap().losses;
    assert!(
        matches!(&losses[..], [(_, detail)] if detail.contains("let in again") && detail.contains("taken over")),
        "{losses:?}"
    );
    send_numbers(&central, &used.device, 6..8).await;
    central.stop_complaining(&["going on without"]).await;
    assert!(files.iter().all(|file| file.exists()), "nothing is quarantined");

    // From here on it is the newest, and the one that was is not.
    let central = TestCentral::start_with(&data, flushing()).await;
    assert_eq!(stored(&central).await, [0, 1, 2, 3, 4, 5, 6, 7]);
    central.stop().await;
    let mixed = used.dir().join("mixed");
    copy(&data, &mixed);
    put_registry(&used.copy("newest then"), &mixed);
    let text = events::health::with_causes(&refusal(&mixed).await);
    assert!(text.contains("older copy"), "{text}");
}

#[tokio::test]
async fn what_an_older_registry_cannot_take_over_is_on_record() {
    let used = Used::new().await;
    let data = used.copy("torn");
    put_registry(&used.older(), &data);
    let older = Survey::of_file(&data.join("registry.db"), Look::Untouched).await.unwrap().unwrap();
    let is_listed = |path: &Path| older.segments.iter().any(|row| path.ends_with(&row.file_name));
    let unlisted = parquet(&data).into_iter().find(|path| !is_listed(path)).unwrap();
    let bytes = fs::read(&unlisted).unwrap();
    fs::write(&unlisted, &bytes[..bytes.len() - 20]).unwrap();
    // Of an application that was made since.
    let unknown = data.join("telemetry/made-since");
    fs::create_dir(&unknown).unwrap();
    let theirs = unknown.join(parquet(&data)[0].file_name().unwrap());
    put(&parquet(&data)[0], &theirs);

    let central = accepting(&data).await;
    let left = stored(&central).await;
    assert!(left.len() < 6 && left.starts_with(&[0, 1, 2]), "{left:?}");
    let losses = central.running.core.registry.survey().await.unwrap().losses;
    let name = unlisted.file_name().unwrap().to_str().unwrap();
    for says in ["older copy", name, "made-since"] {
        assert!(losses.iter().any(|(_, detail)| detail.contains(says)), "{says}: {losses:?}");
    }
    let recorded = losses.iter().all(|(at_ms, _)| (now_ms() - at_ms).abs() < 600_000);
    assert!(recorded, "{losses:?}");
    central.stop_complaining(&["going on without"]).await;
    assert!(!unlisted.exists() && theirs.exists());
    let kept = unlisted.with_file_name("quarantine").join(format!("{name}.0"));
    assert_eq!(fs::read(kept).unwrap(), &bytes[..bytes.len() - 20]);
    TestCentral::start_with(&data, flushing()).await.stop().await;
}

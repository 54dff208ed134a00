//! `tidegate doctor` looks, and leaves every byte and every time of the folder as it is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::central::TestCentral;
use crate::damage::{REFUSED, Used, copy, flushing, segment, send_numbers};

fn doctor(data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["doctor", "--json", "--data", data.to_str().unwrap()])
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Contents, mode, and time of the last change of everything below a folder, itself included.
type Tree = BTreeMap<PathBuf, (Option<Vec<u8>>, u32, (i64, i64))>;

fn tree(folder: &Path, without: &[&str]) -> Tree {
    let mut all = Tree::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let contents = if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            None
        } else if without.iter().any(|name| path.ends_with(name)) {
            continue;
        } else {
            Some(fs::read(&path).unwrap())
        };
        all.insert(path, (contents, metadata.mode(), (metadata.mtime(), metadata.mtime_nsec())));
    }
    all
}

fn changed(before: &Tree, after: &Tree) -> Vec<PathBuf> {
    before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

/// Runs it on a folder nobody serves; answers what it said.
fn look(data: &Path, name: &str) -> Output {
    let before = tree(data, &[]);
    let output = doctor(data);
    let changed = changed(&before, &tree(data, &[]));
    assert!(changed.is_empty(), "{name}: {changed:?}");
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_left_as_it_is_whatever_is_wrong_with_it() {
    let used = Used::new().await;
    let sound = look(&used.copy("sound"), "sound");
    assert!(sound.status.success(), "{}", said(&sound));
    for (name, damage, _) in REFUSED {
        let data = used.copy(name);
        damage(&data, &used.older());
        let output = look(&data, name);
        assert!(!output.status.success(), "{name}: {}", said(&output));
    }
    // A write that was torn, which a start cuts off.
    let data = used.copy("torn");
    let mut bytes = fs::read(segment(&data)).unwrap();
    bytes.extend([7; 50]);
    fs::write(segment(&data), bytes).unwrap();
    let torn = look(&data, "torn");
    assert!(torn.status.success() && said(&torn).contains("cuts 50 bytes"), "{}", said(&torn));
}

/// What was said of all but the disk, whose room changes.
fn said_of_the_folder(output: &Output) -> Vec<String> {
    said(output).lines().filter(|line| !line.contains("MiB are free")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_a_server_that_was_killed_is_left_as_it_is() {
    let (_dir, data) = crate::central::data();
    let central = TestCentral::start_with(&data, flushing()).await;
    let device = central.provision("d1").await;
    send_numbers(&central, &device, 0..3).await;
    // What waits beside the registry for the next start.
    let killed = data.with_file_name("killed");
    copy(&data, &killed);
    central.stop().await;
    assert!(fs::metadata(killed.join("registry.db-wal")).unwrap().len() > 0);
    let output = look(&killed, "killed");
    assert!(said(&output).contains("telemetry has stored"), "{}", said(&output));
    fs::remove_file(killed.join("registry.db-shm")).unwrap();
    let without = look(&killed, "killed, without -shm");
    assert_eq!(said_of_the_folder(&without), said_of_the_folder(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_a_server_that_runs_is_left_as_it_is() {
    let (_dir, data) = crate::central::data();
    // The second start finds nothing to be done, and does nothing by itself.
    TestCentral::start_with(&data, flushing()).await.stop().await;
    let central = TestCentral::start_with(&data, flushing()).await;
    // Readers of SQLite note in the memory they share how far they read.
    let shared = ["registry.db-shm"];
    let before = tree(&data, &shared);
    let output = doctor(&data);
    let changed = changed(&before, &tree(&data, &shared));
    assert!(changed.is_empty(), "{changed:?}");
    assert!(output.status.success() && said(&output).contains("serve is running"), "{}", said(&output));
    central.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_schema_is_looked_at_and_not_brought_up_to_date() {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/data-folder/0.1.0/central.tar.gz");
    let dir = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status().unwrap();
    assert!(unpacked.success());
    let output = look(dir.path(), "of an earlier version");
    assert!(said(&output).contains("brings its schema up to date"), "{}", said(&output));
}

#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::testing::FaultyFiles;

const PATH: &str = "/data/state";

#[test]
fn a_crash_at_any_operation_leaves_the_old_contents_or_the_new() {
    let (old, new) = (vec![1; 700], vec![2; 1700]);
    let mut finished = false;
    for crash_after in 0..20 {
        for seed in 0..20 {
            let files = FaultyFiles::new(seed);
            let path = Path::new(PATH);
            replace_on(&files, path, &old, Access::Private).unwrap();
            files.crash_after(crash_after);
            let replaced = replace_on(&files, path, &new, Access::Private);
            files.restart();
            let found = read_on(&files, path, 10_000).unwrap().unwrap();
            assert!(found == new || (found == old && replaced.is_err()), "after {crash_after}, seed {seed}");
            // The leftover of the crash is in nobody's way.
            replace_on(&files, path, &old, Access::Private).unwrap();
            finished |= replaced.is_ok();
        }
    }
    assert!(finished, "some crash must lie after the end, or not every operation was tried");
}

#[test]
fn a_full_disk_or_a_failed_sync_leaves_the_old_contents() {
    let files = FaultyFiles::new(1);
    let path = Path::new(PATH);
    replace_on(&files, path, b"old", Access::Private).unwrap();

    files.set_capacity_bytes(Some(files.used_bytes() + 5));
    let error = replace_on(&files, path, b"longer", Access::Private).unwrap_err();
    assert_eq!(error.to_string(), "cannot write /data/.state.tmp");
    assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
    files.set_capacity_bytes(None);

    files.fail_syncs(1);
    assert_eq!(replace_on(&files, path, b"new", Access::Private).unwrap_err().act, "sync");
    assert_eq!(read_on(&files, path, 100).unwrap().unwrap(), b"old");
    assert_eq!(files.paths(), [path], "no leftover takes space");
}

#[test]
fn reading_is_bounded() {
    let files = FaultyFiles::new(1);
    let path = Path::new(PATH);
    assert_eq!(read_on(&files, path, 5).unwrap(), None);
    replace_on(&files, path, b"12345", Access::Private).unwrap();
    assert_eq!(read_on(&files, path, 5).unwrap().unwrap(), b"12345");
    assert!(matches!(read_on(&files, path, 4), Err(ReadFileError::TooLarge { bytes: 5, bytes_max: 4, .. })));
}

#[test]
fn on_the_real_disk_a_private_file_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.token");
    assert_eq!(read(&path, 100).unwrap(), None);
    for contents in ["one", "two"] {
        replace(&path, contents.as_bytes(), Access::Private).unwrap();
        assert_eq!(read(&path, 100).unwrap().unwrap(), contents.as_bytes());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    replace(&path, b"three", Access::Shared).unwrap();
    assert_ne!(path.metadata().unwrap().permissions().mode() & 0o777, 0);
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

//! Lock, modes and markers.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_second_lock_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = DataFolder::create(dir.path()).unwrap();
    let lock = folder.lock().unwrap();
    assert!(matches!(folder.lock(), Err(DataFolderError::InUse(_))));
    drop(lock);
    folder.lock().unwrap();
}

#[test]
fn a_missing_folder_is_named_for_commands_that_need_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = DataFolder::existing(&dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("no data folder") && error.contains("none"), "{error}");
}

#[test]
fn a_removed_folder_loses_its_marker() {
    let dir = tempfile::tempdir().unwrap();
    let folder = DataFolder::create(dir.path()).unwrap();
    for guarded in Guarded::ALL {
        assert_eq!(folder.marker(guarded).unwrap(), None);
        folder.mark(guarded, "id-1").unwrap();
        assert_eq!(folder.marker(guarded).unwrap().as_deref(), Some("id-1"));
        fs::remove_dir_all(folder.guarded(guarded)).unwrap();
        assert_eq!(folder.marker(guarded).unwrap(), None);
    }
}

#[test]
fn secrets_that_others_can_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = DataFolder::create(dir.path()).unwrap();
    folder.write(&folder.admin_token(), b"secret", Access::Private).unwrap();
    assert_eq!(folder.exposed_secrets(), []);
    fs::set_permissions(folder.admin_token(), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(folder.exposed_secrets(), [(folder.admin_token(), 0o644)]);
}

#[test]
fn endpoints_leave_out_what_is_off() {
    let dir = tempfile::tempdir().unwrap();
    let folder = DataFolder::create(dir.path()).unwrap();
    folder.create_folders().unwrap();
    assert_eq!(folder.read_endpoints(), None);
    let endpoints =
        Endpoints { https: Some("127.0.0.1:8443".into()), hostname: "localhost".into(), ..Endpoints::default() };
    folder.write_endpoints(&endpoints).unwrap();
    assert!(!fs::read_to_string(folder.endpoints()).unwrap().contains("mqtts"));
    assert_eq!(folder.read_endpoints(), Some(endpoints));
}

#[test]
fn a_disk_has_room_or_not() {
    let room = |free_bytes: u64| Disk { free_bytes, total_bytes: u64::MAX }.room();
    for (free_bytes, expected) in [
        (0, Room::Full),
        (DISK_FULL_BYTES - 1, Room::Full),
        (DISK_FULL_BYTES, Room::Low),
        (DISK_LOW_BYTES - 1, Room::Low),
        (DISK_LOW_BYTES, Room::Enough),
    ] {
        assert_eq!(room(free_bytes), expected, "{free_bytes}");
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = DataFolder::create(dir.path()).unwrap().disk().unwrap();
    assert!(disk.free_bytes <= disk.total_bytes);
    assert_eq!(DataFolder::at(&dir.path().join("none")).disk(), None);
}

//! Which database a folder and a configuration lead to.
#![allow(clippy::unwrap_used)]

use std::fs::Permissions;

use super::*;

fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

#[test]
fn a_url_file_is_the_owners_alone() {
    let (_folder, path) = file("postgresql://u:s3cret@h/d\n", 0o600);
    let Database::Server(url) = Database::of_file(&path).unwrap() else { panic!("it is a server") };
    assert_eq!(url.to_string(), "postgresql://u@h:5432/d");
    for mode in [0o640, 0o604, 0o620] {
        let (_folder, path) = file("postgresql://u:s3cret@h/d", mode);
        let refused = Database::of_file(&path).unwrap_err();
        assert!(matches!(refused, FindDatabaseError::Exposed { mode: said, .. } if said == mode), "{refused:?}");
    }
}

#[test]
fn what_is_no_url_is_not_repeated() {
    let (_folder, path) = file("user=u password=s3cret", 0o600);
    for refused in [Database::of_file(&path).unwrap_err(), Database::of_argument("u:s3cret@h").unwrap_err()] {
        assert!(matches!(refused, FindDatabaseError::Url { .. }));
        assert!(!format!("{refused} {refused:?}").contains("s3cret"));
    }
    let missing = Database::of_file(Path::new("/not/there")).unwrap_err();
    assert!(matches!(missing, FindDatabaseError::Read { .. }));
}

#[test]
fn a_folder_keeps_its_database() {
    let dir = tempfile::tempdir().unwrap();
    let folder = DataFolder::create(dir.path()).unwrap();
    let server = Database::of_argument("postgresql://u:s3cret@h/d").unwrap();
    for database in [&Database::Folder, &server] {
        database.check(&folder).unwrap();
        assert!(!database.is_known(&folder).unwrap());
    }
    server.note(&folder).unwrap();
    assert!(server.is_known(&folder).unwrap());
    server.check(&folder).unwrap();
    let refused = Database::Folder.check(&folder).unwrap_err();
    assert!(refused.to_string().contains("is postgresql://u@h:5432/d;"), "{refused}");

    let dir = tempfile::tempdir().unwrap();
    let folder = DataFolder::create(dir.path()).unwrap();
    fs::write(folder.registry(), "").unwrap();
    Database::Folder.check(&folder).unwrap();
    assert!(matches!(server.check(&folder), Err(FindDatabaseError::InFolder { .. })));
}

//! Made once, kept, and made again only for a reason.
#![allow(clippy::unwrap_used)]

use super::*;

fn folder() -> (tempfile::TempDir, DataFolder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = DataFolder::create(dir.path()).unwrap();
    folder.create_folders().unwrap();
    (dir, folder)
}

#[test]
fn a_second_start_uses_the_same_certificates() {
    let (_dir, folder) = folder();
    let first = server_identity(&folder, "localhost").unwrap();
    let second = server_identity(&folder, "localhost").unwrap();
    assert_eq!(first.leaf_der(), second.leaf_der());
    assert!(server_certificate_ends_in_secs(&folder).unwrap() > 300 * 24 * 3600);
    assert!(folder.exposed_secrets().is_empty());
}

#[test]
fn another_host_name_gets_another_certificate_of_the_same_ca() {
    let (_dir, folder) = folder();
    let first = server_identity(&folder, "localhost").unwrap();
    let ca = folder.read(&folder.ca_pem()).unwrap();
    let second = server_identity(&folder, "iot.example.test").unwrap();
    assert_ne!(first.leaf_der(), second.leaf_der());
    assert_eq!(folder.read(&folder.ca_pem()).unwrap(), ca);
    let (_, leaf) = X509Certificate::from_der(second.leaf_der()).unwrap();
    assert_eq!(names_of(&leaf), ["iot.example.test", "*.iot.example.test", "localhost", "127.0.0.1", "::1"]);
}

#[test]
fn a_pair_that_does_not_fit_is_made_again() {
    let (_dir, folder) = folder();
    let first = server_identity(&folder, "localhost").unwrap();
    folder.write(&folder.server_key(), b"broken", Access::Private).unwrap();
    let second = server_identity(&folder, "localhost").unwrap();
    assert_ne!(first.leaf_der(), second.leaf_der());
}

#[test]
fn a_lost_half_of_the_ca_is_said() {
    let (_dir, folder) = folder();
    server_identity(&folder, "localhost").unwrap();
    std::fs::remove_file(folder.ca_key()).unwrap();
    let error = server_identity(&folder, "localhost").unwrap_err();
    assert!(error.to_string().contains("keys/ca.key is missing"), "{error}");
}

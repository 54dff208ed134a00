#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::{Value, json};

/// Has the kind of the restart counts, which is any.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Counts(Vec<u8>);

impl State for Counts {
    const KIND: &'static StateKind = &RESTARTS;
}

fn contents(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn what_is_written_comes_back_private_and_in_an_envelope() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counts.json");
    assert_eq!(read::<Counts>(&path).unwrap(), None);
    write(&path, &Counts(vec![1, 2])).unwrap();
    assert_eq!(read(&path).unwrap(), Some(Counts(vec![1, 2])));
    let written = contents(&path);
    assert_eq!((&written["kind"], &written["version"]), (&json!("edge.lifecycle.restarts"), &json!(2)));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_earlier_version_is_read_and_written_anew_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counts.json");
    std::fs::write(&path, "[1,2]").unwrap();
    assert_eq!(read(&path).unwrap(), Some(Counts(vec![1, 2])));
    assert_eq!(contents(&path), json!([1, 2]), "reading changes nothing");
    assert_eq!(open(&path).unwrap(), Some(Counts(vec![1, 2])));
    assert_eq!(contents(&path)["body"], json!([1, 2]));
    assert_eq!(open(&path).unwrap(), Some(Counts(vec![1, 2])));
}

#[test]
fn damage_is_set_aside_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counts.json");
    write(&path, &Counts(vec![1, 2])).unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();
    let changed = whole.replace("[1,2]", "[1,3]");
    for damage in ["[1,", "\0\0\0", "", "{}", &whole[..whole.len() - 2], &changed] {
        std::fs::write(&path, damage).unwrap();
        assert!(matches!(read::<Counts>(&path), Err(StateError::Damaged { .. })), "{damage:?}");
        assert_eq!(open::<Counts>(&path).unwrap(), None);
        assert!(!path.exists());
        assert_eq!(std::fs::read_to_string(dir.path().join("counts.json.damaged")).unwrap(), damage);
    }
}

#[test]
fn a_file_that_cannot_be_read_or_is_too_large_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(open::<Counts>(dir.path()), Err(StateError::Read(_))));
    let path = dir.path().join("counts.json");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(STATE_BYTES_MAX + 1).unwrap();
    assert!(matches!(open::<Counts>(&path), Err(StateError::Read(ReadFileError::TooLarge { .. }))));
    // At the limit it is read, and found to be damaged.
    file.set_len(STATE_BYTES_MAX).unwrap();
    assert_eq!(open::<Counts>(&path).unwrap(), None);
}

#[test]
fn a_later_version_of_any_kind_is_refused_untouched() {
    for kind in ALL {
        for path in kind.paths {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(if path.ends_with('/') { format!("{path}a.json") } else { (*path).to_owned() });
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let later = Kind { version: kind.kind.version + 1, ..kind.kind };
            let written = envelope::seal(later, &json!({ "from": "the future" })).unwrap();
            std::fs::write(&path, &written).unwrap();
            let error = refuse_later_versions(dir.path()).unwrap_err();
            assert!(error.to_string().contains("was written by a later version of tidegate-edge"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), written);
            // What this version wrote, or damaged, is no reason to refuse.
            for fine in [envelope::seal(kind.kind, &json!({})).unwrap(), b"{".to_vec()] {
                std::fs::write(&path, fine).unwrap();
                refuse_later_versions(dir.path()).unwrap();
            }
        }
    }
}

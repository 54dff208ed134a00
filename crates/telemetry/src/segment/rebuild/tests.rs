//! An older catalog against files that were written, merged and damaged since.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::super::{compact, write_segment};
use super::*;
use crate::row::{Row, Value};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file of these messages, each of two rows.
    fn write(&self, offsets: std::ops::Range<u64>) -> SegmentMeta {
        let row = |offset: u64, at: i64| Row {
            device: format!("d{}", offset % 3).into(),
            module: offset.is_multiple_of(2).then(|| "m".into()),
            component: None,
            ts_ms: 1_000 * at,
            enqueued_ms: 1_000 * at,
            offset,
            template: None,
            values: vec![
                (Arc::from("t"), Value::Double(at as f64 + 0.5)),
                (Arc::from("n"), if offset.is_multiple_of(2) { Value::Integer(at) } else { Value::Text("x".into()) }),
            ],
        };
        let mut rows: Vec<Row> = offsets.flat_map(|offset| [row(offset, 1), row(offset, 2)]).collect();
        write_segment(self.path(), "app", &mut rows).unwrap()
    }

    fn merge(&self, inputs: &[SegmentMeta]) -> SegmentMeta {
        compact(self.path(), "app", inputs).unwrap()
    }

    fn remove(&self, meta: &SegmentMeta) {
        fs::remove_file(self.file(meta)).unwrap();
    }

    fn file(&self, meta: &SegmentMeta) -> PathBuf {
        self.path().join(&meta.file_name)
    }

    fn reconcile(&self, catalog: &[SegmentMeta], before: u64) -> Reconciled {
        reconcile(self.path(), catalog, before).unwrap()
    }
}

fn names(all: &[SegmentMeta]) -> Vec<&str> {
    all.iter().map(|meta| meta.file_name.as_str()).collect()
}

#[test]
fn what_was_written_since_is_entered_as_it_was_described() {
    let folder = Folder::new();
    let (old, new, uncommitted) = (folder.write(0..10), folder.write(10..30), folder.write(30..40));
    let reconciled = folder.reconcile(std::slice::from_ref(&old), 30);
    assert_eq!(reconciled.entered, [new]);
    assert_eq!((reconciled.superseded.len(), reconciled.unusable.len()), (0, 0));
    assert!(folder.file(&uncommitted).exists());
    assert_eq!(folder.reconcile(&[], 0).entered, []);
    assert_eq!(reconcile(&folder.path().join("none"), &[old], 9).unwrap().entered, []);
}

#[test]
fn what_was_merged_since_takes_the_place_of_its_parts() {
    let folder = Folder::new();
    let parts = [folder.write(0..10), folder.write(10..20), folder.write(20..30)];
    let merged = folder.merge(&parts);
    assert_eq!(committed_before(folder.path()).unwrap(), 30);
    // Not yet deleted, half deleted, deleted.
    for deleted in 0..=parts.len() {
        if let Some(index) = deleted.checked_sub(1) {
            folder.remove(&parts[index]);
        }
        let reconciled = folder.reconcile(&parts[..2], 30);
        let mut superseded = reconciled.superseded;
        superseded.sort();
        assert_eq!(reconciled.entered, std::slice::from_ref(&merged), "{deleted}");
        assert_eq!(superseded, names(&parts[..2]), "{deleted}");
        assert_eq!(reconciled.unusable, []);
    }
}

#[test]
fn a_merged_file_that_holds_nothing_new_is_left_out() {
    let folder = Folder::new();
    let parts = [folder.write(0..10), folder.write(10..20)];
    folder.merge(&parts);
    let reconciled = folder.reconcile(&parts, 20);
    assert_eq!((names(&reconciled.entered).len(), reconciled.superseded.len()), (0, 0));
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    let (old, torn, crossing) = (folder.write(0..10), folder.write(10..20), folder.write(5..15));
    let bytes = fs::read(folder.file(&torn)).unwrap();
    fs::write(folder.file(&torn), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(folder.path().join("notes.parquet"), "not ours").unwrap();
    let renamed = folder.write(40..41);
    let other = renamed.file_name.replace("40", "42");
    fs::rename(folder.file(&renamed), folder.path().join(&other)).unwrap();
    let mut unusable = folder.reconcile(&[old], 50).unusable;
    unusable.sort();
    let named: Vec<&str> = unusable.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, [crossing.file_name.as_str(), torn.file_name.as_str(), other.as_str()]);
}

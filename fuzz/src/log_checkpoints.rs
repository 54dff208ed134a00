//! Any file of checkpoints is read or refused; what was read is written so that it reads the same.

use std::path::Path;
use std::sync::Arc;

use storage::log::{Checkpoints, Offset};
use storage::testing::FaultyFiles;

const FILE: &str = "/log/checkpoints";

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let files = FaultyFiles::new(1);
    files.put(Path::new(FILE), bytes.to_vec());
    let open = || Checkpoints::open_on(Path::new(FILE), Arc::new(files.clone()));
    let Ok(checkpoints) = open() else { return };
    let before = checkpoints.min();
    if checkpoints.set("fuzz", Offset(u64::MAX)).is_err() {
        return;
    }
    let again = open().expect("what was written reads again");
    assert_eq!(again.get("fuzz"), Some(Offset(u64::MAX)));
    again.remove("fuzz").expect("a memory disk takes what it took before");
    if checkpoints.get("fuzz") == Some(Offset(u64::MAX)) && before.is_some() {
        assert!(again.min() >= before, "other positions stay");
    }
}

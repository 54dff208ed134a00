//! A log beside any mark of what was acknowledged opens or is refused; what opens takes records and opens again.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use storage::log::{Environment, Log, LogOptions};
use storage::testing::FaultyFiles;

const FOLDER: &str = "/log";
const MARK: &str = "/log/acknowledged";

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let files = FaultyFiles::new(1);
    let open = || {
        let environment = Environment { files: Arc::new(files.clone()), clock: Arc::new(|| 1_800_000_000_000) };
        Log::open_in(Path::new(FOLDER), LogOptions::default(), environment)
    };
    let log = open().expect("a new log opens");
    log.append_blocking(vec![Bytes::from_static(b"one")]).expect("an open log takes records");
    drop(log);
    files.put(Path::new(MARK), bytes.to_vec());
    // One that says more than the log has is told of as a loss.
    let Ok(log) = open() else { return };
    let next = log.next_offset();
    log.append_blocking(vec![Bytes::from_static(b"one more")]).expect("an open log takes records");
    drop(log);
    assert_eq!(open().expect("what was open once opens again").next_offset().0, next.0 + 1);
}

//! A log whose newest segment holds any bytes opens or is refused. What opens can be read to its end and takes records, and
//! the same again after it was closed.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use storage::log::{Environment, Log, LogOptions};
use storage::testing::FaultyFiles;

const FOLDER: &str = "/log";
const SEGMENT: &str = "/log/00000000000000000000.log";

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let files = FaultyFiles::new(1);
    files.put(Path::new(SEGMENT), bytes.to_vec());
    let open = || {
        let environment = Environment { files: Arc::new(files.clone()), clock: Arc::new(|| 1_800_000_000_000) };
        Log::open_in(Path::new(FOLDER), LogOptions::default(), environment)
    };
    let Ok(log) = open() else { return };
    let next = log.next_offset();
    let mut reader = log.reader(log.first_offset());
    while !reader.try_next_batch(usize::MAX, 1 << 20).expect("it was checked when the log was opened").is_empty() {}
    log.append_blocking(vec![Bytes::from_static(b"one more")]).expect("an open log takes records");
    drop(log);
    let log = open().expect("what was open once opens again");
    assert_eq!(log.next_offset().0, next.0 + 1);
    assert_eq!(log.recovery().cut, None, "nothing is cut twice");
}

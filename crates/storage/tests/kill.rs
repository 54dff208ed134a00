#![allow(clippy::unwrap_used)]
//! `kill -9` on a real disk: what a process printed as acknowledged is there after it was killed at a random moment.
//!
//! The child is this test binary again, told by an environment variable to be the appender. The parent kills it after a
//! number of acknowledgements drawn for the round, so that the kill lands in whatever the writer is doing then.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;

use bytes::Bytes;
use storage::log::{Log, LogOptions, Offset};

const FOLDER_VARIABLE: &str = "TIDEGATE_TEST_LOG_TO_APPEND_TO";
const ROUNDS: u64 = 20;
const APPENDERS: u64 = 4;

/// Small segments, so that kills also land in the middle of beginning a new one.
fn options() -> LogOptions {
    LogOptions { segment_bytes_max: 20_000, ..LogOptions::default() }
}

/// What the record with this offset's round, appender and number says; long enough that writes span disk blocks.
fn payload(round: u64, appender: u64, number: u64) -> Bytes {
    let line = format!("{round} {appender} {number} ");
    Bytes::from(line.repeat(1 + (number as usize * 7) % 40))
}

/// Not a test by itself: does nothing unless [`FOLDER_VARIABLE`] is set, then appends until it is killed.
#[test]
fn appender() {
    let Ok(folder) = std::env::var(FOLDER_VARIABLE) else { return };
    let (folder, round) = folder.rsplit_once('#').unwrap();
    let round: u64 = round.parse().unwrap();
    let log = Log::open(folder.as_ref(), options()).unwrap();
    thread::scope(|scope| {
        for appender in 0..APPENDERS {
            let log = log.clone();
            scope.spawn(move || {
                for number in 0.. {
                    let records = vec![payload(round, appender, number), payload(round, appender, number + 1)];
                    let range = log.append_blocking(records).unwrap();
                    // One write a line, so that lines of different threads do not mix.
                    let line = format!("acknowledged {} {appender} {number}\n", range.first);
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn nothing_acknowledged_is_missing_after_twenty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected: Vec<(u64, Bytes)> = Vec::new();
    for round in 0..ROUNDS {
        let acknowledgements_before_kill = 1 + round * 37 % 101;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["appender", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER_VARIABLE, format!("{}#{round}", folder.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        for line in lines {
            // The test harness prints lines of its own; the last line may be cut off by the kill.
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').skip_while(|word| *word != "acknowledged").collect();
            let numbers: Vec<u64> = words.iter().skip(1).filter_map(|word| word.parse().ok()).collect();
            let [first, appender, number] = numbers[..] else { continue };
            expected.push((first, payload(round, appender, number)));
            expected.push((first + 1, payload(round, appender, number + 1)));
            acknowledged += 1;
            if acknowledged == acknowledgements_before_kill {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= acknowledgements_before_kill, "the appender ended early in round {round}");

        let log = Log::open(folder.path(), options()).unwrap();
        let mut reader = log.reader(Offset(0));
        let mut found = Vec::new();
        loop {
            let batch = reader.try_next_batch(1000, 1 << 20).unwrap();
            if batch.is_empty() {
                break;
            }
            found.extend(batch.into_iter().map(|record| record.payload));
        }
        for (offset, payload) in &expected {
            assert_eq!(found.get(*offset as usize), Some(payload), "round {round}, offset {offset}");
        }
    }
    assert!(expected.len() as u64 >= ROUNDS * 2);
}

//! Random sequences of actions on a faulty disk, checked after each step against a model that is nothing but a list.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::rig::{DIR, Rig};
use crate::log::{AppendError, Checkpoints, Log, LogOptions, Offset, ReadError, Reader, Retention};

#[derive(Debug, Clone)]
enum Action {
    /// Payload lengths.
    Append(Vec<usize>),
    Read {
        reader: usize,
        records_max: usize,
        bytes_max: usize,
    },
    Seek {
        reader: usize,
        percent: u64,
    },
    Checkpoint {
        percent: u64,
    },
    Trim {
        percent: u64,
    },
    PassTime {
        secs: u64,
    },
    Reopen,
    CrashNow,
    CrashAfter {
        ops: u64,
    },
    FailSync {
        good_before: u32,
    },
    FillDisk {
        free_bytes: u64,
    },
    EmptyDisk,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        10 => prop::collection::vec(prop_oneof![4 => 0_usize..60, 1 => 0_usize..700], 1..6).prop_map(Action::Append),
        6 => (0_usize..3, 0_usize..8, 0_usize..500).prop_map(|(reader, records_max, bytes_max)| Action::Read { reader, records_max, bytes_max }),
        1 => (0_usize..3, 0_u64..=100).prop_map(|(reader, percent)| Action::Seek { reader, percent }),
        2 => (0_u64..=100).prop_map(|percent| Action::Checkpoint { percent }),
        1 => (0_u64..=100).prop_map(|percent| Action::Trim { percent }),
        1 => (0_u64..100).prop_map(|secs| Action::PassTime { secs }),
        1 => Just(Action::Reopen),
        1 => Just(Action::CrashNow),
        2 => (0_u64..12).prop_map(|ops| Action::CrashAfter { ops }),
        1 => (0_u32..4).prop_map(|good_before| Action::FailSync { good_before }),
        1 => (0_u64..400).prop_map(|free_bytes| Action::FillDisk { free_bytes }),
        2 => Just(Action::EmptyDisk),
    ]
}

fn options() -> impl Strategy<Value = LogOptions> {
    let total = prop_oneof![Just(None), (3000_u64..9000).prop_map(Some)];
    let age = prop_oneof![3 => Just(None), 1 => Just(Some(Duration::from_secs(60)))];
    let bytes = prop_oneof![3 => Just(None), 1 => Just(Some(3000_u64))];
    (200_u64..1500, total, age, bytes, 0_usize..2000).prop_map(
        |(segment_bytes_max, total_bytes_max, age, bytes, tail_bytes_max)| LogOptions {
            segment_bytes_max,
            total_bytes_max,
            retention: Retention { age, bytes },
            tail_bytes_max,
            ..LogOptions::default()
        },
    )
}

/// The log under test and what we believe about it.
struct Run {
    rig: Rig,
    log: Option<Log>,
    readers: Vec<Reader>,
    checkpoints: Option<Checkpoints>,
    /// Every record ever acknowledged; the index is the offset.
    model: Vec<Bytes>,
    /// An append whose fate only the next opening tells: all of it or nothing.
    in_doubt: Option<Vec<Bytes>>,
    /// The oldest record we have not allowed to be deleted.
    must_keep: u64,
    /// The stored checkpoint; two possible values after a crash.
    checkpoint: BTreeMap<&'static str, Vec<Offset>>,
    payloads: u64,
}

fn read_all(mut reader: Reader) -> Result<Vec<Bytes>, ReadError> {
    let mut found = Vec::new();
    loop {
        let batch = reader.try_next_batch(1000, usize::MAX)?;
        if batch.is_empty() {
            return Ok(found);
        }
        found.extend(batch.into_iter().map(|record| record.payload));
    }
}

impl Run {
    fn new(seed: u64, options: LogOptions) -> Self {
        let mut run = Run {
            rig: Rig::new(seed, options),
            log: None,
            readers: Vec::new(),
            checkpoints: None,
            model: Vec::new(),
            in_doubt: None,
            must_keep: 0,
            checkpoint: BTreeMap::from([("reader", Vec::new())]),
            payloads: 0,
        };
        run.rig.files.set_short_writes(seed.is_multiple_of(2));
        run.open();
        run
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    /// Opens the log and compares all of it with the model.
    fn open(&mut self) {
        let log = self.rig.open().unwrap();
        // What is too old goes as soon as the log is open, also while it is read.
        let (first, found) = loop {
            let first = log.first_offset();
            match read_all(log.reader(first)) {
                Ok(found) if log.first_offset() == first => break (first.0, found),
                Ok(_) | Err(ReadError::Trimmed { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        };
        let next = log.next_offset().0;
        assert_eq!(next, first + found.len() as u64);
        if let Some(in_doubt) = self.in_doubt.take()
            && next > self.model.len() as u64
        {
            self.model.extend(in_doubt);
        }
        assert_eq!(next, self.model.len() as u64, "what was acknowledged is there, and nothing else");
        assert!(first <= self.must_keep, "{first} is kept from, but {} must be", self.must_keep);
        assert!(found == self.model[first as usize..], "every record is what it was");
        self.readers = (0..3).map(|_| log.reader(log.first_offset())).collect();
        self.log = Some(log);

        let path = Path::new(DIR).with_file_name("checkpoints");
        let checkpoints = Checkpoints::open_on(&path, Arc::new(self.rig.files.clone())).unwrap();
        let found = checkpoints.get("reader");
        let possible = self.checkpoint.get_mut("reader").unwrap();
        assert!(found.map_or(possible.len() < 2, |found| possible.contains(&found)), "{found:?} of {possible:?}");
        *possible = found.into_iter().collect();
        self.checkpoints = Some(checkpoints);
    }

    fn reopen(&mut self) {
        self.readers.clear();
        self.log = None;
        // Faults that wait belong to the disk before.
        self.rig.files.set_capacity_bytes(None);
        if self.rig.files.has_crashed() {
            self.rig.files.restart();
        }
        self.rig.files.fail_syncs(0);
        self.rig.files.cancel_crash();
        self.open();
    }

    fn offset_at(&self, percent: u64) -> Offset {
        let (first, next) = (self.log().first_offset().0, self.log().next_offset().0);
        Offset(first + (next - first) * percent / 100)
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Append(lengths) => self.append(lengths),
            Action::Read { reader, records_max, bytes_max } => self.read(*reader, *records_max, *bytes_max),
            Action::Seek { reader, percent } => {
                let position = self.offset_at(*percent);
                self.readers[*reader].seek(position);
            }
            Action::Checkpoint { percent } => self.set_checkpoint(self.offset_at(*percent)),
            Action::Trim { percent } => {
                let before = self.offset_at(*percent);
                // Even a failed or interrupted one may have deleted that much.
                self.must_keep = self.must_keep.max(before.0);
                if self.log().trim_before(before).is_err() {
                    self.reopen();
                }
                assert!(self.log().first_offset().0 <= self.must_keep);
            }
            Action::PassTime { secs } => {
                self.rig.now_ms.fetch_add(secs * 1000, Ordering::Relaxed);
            }
            Action::Reopen => self.reopen(),
            Action::CrashNow => {
                self.rig.files.crash();
                self.reopen();
            }
            Action::CrashAfter { ops } => self.rig.files.crash_after(*ops),
            Action::FailSync { good_before } => self.rig.files.fail_sync_after(*good_before),
            Action::FillDisk { free_bytes } => {
                self.rig.files.set_capacity_bytes(Some(self.rig.files.used_bytes() + free_bytes));
            }
            Action::EmptyDisk => self.rig.files.set_capacity_bytes(None),
        }
        if self.rig.options.retention != Retention::default() {
            self.must_keep = self.must_keep.max(self.log().first_offset().0);
        }
        if let Some(limit) = self.rig.options.total_bytes_max {
            assert!(self.log().bytes() <= limit);
        }
    }

    fn append(&mut self, lengths: &[usize]) {
        let mut payload = |length| {
            self.payloads += 1;
            Bytes::from(self.payloads.to_le_bytes().into_iter().cycle().take(length).collect::<Vec<_>>())
        };
        let records: Vec<Bytes> = lengths.iter().map(|&length| payload(length)).collect();
        if self.rig.options.retention != Retention::default() {
            // Whatever retention deletes now is allowed to be gone if we crash.
            self.must_keep = self.model.len() as u64;
        }
        match self.log().append_blocking(records.clone()) {
            Ok(range) => {
                assert_eq!(range.first.0, self.model.len() as u64);
                self.model.extend(records);
                assert_eq!(range.last.0 + 1, self.model.len() as u64);
                assert_eq!(self.log().next_offset().0, self.model.len() as u64);
            }
            // These promise that nothing was appended.
            Err(AppendError::Full { .. } | AppendError::DiskFull { .. }) => {}
            Err(AppendError::Io { .. }) if !self.rig.files.has_crashed() => panic!("no such fault was injected"),
            Err(AppendError::Poisoned { .. } | AppendError::Io { .. }) => {
                self.in_doubt = Some(records);
                self.reopen();
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn read(&mut self, reader: usize, records_max: usize, bytes_max: usize) {
        let reader = &mut self.readers[reader];
        let before = reader.position();
        match reader.try_next_batch(records_max, bytes_max) {
            Ok(batch) => {
                assert_eq!(batch.is_empty(), before.0 == self.model.len() as u64);
                assert!(batch.len() <= records_max.max(1));
                let bytes: usize = batch.iter().map(|record| record.payload.len()).sum();
                assert!(bytes <= bytes_max || batch.len() == 1);
                for (offset, record) in (before.0..).zip(&batch) {
                    assert_eq!(record.offset.0, offset);
                    assert_eq!(record.payload, self.model[offset as usize]);
                }
                assert_eq!(reader.position().0, before.0 + batch.len() as u64);
            }
            Err(ReadError::Trimmed { first }) => {
                assert!(before < first);
                reader.seek(first);
            }
            Err(ReadError::Io { .. }) if self.rig.files.has_crashed() => self.reopen(),
            Err(error) => panic!("{error}"),
        }
    }

    fn set_checkpoint(&mut self, position: Offset) {
        let set = self.checkpoints.as_ref().unwrap().set("reader", position);
        let possible = self.checkpoint.get_mut("reader").unwrap();
        match set {
            Ok(()) => *possible = vec![position],
            Err(_) => {
                // The value from before a first one that was in doubt is "none"; keep it possible by having just one.
                possible.push(position);
                self.reopen();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_does_what_the_model_does(seed in any::<u64>(), options in options(), actions in prop::collection::vec(action(), 1..60)) {
        let mut run = Run::new(seed, options);
        for action in &actions {
            run.act(action);
        }
        run.reopen();
    }
}

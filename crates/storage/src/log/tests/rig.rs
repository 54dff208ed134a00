//! A log on a faulty disk with a clock that stands still, and short names for what tests do all the time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::log::lost::accept_loss_in;
use crate::log::segment::segment_path;
use crate::log::verify::verify_in;
use crate::log::{
    AppendError, AppendedRange, Environment, Log, LogOptions, LostPart, Offset, OpenLogError, ReadError, Records,
    VerifiedLog,
};
use crate::testing::FaultyFiles;

pub const DIR: &str = "/log";

pub struct Rig {
    pub files: FaultyFiles,
    pub now_ms: Arc<AtomicU64>,
    pub options: LogOptions,
}

impl Rig {
    pub fn new(seed: u64, options: LogOptions) -> Self {
        Rig { files: FaultyFiles::new(seed), now_ms: Arc::new(AtomicU64::new(1_000_000)), options }
    }

    /// Small segments, so that a few records make several.
    pub fn small(seed: u64) -> Self {
        Self::new(seed, LogOptions { segment_bytes_max: 300, tail_bytes_max: 0, ..LogOptions::default() })
    }

    pub fn open(&self) -> Result<Log, OpenLogError> {
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Arc::new(move || now_ms.load(Ordering::Relaxed));
        Log::open_in(Path::new(DIR), self.options.clone(), Environment { files: Arc::new(self.files.clone()), clock })
    }

    pub fn segments(&self) -> Vec<PathBuf> {
        let mut paths = self.files.paths();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        paths
    }

    pub fn newest(&self) -> PathBuf {
        self.segments().pop().unwrap()
    }

    /// The mark of what was acknowledged is lost, as it may be with the power.
    pub fn forget_acknowledged(&self) {
        self.files.take(&Path::new(DIR).join("acknowledged"));
    }

    pub fn verify(&self) -> Result<Option<VerifiedLog>, OpenLogError> {
        verify_in(&self.files, Path::new(DIR))
    }

    pub fn accept_loss(&self, reached: u64) -> Result<Vec<LostPart>, OpenLogError> {
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Arc::new(move || now_ms.load(Ordering::Relaxed));
        let environment = Environment { files: Arc::new(self.files.clone()), clock };
        accept_loss_in(Path::new(DIR), Offset(reached), &environment)
    }
}

pub fn segment(base: u64) -> PathBuf {
    segment_path(Path::new(DIR), Offset(base))
}

pub fn append(log: &Log, payloads: &[&str]) -> Result<AppendedRange, AppendError> {
    log.append_blocking(payloads.iter().map(|payload| Bytes::copy_from_slice(payload.as_bytes())).collect::<Records>())
}

/// Everything from `from` to the end.
pub fn read_from(log: &Log, from: Offset) -> Result<Vec<String>, ReadError> {
    let mut reader = log.reader(from);
    let mut payloads = Vec::new();
    loop {
        let batch = reader.try_next_batch(3, usize::MAX)?;
        if batch.is_empty() {
            return Ok(payloads);
        }
        for record in batch {
            assert_eq!(record.offset.0, from.0 + payloads.len() as u64, "offsets are dense");
            payloads.push(String::from_utf8(record.payload.to_vec()).unwrap());
        }
    }
}

pub fn read_all(log: &Log) -> Vec<String> {
    read_from(log, log.first_offset()).unwrap()
}

//! The durable log and atomically replaced state files: the only code that promises durability.
//!
//! - [`log::Log`]: a segmented, checksummed log. An append is durable when it returns; one `fdatasync` covers every append
//!   that waits at that moment. Central takes in telemetry with it, the edge stores and forwards with it.
//! - [`log::Reader`] and [`log::Checkpoints`]: any number of independent readers, each with a named, durable position.
//! - [`state_file`]: replaces a small file so that a crash leaves the old contents or the new ones, never a mixture.
//! - [`envelope`]: what a state file begins with, so that a later version and damage are told apart.
//! - [`file_layer`]: the few file operations all of this is built on, so that tests can put a disk that tears, fills up,
//!   fails and forgets in place of the real one.
//!
//! It refuses to know what a record means: payloads are bytes, positions are numbers.
//!
//! ```
//! use bytes::Bytes;
//! use storage::log::{Log, LogOptions, Offset};
//!
//! # let runtime = tokio::runtime::Runtime::new().expect("a runtime");
//! # let folder = tempfile::tempdir().expect("a folder");
//! # runtime.block_on(async {
//! let log = Log::open(folder.path(), LogOptions::default())?;
//! let range = log.append(vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")]).await?;
//! assert_eq!((range.first, range.last), (Offset(0), Offset(1)));
//!
//! let mut reader = log.reader(Offset(1));
//! let batch = reader.next_batch(100, 1 << 20).await?;
//! assert_eq!(batch[0].payload, "two");
//! assert_eq!(reader.position(), Offset(2));
//! log.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).expect("the example works");
//! ```

pub mod envelope;
pub mod file_layer;
pub mod limits;
pub mod log;
pub mod state_file;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

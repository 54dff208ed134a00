//! What follows the log: each reader turns records into something people ask for, at its own pace.
//!
//! ```text
//!   log ──► runner (one task a reader) ──► reader: handle a batch … commit its state together with its position
//!    ▲                                          │
//!    └── trimmed behind the slowest that counts ◄┘
//! ```
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`runner`] | what a reader is, and what runs it: restarts, commits, one never holding back another |
//! | [`pool`] | the threads they run on |
//! | [`positions`] | where each reader is, and what of the log may go |
//! | [`timeseries`] | the reader `telemetry`: rows, last values, newest raw messages |
//! | [`last_seen`] | the reader `last_seen`: when identities were last heard of |
//! | [`metrics`] | what an operator sees |
//!
//! It refuses to know the wire, sessions, and the REST API.

pub mod last_seen;
mod limits;
pub mod metrics;
pub mod pool;
pub mod positions;
pub mod runner;
pub mod timeseries;

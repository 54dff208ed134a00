//! What happens to devices, as records of one log: the way in, and what is told at once.
//!
//! ```text
//!   gateway, twins, provisioning ──► ingest ──► log ──► readers (each with a position of its own)
//!                                       └─────► live     whoever watches right now
//! ```
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`record`] | the format of a log record |
//! | [`ingest`] | the way into the log |
//! | [`live`] | what just happened, to whoever watches |
//! | [`last_seen`] | when identities were last heard of |
//! | [`metrics`] | counters, and what keeps Central from being ready |
//! | [`clock`] | the wall clock, read in one place |
//!
//! It refuses to know who may send, what a message means, and who reads.

pub mod clock;
pub mod config;
pub mod ingest;
pub mod last_seen;
pub mod limits;
pub mod live;
pub mod metrics;
pub mod record;

pub use config::LogConfig;

//! What follows the log: each reader turns records into something people ask for, at its own pace.
//!
//! | Module | Makes |
//! | --- | --- |
//! | [`timeseries`] | telemetry rows, last values, newest raw messages |
//!
//! It refuses to know the wire, sessions, and the REST API.

pub mod limits;
pub mod metrics;
pub mod timeseries;

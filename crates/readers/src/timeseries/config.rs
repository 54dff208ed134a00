//! What an operator may set about the telemetry store.

use std::time::Duration;

use serde::Deserialize;

/// The telemetry store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Rows in memory are written to a segment at this size in bytes. Default 64 MiB.
    pub flush_bytes: u64,
    /// Rows in memory are written to a segment at this age in seconds. Default 600.
    pub flush_secs: u64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { flush_bytes: 64 << 20, flush_secs: 600 }
    }
}

impl TelemetryConfig {
    /// `flush_secs` as a duration.
    pub fn flush_after(&self) -> Duration {
        Duration::from_secs(self.flush_secs)
    }
}

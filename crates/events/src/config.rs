//! What an operator may set about the log.

use serde::Deserialize;

/// The log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Hard limit in bytes; when it is reached, messages are refused until readers have caught up. Default 10 GiB.
    pub max_bytes: u64,
    /// Size of one segment file in bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Records kept behind what the telemetry store has covered, for raw messages and later readers. Default 100,000.
    pub keep_records: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { max_bytes: 10 << 30, segment_bytes: 64 << 20, keep_records: 100_000 }
    }
}

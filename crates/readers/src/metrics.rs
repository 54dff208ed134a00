//! What an operator sees of the readers, in `/metrics`.

use events::metrics::counter;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Metrics of the telemetry reader. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ReaderMetrics {
    pub(crate) read: Counter,
    pub(crate) unreadable: Counter,
    pub(crate) rows_flushed: Counter,
    pub(crate) segments_written: Counter,
    pub(crate) lag: Gauge,
}

impl ReaderMetrics {
    /// Makes them known.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { read, unreadable, rows_flushed, segments_written, lag } = metrics.clone();
        counter("tidegate_messages_read", "Log records taken by the telemetry reader", read, registry);
        counter("tidegate_messages_unreadable", "Log records it could not read", unreadable, registry);
        counter("tidegate_telemetry_rows_flushed", "Rows written to Parquet", rows_flushed, registry);
        counter("tidegate_telemetry_segments_written", "Parquet files written", segments_written, registry);
        let (name, help) = ("tidegate_telemetry_reader_lag", "Records the telemetry reader is behind");
        registry.register(name, help, lag);
        metrics
    }
}

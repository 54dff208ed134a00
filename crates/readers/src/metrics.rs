//! What an operator sees of the readers, in `/metrics`.

use std::fmt;

use events::metrics::counter;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::positions::{Positions, Standing};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReaderLabels {
    reader: &'static str,
}

/// Metrics every reader has. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RunnerMetrics {
    read: Family<ReaderLabels, Counter>,
    restarts: Family<ReaderLabels, Counter>,
}

/// Metrics of the reader `telemetry`. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TelemetryMetrics {
    pub(crate) unreadable: Counter,
    pub(crate) values_left_out: Counter,
    pub(crate) rows_flushed: Counter,
    pub(crate) segments_written: Counter,
}

impl RunnerMetrics {
    /// Makes them known.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        counter("tidegate_reader_records", "Log records a reader has handled", metrics.read.clone(), registry);
        counter("tidegate_reader_restarts", "Times a reader ended unasked", metrics.restarts.clone(), registry);
        metrics
    }

    /// A reader handled records.
    pub(crate) fn read(&self, reader: &'static str, records: usize) {
        self.read.get_or_create(&ReaderLabels { reader }).inc_by(records as u64);
    }

    /// A reader ended unasked.
    pub(crate) fn restarted(&self, reader: &'static str) {
        self.restarts.get_or_create(&ReaderLabels { reader }).inc();
    }
}

impl TelemetryMetrics {
    /// Makes them known.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { unreadable, values_left_out, rows_flushed, segments_written } = metrics.clone();
        counter("tidegate_messages_unreadable", "Log records this version cannot read", unreadable, registry);
        counter(
            "tidegate_telemetry_values_left_out",
            "Values beyond the first 1,000 of a message, which are in the raw message only",
            values_left_out,
            registry,
        );
        counter("tidegate_telemetry_rows_flushed", "Rows written to Parquet", rows_flushed, registry);
        counter("tidegate_telemetry_segments_written", "Parquet files written", segments_written, registry);
        metrics
    }
}

/// How far the readers are, looked at when asked for: a reader that is stuck shows too.
#[derive(Debug)]
pub struct ReaderGauges(pub Positions);

impl Collector for ReaderGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauges = [
            ("tidegate_reader_lag", "Records a reader has not handled"),
            ("tidegate_reader_uncommitted", "Records a reader has not made durable"),
        ];
        let standings = self.0.standings();
        for (at, (name, help)) in gauges.into_iter().enumerate() {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for Standing { reader, lag, uncommitted, .. } in &standings {
                let gauge = ConstGauge::new(i64::try_from([*lag, *uncommitted][at]).unwrap_or(i64::MAX));
                gauge.encode(family.encode_family(&ReaderLabels { reader: reader.name })?)?;
            }
        }
        Ok(())
    }
}

//! What an operator sees of the event log, in `/metrics`. Each crate registers its own metrics; Central encodes them together.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use storage::log::Log;

use crate::health::Health;
use crate::publish::Event;
use crate::record::Kind;

/// Metrics of the event log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventMetrics {
    messages: Counter,
    message_bytes: Counter,
    events: Family<KindLabels, Counter>,
    publish_seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

impl EventMetrics {
    /// Makes them known.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            messages: Counter::default(),
            message_bytes: Counter::default(),
            events: Family::default(),
            // From a fast disk (0.1 ms) to a broken one (6.5 s).
            publish_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 17)),
        };
        let Self { messages, message_bytes, events, publish_seconds } = metrics.clone();
        counter("tidegate_messages_accepted", "Messages stored in the log", messages, registry);
        counter("tidegate_message_bytes_accepted", "Bytes of them, as stored", message_bytes, registry);
        counter("tidegate_events_accepted", "Other events stored in the log, by kind", events, registry);
        let (name, help) = ("tidegate_publish_seconds", "Time until messages or events were durable");
        registry.register(name, help, publish_seconds);
        metrics
    }

    /// Messages and events became durable.
    pub(crate) fn published(&self, messages: usize, message_bytes: usize, events: &[Event], took: Duration) {
        self.messages.inc_by(messages as u64);
        self.message_bytes.inc_by(message_bytes as u64);
        self.publish_seconds.observe(took.as_secs_f64());
        for kind in [Kind::Connection, Kind::ReportedProperties, Kind::DesiredProperties, Kind::Lifecycle] {
            let count = events.iter().filter(|event| event.kind == kind).count();
            if count > 0 {
                self.events.get_or_create(&KindLabels { kind: kind.name() }).inc_by(count as u64);
            }
        }
    }
}

/// Makes a counter known; its name ends with `_total` when it is encoded.
pub fn counter(name: &'static str, help: &'static str, metric: impl Metric, registry: &mut Registry) {
    registry.register(name, help, metric);
}

/// Size and end of the log, looked at when asked for.
#[derive(Debug)]
pub struct LogGauges(pub Log);

impl Collector for LogGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauges = [
            ("tidegate_log_bytes", "Size of the log", self.0.bytes()),
            ("tidegate_log_first_offset", "Offset of the oldest record of the log", self.0.first_offset().0),
            ("tidegate_log_next_offset", "Offset the next record gets", self.0.next_offset().0),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// Whether Central is ready, looked at when asked for.
#[derive(Debug)]
pub struct ReadyGauge(pub Health);

impl Collector for ReadyGauge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new(i64::from(self.0.problems().is_empty()));
        gauge.encode(encoder.encode_descriptor("tidegate_ready", "1 when ready", None, gauge.metric_type())?)
    }
}

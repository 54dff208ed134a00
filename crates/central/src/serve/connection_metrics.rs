//! What an operator sees of the listeners in `/metrics`: connections, and requests of them, that had to give way.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use transport::server::GaveWay;

/// What each listener counts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ListenerCounts {
    /// The port of devices.
    pub mqtts: GaveWay,
    /// The port of people, scripts and devices that speak HTTPS.
    pub https: GaveWay,
    /// The same without TLS, for this machine.
    pub http: GaveWay,
    started: SystemTime,
}

impl ListenerCounts {
    /// Makes them known, all at zero from now on.
    pub fn register(registry: &mut Registry) -> Self {
        let gave_way = GaveWay::default;
        let counts = Self { mqtts: gave_way(), https: gave_way(), http: gave_way(), started: SystemTime::now() };
        registry.register_collector(Box::new(counts.clone()));
        counts
    }
}

impl Collector for ListenerCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = ("process_start_time_seconds", "When the process started, in Unix seconds");
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        ConstGauge::new(started).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        let mut all = counter("tidegate_connections_gave_way", "Connections that gave way, by reason", &mut encoder)?;
        for (listener, gave_way) in [("mqtts", &self.mqtts), ("https", &self.https), ("http", &self.http)] {
            for (reason, count) in gave_way.counts() {
                let labels = [("listener", listener), ("reason", reason.name())];
                ConstCounter::new(count).encode(all.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn counter<'e>(
    name: &'static str,
    help: &'static str,
    encoder: &'e mut DescriptorEncoder<'_>,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Counter)
}

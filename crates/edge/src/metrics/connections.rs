//! Connections that had to give way at the hub's listener, counted since the daemon started. The original has no such metric.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use transport::server::GaveWay;

/// What the listener counts.
#[derive(Debug)]
pub struct Listener(pub GaveWay);

impl Collector for Listener {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut series = counter("edgehub_connections_gave_way", "Connections that gave way, by reason", &mut encoder)?;
        for (reason, count) in self.0.counts() {
            ConstCounter::new(count).encode(series.encode_family(&[("reason", reason.name())])?)?;
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

//! What an operator sees of the device plane, in `/metrics`.

use std::fmt;

use events::metrics::counter;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use registry::EndOfMessage;

use crate::device_messages::DeviceMessages;
use crate::sessions::Sessions;

/// Counters of the device plane. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct HubMetrics {
    connects_accepted: Counter,
    connects_refused: Counter,
    registrations_assigned: Counter,
    registrations_refused: Counter,
}

impl HubMetrics {
    /// Makes them known.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { connects_accepted, connects_refused, registrations_assigned, registrations_refused } =
            metrics.clone();
        counter("tidegate_connects_accepted", "Device connections let in", connects_accepted, registry);
        counter("tidegate_connects_refused", "Device connections refused", connects_refused, registry);
        counter("tidegate_registrations_assigned", "Devices provisioned", registrations_assigned, registry);
        counter("tidegate_registrations_refused", "Provisioning refusals", registrations_refused, registry);
        metrics
    }

    /// A device connection was let in, or refused.
    pub fn connect(&self, accepted: bool) {
        if accepted {
            self.connects_accepted.inc()
        } else {
            self.connects_refused.inc()
        };
    }

    /// A device was provisioned, or refused.
    pub fn registration(&self, assigned: bool) {
        if assigned {
            self.registrations_assigned.inc()
        } else {
            self.registrations_refused.inc()
        };
    }
}

/// Counters of cloud-to-device messages. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct MessageMetrics {
    queued: Counter,
    ended: Family<EndLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    outcome: &'static str,
}

impl MessageMetrics {
    /// Makes them known.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { queued, ended } = metrics.clone();
        counter("tidegate_device_messages_queued", "Messages put into queues of devices", queued, registry);
        for end in EndOfMessage::ALL {
            drop(ended.get_or_create(&EndLabels { outcome: end.as_str() }));
        }
        counter("tidegate_device_messages_ended", "Messages that left queues of devices", ended, registry);
        metrics
    }

    /// A message waits.
    pub fn queued(&self) {
        self.queued.inc();
    }

    /// A message waits no more.
    pub fn ended(&self, end: EndOfMessage) {
        self.ended.get_or_create(&EndLabels { outcome: end.as_str() }).inc();
    }
}

/// Live sessions and events that wait in the registry, looked at when asked for.
pub struct HubGauges {
    /// Sessions.
    pub sessions: Sessions,
    /// Outbox.
    pub registry: registry::Registry,
    /// Queues of devices.
    pub messages: DeviceMessages,
}

impl fmt::Debug for HubGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubGauges").finish_non_exhaustive()
    }
}

impl Collector for HubGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauges = [
            ("tidegate_sessions", "Live device sessions", self.sessions.count() as u64),
            ("tidegate_device_messages_waiting", "Messages in queues of devices", self.messages.waiting_for_all()),
            ("tidegate_outbox_events", "Events of changes not yet in the log", self.registry.outbox_waiting()),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

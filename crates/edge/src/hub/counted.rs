//! What the hub counts, for metrics and for `system status`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use model::identity::Identity;
use model::route::Endpoint;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use protocol::hub::bag;
use protocol::hub::delivery::Undeliverable;
use transport::server::Refusal;

use super::EdgeHub;
use super::dropped::Reason;
use super::parked::is_parked;
use super::queue::{QueueId, WaitingMessage, endpoint_name};
use super::record::StoredMessage;
use crate::metrics::Flow;

/// Upstream as a label; a module is its name.
const UPSTREAM: &str = "upstream";

fn output_of(stored: &StoredMessage) -> Cow<'_, str> {
    bag::get(&stored.message.bag, bag::OUTPUT_NAME).unwrap_or_default()
}

/// Endpoint and input as labels.
fn labels_of(endpoint: &Endpoint) -> (&str, &str) {
    match endpoint {
        Endpoint::Upstream => (UPSTREAM, ""),
        parked if is_parked(parked) => (UPSTREAM, ""),
        Endpoint::Module { module, input } => (module, input),
    }
}

impl EdgeHub {
    /// A client was not let in.
    pub(super) fn count_refused(&self, refusal: Refusal) {
        self.options.metrics.hub.connect_failed(match refusal {
            Refusal::NotAuthorized => "not_authorized",
            Refusal::Unavailable => "unavailable",
        });
    }

    /// Messages of a queue were acknowledged by its endpoint.
    pub(super) fn count_sent(&self, queue: &QueueId, messages: &[WaitingMessage], sending: Duration) {
        let now_ms = self.queues.now_ms();
        let priority = queue.priority_name();
        let (to, input) = labels_of(&queue.endpoint);
        // Almost always one sender and output; neighbours are enough.
        let same = |a: &WaitingMessage, b: &WaitingMessage| {
            let (a, b) = (&a.stored, &b.stored);
            a.sender == b.sender && output_of(a) == output_of(b)
        };
        for messages in messages.chunk_by(same) {
            let output = output_of(&messages[0].stored);
            let flow = Flow { from: &messages[0].stored.sender, output: &output, to, input, priority: &priority };
            let waited = messages
                .iter()
                .map(|message| Duration::from_millis(now_ms.saturating_sub(message.stored.stored_at_ms)));
            self.options.metrics.hub.sent(flow, sending, waited);
        }
    }

    /// A message of a queue will not be delivered.
    pub(super) fn drop_message(&self, queue: &QueueId, reason: Reason, message: &WaitingMessage) {
        tracing::debug!(sender = %message.stored.sender, %queue, reason = reason.name(), "message dropped");
        self.count_dropped(&queue.endpoint, reason, &message.stored);
    }

    /// A message cannot be delivered to an endpoint, now or ever.
    pub(super) fn drop_undeliverable_message(&self, endpoint: &Endpoint, stored: &StoredMessage, why: &Undeliverable) {
        self.count_dropped(endpoint, Reason::Undeliverable, stored);
        self.losses.bury(endpoint, stored, why);
    }

    fn count_dropped(&self, endpoint: &Endpoint, reason: Reason, stored: &StoredMessage) {
        self.dropped.add(endpoint, reason, 1);
        let (to, input) = labels_of(endpoint);
        let flow = Flow { from: &stored.sender, output: &output_of(stored), to, input, priority: "" };
        self.options.metrics.hub.dropped(reason.name(), flow, 1);
    }

    /// Messages that no route takes.
    pub(super) fn drop_without_route(&self, from: &Identity, output: &str, messages: u64) {
        tracing::debug!(sender = %from, messages, "no route takes these messages");
        self.dropped.add_without_route(messages);
        let flow = Flow { from, output, to: "", input: "", priority: "" };
        self.options.metrics.hub.dropped(Reason::NoRoute.name(), flow, messages);
    }

    /// Everything that waited for an endpoint no route leads to any more.
    pub(super) fn drop_with_endpoint(&self, endpoint: &Endpoint, messages: u64) {
        tracing::warn!(
            endpoint = endpoint_name(endpoint),
            messages,
            "no route leads to this endpoint any more: its messages are dropped"
        );
        self.dropped.add(endpoint, Reason::EndpointRemoved, messages);
        let (to, input) = labels_of(endpoint);
        self.options.metrics.hub.dropped_with_endpoint(Reason::EndpointRemoved.name(), to, input, messages);
    }
}

/// `edgehub_queue_length`, as it is when it is asked for.
pub(super) struct QueueLengths(pub(super) Weak<EdgeHub>);

impl fmt::Debug for QueueLengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueLengths")
    }
}

impl Collector for QueueLengths {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(hub) = self.0.upgrade() else { return Ok(()) };
        let waiting = hub.queues.waiting();
        if waiting.is_empty() {
            return Ok(());
        }
        let (name, help) = ("edgehub_queue_length", "Messages that wait for an endpoint");
        let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (queue, waiting) in waiting {
            let endpoint = match &queue.endpoint {
                Endpoint::Upstream => "iothub".to_owned(),
                module @ Endpoint::Module { .. } => endpoint_name(module),
            };
            let labels = [("endpoint", endpoint), ("priority", queue.priority_name())];
            let length = i64::try_from(waiting.messages).unwrap_or(i64::MAX);
            ConstGauge::new(length).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

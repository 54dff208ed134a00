//! The hub's metrics, `edgehub_…`.

use std::time::Duration;

use model::identity::Identity;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Series, bytes, seconds};

/// Messages of one client and output on their way to one endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow<'a> {
    /// Who sent them.
    pub from: &'a Identity,
    /// To which output; empty for none.
    pub output: &'a str,
    /// `upstream`, or a module.
    pub to: &'a str,
    /// The module's input; empty for upstream.
    pub input: &'a str,
    /// `0` to `9`, or `default`.
    pub priority: &'a str,
}

/// Who answers a twin request, takes a reported update, or calls a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// This hub, from what it keeps.
    EdgeHub,
    /// The hub above.
    Upstream,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::EdgeHub => "edge_hub",
            Self::Upstream => "upstream",
        }
    }
}

/// What the hub counts.
#[derive(Debug)]
pub struct HubMetrics {
    received: Series<Counter>,
    size: Series<Histogram>,
    sent: Series<Counter>,
    send_time: Series<Histogram>,
    process_time: Series<Histogram>,
    dropped: Series<Counter>,
    unacknowledged: Series<Counter>,
    twins_read: Series<Counter>,
    twin_time: Series<Histogram>,
    reported: Series<Counter>,
    reported_time: Series<Histogram>,
    methods: Series<Counter>,
    method_time: Series<Histogram>,
    connected: Gauge,
    connects: Series<Counter>,
    connects_failed: Series<Counter>,
    disconnects: Series<Counter>,
}

impl HubMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let times = || Series::histograms(seconds);
        let metrics = Self {
            received: Series::default(),
            size: Series::histograms(bytes),
            sent: Series::default(),
            send_time: times(),
            process_time: times(),
            dropped: Series::default(),
            unacknowledged: Series::default(),
            twins_read: Series::default(),
            twin_time: times(),
            reported: Series::default(),
            reported_time: times(),
            methods: Series::default(),
            method_time: times(),
            connected: Gauge::default(),
            connects: Series::default(),
            connects_failed: Series::default(),
            disconnects: Series::default(),
        };
        // Counters get `_total` from the format.
        let mut counter = |name: &str, help: &str, series: &Series<Counter>| {
            registry.register(name, help, series.family.clone());
        };
        counter("messages_received", "Messages received from clients", &metrics.received);
        counter("messages_sent", "Messages delivered to upstream or a module", &metrics.sent);
        counter("messages_dropped", "Messages acknowledged and not delivered", &metrics.dropped);
        counter("messages_unack", "Messages refused because they could not be stored", &metrics.unacknowledged);
        counter("gettwin", "Twins read by clients", &metrics.twins_read);
        counter("reported_properties", "Reported property updates of clients", &metrics.reported);
        counter("direct_methods", "Direct methods called on clients", &metrics.methods);
        counter("client_connect_success", "Connections accepted", &metrics.connects);
        counter("client_connect_failed", "Connections refused", &metrics.connects_failed);
        counter("client_disconnect", "Connections ended", &metrics.disconnects);
        let mut histogram = |name: &str, help: &str, series: &Series<Histogram>| {
            registry.register(name, help, series.family.clone());
        };
        histogram("message_size_bytes", "Size of messages received, properties included", &metrics.size);
        histogram("message_send_duration_seconds", "From sending to the acknowledgement", &metrics.send_time);
        histogram("message_process_duration_seconds", "From receiving to delivery", &metrics.process_time);
        histogram("gettwin_duration_seconds", "Time to answer with a twin", &metrics.twin_time);
        histogram("reported_properties_update_duration_seconds", "Time to take an update", &metrics.reported_time);
        histogram("direct_method_duration_seconds", "Time to the answer of a method", &metrics.method_time);
        registry.register("connected_clients", "Clients connected now", metrics.connected.clone());
        metrics
    }

    pub(crate) fn received(&self, from: &Identity, output: &str, sizes: &[usize]) {
        let from = from.to_string();
        self.received.of(&[("route_output", output), ("id", &from)]).inc_by(sizes.len() as u64);
        let size = self.size.of(&[("id", &from)]);
        sizes.iter().for_each(|bytes| size.observe(*bytes as f64));
    }

    pub(crate) fn unacknowledged(&self, from: &Identity, output: &str, messages: u64) {
        let labels = [("reason", "storage_failure"), ("from", &from.to_string()), ("from_route_output", output)];
        self.unacknowledged.of(&labels).inc_by(messages);
    }

    /// Messages of one flow were acknowledged; each has waited so long since it came in.
    pub(crate) fn sent(&self, flow: Flow<'_>, sending: Duration, waited: impl ExactSizeIterator<Item = Duration>) {
        let from = flow.from.to_string();
        let labels = [
            ("from", from.as_str()),
            ("to", flow.to),
            ("from_route_output", flow.output),
            ("to_route_input", flow.input),
            ("priority", flow.priority),
        ];
        self.sent.of(&labels).inc_by(waited.len() as u64);
        self.send_time.of(&labels[..4]).observe(sending.as_secs_f64());
        let time = self.process_time.of(&[labels[0], labels[1], labels[4]]);
        waited.for_each(|waited| time.observe(waited.as_secs_f64()));
    }

    /// Beyond the original's labels this names the endpoint, `to` and its input; both are empty for `no_route`.
    pub(crate) fn dropped(&self, reason: &'static str, flow: Flow<'_>, messages: u64) {
        let labels = [
            ("reason", reason),
            ("from", &flow.from.to_string()),
            ("from_route_output", flow.output),
            ("to", flow.to),
            ("to_route_input", flow.input),
        ];
        self.dropped.of(&labels).inc_by(messages);
    }

    /// Messages of whatever sender, dropped with their endpoint.
    pub(crate) fn dropped_with_endpoint(&self, reason: &'static str, to: &str, input: &str, messages: u64) {
        let labels =
            [("reason", reason), ("from", ""), ("from_route_output", ""), ("to", to), ("to_route_input", input)];
        self.dropped.of(&labels).inc_by(messages);
    }

    pub(crate) fn twin_read(&self, id: &Identity, source: Peer, took: Duration) {
        let labels = [("source", source.name()), ("id", &id.to_string())];
        self.twins_read.of(&labels).inc();
        self.twin_time.of(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn reported(&self, id: &Identity, target: Peer, took: Duration) {
        let labels = [("target", target.name()), ("id", &id.to_string())];
        self.reported.of(&labels).inc();
        self.reported_time.of(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn method(&self, to: &Identity, took: Duration) {
        let labels = [("from", Peer::Upstream.name()), ("to", &to.to_string())];
        self.methods.of(&labels).inc();
        self.method_time.of(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn set_connected(&self, clients: usize) {
        self.connected.set(i64::try_from(clients).unwrap_or(i64::MAX));
    }

    pub(crate) fn connected(&self, id: &Identity) {
        self.connects.of(&[("id", &id.to_string())]).inc();
    }

    /// Without the id, which anybody can make up who may not connect.
    pub(crate) fn connect_failed(&self, reason: &'static str) {
        self.connects_failed.of(&[("id", ""), ("reason", reason)]).inc();
    }

    pub(crate) fn disconnected(&self, id: &Identity) {
        self.disconnects.of(&[("id", &id.to_string())]).inc();
    }
}

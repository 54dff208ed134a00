//! The metrics of hub and agent, with the names of the runtime we replace, for Prometheus.
//!
//! They are made anew when the device gets another identity, and lost with the process: as in the original, everything counts
//! from zero then. Every sample carries `iothub`, `edge_device` and `instance_number`, a number drawn at that moment. What is a summary in the original is a histogram here:
//! `_sum` and `_count` are the same, quantiles are to be asked for with `histogram_quantile`.
//!
//! Label values come from outside (ids of clients, names of outputs and inputs), so each metric has at most
//! [`METRIC_SERIES_MAX`](crate::limits::METRIC_SERIES_MAX) combinations of them; what comes later is counted together,
//! without them. Samples of a module that was removed go, and make room.

mod agent;
pub mod connections;
pub mod device;
mod hub;
mod invocations;
pub mod listener;
mod proc;
pub mod processors;
mod times;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use agent::{AgentMetrics, Syncs};
pub use hub::HubMetrics;
pub(crate) use hub::{Flow, Peer};
pub use times::Doing;

use crate::limits::METRIC_SERIES_MAX;

/// What [`Metrics::text`] is.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// All metrics of one identity of this device.
#[derive(Debug)]
pub struct Metrics {
    /// Of the hub.
    pub hub: HubMetrics,
    /// Of the agent.
    pub agent: AgentMetrics,
    registry: Mutex<Registry>,
}

impl Metrics {
    /// All at zero. `device_id` of this device in the hub `hub_host`.
    pub fn new(hub_host: &str, device_id: &str) -> Arc<Self> {
        let instance = format!("{:016x}", getrandom::u64().unwrap_or_default());
        let labels = [("iothub", hub_host), ("edge_device", device_id), ("instance_number", &instance)];
        let labels = labels.map(|(name, value)| (Cow::Borrowed(name), Cow::Owned(value.to_owned())));
        let mut registry = Registry::with_labels(labels.into_iter());
        let hub = HubMetrics::register(registry.sub_registry_with_prefix("edgehub"));
        let agent = AgentMetrics::register(&mut registry);
        Arc::new(Self { hub, agent, registry: Mutex::new(registry) })
    }

    /// Adds something that is looked at when it is asked for.
    pub fn add_collector(&self, collector: impl Collector) {
        self.registry().register_collector(Box::new(collector));
    }

    /// As Prometheus reads it, of [`CONTENT_TYPE`].
    pub fn text(&self) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry()).expect("writing to a string does not fail");
        text
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The metrics of the identity this device has now.
#[derive(Debug, Default)]
pub struct CurrentMetrics {
    metrics: RwLock<Option<Arc<Metrics>>>,
}

impl CurrentMetrics {
    /// From now on these.
    pub fn set(&self, metrics: Arc<Metrics>) {
        *self.metrics.write().unwrap_or_else(PoisonError::into_inner) = Some(metrics);
    }

    /// As Prometheus reads it; empty before the device has an identity.
    pub fn text(&self) -> String {
        let metrics = self.metrics.read().unwrap_or_else(PoisonError::into_inner).clone();
        metrics.map(|metrics| metrics.text()).unwrap_or_default()
    }
}

/// Names and values that tell the samples of one metric apart.
type Labels = Vec<(&'static str, String)>;

/// A metric for each combination of labels, up to the bound.
#[derive(Clone)]
pub struct Series<M> {
    family: Family<Labels, M, fn() -> M>,
    /// The combinations there are, but for that of no labels.
    known: Arc<Mutex<BTreeSet<Labels>>>,
}

impl<M: Clone> Series<M> {
    /// The metric of these labels, or of none if there are too many already. Whoever calls with one list of names calls with no
    /// other.
    pub fn of(&self, labels: &[(&'static str, &str)]) -> M {
        let labels: Labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        if let Some(metric) = self.family.get(&labels) {
            return metric.clone();
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= METRIC_SERIES_MAX && !known.contains(&labels) {
            return self.family.get_or_create(&Labels::new()).clone();
        }
        let metric = self.family.get_or_create(&labels).clone();
        known.insert(labels);
        metric
    }

    /// Forgets the metrics of all labels of which this does not hold. What was counted without labels stays.
    pub fn retain(&self, holds: impl Fn(&[(&'static str, String)]) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|labels| {
            let stays = holds(labels);
            if !stays {
                self.family.remove(labels);
            }
            stays
        });
    }
}

impl<M: Default> Default for Series<M> {
    fn default() -> Self {
        Self { family: Family::new_with_constructor(M::default), known: Arc::default() }
    }
}

impl Series<Histogram> {
    fn histograms(constructor: fn() -> Histogram) -> Self {
        Self { family: Family::new_with_constructor(constructor), known: Arc::default() }
    }
}

impl<M: fmt::Debug> fmt::Debug for Series<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.family.fmt(f)
    }
}

/// From a millisecond to ten minutes.
fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0])
}

/// Of all processors.
fn percent() -> Histogram {
    Histogram::new([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 80.0])
}

/// From 64 bytes to the largest message.
fn bytes() -> Histogram {
    Histogram::new([64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0])
}

#[cfg(test)]
mod tests;

//! The agent's metrics, `edgeAgent_…`, but for those that are read from the machine ([`super::device`]).
//!
//! Counted and timed are commands the runtime was given ([`Counted`](crate::runtime::counted::Counted)), so a restart is a stop
//! and a start. Samples of a module go when it is in no deployment and no longer there.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::invocations::Invocations;
use super::times::{BUILT_IN, Doing, Times};
use super::{Series, percent, seconds};

/// The label that names a module.
const MODULE_NAME: &str = "module_name";
/// What this label says where a sample is about the whole machine.
pub(super) const HOST: &str = "host";

/// What the agent counts.
#[derive(Debug)]
pub struct AgentMetrics {
    /// Its twin at the hub.
    pub syncs: Syncs,
    starts: Series<Counter>,
    stops: Series<Counter>,
    command_time: Series<Histogram>,
    deployment_time: Histogram,
    cpu: Series<Histogram>,
    invocations: Invocations,
    times: Times,
}

/// How often a twin was read from the hub, or the hub told of a change of it.
#[derive(Debug, Clone, Default)]
pub struct Syncs {
    all: Counter,
    failed: Counter,
}

impl Syncs {
    /// One more, which went well or not.
    pub fn count(&self, went_well: bool) {
        self.all.inc();
        if !went_well {
            self.failed.inc();
        }
    }
}

impl AgentMetrics {
    pub(super) fn register(root: &mut Registry) -> Self {
        let metrics = Self {
            syncs: Syncs::default(),
            starts: Series::default(),
            stops: Series::default(),
            command_time: Series::histograms(seconds),
            deployment_time: seconds(),
            cpu: Series::histograms(percent),
            invocations: Invocations::default(),
            times: Times::new(Instant::now()),
        };
        root.register_collector(Box::new(metrics.invocations.clone()));
        root.register_collector(Box::new(metrics.times.clone()));
        let registry = root.sub_registry_with_prefix("edgeAgent");
        // Counters get `_total` from the format.
        let mut counter = |name: &str, help: &str, series: &Series<Counter>| {
            registry.register(name, help, series.family.clone());
        };
        counter("module_start", "Times a module was told to start", &metrics.starts);
        counter("module_stop", "Times a module was told to stop", &metrics.stops);
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("iothub_syncs", "Times the agent's twin was read, or a change of it arrived", &metrics.syncs.all);
        counter("unsuccessful_iothub_syncs", "Times the agent's twin could not be read", &metrics.syncs.failed);
        let mut histogram = |name: &str, help: &str, series: &Series<Histogram>| {
            registry.register(name, help, series.family.clone());
        };
        histogram("command_latency_seconds", "Time a command to the runtime took", &metrics.command_time);
        histogram("used_cpu_percent", "Share of all processors, one sample a minute", &metrics.cpu);
        let time = metrics.deployment_time.clone();
        registry.register(
            "deployment_time_seconds",
            "From receiving a changed deployment until it was carried out",
            time,
        );
        metrics
    }

    /// A module is told to start.
    pub(crate) fn start(&self, module: &str, version: &str) {
        self.starts.of(&[(MODULE_NAME, module), ("module_version", version)]).inc();
    }

    /// A module is told to stop.
    pub(crate) fn stop(&self, module: &str, version: &str) {
        self.stops.of(&[(MODULE_NAME, module), ("module_version", version)]).inc();
    }

    /// The runtime has carried out a command, or failed at it.
    pub(crate) fn command(&self, command: &'static str, took: Duration) {
        self.command_time.of(&[("command", command)]).observe(took.as_secs_f64());
    }

    /// A deployment was carried out.
    pub(crate) fn deployed(&self, took: Duration) {
        self.deployment_time.observe(took.as_secs_f64());
    }

    /// A direct method of the agent was called, by the name it is documented with.
    pub(crate) fn method(&self, name: &'static str) {
        self.invocations.count(name);
    }

    /// What a module, or the host, used of all processors.
    pub(super) fn cpu(&self, module: &str, percent: f64) {
        self.cpu.of(&[(MODULE_NAME, module)]).observe(percent);
    }

    /// What all modules do from now on that are in the deployment or there. Samples of any other are forgotten.
    pub(crate) fn modules<'a>(&self, modules: impl Iterator<Item = (&'a str, Doing)>) {
        let Some(left) = self.times.set(modules, Instant::now()) else { return };
        let stays = |labels: &[(&'static str, String)]| {
            let module = labels.iter().find(|(name, _)| *name == MODULE_NAME).map(|(_, module)| module.as_str());
            module.is_none_or(|module| module == HOST || BUILT_IN.contains(&module) || left.contains(module))
        };
        self.starts.retain(stays);
        self.stops.retain(stays);
        self.cpu.retain(stays);
    }
}

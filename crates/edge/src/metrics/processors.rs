//! What modules use of the processors: a sample at a time, which goes into `edgeAgent_used_cpu_percent`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::manifest::agent::AGENT_MODULE;
use tokio::time::MissedTickBehavior;

use super::Metrics;
use super::agent::HOST;
use super::device::Running;
use super::proc::{Proc, ProcessorTime};
use crate::limits::PROCESSORS_SAMPLE_INTERVAL;

/// Looks at the processors from time to time.
pub struct Processors {
    proc: Proc,
    running: Running,
    metrics: Arc<Metrics>,
    before: Option<Sample>,
}

struct Sample {
    machine: ProcessorTime,
    /// Process id and ticks of each module.
    modules: BTreeMap<String, (u32, u64)>,
}

impl fmt::Debug for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Processors")
    }
}

impl Processors {
    /// Of the processes that run then.
    pub fn new(running: Running, metrics: Arc<Metrics>) -> Self {
        Self { proc: Proc::system(), running, metrics, before: None }
    }

    /// Instead of the machine's.
    #[cfg(test)]
    pub(super) fn of(self, proc: Proc) -> Self {
        Self { proc, ..self }
    }

    /// For ever.
    pub async fn run(mut self) {
        let mut interval = tokio::time::interval(PROCESSORS_SAMPLE_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.sample();
        }
    }

    /// Tells what was used since the last time. Of a module that was started since, or whose children took their time with
    /// them, there is nothing to tell this time.
    fn sample(&mut self) {
        let Some(now) = self.look() else { return };
        if let Some(before) = self.before.take() {
            let passed = now.machine.ticks.saturating_sub(before.machine.ticks);
            let percent = |ticks: u64| (100.0 * ticks as f64 / passed as f64).min(100.0);
            if passed > 0 {
                let busy = now.machine.busy_ticks.saturating_sub(before.machine.busy_ticks);
                self.metrics.agent.cpu(HOST, percent(busy));
            }
            for (name, (pid, ticks)) in &now.modules {
                let known = before.modules.get(name).filter(|(pid_before, _)| pid_before == pid && passed > 0);
                if let Some(used) = known.and_then(|(_, ticks_before)| ticks.checked_sub(*ticks_before)) {
                    self.metrics.agent.cpu(name, percent(used));
                }
            }
        }
        self.before = Some(now);
    }

    fn look(&self) -> Option<Sample> {
        let running = (self.running)();
        let groups = self.proc.groups(running.iter().map(|(_, pid)| *pid));
        let modules = running.into_iter().filter_map(|(name, pid)| Some((name, (pid, groups.get(&pid)?.cpu_ticks))));
        let mut modules: BTreeMap<_, _> = modules.collect();
        if let Some(own) = self.proc.own() {
            modules.insert(AGENT_MODULE.to_owned(), (std::process::id(), own.cpu_ticks));
        }
        Some(Sample { machine: self.proc.processors()?, modules })
    }
}

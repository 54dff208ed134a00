//! A runtime whose commands are counted and timed for the agent's metrics.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::log_file::{LogFilter, LogLine};
use super::{LogAnswer, ModuleLogs, ModuleRuntime, ModuleSpec, ModuleState, PullProgress, RunState, RuntimeError};
use crate::metrics::Metrics;

/// Passes everything on to a runtime.
///
/// A module counts as told to start or stop each time that is begun, whatever comes of it; also when it is stopped to be replaced
/// or removed. What is done already, such as starting a module that runs, is no command. A command is timed when it has ended,
/// well or not; one that was given up is not.
pub struct Counted<R> {
    runtime: Arc<R>,
    metrics: Arc<Metrics>,
}

impl<R: ModuleRuntime> Counted<R> {
    /// Commands to this runtime go into these metrics.
    pub fn new(runtime: Arc<R>, metrics: Arc<Metrics>) -> Self {
        Self { runtime, metrics }
    }

    fn state(&self, name: &str) -> Option<ModuleState> {
        self.runtime.observe().into_iter().find(|state| state.name == name)
    }

    fn count_stop(&self, state: Option<&ModuleState>) {
        if let Some(state) = state.filter(|state| matches!(state.run, RunState::Running { .. })) {
            self.metrics.agent.stop(&state.name, &state.version);
        }
    }

    async fn timed<T>(&self, command: &'static str, act: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let outcome = act.await;
        self.metrics.agent.command(command, begun.elapsed());
        outcome
    }
}

impl<R: ModuleRuntime> ModuleLogs for Counted<R> {
    fn modules(&self) -> LogAnswer<'_, Vec<String>> {
        self.runtime.modules()
    }

    fn read<'a>(&'a self, module: &'a str, filter: &'a LogFilter) -> LogAnswer<'a, Vec<LogLine>> {
        self.runtime.read(module, filter)
    }
}

impl<R: ModuleRuntime> ModuleRuntime for Counted<R> {
    async fn pull(&self, spec: &ModuleSpec, progress: &PullProgress) -> Result<(), RuntimeError> {
        self.timed("prepareUpdate", self.runtime.pull(spec, progress)).await
    }

    async fn create(&self, spec: &ModuleSpec, grace: Duration) -> Result<(), RuntimeError> {
        let before = self.state(&spec.name);
        self.count_stop(before.as_ref());
        let command = if before.is_some() { "update" } else { "create" };
        self.timed(command, self.runtime.create(spec, grace)).await
    }

    async fn start(&self, name: &str) -> Result<(), RuntimeError> {
        match self.state(name) {
            Some(state) if !matches!(state.run, RunState::Running { .. }) => {
                self.metrics.agent.start(name, &state.version);
                self.timed("start", self.runtime.start(name)).await
            }
            _ => self.runtime.start(name).await,
        }
    }

    async fn stop(&self, name: &str, grace: Duration) -> Result<(), RuntimeError> {
        match self.state(name) {
            Some(state) if matches!(state.run, RunState::Running { .. }) => {
                self.count_stop(Some(&state));
                self.timed("stop", self.runtime.stop(name, grace)).await
            }
            _ => self.runtime.stop(name, grace).await,
        }
    }

    async fn remove(&self, name: &str, grace: Duration) -> Result<(), RuntimeError> {
        let before = self.state(name);
        self.count_stop(before.as_ref());
        self.timed("remove", self.runtime.remove(name, grace)).await
    }

    fn observe(&self) -> Vec<ModuleState> {
        self.runtime.observe()
    }

    fn changed(&self) -> Arc<Notify> {
        self.runtime.changed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::{ContractModules, check};
    use super::super::fake::FakeRuntime;
    use super::*;
    use crate::lifecycle::clock::Clock;

    #[tokio::test]
    async fn keeps_the_contract_of_runtimes() {
        let runtime = FakeRuntime::new(Clock::system());
        runtime.refuse("c");
        runtime.end_at_once("b", 3);
        let counted = Counted::new(Arc::new(runtime), Metrics::new("hub", "edge"));
        let plain = |name| ModuleSpec::plain(name, "image:1");
        check(&counted, ContractModules { lasting: plain("a"), failing: plain("b"), impossible: plain("c") }).await;
    }
}

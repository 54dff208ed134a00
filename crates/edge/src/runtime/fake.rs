//! A runtime in memory, for tests of the lifecycle: an engine whose modules outlive the daemon, with steps that take as long
//! as the test says.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::module_name::ModuleName;
use tokio::sync::Notify;

use super::log_file::{LogFilter, LogLine};
use super::{
    LogAnswer, ModuleLogs, ModuleRuntime, ModuleSpec, ModuleState, PullProgress, Pulled, RunState, RuntimeError,
};
use crate::lifecycle::clock::Clock;

/// A step that can be made slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    Pull,
    Create,
    Start,
    Stop,
}

#[derive(Clone)]
pub(crate) struct FakeRuntime {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    modules: BTreeMap<ModuleName, ModuleState>,
    refused: BTreeSet<String>,
    ending: BTreeMap<String, i32>,
    slow: BTreeMap<(Act, String), Duration>,
    /// What was begun, in order.
    begun: Vec<(Act, String)>,
    pulls_given_up: usize,
}

/// Counts a pull that was dropped before its end.
struct GivenUp<'a>(Option<&'a Mutex<State>>);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.0 {
            state.lock().unwrap().pulls_given_up += 1;
        }
    }
}

impl FakeRuntime {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { state: Arc::default(), changed: Arc::default(), clock }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    /// This module cannot be made.
    pub(crate) fn refuse(&self, name: &str) {
        self.with(|state| state.refused.insert(name.to_owned()));
    }

    /// This module ends with this code as soon as it was started.
    pub(crate) fn end_at_once(&self, name: &str, code: i32) {
        self.with(|state| state.ending.insert(name.to_owned(), code));
    }

    /// This step takes so long from now on.
    pub(crate) fn slow(&self, act: Act, name: &str, time: Duration) {
        self.with(|state| state.slow.insert((act, name.to_owned()), time));
    }

    /// The module ends by itself.
    pub(crate) fn exit(&self, name: &str, code: i32) {
        self.set(name, RunState::Exited { code, at: self.clock.now() }).unwrap();
    }

    /// What was begun so far, in order.
    pub(crate) fn begun(&self) -> Vec<(Act, String)> {
        self.with(|state| state.begun.clone())
    }

    pub(crate) fn pulls_given_up(&self) -> usize {
        self.with(|state| state.pulls_given_up)
    }

    fn set(&self, name: &str, run: RunState) -> Result<(), RuntimeError> {
        self.with(|state| {
            let module = state.modules.get_mut(name).ok_or_else(|| RuntimeError::Unknown { name: name.to_owned() })?;
            module.run = run;
            Ok(())
        })?;
        self.changed.notify_one();
        Ok(())
    }

    fn run_of(&self, name: &str) -> Result<RunState, RuntimeError> {
        let run = self.with(|state| state.modules.get(name).map(|module| module.run.clone()));
        run.ok_or_else(|| RuntimeError::Unknown { name: name.to_owned() })
    }

    /// Notes that the step begins, and takes its time.
    async fn begin(&self, act: Act, name: &str) {
        let key = (act, name.to_owned());
        let time = self.with(|state| {
            state.begun.push(key.clone());
            state.slow.get(&key).copied()
        });
        if let Some(time) = time {
            tokio::time::sleep(time).await;
        }
    }
}

impl ModuleLogs for FakeRuntime {
    fn modules(&self) -> LogAnswer<'_, Vec<String>> {
        Box::pin(ready(Ok(self.with(|state| state.modules.keys().map(ToString::to_string).collect()))))
    }

    fn read<'a>(&'a self, _: &'a str, _: &'a LogFilter) -> LogAnswer<'a, Vec<LogLine>> {
        Box::pin(ready(Ok(Vec::new())))
    }
}

impl ModuleRuntime for FakeRuntime {
    async fn pull(&self, spec: &ModuleSpec, progress: &PullProgress) -> Result<(), RuntimeError> {
        if self.with(|state| state.refused.contains(spec.name.as_str())) {
            return Err(RuntimeError::NoProgram { image: spec.image.clone() });
        }
        let mut given_up = GivenUp(Some(&self.state));
        if self.with(|state| state.slow.contains_key(&(Act::Pull, spec.name.to_string()))) {
            progress.set(Pulled { bytes: 0, bytes_total: Some(1 << 20) });
        }
        self.begin(Act::Pull, &spec.name).await;
        given_up.0 = None;
        Ok(())
    }

    async fn create(&self, spec: &ModuleSpec, grace: Duration) -> Result<(), RuntimeError> {
        match self.stop(&spec.name, grace).await {
            Ok(()) | Err(RuntimeError::Unknown { .. }) => {}
            Err(error) => return Err(error),
        }
        self.begin(Act::Create, &spec.name).await;
        let name = spec.name.clone();
        let state = ModuleState {
            name: name.clone(),
            settings_hash: spec.settings_hash(),
            version: spec.version.clone(),
            run: RunState::Created,
            started_at: None,
        };
        self.with(|fake| fake.modules.insert(name, state));
        self.changed.notify_one();
        Ok(())
    }

    async fn start(&self, name: &str) -> Result<(), RuntimeError> {
        if matches!(self.run_of(name)?, RunState::Running { .. }) {
            return Ok(());
        }
        self.begin(Act::Start, name).await;
        self.with(|state| {
            if let Some(module) = state.modules.get_mut(name) {
                module.started_at = Some(self.clock.now());
            }
        });
        match self.with(|state| state.ending.get(name).copied()) {
            Some(code) => self.set(name, RunState::Exited { code, at: self.clock.now() }),
            None => self.set(name, RunState::Running { pid: 1 }),
        }
    }

    async fn stop(&self, name: &str, _: Duration) -> Result<(), RuntimeError> {
        if !matches!(self.run_of(name)?, RunState::Running { .. }) {
            return Ok(());
        }
        self.begin(Act::Stop, name).await;
        self.set(name, RunState::Exited { code: 143, at: self.clock.now() })
    }

    async fn remove(&self, name: &str, grace: Duration) -> Result<(), RuntimeError> {
        match self.stop(name, grace).await {
            Ok(()) | Err(RuntimeError::Unknown { .. }) => {}
            Err(error) => return Err(error),
        }
        self.with(|state| state.modules.remove(name));
        self.changed.notify_one();
        Ok(())
    }

    fn observe(&self) -> Vec<ModuleState> {
        self.with(|state| state.modules.values().cloned().collect())
    }

    fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}

#[tokio::test]
async fn keeps_the_contract_of_runtimes() {
    use super::contract::{ContractModules, check};
    let runtime = FakeRuntime::new(Clock::system());
    runtime.refuse("c");
    runtime.end_at_once("b", 3);
    let plain = |name| ModuleSpec::plain(name, "image:1");
    check(&runtime, ContractModules { lasting: plain("a"), failing: plain("b"), impossible: plain("c") }).await;
}

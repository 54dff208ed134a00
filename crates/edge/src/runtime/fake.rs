//! A runtime in memory, for tests of the lifecycle.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;
use tokio::sync::Notify;

use super::{ModuleRuntime, ModuleSpec, ModuleState, RunState, RuntimeError};

#[derive(Clone, Default)]
pub(crate) struct FakeRuntime {
    modules: Arc<Mutex<BTreeMap<String, ModuleState>>>,
    refused: Arc<Mutex<BTreeSet<String>>>,
    changed: Arc<Notify>,
}

impl FakeRuntime {
    /// This module cannot be made.
    pub(crate) fn refuse(&self, name: &str) {
        self.refused.lock().unwrap().insert(name.to_owned());
    }

    /// The module ends by itself.
    pub(crate) fn exit(&self, name: &str, code: i32) {
        self.set(name, RunState::Exited { code, at: OffsetDateTime::now_utc() }).unwrap();
    }

    fn set(&self, name: &str, run: RunState) -> Result<(), RuntimeError> {
        let mut modules = self.modules.lock().unwrap();
        let module = modules.get_mut(name).ok_or_else(|| RuntimeError::Unknown { name: name.to_owned() })?;
        module.run = run;
        self.changed.notify_one();
        Ok(())
    }
}

impl ModuleRuntime for FakeRuntime {
    async fn create(&self, spec: ModuleSpec) -> Result<(), RuntimeError> {
        if self.refused.lock().unwrap().contains(&spec.name) {
            return Err(RuntimeError::NoProgram { image: spec.image });
        }
        let state = ModuleState { name: spec.name.clone(), run: RunState::Created, started_at: None };
        self.modules.lock().unwrap().insert(spec.name, state);
        Ok(())
    }

    async fn start(&self, name: &str) -> Result<(), RuntimeError> {
        self.set(name, RunState::Running { pid: 1 })?;
        self.modules.lock().unwrap().get_mut(name).unwrap().started_at = Some(OffsetDateTime::now_utc());
        Ok(())
    }

    async fn stop(&self, name: &str) -> Result<(), RuntimeError> {
        self.set(name, RunState::Exited { code: 143, at: OffsetDateTime::now_utc() })
    }

    async fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        self.modules.lock().unwrap().remove(name);
        self.changed.notify_one();
        Ok(())
    }

    fn observe(&self) -> Vec<ModuleState> {
        self.modules.lock().unwrap().values().cloned().collect()
    }

    fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}

//! Carries out a plan, step by step. A step that fails does not stop the others; it is noted and planned again later.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use super::history::Histories;
use super::plan::{ModuleBuild, PresentModule, Step};
use crate::runtime::{ModuleRuntime, RuntimeError};
use crate::unix_http::{ServeSocketError, Socket};
use crate::workload::WorkloadContext;

/// What was made, with its workload socket: what the runtime itself does not remember.
pub struct Made {
    build: ModuleBuild,
    _socket: Option<Socket>,
}

/// The only one who changes the runtime.
pub struct Executor<R> {
    runtime: R,
    workload: Option<Arc<WorkloadContext>>,
    made: BTreeMap<String, Made>,
}

/// A step failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("cannot open the module's workload socket")]
    Socket(#[from] ServeSocketError),
}

impl<R: ModuleRuntime> Executor<R> {
    /// For a runtime; modules get workload sockets from `workload`, where there is one.
    pub fn new(runtime: R, workload: Option<Arc<WorkloadContext>>) -> Self {
        Self { runtime, workload, made: BTreeMap::new() }
    }

    /// The runtime.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }

    /// What is there, for the planner.
    pub fn present(&self) -> BTreeMap<String, PresentModule> {
        let states = self.runtime.observe().into_iter();
        states
            .filter_map(|state| {
                let build = self.made.get(&state.name)?.build.clone();
                Some((state.name, PresentModule { build, run: state.run, started_at: state.started_at }))
            })
            .collect()
    }

    /// Carries out the steps and notes what came of them.
    pub async fn execute(&mut self, steps: Vec<Step>, histories: &mut Histories) {
        for step in steps {
            let name = name_of(&step).to_owned();
            tracing::debug!(module = name, ?step, "step");
            // A module that could not be made is not started either: the failure on record is the one that counts.
            let made = self.made.contains_key(&name);
            if matches!(step, Step::Start(_) | Step::Restart(_)) && !made {
                continue;
            }
            let counted = matches!(step, Step::Create(_) | Step::Start(_) | Step::Restart(_));
            match self.step(step, histories).await {
                Ok(()) if counted => histories.succeeded(&name),
                Ok(()) => {}
                Err(error) => {
                    let reason = crate::error_chain(&error);
                    tracing::warn!(module = name, reason, "a step failed");
                    histories.failed(&name, reason, OffsetDateTime::now_utc());
                }
            }
        }
    }

    async fn step(&mut self, step: Step, histories: &mut Histories) -> Result<(), StepError> {
        match step {
            Step::Create(build) => self.create(*build).await,
            Step::Start(name) => Ok(self.runtime.start(&name).await?),
            Step::Restart(name) => {
                histories.restarted(&name, OffsetDateTime::now_utc());
                Ok(self.runtime.start(&name).await?)
            }
            Step::Stop(name) => {
                histories.stopped_on_request(&name);
                Ok(self.runtime.stop(&name).await?)
            }
            Step::Remove(name) => {
                histories.forget_restarts(&name);
                self.runtime.remove(&name).await?;
                self.made.remove(&name);
                Ok(())
            }
            Step::ForgetRestarts(name) => {
                histories.forget_restarts(&name);
                Ok(())
            }
        }
    }

    async fn create(&mut self, build: ModuleBuild) -> Result<(), StepError> {
        let name = build.spec.name.clone();
        // The old socket's file goes when it is dropped: before the new one is made under the same name.
        self.made.remove(&name);
        self.runtime.create(build.spec.clone()).await?;
        let socket = self.workload.as_ref().map(|workload| workload.open_socket(&name)).transpose()?;
        self.made.insert(name, Made { build, _socket: socket });
        Ok(())
    }

    /// Stops everything, all at once.
    pub async fn stop_all(&mut self) {
        let names: Vec<_> = self.runtime.observe().into_iter().map(|state| state.name).collect();
        let stops = names.iter().map(|name| self.runtime.stop(name));
        for stopped in crate::join_all(stops).await {
            if let Err(error) = stopped {
                tracing::warn!(error = &error as &dyn std::error::Error, "a module was not stopped");
            }
        }
    }
}

fn name_of(step: &Step) -> &str {
    match step {
        Step::Create(build) => &build.spec.name,
        Step::Start(name)
        | Step::Restart(name)
        | Step::Stop(name)
        | Step::Remove(name)
        | Step::ForgetRestarts(name) => name,
    }
}

#[cfg(test)]
mod tests;

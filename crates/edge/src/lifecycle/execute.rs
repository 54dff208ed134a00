//! Carries out plans: each module has a task of its own, so that a slow step of one delays no other.
//!
//! ```text
//! plan ──▶ module idle ───────────────▶ its step begins, as a task
//!      ──▶ module busy with that step ─▶ goes on
//!      ──▶ module busy with another ───▶ a pull is given up; anything else is let finish
//! order ─▶ module idle: begins; busy: waits for its turn, before the next step of the plan
//! task ended ─▶ outcome into the history ─▶ plan again
//! ```
//! There is no queue of steps that could grow old: the latest wish of a module is the plan, which is made anew whenever
//! anything happened. What began is known here alone; only tasks call the runtime, and they hold nothing else.
//!
//! A step that fails does not stop the others; it is noted and planned again later.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use model::module_name::ModuleName;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::history::Histories;
use super::plan::{Plan, PresentModule, Step, WantedModule};
use crate::limits::{ORDERS_WAITING_MAX, STOP_GRACE};
use crate::management::{ModuleAction, ModuleOrder};
use crate::runtime::{ModuleRuntime, ModuleSpec, PullProgress, RuntimeError};
use crate::unix_http::{ServeSocketError, Socket};
use crate::workload::WorkloadContext;
use crate::workload::certificate_names::CERTIFICATE_NAMES_VARIABLE;

/// The only one who changes the runtime.
pub struct Executor<R> {
    runtime: Arc<R>,
    workload: Option<Arc<WorkloadContext>>,
    clock: Clock,
    /// Workload sockets, of every module that is wanted or there.
    sockets: BTreeMap<ModuleName, Socket>,
    tasks: JoinSet<Ended>,
    /// What each busy module's task is about.
    busy: BTreeMap<ModuleName, Busy>,
    /// Names of the tasks: one that panicked cannot say whose it was.
    names: HashMap<tokio::task::Id, ModuleName>,
    /// Orders for modules that are busy.
    orders: BTreeMap<ModuleName, VecDeque<ModuleOrder>>,
}

struct Busy {
    work: Work,
    /// Cancelled when another step is wanted; a pull heeds it.
    superseded: CancellationToken,
    progress: PullProgress,
}

#[derive(PartialEq)]
enum Work {
    Step(Step),
    Order,
}

/// How a task ended.
enum Ended {
    /// The step was carried out, or failed for this reason.
    Step(Result<(), String>),
    /// It was given up for another.
    Superseded,
    /// An operator's order; who gave it was told.
    Order,
}

/// An order that is not carried out: status and words.
type Refusal = (u16, String);

impl<R: ModuleRuntime> Executor<R> {
    /// For a runtime; modules get workload sockets from `workload`, where there is one. Modules that are there already, from
    /// a daemon before this, get theirs at once.
    pub fn new(runtime: Arc<R>, workload: Option<Arc<WorkloadContext>>, clock: Clock) -> Self {
        let mut executor = Self {
            runtime,
            workload,
            clock,
            sockets: BTreeMap::new(),
            tasks: JoinSet::new(),
            busy: BTreeMap::new(),
            names: HashMap::new(),
            orders: BTreeMap::new(),
        };
        for state in executor.runtime.observe() {
            if let Err(error) = executor.open_socket(&state.name) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(module = %state.name, error, "a module that runs already has no workload socket");
            }
        }
        executor
    }

    /// The runtime.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }

    /// What is there, for the planner.
    pub fn present(&self) -> BTreeMap<ModuleName, PresentModule> {
        let states = self.runtime.observe().into_iter();
        states
            .map(|state| {
                let settings_hash = state.settings_hash;
                (state.name, PresentModule { settings_hash, run: state.run, started_at: state.started_at })
            })
            .collect()
    }

    /// Whether anything is under way.
    pub fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// What modules whose image is being pulled are doing, for people.
    pub fn pulling(&self) -> BTreeMap<ModuleName, String> {
        let pulling = self.busy.iter().filter_map(|(name, busy)| Some((name.clone(), busy.progress.get()?)));
        pulling.map(|(name, pulled)| (name, format!("pulling the image, {pulled}"))).collect()
    }

    /// Begins what the plan says of modules that are idle, and gives up what it no longer says of others.
    pub fn follow(&mut self, plan: Plan, wanted: &BTreeMap<ModuleName, WantedModule>, histories: &mut Histories) {
        if let Some(workload) = &self.workload {
            workload.certificate_names.give(wanted.iter().map(|(name, module)| {
                (name.as_str(), module.spec.env.get(CERTIFICATE_NAMES_VARIABLE).map(String::as_str))
            }));
        }
        for busy in self.busy.values() {
            let still_wanted = match &busy.work {
                Work::Step(step) => plan.steps.contains(step),
                Work::Order => true,
            };
            if !still_wanted {
                busy.superseded.cancel();
            }
        }
        for step in plan.steps {
            if let Step::ForgetRestarts(name) = &step {
                histories.forget_restarts(name);
            } else if !self.busy.contains_key(step.module()) {
                self.begin(step, histories);
            }
        }
        let present = self.runtime.observe();
        let busy = &self.busy;
        self.sockets.retain(|name, _| {
            wanted.contains_key(name) || busy.contains_key(name) || present.iter().any(|module| module.name == *name)
        });
    }

    fn begin(&mut self, step: Step, histories: &mut Histories) {
        let name = step.module().clone();
        tracing::debug!(module = %name, step = step.word(), "step");
        match &step {
            // Durable before it happens.
            Step::Restart(_) => histories.restarted(&name, self.clock.now()),
            Step::Stop(_) => histories.stopped_on_request(&name),
            Step::Remove(_) => histories.forget_restarts(&name),
            Step::Create(_) | Step::Start(_) | Step::ForgetRestarts(_) => {}
        }
        let socket = match &step {
            Step::Create(_) | Step::Start(_) | Step::Restart(_) => self.open_socket(&name),
            Step::Stop(_) | Step::Remove(_) | Step::ForgetRestarts(_) => Ok(()),
        };
        let superseded = CancellationToken::new();
        let progress = PullProgress::new(self.runtime.changed());
        let busy = Busy { work: Work::Step(step.clone()), superseded: superseded.clone(), progress: progress.clone() };
        let runtime = Arc::clone(&self.runtime);
        self.spawn(name, busy, async move {
            match socket {
                Ok(()) => carry_out(&*runtime, step, &progress, superseded).await,
                Err(error) => {
                    let reason = crate::error_chain(&error);
                    Ended::Step(Err(format!("cannot open the module's workload socket: {reason}")))
                }
            }
        });
    }

    /// Takes an operator's order: for a module that is busy it waits for its turn.
    pub fn order(&mut self, order: ModuleOrder) {
        let there = self.runtime.observe().into_iter().find(|state| state.name == order.module.as_str());
        let Some(name) = there.map(|state| state.name) else {
            let refusal = format!("there is no module {}", order.module);
            return refuse(order, (404, refusal));
        };
        let waiting = self.orders.get(&name).map_or(0, VecDeque::len);
        if !self.busy.contains_key(&name) {
            self.begin_order(name, order);
        } else if waiting < ORDERS_WAITING_MAX {
            self.orders.entry(name).or_default().push_back(order);
        } else {
            refuse(order, (503, format!("{waiting} orders for module {name} wait already")));
        }
    }

    fn begin_order(&mut self, name: ModuleName, order: ModuleOrder) {
        let progress = PullProgress::new(self.runtime.changed());
        let busy = Busy { work: Work::Order, superseded: CancellationToken::new(), progress };
        let runtime = Arc::clone(&self.runtime);
        self.spawn(name, busy, async move {
            let ModuleOrder { module, action, done } = order;
            let outcome = carry_out_order(&*runtime, &module, action).await;
            // Nobody waits any more: nothing to tell.
            let _ = done.send(outcome.map_err(|error| (500, crate::error_chain(&error))));
            Ended::Order
        });
    }

    fn spawn(&mut self, name: ModuleName, busy: Busy, task: impl Future<Output = Ended> + Send + 'static) {
        self.busy.insert(name.clone(), busy);
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until a module's task has ended and notes what came of it; for ever while none runs. Nothing is lost when the
    /// future is dropped.
    pub async fn task_ended(&mut self, histories: &mut Histories) {
        let Some(joined) = self.tasks.join_next_with_id().await else { return std::future::pending().await };
        let (id, ended) = match joined {
            Ok((id, ended)) => (id, ended),
            Err(error) => (error.id(), Ended::Step(Err("the step ended unexpectedly".to_owned()))),
        };
        let Some(name) = self.names.remove(&id) else { return };
        let work = self.busy.remove(&name).map(|busy| busy.work);
        match (work, ended) {
            (Some(Work::Step(Step::Create(_) | Step::Start(_) | Step::Restart(_))), Ended::Step(Ok(()))) => {
                histories.succeeded(&name);
            }
            (Some(Work::Step(_)), Ended::Step(Err(reason))) => {
                tracing::warn!(module = name.as_str(), reason, "a step failed");
                histories.failed(&name, reason, self.clock.now());
            }
            (Some(Work::Step(step)), Ended::Superseded) => {
                tracing::info!(module = %name, step = step.word(), "given up for a newer deployment");
            }
            _ => {}
        }
        if let Some(order) = self.orders.get_mut(&name).and_then(VecDeque::pop_front) {
            self.begin_order(name, order);
        } else {
            self.orders.remove(&name);
        }
    }

    fn open_socket(&mut self, name: &ModuleName) -> Result<(), ServeSocketError> {
        if let Some(workload) = &self.workload
            && !self.sockets.contains_key(name)
        {
            let socket = workload.open_socket(name)?;
            self.sockets.insert(name.clone(), socket);
        }
        Ok(())
    }

    /// Gives up what is under way and stops everything, all at once.
    pub async fn stop_all(&mut self) {
        self.orders.clear();
        self.tasks.shutdown().await;
        self.busy.clear();
        let names: Vec<_> = self.runtime.observe().into_iter().map(|state| state.name).collect();
        let stops = names.iter().map(|name| self.runtime.stop(name, STOP_GRACE));
        for stopped in crate::join_all(stops).await {
            if let Err(error) = stopped {
                tracing::warn!(error = &error as &dyn std::error::Error, "a module was not stopped");
            }
        }
    }
}

async fn carry_out<R: ModuleRuntime>(
    runtime: &R,
    step: Step,
    progress: &PullProgress,
    superseded: CancellationToken,
) -> Ended {
    let done = match &step {
        Step::Create(spec) => match superseded.run_until_cancelled(runtime.pull(spec, progress)).await {
            None => return Ended::Superseded,
            Some(pulled) => create(runtime, spec, pulled).await,
        },
        Step::Start(name) | Step::Restart(name) => runtime.start(name).await,
        Step::Stop(name) => runtime.stop(name, STOP_GRACE).await,
        Step::Remove(name) => runtime.remove(name, STOP_GRACE).await,
        Step::ForgetRestarts(_) => Ok(()),
    };
    Ended::Step(done.map_err(|error| crate::error_chain(&error)))
}

async fn create<R: ModuleRuntime>(
    runtime: &R,
    spec: &ModuleSpec,
    pulled: Result<(), RuntimeError>,
) -> Result<(), RuntimeError> {
    pulled?;
    runtime.create(spec, STOP_GRACE).await
}

async fn carry_out_order<R: ModuleRuntime>(runtime: &R, name: &str, action: ModuleAction) -> Result<(), RuntimeError> {
    if matches!(action, ModuleAction::Stop | ModuleAction::Restart) {
        runtime.stop(name, STOP_GRACE).await?;
    }
    if matches!(action, ModuleAction::Start | ModuleAction::Restart) {
        runtime.start(name).await?;
    }
    Ok(())
}

fn refuse(order: ModuleOrder, refusal: Refusal) {
    // Nobody waits any more: nothing to tell.
    let _ = order.done.send(Err(refusal));
}

#[cfg(test)]
mod tests;

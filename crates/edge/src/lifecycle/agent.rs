//! The loop that keeps modules as the deployment wants them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use model::limits::MANIFEST_MODULES_MAX;
use model::manifest::agent::{AgentDesired, DesiredStatus};
use model::module_name::ModuleName;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::clock::Clock;
use super::deployment::{Deployment, GatewayInfo, wanted_modules};
use super::execute::Executor;
use super::history::Histories;
use super::plan::{Plan, PresentModule, WantedModule, plan};
use super::report::{DesiredOutcome, ReportInput, management_list, reported};
use crate::identity::hub_api::HubApi;
use crate::identity::modules::ModuleIdentities;
use crate::limits::RETRY_WAIT_MAX;
use crate::management::{DaemonStatus, ModuleOrder};
use crate::metrics::{Doing, Metrics};
use crate::retry_wait::RetryWait;
use crate::runtime::{ModuleRuntime, RunState};

/// What the loop works with.
pub struct AgentOptions {
    /// What modules are told.
    pub gateway: GatewayInfo,
    /// Identities of modules.
    pub identities: Arc<ModuleIdentities>,
    /// Where identities come from; without it only known ones are used.
    pub api: Option<HubApi>,
    /// Where the last good deployment is kept.
    pub deployment_path: PathBuf,
    /// Where the module list goes.
    pub status: Arc<DaemonStatus>,
    /// Where the reported section goes.
    pub reports: watch::Sender<Value>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
}

/// What the loop is told.
pub struct AgentInputs {
    /// Desired sections of `$edgeAgent`.
    pub desired: mpsc::Receiver<Deployment>,
    /// Operators' orders.
    pub orders: mpsc::Receiver<ModuleOrder>,
}

/// Modules whose identity could not be had, and why.
type WithoutIdentity = BTreeMap<String, String>;

/// The loop's state.
pub struct Agent<R> {
    options: AgentOptions,
    executor: Executor<R>,
    histories: Histories,
    desired: Option<AgentDesired>,
    outcome: DesiredOutcome,
    /// The last section was refused: its verdict stands, whatever becomes of the deployment in force.
    refused: bool,
    /// When the deployment in force arrived, until it is carried out.
    deploying_since: Option<Instant>,
    without_identity: WithoutIdentity,
    identity_rounds: (mpsc::Sender<WithoutIdentity>, mpsc::Receiver<WithoutIdentity>),
    identity_task: Option<AbortOnDropHandle<()>>,
    started_at: OffsetDateTime,
}

impl<R: ModuleRuntime> Agent<R> {
    /// Begins with the last good deployment, if there is one.
    pub fn new(options: AgentOptions, executor: Executor<R>, histories: Histories) -> Self {
        let not_seen = DesiredOutcome { version: 0, code: 406, description: "no deployment was seen yet".to_owned() };
        let started_at = options.clock.now();
        let mut agent = Self {
            options,
            executor,
            histories,
            desired: None,
            outcome: not_seen,
            refused: false,
            deploying_since: None,
            without_identity: BTreeMap::new(),
            identity_rounds: mpsc::channel(1),
            identity_task: None,
            started_at,
        };
        // What a daemon before this left stopped, it stopped because it ended itself.
        for (name, module) in agent.executor.present() {
            if matches!(module.run, RunState::Exited { .. }) {
                agent.histories.stopped_on_request(&name);
            }
        }
        agent.restore();
        agent
    }

    fn restore(&mut self) {
        match Deployment::read(&self.options.deployment_path) {
            Ok(Some(deployment)) => {
                tracing::info!(version = deployment.version, "starting the last good deployment");
                self.apply(&deployment);
            }
            Ok(None) => tracing::info!("no deployment was stored yet"),
            // A damaged record must not keep the daemon from getting a new one.
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the stored deployment cannot be used");
            }
        }
    }

    /// Runs until `stop`, then stops every module. Hands the orders back, for who comes after.
    pub async fn run(mut self, mut inputs: AgentInputs, stop: CancellationToken) -> mpsc::Receiver<ModuleOrder> {
        let changed = self.executor.runtime().changed();
        loop {
            let wake_at = self.pass();
            let now = self.options.clock.now();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(deployment) = inputs.desired.recv() => self.take_deployment(deployment),
                Some(order) = inputs.orders.recv() => self.executor.order(order),
                Some(failures) = self.identity_rounds.1.recv() => self.without_identity = failures,
                () = self.executor.task_ended(&mut self.histories) => {}
                () = changed.notified() => {}
                () = sleep_until(wake_at, now) => {}
            }
        }
        self.executor.stop_all().await;
        inputs.orders
    }

    /// One pass: plan, begin what it says, report. Waits for nothing; says when the next wait is over.
    fn pass(&mut self) -> Option<OffsetDateTime> {
        let wanted = self.wanted();
        let plan = self.plan(&wanted);
        let wake_at = plan.wake_at;
        self.executor.follow(plan, &wanted, &mut self.histories);
        let present = self.executor.present();
        self.judge(&wanted);
        self.measure(&present);
        let input = ReportInput {
            desired: self.desired.as_ref(),
            outcome: &self.outcome,
            wanted: &wanted,
            present: &present,
            history: self.histories.modules(),
            without_identity: &self.without_identity,
            pulling: &self.executor.pulling(),
            daemon_started_at: self.started_at,
        };
        self.options.status.set_modules(management_list(&input));
        let section = reported(&input);
        self.options.reports.send_if_modified(|known| {
            let differs = *known != section;
            *known = section;
            differs
        });
        wake_at
    }

    /// What to do next. Modules that are there when the daemon starts are left alone as long as it knows no deployment that
    /// says otherwise, and those of the deployment as long as it does not know their identity: neither means that they shall
    /// go.
    fn plan(&self, wanted: &BTreeMap<ModuleName, WantedModule>) -> Plan {
        let Some(desired) = &self.desired else { return Plan::default() };
        let mut present = self.executor.present();
        present.retain(|name, _| wanted.contains_key(name) || !desired.modules.contains_key(name));
        plan(wanted, &present, self.histories.modules(), self.options.clock.now())
    }

    fn wanted(&self) -> BTreeMap<ModuleName, WantedModule> {
        let Some(desired) = &self.desired else { return BTreeMap::new() };
        wanted_modules(desired, &self.options.gateway, |name| self.options.identities.known(name))
    }

    /// Says what came of the deployment in force.
    fn judge(&mut self, wanted: &BTreeMap<ModuleName, WantedModule>) {
        let Some(desired) = self.desired.as_ref().filter(|_| !self.refused) else { return };
        let failures = self.histories.modules().iter().filter(|(name, _)| wanted.contains_key(name.as_str()));
        let failures = failures.filter_map(|(name, history)| {
            history.failure.as_ref().map(|failure| format!("{name}: {}", failure.reason))
        });
        let missing = desired.modules.keys().filter(|name| !wanted.contains_key(*name)).map(|name| {
            let reason = self.without_identity.get(name.as_str()).map_or("waiting for its identity", String::as_str);
            format!("{name}: {reason}")
        });
        let causes: Vec<_> = failures.chain(missing).collect();
        self.outcome.code = if causes.is_empty() { 200 } else { 500 };
        self.outcome.description = causes.join("; ");
    }

    /// Says what modules do, and how long the deployment took when nothing is left to do for it.
    fn measure(&mut self, present: &BTreeMap<ModuleName, PresentModule>) {
        let runs = |name: &str| present.get(name).is_some_and(|module| matches!(module.run, RunState::Running { .. }));
        let wanted =
            self.desired.iter().flat_map(|desired| &desired.modules).map(|(name, module)| match module.status {
                DesiredStatus::Running if runs(name) => (name.as_str(), Doing::Up),
                DesiredStatus::Running => (name.as_str(), Doing::Down),
                DesiredStatus::Stopped => (name.as_str(), Doing::Unasked),
            });
        // What the deployment says of a module that is there comes last, and holds.
        let leaving = present.keys().map(|name| (name.as_str(), Doing::Unasked));
        self.options.metrics.agent.modules(leaving.chain(wanted));
        if self.outcome.code == 200
            && !self.executor.is_busy()
            && let Some(since) = self.deploying_since.take()
        {
            self.options.metrics.agent.deployed(since.elapsed());
        }
    }

    fn take_deployment(&mut self, deployment: Deployment) {
        let before = self.desired.clone();
        if !self.apply(&deployment) {
            return;
        }
        // It is told again after each connect.
        if self.desired != before {
            self.deploying_since = Some(Instant::now());
        }
        if let Err(error) = deployment.write(&self.options.deployment_path) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot keep the deployment for starts without network"
            );
        }
        self.ensure_identities();
    }

    /// Puts a deployment in force if it is good; says whether it was.
    fn apply(&mut self, deployment: &Deployment) -> bool {
        let version = deployment.version;
        let refused = |code, description| DesiredOutcome { version, code, description };
        let parsed = AgentDesired::parse(&deployment.section).map_err(|error| refused(error.code, error.message));
        let parsed = parsed.and_then(|desired| match desired.reserved_module() {
            Some(name) => Err(refused(500, format!("a module must not be called {name}"))),
            // Each is a process or a container, a task and a socket here.
            None if desired.modules.len() > MANIFEST_MODULES_MAX => {
                let count = desired.modules.len();
                Err(refused(400, format!("{count} modules, a deployment holds at most {MANIFEST_MODULES_MAX}")))
            }
            None => Ok(desired),
        });
        match parsed {
            Ok(desired) => {
                self.outcome = DesiredOutcome { version, code: 200, description: String::new() };
                self.histories.forget_failures();
                self.desired = Some(desired);
                self.refused = false;
                true
            }
            Err(outcome) => {
                tracing::warn!(version, code = outcome.code, reason = outcome.description, "deployment refused");
                self.outcome = outcome;
                self.refused = true;
                false
            }
        }
    }

    /// Makes sure in the background that every module has its identity at the hub, as long as that takes; identities of
    /// modules that left are removed. Starting and supervising modules never waits for it.
    fn ensure_identities(&mut self) {
        let (Some(api), Some(desired)) = (self.options.api.clone(), &self.desired) else { return };
        let names: Vec<_> = desired.modules.keys().cloned().collect();
        let identities = Arc::clone(&self.options.identities);
        let rounds = self.identity_rounds.0.clone();
        let task = tokio::spawn(async move {
            let mut wait = RetryWait::default();
            loop {
                let failures = identity_round(&api, &identities, &names).await;
                let done = failures.is_empty();
                if rounds.send(failures).await.is_err() || done {
                    return;
                }
                tokio::time::sleep(wait.next()).await;
            }
        });
        self.identity_task = Some(AbortOnDropHandle::new(task));
    }
}

async fn identity_round(api: &HubApi, identities: &ModuleIdentities, names: &[ModuleName]) -> WithoutIdentity {
    let mut failures = BTreeMap::new();
    for name in names {
        if let Err(error) = identities.ensure(api, name).await {
            let reason = crate::error_chain(&error);
            tracing::warn!(module = %name, reason, "no identity yet");
            failures.insert(name.to_string(), reason);
        }
    }
    for left in identities.all() {
        let system = left.module_id.starts_with('$');
        if !system
            && !names.iter().any(|name| *name == left.module_id.as_str())
            && let Err(error) = identities.remove(api, &left.module_id).await
        {
            tracing::warn!(module = left.module_id, error = &error as &dyn std::error::Error, "identity not removed");
        }
    }
    failures
}

/// The wall clock may jump: a wait is never longer than a minute before the plan is made again.
async fn sleep_until(at: Option<OffsetDateTime>, now: OffsetDateTime) {
    let Some(at) = at else { return std::future::pending().await };
    let left = (at - now).max(time::Duration::ZERO);
    tokio::time::sleep(left.unsigned_abs().min(RETRY_WAIT_MAX)).await;
}

#[cfg(test)]
mod tests;

//! What to do next: a pure function of what is wanted, what is there, what happened before, and the time.
//!
//! | Wanted running and it … | `never` | `on-failure`, `on-unhealthy` | `always` |
//! | --- | --- | --- | --- |
//! | was never started | start | start | start |
//! | was stopped because the deployment said so | start | start | start |
//! | failed | leave | wait, restart | wait, restart |
//! | ended cleanly | leave | start after [`CLEAN_EXIT_WAIT`], uncounted | wait, restart |
//!
//! A wait is 10, 20, 40, 80, 160, then 300 seconds after the exit. The runtime we replace gives up after 20 restarts; we keep
//! trying at the longest wait and report `failed` meanwhile, because a module on a remote site must come back when its cause
//! goes away. It starts a clean exit again on its next pass, 5 seconds later at most; we keep that time.
//! It recreates a module when only the restart policy or order changed; we do not disturb it.
//!
//! A plan holds the next step of each module, not the way to the end: what comes after is planned when the step has ended,
//! from what is there then. So modules go their ways side by side, and no step is carried out that a newer deployment made
//! pointless.
//!
//! **Start order.** A module is brought up (made, or started for the first time) when every module with a smaller order was
//! brought up or has failed at it. Whatever runs already, or is started again after it ended, waits for nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use model::manifest::agent::RestartPolicy;
use model::module_name::ModuleName;
use time::OffsetDateTime;

use crate::limits::{HEALTHY_AFTER, RESTART_WAIT_FIRST, RESTART_WAIT_MAX, RESTARTS_REPORTED_FAILED};
use crate::runtime::{ModuleSpec, RunState, SettingsHash};

/// The pause after a clean exit under `on-failure` and `on-unhealthy`.
pub const CLEAN_EXIT_WAIT: Duration = Duration::from_secs(5);

/// A module as the deployment wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedModule {
    /// What it is made from; when its settings differ from what was made, the module is made again.
    pub spec: ModuleSpec,
    /// Whether it shall run.
    pub running: bool,
}

impl WantedModule {
    /// The module's name.
    pub fn name(&self) -> &ModuleName {
        &self.spec.name
    }
}

/// A module as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentModule {
    /// What it was made from.
    pub settings_hash: SettingsHash,
    /// Whether it runs.
    pub run: RunState,
    /// Last start.
    pub started_at: Option<OffsetDateTime>,
}

/// What happened to a module before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleHistory {
    /// Restarts by policy since it was last well.
    pub restarts: u32,
    /// The last of them.
    pub last_restart: Option<OffsetDateTime>,
    /// It was stopped because the deployment, or an operator, said so.
    pub stopped_on_request: bool,
    /// Making or starting it failed.
    pub failure: Option<StepFailure>,
}

/// A step that failed: it is tried again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    /// How often in a row.
    pub count: u32,
    /// The last time.
    pub at: OffsetDateTime,
    /// Why, for the report.
    pub reason: String,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Stop and forget a module that is no longer wanted.
    Remove(ModuleName),
    /// Bring a module's image here and make it, replacing one of the same name.
    Create(Box<ModuleSpec>),
    /// Start a module.
    Start(ModuleName),
    /// Start a module that ended, counting it.
    Restart(ModuleName),
    /// Stop a module that shall not run.
    Stop(ModuleName),
    /// It has been well for long enough.
    ForgetRestarts(ModuleName),
}

impl Step {
    /// The module it is about.
    pub fn module(&self) -> &ModuleName {
        match self {
            Self::Create(spec) => &spec.name,
            Self::Remove(name)
            | Self::Start(name)
            | Self::Restart(name)
            | Self::Stop(name)
            | Self::ForgetRestarts(name) => name,
        }
    }

    /// What it is called in the log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Remove(_) => "remove",
            Self::Create(_) => "create",
            Self::Start(_) => "start",
            Self::Restart(_) => "restart",
            Self::Stop(_) => "stop",
            Self::ForgetRestarts(_) => "forget restarts",
        }
    }
}

/// The next step of each module, and when to look again although nothing happened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What to do, at most one step a module.
    pub steps: Vec<Step>,
    /// When the next wait is over.
    pub wake_at: Option<OffsetDateTime>,
}

impl Plan {
    fn wake(&mut self, at: OffsetDateTime) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// The wait before the next restart after so many.
pub fn restart_wait(restarts: u32) -> Duration {
    let doubled = RESTART_WAIT_FIRST.saturating_mul(2u32.saturating_pow(restarts));
    doubled.min(RESTART_WAIT_MAX)
}

/// What to do now.
pub fn plan(
    wanted: &BTreeMap<ModuleName, WantedModule>,
    present: &BTreeMap<ModuleName, PresentModule>,
    history: &BTreeMap<String, ModuleHistory>,
    now: OffsetDateTime,
) -> Plan {
    let mut plan = Plan::default();
    plan.steps.extend(present.keys().filter(|name| !wanted.contains_key(*name)).cloned().map(Step::Remove));
    let mut in_order: Vec<_> = wanted.values().collect();
    in_order.sort_by_key(|module| (module.spec.startup_order, module.name().clone()));
    let none = ModuleHistory::default();
    // The smallest order of a module that is yet to be brought up: larger ones wait.
    let mut coming_up = u32::MAX;
    for module in in_order {
        let history = history.get(module.name().as_str()).unwrap_or(&none);
        let next = match present.get(module.name()) {
            Some(present) if present.settings_hash == module.spec.settings_hash() => {
                next_of_present(&mut plan, module, present, history, now)
            }
            _ => next_of_absent(&mut plan, module, history, now),
        };
        match next {
            Next::Nothing => {}
            Next::BringUp(_) if module.spec.startup_order > coming_up => {}
            Next::BringUp(step) => {
                coming_up = module.spec.startup_order;
                plan.steps.push(step);
            }
            Next::Step(step) => plan.steps.push(step),
        }
    }
    plan
}

/// What comes next for one module.
enum Next {
    Nothing,
    /// A step on its way to run for the first time, in start order.
    BringUp(Step),
    /// Any other step.
    Step(Step),
}

fn next_of_absent(plan: &mut Plan, module: &WantedModule, history: &ModuleHistory, now: OffsetDateTime) -> Next {
    if waits_after_failure(plan, history, now) {
        return Next::Nothing;
    }
    let create = Step::Create(Box::new(module.spec.clone()));
    if module.running { Next::BringUp(create) } else { Next::Step(create) }
}

fn next_of_present(
    plan: &mut Plan,
    module: &WantedModule,
    present: &PresentModule,
    history: &ModuleHistory,
    now: OffsetDateTime,
) -> Next {
    let name = module.name().clone();
    match &present.run {
        RunState::Running { .. } if !module.running => Next::Step(Step::Stop(name)),
        RunState::Running { .. } => {
            let (1.., Some(started_at)) = (history.restarts, present.started_at) else { return Next::Nothing };
            let well_at = started_at + HEALTHY_AFTER;
            if now >= well_at {
                return Next::Step(Step::ForgetRestarts(name));
            }
            plan.wake(well_at);
            Next::Nothing
        }
        _ if !module.running => Next::Nothing,
        _ if waits_after_failure(plan, history, now) => Next::Nothing,
        RunState::Created => Next::BringUp(Step::Start(name)),
        RunState::Exited { .. } if history.stopped_on_request => Next::BringUp(Step::Start(name)),
        RunState::Exited { code, at: ended } => match next_start(module.spec.restart_policy, *code, *ended, history) {
            NextStart::Never => Next::Nothing,
            // An end in the future means that the clock was set back: no wait, or it might be for years.
            NextStart::At { at, counted } if now >= at || *ended > now => {
                Next::Step(if counted { Step::Restart(name) } else { Step::Start(name) })
            }
            NextStart::At { at, .. } => {
                plan.wake(at);
                Next::Nothing
            }
        },
    }
}

/// A failed step waits as a failed module does.
fn waits_after_failure(plan: &mut Plan, history: &ModuleHistory, now: OffsetDateTime) -> bool {
    let Some(failure) = &history.failure else { return false };
    // A failure in the future means that the clock was set back: no wait, or it might be for years.
    let again_at = failure.at + restart_wait(failure.count.saturating_sub(1));
    if now >= again_at || failure.at > now {
        return false;
    }
    plan.wake(again_at);
    true
}

enum NextStart {
    Never,
    At { at: OffsetDateTime, counted: bool },
}

fn next_start(policy: RestartPolicy, code: i32, exited_at: OffsetDateTime, history: &ModuleHistory) -> NextStart {
    let counted = NextStart::At { at: exited_at + restart_wait(history.restarts), counted: true };
    match policy {
        RestartPolicy::Never => NextStart::Never,
        RestartPolicy::Always => counted,
        RestartPolicy::OnFailure | RestartPolicy::OnUnhealthy if code != 0 => counted,
        RestartPolicy::OnFailure | RestartPolicy::OnUnhealthy => {
            NextStart::At { at: exited_at + CLEAN_EXIT_WAIT, counted: false }
        }
    }
}

/// `runtimeStatus` of a module with the words that explain it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `unknown`, `backoff`, `running`, `stopped` or `failed`.
    pub word: &'static str,
    /// For people; empty when there is nothing to explain.
    pub description: String,
}

/// How a module that is wanted is doing.
pub fn status(module: &WantedModule, present: Option<&PresentModule>, history: Option<&ModuleHistory>) -> Status {
    let say = |word, description: String| Status { word, description };
    let none = ModuleHistory::default();
    let history = history.unwrap_or(&none);
    if let Some(failure) = &history.failure {
        return say("failed", failure.reason.clone());
    }
    match present.map(|present| &present.run) {
        None => say("unknown", "not made yet".to_owned()),
        Some(RunState::Running { .. }) => say("running", String::new()),
        Some(RunState::Created) => say("stopped", "never started".to_owned()),
        Some(RunState::Exited { .. }) if !module.running || history.stopped_on_request => say("stopped", String::new()),
        Some(RunState::Exited { code, at }) => match next_start(module.spec.restart_policy, *code, *at, history) {
            NextStart::Never if *code == 0 => say("stopped", "ended cleanly".to_owned()),
            NextStart::Never => say("failed", format!("ended with code {code}")),
            NextStart::At { .. } if history.restarts >= RESTARTS_REPORTED_FAILED => {
                let wait = restart_wait(history.restarts).as_secs();
                say(
                    "failed",
                    format!("ended with code {code}; {} restarts, still tried every {wait} s", history.restarts),
                )
            }
            NextStart::At { .. } => {
                let wait = restart_wait(history.restarts).as_secs();
                say("backoff", format!("ended with code {code}; restart {} within {wait} s", history.restarts + 1))
            }
        },
    }
}

#[cfg(test)]
mod tests;

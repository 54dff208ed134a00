#![allow(clippy::unwrap_used)]
use super::*;
use crate::runtime::named;

const NOW: i64 = 1_700_000_000;

fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW + second).unwrap()
}

fn wanted(name: &str, restart_policy: RestartPolicy) -> WantedModule {
    WantedModule { spec: ModuleSpec { restart_policy, ..ModuleSpec::plain(name, "image:1") }, running: true }
}

fn ordered(name: &str, startup_order: u32) -> WantedModule {
    let mut module = wanted(name, RestartPolicy::Always);
    module.spec.startup_order = startup_order;
    module
}

fn present(name: &str, run: RunState) -> PresentModule {
    let settings_hash = ModuleSpec::plain(name, "image:1").settings_hash();
    PresentModule { settings_hash, run, started_at: Some(at(-30)) }
}

fn create(module: &WantedModule) -> Step {
    Step::Create(Box::new(module.spec.clone()))
}

fn by_name<const N: usize>(modules: [WantedModule; N]) -> BTreeMap<ModuleName, WantedModule> {
    modules.into_iter().map(|module| (module.name().clone(), module)).collect()
}

fn exited(code: i32, second: i64) -> RunState {
    RunState::Exited { code, at: at(second) }
}

fn one<T>(name: &str, value: T) -> BTreeMap<ModuleName, T> {
    BTreeMap::from([(named(name), value)])
}

fn past(name: &str, history: ModuleHistory) -> BTreeMap<String, ModuleHistory> {
    BTreeMap::from([(name.to_owned(), history)])
}

fn plan_one(module: WantedModule, run: RunState, history: ModuleHistory) -> Plan {
    plan(&one("m", module), &one("m", present("m", run)), &past("m", history), at(0))
}

/// The table of the module's documentation, row by row, at the moment the wait is over and one second before.
#[test]
fn restart_policies() {
    use RestartPolicy::{Always, Never, OnFailure, OnUnhealthy};
    let start = || vec![Step::Start(named("m"))];
    let restart = || vec![Step::Restart(named("m"))];
    let cases = [
        (Never, exited(1, -1000), vec![], None),
        (Never, exited(0, -1000), vec![], None),
        (Never, RunState::Created, start(), None),
        (OnFailure, exited(1, -10), restart(), None),
        (OnFailure, exited(1, -9), vec![], Some(at(1))),
        (OnFailure, exited(0, -5), start(), None),
        (OnFailure, exited(0, -4), vec![], Some(at(1))),
        (OnUnhealthy, exited(137, -10), restart(), None),
        (OnUnhealthy, exited(0, -5), start(), None),
        (Always, exited(0, -10), restart(), None),
        (Always, exited(0, -9), vec![], Some(at(1))),
        (Always, exited(2, -9), vec![], Some(at(1))),
        (Always, RunState::Running { pid: 7 }, vec![], None),
    ];
    for (policy, run, steps, wake_at) in cases {
        let plan = plan_one(wanted("m", policy), run.clone(), ModuleHistory::default());
        assert_eq!(plan, Plan { steps, wake_at }, "{policy:?} {run:?}");
    }
}

/// At the moment the wait is over, and a moment before.
#[test]
fn waits_double_from_the_first_to_the_longest_and_never_end() {
    let moment = Duration::from_millis(1);
    let (first, longest) = (RESTART_WAIT_FIRST, RESTART_WAIT_MAX);
    let waits = [(0, first), (1, 2 * first), (4, 16 * first), (5, longest), (1000, longest), (u32::MAX, longest)];
    for (restarts, wait) in waits {
        let tried = ModuleHistory { restarts, ..ModuleHistory::default() };
        for (ended, steps) in [(at(0) - wait, vec![Step::Restart(named("m"))]), (at(0) - wait + moment, vec![])] {
            let wake_at = steps.is_empty().then_some(ended + wait);
            let plan =
                plan_one(wanted("m", RestartPolicy::Always), RunState::Exited { code: 1, at: ended }, tried.clone());
            assert_eq!(plan, Plan { steps, wake_at }, "{restarts} restarts");
        }
    }
}

#[test]
fn a_module_that_ended_before_the_clock_was_set_back_is_started_at_once() {
    let a_year = 365 * 86_400;
    for (code, step) in [(1, Step::Restart(named("m"))), (0, Step::Start(named("m")))] {
        let plan = plan_one(wanted("m", RestartPolicy::OnFailure), exited(code, a_year), ModuleHistory::default());
        assert_eq!(plan, Plan { steps: vec![step], wake_at: None }, "code {code}");
    }
}

#[test]
fn a_module_that_was_stopped_on_request_starts_at_once_whatever_its_policy() {
    let history = ModuleHistory { stopped_on_request: true, ..ModuleHistory::default() };
    for policy in [RestartPolicy::Never, RestartPolicy::Always] {
        let plan = plan_one(wanted("m", policy), exited(143, 0), history.clone());
        assert_eq!(plan.steps, [Step::Start(named("m"))]);
    }
}

#[test]
fn what_shall_not_run_is_stopped_and_stays_so() {
    let stopped = WantedModule { running: false, ..wanted("m", RestartPolicy::Always) };
    let running = plan_one(stopped.clone(), RunState::Running { pid: 7 }, ModuleHistory::default());
    assert_eq!(running.steps, [Step::Stop(named("m"))]);
    for run in [RunState::Created, exited(1, -1000)] {
        assert_eq!(plan_one(stopped.clone(), run, ModuleHistory::default()), Plan::default());
    }
}

/// From nothing to all running: each round carries out the whole plan.
#[test]
fn modules_are_brought_up_in_start_order_after_nothing_that_goes() {
    let (early, late, same) = (ordered("early", 1), ordered("late", 9), ordered("same", 9));
    let idle = WantedModule { running: false, ..ordered("idle", 5) };
    let all = by_name([early.clone(), late.clone(), same.clone(), idle.clone()]);
    let mut there = one("old", present("old", RunState::Running { pid: 7 }));
    let start = |name: &str| Step::Start(named(name));
    let rounds = [
        vec![Step::Remove(named("old")), create(&early), create(&idle)],
        vec![start("early")],
        vec![create(&late), create(&same)],
        vec![start("late"), start("same")],
        vec![],
    ];
    for (number, expected) in rounds.into_iter().enumerate() {
        let steps = plan(&all, &there, &BTreeMap::new(), at(0)).steps;
        assert_eq!(steps, expected, "round {number}");
        for step in steps {
            let name = step.module().to_owned();
            match step {
                Step::Remove(_) => drop(there.remove(&name)),
                Step::Create(_) => drop(there.insert(name.clone(), present(&name, RunState::Created))),
                _ => drop(there.insert(name.clone(), present(&name, RunState::Running { pid: 1 }))),
            }
        }
    }
}

#[test]
fn who_fails_to_come_up_holds_up_nobody_and_who_runs_waits_for_nobody() {
    let (early, late) = (ordered("early", 1), ordered("late", 9));
    let all = by_name([early.clone(), late.clone()]);
    let failed = ModuleHistory {
        failure: Some(StepFailure { count: 1, at: at(-1), reason: "no".into() }),
        ..ModuleHistory::default()
    };
    let steps = plan(&all, &BTreeMap::new(), &past("early", failed), at(0)).steps;
    assert_eq!(steps, [create(&late)]);
    // The late one ended by itself: its restart is nothing that the early one's first start is waited for with.
    let steps = plan(&all, &one("late", present("late", exited(1, -10))), &BTreeMap::new(), at(0)).steps;
    assert_eq!(steps, [create(&early), Step::Restart(named("late"))]);
    // The late one runs and is to be made anew: not before the early one has come up.
    let mut newer = late.clone();
    newer.spec.version = "2".into();
    let running = one("late", present("late", RunState::Running { pid: 7 }));
    let steps = plan(&by_name([early.clone(), newer]), &running, &BTreeMap::new(), at(0)).steps;
    assert_eq!(steps, [create(&early)]);
}

#[test]
fn changed_settings_are_made_again_and_a_changed_policy_is_not() {
    let mut module = wanted("m", RestartPolicy::Never);
    let running = RunState::Running { pid: 7 };
    assert_eq!(plan_one(module.clone(), running.clone(), ModuleHistory::default()), Plan::default());
    module.spec.version = "2".into();
    let steps = plan_one(module.clone(), running, ModuleHistory::default()).steps;
    assert_eq!(steps, [create(&module)]);
}

#[test]
fn a_module_is_well_again_after_its_time_and_not_a_moment_earlier() {
    let moment = Duration::from_millis(1);
    let history = ModuleHistory { restarts: 3, ..ModuleHistory::default() };
    let mut module = present("m", RunState::Running { pid: 7 });
    for (ran, steps) in [(HEALTHY_AFTER, vec![Step::ForgetRestarts(named("m"))]), (HEALTHY_AFTER - moment, vec![])] {
        module.started_at = Some(at(0) - ran);
        let wake_at = steps.is_empty().then_some(at(0) + moment);
        let wanted = one("m", wanted("m", RestartPolicy::Always));
        let plan = plan(&wanted, &one("m", module.clone()), &past("m", history.clone()), at(0));
        assert_eq!(plan, Plan { steps, wake_at });
    }
}

#[test]
fn a_failed_step_is_tried_again_after_its_wait_or_when_the_clock_went_back() {
    let failed = |count, second| ModuleHistory {
        failure: Some(StepFailure { count, at: at(second), reason: "no".into() }),
        ..ModuleHistory::default()
    };
    let module = one("m", wanted("m", RestartPolicy::Always));
    for (history, tried, wake_at) in [
        (failed(1, -9), false, Some(at(1))),
        (failed(1, -10), true, None),
        (failed(2, -10), false, Some(at(10))),
        (failed(1, 1_000_000), true, None),
    ] {
        let plan = plan(&module, &BTreeMap::new(), &past("m", history.clone()), at(0));
        assert_eq!((!plan.steps.is_empty(), plan.wake_at), (tried, wake_at), "{history:?}");
    }
}

#[test]
fn status_says_what_is_going_on() {
    let module = wanted("m", RestartPolicy::OnFailure);
    let stopped = WantedModule { running: false, ..module.clone() };
    let never = wanted("m", RestartPolicy::Never);
    let fresh = ModuleHistory::default();
    let worn = ModuleHistory { restarts: RESTARTS_REPORTED_FAILED, ..fresh.clone() };
    let broken = ModuleHistory {
        failure: Some(StepFailure { count: 1, at: at(0), reason: "no container engine".into() }),
        ..fresh.clone()
    };
    let cases = [
        (&module, None, &fresh, "unknown"),
        (&module, None, &broken, "failed"),
        (&module, Some(RunState::Running { pid: 1 }), &fresh, "running"),
        (&module, Some(exited(1, -1)), &fresh, "backoff"),
        (&module, Some(exited(1, -1)), &worn, "failed"),
        (&stopped, Some(exited(143, -1)), &fresh, "stopped"),
        (&never, Some(exited(0, -1)), &fresh, "stopped"),
        (&never, Some(exited(3, -1)), &fresh, "failed"),
    ];
    for (module, run, history, word) in cases {
        let present = run.clone().map(|run| present("m", run));
        let status = status(module, present.as_ref(), Some(history));
        assert_eq!(status.word, word, "{run:?} {history:?}");
    }
    assert!(status(&module, Some(&present("m", exited(1, 0))), Some(&worn)).description.contains("still tried"));
}

#![allow(clippy::unwrap_used)]
use super::*;

const NOW: i64 = 1_700_000_000;

fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW + second).unwrap()
}

fn build(name: &str, image: &str) -> ModuleBuild {
    ModuleBuild {
        spec: ModuleSpec { name: name.into(), image: image.into(), env: BTreeMap::new() },
        create_options: String::new(),
        version: String::new(),
    }
}

fn wanted(name: &str, restart_policy: RestartPolicy) -> WantedModule {
    WantedModule { build: build(name, "image:1"), running: true, restart_policy, startup_order: u32::MAX }
}

fn present(name: &str, run: RunState) -> PresentModule {
    PresentModule { build: build(name, "image:1"), run, started_at: Some(at(-30)) }
}

fn exited(code: i32, second: i64) -> RunState {
    RunState::Exited { code, at: at(second) }
}

fn one<T>(name: &str, value: T) -> BTreeMap<String, T> {
    BTreeMap::from([(name.to_owned(), value)])
}

fn plan_one(module: WantedModule, run: RunState, history: ModuleHistory) -> Plan {
    plan(&one("m", module), &one("m", present("m", run)), &one("m", history), at(0))
}

/// The table of the module's documentation, row by row, at the moment the wait is over and one second before.
#[test]
fn restart_policies() {
    use RestartPolicy::{Always, Never, OnFailure, OnUnhealthy};
    let start = || vec![Step::Start("m".into())];
    let restart = || vec![Step::Restart("m".into())];
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

#[test]
fn waits_double_up_to_five_minutes_and_never_end() {
    let waits: Vec<_> = (0..8).map(|restarts| restart_wait(restarts).as_secs()).collect();
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300, 300]);
    assert_eq!(restart_wait(u32::MAX).as_secs(), 300);
    let tried = ModuleHistory { restarts: 1000, ..ModuleHistory::default() };
    assert_eq!(plan_one(wanted("m", RestartPolicy::Always), exited(1, -300), tried).steps, [Step::Restart("m".into())]);
}

#[test]
fn a_module_that_was_stopped_on_request_starts_at_once_whatever_its_policy() {
    let history = ModuleHistory { stopped_on_request: true, ..ModuleHistory::default() };
    for policy in [RestartPolicy::Never, RestartPolicy::Always] {
        let plan = plan_one(wanted("m", policy), exited(143, 0), history.clone());
        assert_eq!(plan.steps, [Step::Start("m".into())]);
    }
}

#[test]
fn what_shall_not_run_is_stopped_and_stays_so() {
    let stopped = WantedModule { running: false, ..wanted("m", RestartPolicy::Always) };
    let running = plan_one(stopped.clone(), RunState::Running { pid: 7 }, ModuleHistory::default());
    assert_eq!(running.steps, [Step::Stop("m".into())]);
    for run in [RunState::Created, exited(1, -1000)] {
        assert_eq!(plan_one(stopped.clone(), run, ModuleHistory::default()), Plan::default());
    }
}

#[test]
fn a_new_module_is_made_and_started_in_startup_order_after_what_goes_is_removed() {
    let mut wanted_modules = BTreeMap::new();
    for (name, order, running) in [("late", 9, true), ("early", 1, true), ("idle", 5, false)] {
        let module = WantedModule { startup_order: order, running, ..wanted(name, RestartPolicy::Always) };
        wanted_modules.insert(name.to_owned(), module);
    }
    let plan = plan(&wanted_modules, &one("old", present("old", RunState::Created)), &BTreeMap::new(), at(0));
    let create = |name| Step::Create(Box::new(build(name, "image:1")));
    let expected = [
        Step::Remove("old".into()),
        create("early"),
        Step::Start("early".into()),
        create("idle"),
        create("late"),
        Step::Start("late".into()),
    ];
    assert_eq!(plan.steps, expected);
}

#[test]
fn a_changed_build_is_made_again_and_a_changed_policy_is_not() {
    let mut module = wanted("m", RestartPolicy::Never);
    let running = RunState::Running { pid: 7 };
    assert_eq!(plan_one(module.clone(), running.clone(), ModuleHistory::default()), Plan::default());
    module.build.version = "2".into();
    let steps = plan_one(module.clone(), running, ModuleHistory::default()).steps;
    assert_eq!(steps, [Step::Create(Box::new(module.build)), Step::Start("m".into())]);
}

#[test]
fn ten_healthy_minutes_forget_the_restarts() {
    let history = ModuleHistory { restarts: 3, ..ModuleHistory::default() };
    let mut module = present("m", RunState::Running { pid: 7 });
    for (started, steps, wake_at) in [(-599, vec![], Some(at(1))), (-600, vec![Step::ForgetRestarts("m".into())], None)]
    {
        module.started_at = Some(at(started));
        let wanted = one("m", wanted("m", RestartPolicy::Always));
        let plan = plan(&wanted, &one("m", module.clone()), &one("m", history.clone()), at(0));
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
        let plan = plan(&module, &BTreeMap::new(), &one("m", history.clone()), at(0));
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

#![allow(clippy::unwrap_used)]
use super::*;
use std::time::Duration;

use testkit::complaints::Complaints;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::runtime::fake::{Act, FakeRuntime};
use crate::runtime::{RunState, named};
use crate::workload::certificate_names::CertificateNames;

struct Rig {
    runtime: Arc<FakeRuntime>,
    executor: Executor<FakeRuntime>,
    histories: Histories,
    dir: tempfile::TempDir,
    complaints: Complaints,
}

impl Rig {
    fn new() -> Self {
        let complaints = Complaints::watch();
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::of_runtime();
        let runtime = Arc::new(FakeRuntime::new(clock.clone()));
        let executor = Executor::new(Arc::clone(&runtime), None, clock);
        let histories = Histories::open(dir.path().join("restarts.json")).unwrap();
        Self { runtime, executor, histories, dir, complaints }
    }

    fn follow(&mut self, steps: Vec<Step>) {
        self.executor.follow(Plan { steps, wake_at: None }, &BTreeMap::new(), &mut self.histories);
    }

    /// Carries out steps that are not in each other's way.
    async fn carry_out(&mut self, steps: Vec<Step>) {
        self.follow(steps);
        self.settle().await;
    }

    async fn settle(&mut self) {
        while !self.executor.busy.is_empty() {
            self.executor.task_ended(&mut self.histories).await;
        }
    }

    fn order(&mut self, name: &str) -> oneshot::Receiver<Result<(), Refusal>> {
        let (done, outcome) = oneshot::channel();
        self.executor.order(ModuleOrder { module: name.into(), action: ModuleAction::Restart, done });
        outcome
    }

    fn run(&self, name: &str) -> RunState {
        self.executor.present()[name].run.clone()
    }
}

fn create(name: &str) -> Step {
    Step::Create(Box::new(ModuleSpec::plain(name, "image:1")))
}

fn start(name: &str) -> Step {
    Step::Start(named(name))
}

#[tokio::test(start_paused = true)]
async fn steps_are_carried_out_and_seen() {
    let mut rig = Rig::new();
    rig.carry_out(vec![create("m")]).await;
    rig.carry_out(vec![start("m")]).await;
    assert!(matches!(rig.run("m"), RunState::Running { .. }));
    rig.carry_out(vec![Step::Stop(named("m"))]).await;
    assert!(rig.histories.modules()["m"].stopped_on_request);
    rig.carry_out(vec![Step::Remove(named("m"))]).await;
    assert!(rig.executor.present().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failing_module_does_not_stop_the_others() {
    let mut rig = Rig::new();
    rig.complaints.expect("a step failed module=\"bad\"");
    rig.runtime.refuse("bad");
    rig.carry_out(vec![create("bad"), create("good")]).await;
    let reason = &rig.histories.modules()["bad"].failure.as_ref().unwrap().reason;
    assert!(reason.starts_with("no container engine"), "{reason}");
    assert_eq!(rig.run("good"), RunState::Created);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_counted_once_however_long_it_takes() {
    let mut rig = Rig::new();
    rig.carry_out(vec![create("m")]).await;
    rig.carry_out(vec![start("m")]).await;
    rig.runtime.exit("m", 1);
    rig.runtime.slow(Act::Start, "m", Duration::from_secs(60));
    rig.follow(vec![Step::Restart(named("m"))]);
    rig.follow(vec![Step::Restart(named("m"))]);
    rig.settle().await;
    assert_eq!(rig.histories.modules()["m"].restarts, 1);
    assert!(matches!(rig.run("m"), RunState::Running { .. }));
    rig.executor.stop_all().await;
    assert!(matches!(rig.run("m"), RunState::Exited { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_is_no_longer_wanted_is_given_up_and_anything_else_finishes() {
    let mut rig = Rig::new();
    rig.runtime.slow(Act::Pull, "a", Duration::from_secs(3600));
    rig.runtime.slow(Act::Create, "b", Duration::from_secs(60));
    rig.follow(vec![create("a"), create("b")]);
    // Both have begun.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.executor.pulling()["a"], "pulling the image, 0.0 of 1.0 MiB");
    let begun = Instant::now();
    rig.follow(vec![]);
    rig.settle().await;
    assert_eq!(rig.runtime.pulls_given_up(), 1);
    assert_eq!(rig.executor.present().keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(begun.elapsed(), Duration::from_secs(59));
    assert_eq!(rig.histories.modules().get("a"), None, "given up is not failed");
}

#[tokio::test(start_paused = true)]
async fn a_module_without_its_workload_socket_is_not_made() {
    let mut rig = Rig::new();
    rig.complaints.expect("cannot open the module's workload socket");
    let dir = rig.dir.path();
    rig.executor.workload = Some(Arc::new(WorkloadContext {
        signer: crate::identity::testing::signer(dir, "edge", &[]),
        trust_bundle_pem: String::new(),
        list: Arc::new(crate::management::DaemonStatus::default()),
        sockets_dir: dir.to_owned(),
        certificate_names: CertificateNames::new("edge.local", None),
        users: None,
    }));
    let mut wanted = WantedModule { spec: ModuleSpec::plain("m", "image:1"), running: true };
    wanted.spec.env.insert(CERTIFICATE_NAMES_VARIABLE.into(), "$gateway".into());
    let wanted = BTreeMap::from([(named("m"), wanted)]);
    rig.executor.follow(Plan::default(), &wanted, &mut rig.histories);
    let names = &rig.executor.workload.as_ref().unwrap().certificate_names;
    assert_eq!(names.names_for("m", "edge.local").unwrap(), ["edge.local", "m"]);
    let long = "x".repeat(120);
    rig.carry_out(vec![create(&long), create("m")]).await;
    assert_eq!(rig.executor.present().keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["m"]);
    let reason = &rig.histories.modules()[&long].failure.as_ref().unwrap().reason;
    assert!(reason.starts_with("cannot open the module's workload socket: "), "{reason}");
    assert!(rig.dir.path().join("m.sock").exists());
    // No longer wanted and no longer there: its socket goes.
    rig.carry_out(vec![Step::Remove(named("m"))]).await;
    rig.follow(vec![]);
    assert!(!rig.dir.path().join("m.sock").exists());
}

#[tokio::test(start_paused = true)]
async fn orders_for_a_busy_module_wait_up_to_the_limit() {
    let mut rig = Rig::new();
    rig.carry_out(vec![create("m")]).await;
    rig.runtime.slow(Act::Start, "m", Duration::from_secs(60));
    rig.follow(vec![start("m")]);
    let waiting: Vec<_> = (0..ORDERS_WAITING_MAX).map(|_| rig.order("m")).collect();
    let beyond = rig.order("m").await.unwrap().unwrap_err();
    assert_eq!(beyond, (503, format!("{ORDERS_WAITING_MAX} orders for module m wait already")));
    rig.settle().await;
    for outcome in waiting {
        assert_eq!(outcome.await.unwrap(), Ok(()));
    }
    let starts = rig.runtime.begun().iter().filter(|(act, _)| *act == Act::Start).count();
    assert_eq!(starts, 1 + ORDERS_WAITING_MAX);
}

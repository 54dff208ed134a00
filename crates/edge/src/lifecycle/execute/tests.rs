#![allow(clippy::unwrap_used)]
use super::*;
use crate::lifecycle::plan::ModuleBuild;
use crate::runtime::fake::FakeRuntime;
use crate::runtime::{ModuleSpec, RunState};

fn build(name: &str) -> Box<ModuleBuild> {
    let spec = ModuleSpec { name: name.into(), image: "image".into(), env: BTreeMap::new() };
    Box::new(ModuleBuild { spec, create_options: String::new(), version: String::new() })
}

fn histories(dir: &tempfile::TempDir) -> Histories {
    Histories::open(dir.path().join("restarts.json")).unwrap()
}

#[tokio::test]
async fn steps_are_carried_out_and_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, mut histories) = (FakeRuntime::default(), histories(&dir));
    let mut executor = Executor::new(runtime.clone(), None);
    executor.execute(vec![Step::Create(build("m")), Step::Start("m".into())], &mut histories).await;
    assert!(matches!(executor.present()["m"].run, RunState::Running { .. }));
    executor.execute(vec![Step::Stop("m".into())], &mut histories).await;
    assert!(histories.modules()["m"].stopped_on_request);
    executor.execute(vec![Step::Remove("m".into())], &mut histories).await;
    assert!(executor.present().is_empty());
}

#[tokio::test]
async fn a_failing_module_does_not_stop_the_others_and_its_first_reason_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, mut histories) = (FakeRuntime::default(), histories(&dir));
    runtime.refuse("bad");
    let mut executor = Executor::new(runtime.clone(), None);
    let steps = vec![
        Step::Create(build("bad")),
        Step::Start("bad".into()),
        Step::Create(build("good")),
        Step::Start("good".into()),
    ];
    executor.execute(steps, &mut histories).await;
    let reason = &histories.modules()["bad"].failure.as_ref().unwrap().reason;
    assert!(reason.starts_with("no container engine"), "{reason}");
    assert!(matches!(executor.present()["good"].run, RunState::Running { .. }));
}

#[tokio::test]
async fn a_restart_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, mut histories) = (FakeRuntime::default(), histories(&dir));
    let mut executor = Executor::new(runtime.clone(), None);
    executor.execute(vec![Step::Create(build("m")), Step::Start("m".into())], &mut histories).await;
    runtime.exit("m", 1);
    executor.execute(vec![Step::Restart("m".into())], &mut histories).await;
    assert_eq!(histories.modules()["m"].restarts, 1);
    executor.stop_all().await;
    assert!(matches!(executor.present()["m"].run, RunState::Exited { .. }));
}

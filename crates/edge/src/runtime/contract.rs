//! What every runtime must do, whatever runs the modules. Each runtime's tests call these with modules it can run.
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::log_file::LogFilter;
use super::{ModuleRuntime, ModuleSpec, PullProgress, RunState, RuntimeError};

/// Modules a runtime under test can run.
pub(crate) struct ContractModules {
    /// Runs until it is stopped.
    pub(crate) lasting: ModuleSpec,
    /// Ends at once with code 3.
    pub(crate) failing: ModuleSpec,
    /// Names an image nothing can run.
    pub(crate) impossible: ModuleSpec,
}

/// Waits until a module's state is as wished.
pub(crate) async fn until<R: ModuleRuntime>(runtime: &R, name: &str, wished: impl Fn(&RunState) -> bool) -> RunState {
    let changed = runtime.changed();
    let look = || runtime.observe().into_iter().find(|state| state.name == name).map(|state| state.run);
    tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match look() {
                Some(run) if wished(&run) => return run,
                _ => changed.notified().await,
            }
        }
    })
    .await
    .expect("the state is reached soon")
}

const GRACE: Duration = Duration::from_secs(10);

/// The whole contract.
pub(crate) async fn check<R: ModuleRuntime>(runtime: &R, modules: ContractModules) {
    let ContractModules { lasting, failing, impossible } = modules;
    assert_eq!(runtime.observe(), []);
    check_one_life(runtime, &lasting).await;

    // An exit is seen with its code.
    make(runtime, &failing).await;
    runtime.start(&failing.name).await.unwrap();
    let exited = until(runtime, &failing.name, |run| matches!(run, RunState::Exited { .. })).await;
    assert!(matches!(exited, RunState::Exited { code: 3, .. }), "{exited:?}");

    // What cannot run says so before anything is made, and leaves nothing behind.
    let refused = runtime.pull(&impossible, &progress(runtime)).await.unwrap_err();
    assert!(refused.to_string().contains("tidegate.processes"), "{refused}");
    assert_eq!(runtime.observe().len(), 2);

    check_dropped_calls(runtime, &lasting).await;

    // Removing ends it; removing twice is fine; then it is unknown.
    for name in [&lasting.name, &failing.name] {
        runtime.remove(name, GRACE).await.unwrap();
        runtime.remove(name, GRACE).await.unwrap();
        assert!(matches!(runtime.start(name).await, Err(RuntimeError::Unknown { .. })));
        assert!(matches!(runtime.stop(name, GRACE).await, Err(RuntimeError::Unknown { .. })));
    }
    assert_eq!(runtime.observe(), []);

    // A module that never wrote has no lines, nor has one that never was.
    assert_eq!(runtime.read("stranger", &LogFilter::default()).await.unwrap(), []);
    assert!(!runtime.modules().await.unwrap().contains(&"stranger".to_owned()));
}

/// Made, started, stopped, made again; started at the end.
async fn check_one_life<R: ModuleRuntime>(runtime: &R, spec: &ModuleSpec) {
    let name = &spec.name;
    // A module is made, then started; starting twice is fine. What it was made from can be told.
    make(runtime, spec).await;
    assert_eq!(runtime.observe()[0].run, RunState::Created);
    assert_eq!(runtime.observe()[0].settings_hash, spec.settings_hash());
    assert_eq!(runtime.observe()[0].version, spec.version);
    runtime.start(name).await.unwrap();
    let RunState::Running { pid } = until(runtime, name, |run| matches!(run, RunState::Running { .. })).await else {
        unreachable!("just waited for it")
    };
    runtime.start(name).await.unwrap();
    assert_eq!(runtime.observe()[0].run, RunState::Running { pid });
    assert!(runtime.observe()[0].started_at.is_some());

    // Stopping is an exit; stopping twice is fine; it can be started again.
    runtime.stop(name, GRACE).await.unwrap();
    assert!(matches!(runtime.observe()[0].run, RunState::Exited { .. }));
    runtime.stop(name, GRACE).await.unwrap();
    runtime.start(name).await.unwrap();

    // A pull does not disturb the running one; making it again ends it.
    runtime.pull(spec, &progress(runtime)).await.unwrap();
    assert!(matches!(runtime.observe()[0].run, RunState::Running { .. }));
    runtime.create(spec, GRACE).await.unwrap();
    assert_eq!(runtime.observe()[0].run, RunState::Created);
    runtime.start(name).await.unwrap();
}

/// A call that is dropped at its first wait leaves nothing the next call cannot go on from.
async fn check_dropped_calls<R: ModuleRuntime>(runtime: &R, spec: &ModuleSpec) {
    let dropped = |call: Pin<Box<dyn Future<Output = Result<(), RuntimeError>> + Send + '_>>| {
        let _ = call.now_or_never();
    };
    let progress = progress(runtime);
    dropped(Box::pin(runtime.pull(spec, &progress)));
    dropped(Box::pin(runtime.stop(&spec.name, GRACE)));
    dropped(Box::pin(runtime.create(spec, GRACE)));
    dropped(Box::pin(runtime.start(&spec.name)));
    runtime.stop(&spec.name, GRACE).await.unwrap();
    assert!(!matches!(runtime.observe()[0].run, RunState::Running { .. }));
    runtime.start(&spec.name).await.unwrap();
    until(runtime, &spec.name, |run| matches!(run, RunState::Running { .. })).await;
}

async fn make<R: ModuleRuntime>(runtime: &R, spec: &ModuleSpec) {
    runtime.pull(spec, &progress(runtime)).await.unwrap();
    runtime.create(spec, GRACE).await.unwrap();
}

fn progress<R: ModuleRuntime>(runtime: &R) -> PullProgress {
    PullProgress::new(runtime.changed())
}

//! What every runtime must do, whatever runs the modules. Each runtime's tests call these with modules it can run.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::{ModuleRuntime, ModuleSpec, RunState, RuntimeError};

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

/// The whole contract.
pub(crate) async fn check<R: ModuleRuntime>(runtime: &R, modules: ContractModules) {
    let ContractModules { lasting, failing, impossible } = modules;
    assert_eq!(runtime.observe(), []);

    // A module is made, then started; starting twice is fine.
    let name = lasting.name.clone();
    runtime.create(lasting.clone()).await.unwrap();
    assert_eq!(runtime.observe()[0].run, RunState::Created);
    runtime.start(&name).await.unwrap();
    let RunState::Running { pid } = until(runtime, &name, |run| matches!(run, RunState::Running { .. })).await else {
        unreachable!("just waited for it")
    };
    runtime.start(&name).await.unwrap();
    assert_eq!(runtime.observe()[0].run, RunState::Running { pid });
    assert!(runtime.observe()[0].started_at.is_some());

    // Stopping is an exit; stopping twice is fine; it can be started again.
    runtime.stop(&name).await.unwrap();
    assert!(matches!(runtime.observe()[0].run, RunState::Exited { .. }));
    runtime.stop(&name).await.unwrap();
    runtime.start(&name).await.unwrap();

    // Making it again ends the running one.
    runtime.create(lasting).await.unwrap();
    assert_eq!(runtime.observe()[0].run, RunState::Created);
    runtime.start(&name).await.unwrap();

    // An exit is seen with its code.
    let failing_name = failing.name.clone();
    runtime.create(failing).await.unwrap();
    runtime.start(&failing_name).await.unwrap();
    let exited = until(runtime, &failing_name, |run| matches!(run, RunState::Exited { .. })).await;
    assert!(matches!(exited, RunState::Exited { code: 3, .. }), "{exited:?}");

    // What cannot run says so when it is made, and leaves nothing behind.
    let refused = runtime.create(impossible).await.unwrap_err();
    assert!(refused.to_string().contains("tidegate.processes"), "{refused}");
    assert_eq!(runtime.observe().len(), 2);

    // Removing ends it; removing twice is fine; then it is unknown.
    for name in [&name, &failing_name] {
        runtime.remove(name).await.unwrap();
        runtime.remove(name).await.unwrap();
        assert!(matches!(runtime.start(name).await, Err(RuntimeError::Unknown { .. })));
        assert!(matches!(runtime.stop(name).await, Err(RuntimeError::Unknown { .. })));
    }
    assert_eq!(runtime.observe(), []);
}

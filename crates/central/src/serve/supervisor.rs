//! Background tasks that must not end before they are told to: when one panics or ends, Central is not ready, says why, and ends, so
//! that whoever supervises the process starts it anew. Half a Central would accept what nobody takes care of.
//!
//! Readers of the log are not among them: what they do can be done again, so they are restarted by themselves.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use events::health::Health;
use readers::runner::panic_text;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Watches tasks. Cheap to clone.
#[derive(Clone)]
pub struct Supervisor {
    health: Health,
    failed: CancellationToken,
    failure: Arc<Mutex<Option<TaskFailure>>>,
}

/// A task ended although it should not have.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the background task {name} ended: {problem}")]
pub struct TaskFailure {
    name: &'static str,
    problem: String,
}

impl Supervisor {
    /// One that tells what does not hold.
    pub fn new(health: Health) -> Self {
        Self { health, failed: CancellationToken::new(), failure: Arc::default() }
    }

    /// Runs a task that ends once `stop` is cancelled, and not before.
    pub fn spawn<F>(&self, tasks: &TaskTracker, name: &'static str, stop: CancellationToken, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let supervisor = self.clone();
        tasks.spawn(async move {
            let problem = match tokio::spawn(task).await {
                Ok(()) if stop.is_cancelled() => return,
                Ok(()) => "it was not told to".to_owned(),
                Err(error) => panic_text(error),
            };
            supervisor.fail(name, problem);
        });
    }

    fn fail(&self, name: &'static str, problem: String) {
        let failure = TaskFailure { name, problem };
        tracing::error!("Central ends: {failure}");
        self.health.condition("background tasks").break_with(failure.to_string());
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.failed.cancel();
    }

    /// Waits until a task has failed.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// What failed first, if anything did.
    pub fn failure(&self) -> Option<TaskFailure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

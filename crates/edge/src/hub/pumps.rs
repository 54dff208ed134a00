//! Which pumps run.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use model::route::Endpoint;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The tasks of all pumps.
#[derive(Default)]
pub(super) struct Pumps {
    running: Mutex<HashMap<Endpoint, AbortOnDropHandle<()>>>,
}

impl Pumps {
    /// Starts an endpoint's pump if it does not run.
    pub(super) fn start<F>(&self, endpoint: &Endpoint, stop: &CancellationToken, pump: impl FnOnce(Endpoint) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.get(endpoint).is_none_or(|task| task.is_finished()) {
            let stopped = stop.clone().run_until_cancelled_owned(pump(endpoint.clone()));
            let task = tokio::spawn(async move {
                stopped.await;
            });
            running.insert(endpoint.clone(), AbortOnDropHandle::new(task));
        }
    }

    /// Ends an endpoint's pump.
    pub(super) fn stop(&self, endpoint: &Endpoint) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(endpoint);
    }
}

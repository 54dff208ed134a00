//! Writes of many callers, so many to a commit.
//!
//! ```text
//!   caller ──► queue (bounded) ──► the one writer: what waits is one commit ──► each caller's answer
//! ```
//!
//! A commit costs an `fsync`, whatever is in it. While one is made the next one collects, so the more callers there are, the
//! less each of them costs; one that is alone waits for nobody.

use std::sync::Arc;

use registry::StoreError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The way to the writer. Cheap to clone.
pub struct GroupCommit<C> {
    queue: mpsc::Sender<Queued<C>>,
}

/// The writer's end.
pub struct GroupCommits<C> {
    queue: mpsc::Receiver<Queued<C>>,
    per_commit_max: usize,
}

struct Queued<C> {
    change: C,
    done: oneshot::Sender<Result<(), GroupCommitError>>,
}

/// Why a change was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GroupCommitError {
    /// The registry failed, for every change of the commit.
    #[error("the registry could not be changed")]
    Store(#[source] Arc<StoreError>),
    /// Central is stopping.
    #[error("central is stopping")]
    Stopping,
}

impl<C> Clone for GroupCommit<C> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<C> GroupCommit<C> {
    /// So many changes may wait, further callers wait for room; so many are made in one commit.
    pub fn new(queued_max: usize, per_commit_max: usize) -> (Self, GroupCommits<C>) {
        let (sender, queue) = mpsc::channel(queued_max);
        (Self { queue: sender }, GroupCommits { queue, per_commit_max })
    }

    /// Makes a change. `Ok` means durable. A caller that goes away has its change made all the same, once it is queued.
    pub async fn make(&self, change: C) -> Result<(), GroupCommitError> {
        let (done, answer) = oneshot::channel();
        self.queue.send(Queued { change, done }).await.map_err(|_| GroupCommitError::Stopping)?;
        answer.await.unwrap_or(Err(GroupCommitError::Stopping))
    }
}

impl<C> GroupCommits<C> {
    /// Changes that wait.
    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Runs until the token is cancelled; then writes what is queued and ends. `write` makes one commit of what it is given.
    pub async fn run<F>(mut self, shutdown: CancellationToken, write: impl Fn(Vec<C>) -> F)
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        let mut group = Vec::new();
        loop {
            tokio::select! {
                received = self.queue.recv_many(&mut group, self.per_commit_max) => if received == 0 { return },
                () = shutdown.cancelled() => break,
            }
            commit(&mut group, &write).await;
        }
        self.queue.close();
        while self.queue.recv_many(&mut group, self.per_commit_max).await > 0 {
            commit(&mut group, &write).await;
        }
    }
}

async fn commit<C, F>(group: &mut Vec<Queued<C>>, write: &impl Fn(Vec<C>) -> F)
where
    F: Future<Output = Result<(), StoreError>>,
{
    let (changes, callers): (Vec<C>, Vec<_>) = group.drain(..).map(|queued| (queued.change, queued.done)).unzip();
    let written = write(changes).await.map_err(|error| GroupCommitError::Store(Arc::new(error)));
    for caller in callers {
        // Whoever asked may have gone.
        drop(caller.send(written.clone()));
    }
}

#[cfg(test)]
mod tests;

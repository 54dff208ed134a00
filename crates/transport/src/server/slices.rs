//! A share of the processors for sessions that are up.
//!
//! Ten thousand clients that connect at once, or go at once, are ten thousand tasks that are ready, each with a millisecond of
//! cryptography or a hand-over to do; a session that only has to read a message would wait behind all of them. So arrivals and
//! departures take turns: a few of them run at a time, the others are not ready meanwhile, and whoever is up finds a free
//! processor. Nobody holds a turn while he waits for the network.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

/// Turns for work that may wait a little. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Slices {
    turns: Arc<Semaphore>,
}

impl Slices {
    /// For a process with so many worker threads: at least half of them are left to others.
    pub(super) fn new(workers: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new((workers / 2).max(1))) }
    }

    /// Runs a future that is only ever worked on in a turn. `waits` is told when it begins to wait for one, and when it has it.
    pub(super) async fn run<F: Future>(&self, future: F, waits: impl Fn(bool)) -> F::Output {
        let mut turn = PollSemaphore::new(Arc::clone(&self.turns));
        let mut future = pin!(future);
        poll_fn(|context| match turn.poll_acquire(context) {
            // The turn ends with this look.
            Poll::Ready(_turn) => {
                waits(false);
                future.as_mut().poll(context)
            }
            Poll::Pending => {
                waits(true);
                Poll::Pending
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Barrier;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn as_many_work_at_once_as_there_are_turns_and_all_are_done() {
        let slices = Slices::new(4);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..200 {
            let (slices, now, most) = (slices.clone(), now.clone(), most.clone());
            tasks.spawn(async move {
                let work = async {
                    for _ in 0..20 {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                    }
                };
                slices.run(work, |_| {}).await;
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn who_waits_for_something_holds_no_turn() {
        let slices = Slices::new(1);
        let meet = Arc::new(Barrier::new(3));
        let mut tasks = JoinSet::new();
        for _ in 0..3 {
            let (slices, meet) = (slices.clone(), meet.clone());
            tasks.spawn(async move { slices.run(meet.wait(), |_| {}).await.is_leader() });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|&leads| leads).count(), 1);
    }

    #[tokio::test]
    async fn who_waits_for_a_turn_says_so() {
        let slices = Slices::new(1);
        let said = std::sync::Mutex::new(Vec::new());
        let turn = slices.turns.clone().acquire_owned().await.unwrap();
        let run = slices.run(async {}, |waits| said.lock().unwrap().push(waits));
        let give = async {
            tokio::task::yield_now().await;
            drop(turn);
        };
        tokio::join!(run, give);
        assert_eq!(*said.lock().unwrap(), [true, false]);
    }
}

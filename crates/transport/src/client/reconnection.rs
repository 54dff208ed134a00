//! Clients of one hub that come back together.
//!
//! An edge connects each of its identities by itself. Were each to wait by itself too, the last of them would come back a minute
//! after the hub did. So one at a time leads: it tries again soon, however long the hub was away, and the first that is let in
//! calls the others. The hub sees one attempt every second or two from a whole edge, less than when all of them wait apart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::backoff::jittered;
use crate::limits::{BACK_TOGETHER, LEAD_PAUSE_MAX};

/// What clients of the same hub share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reconnection {
    /// One permit: who has it leads.
    lead: Arc<Semaphore>,
    /// Changed whenever the hub has let one of them in.
    back: watch::Sender<()>,
}

impl Default for Reconnection {
    fn default() -> Self {
        Self { lead: Arc::new(Semaphore::new(1)), back: watch::channel(()).0 }
    }
}

impl Reconnection {
    pub(super) fn member(&self) -> Member {
        Member { back: self.back.subscribe(), shared: self.clone() }
    }
}

/// One of the clients.
pub(super) struct Member {
    shared: Reconnection,
    back: watch::Receiver<()>,
}

impl Member {
    /// An attempt begins: what was called before does not count for it.
    pub(super) fn begin(&mut self) {
        self.back.mark_unchanged();
    }

    /// The hub let this client in.
    pub(super) fn connected(&self) {
        self.shared.back.send_replace(());
    }

    /// Waits before the next attempt: for `pause`, or less when this client leads or another was let in since [`Self::begin`].
    /// `random` gives random numbers.
    pub(super) async fn wait(&mut self, pause: Duration, random: impl Fn() -> u32) {
        let mut until = Instant::now() + pause;
        let (mut lead, mut is_called) = (None, false);
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                permit = self.shared.lead.acquire(), if lead.is_none() => {
                    // Kept until the attempt begins.
                    lead = permit.ok();
                    until = until.min(Instant::now() + jittered(LEAD_PAUSE_MAX, random()));
                }
                _ = self.back.changed(), if !is_called => {
                    is_called = true;
                    let share = f64::from(random()) / f64::from(u32::MAX);
                    until = until.min(Instant::now() + BACK_TOGETHER.mul_f64(share));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn one_tries_soon_and_calls_the_others() {
        let reconnection = Reconnection::default();
        let began = Instant::now();
        let mut leader = reconnection.member();
        leader.begin();
        let mut others = JoinSet::new();
        for _ in 0..50 {
            let mut member = reconnection.member();
            member.begin();
            others.spawn(async move { member.wait(LONG, || u32::MAX).await });
        }
        leader.wait(LONG, || 0).await;
        assert_eq!(began.elapsed(), LEAD_PAUSE_MAX);
        assert_eq!(others.len(), 50, "the others wait");
        leader.connected();
        others.join_all().await;
        assert_eq!(began.elapsed(), LEAD_PAUSE_MAX + BACK_TOGETHER);
    }

    #[tokio::test(start_paused = true)]
    async fn when_a_leader_goes_another_leads() {
        let reconnection = Reconnection::default();
        let (mut first, mut second) = (reconnection.member(), reconnection.member());
        let began = Instant::now();
        tokio::join!(first.wait(LONG, || 0), second.wait(LONG, || 0));
        assert_eq!(began.elapsed(), LEAD_PAUSE_MAX * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_called_before_an_attempt_does_not_shorten_the_wait_after_it() {
        let reconnection = Reconnection::default();
        let _lead = reconnection.lead.acquire().await.expect("it is never closed");
        let mut member = reconnection.member();
        reconnection.member().connected();
        member.begin();
        let began = Instant::now();
        member.wait(LONG, || 0).await;
        assert_eq!(began.elapsed(), LONG);
    }
}

//! The pumps: one per endpoint, from its queues to where its messages go.
//!
//! A pump takes a batch from the most urgent queue that has something, delivers all of it, and looks again from the top. A
//! batch is finished when every message in it was acknowledged or has expired; only then the pump goes on, so the order of a
//! sender is kept. While a batch waits for its endpoint, what expires in it and at the head of the endpoint's other queues is
//! dropped, so that nothing that nobody may have holds the log. How far the queues came is written down at most five times a second:
//! what was delivered since is delivered again after a crash, never lost.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use model::identity::Identity;
use model::route::Endpoint;
use storage::log::ReadError;
use tokio::time::Instant;
use transport::client::{LinkState, SendError};
use transport::server::SessionLink;

use super::EdgeHub;
use super::dropped::Reason;
use super::parked::{is_parked, parked};
use super::queue::{QueueId, Readers, Taken, WaitingMessage, endpoint_name};
use super::scope::Refreshed;
use super::way_out::for_upstream;
use crate::limits::{EXPIRY_INTERVAL, INPUT_ACK_TIMEOUT, PROGRESS_INTERVAL, RETRY_WAIT_MAX, SENDER_LAG_MAX};
use crate::retry_wait::RetryWait;

/// How a sender's link is.
enum Linked {
    Up,
    /// The hub says no to the sender for now.
    Refused,
    /// The hub does not know it.
    Gone,
    /// It is not up, and others are.
    Late,
}

/// How often a refused identity is looked up again.
const REFUSAL_CHECK_INTERVAL: Duration = Duration::from_secs(30);

impl EdgeHub {
    /// Starts a pump for every endpoint that something waits for.
    pub(super) fn start_pumps(&self) {
        for endpoint in self.queues.endpoints() {
            self.start_pump(&endpoint);
        }
    }

    /// Starts an endpoint's pump if it does not run.
    pub(super) fn start_pump(&self, endpoint: &Endpoint) {
        let hub = self.me.clone();
        self.pumps.start(endpoint, &self.stop, move |endpoint| async move {
            if let Some(hub) = hub.upgrade() {
                hub.pump(&endpoint).await;
            }
        });
    }

    /// Ends an endpoint's pump.
    pub(super) fn stop_pump(&self, endpoint: &Endpoint) {
        self.pumps.stop(endpoint);
    }

    async fn pump(&self, endpoint: &Endpoint) {
        let stored = self.queues.stored(endpoint);
        let mut readers = Readers::default();
        loop {
            match self.queues.take(endpoint, &mut readers).await {
                Ok(Some(taken)) => self.finish(endpoint, taken, &mut readers).await,
                Ok(None) => stored.notified().await,
                Err(error) => unreadable(endpoint, &error).await,
            }
        }
    }

    /// Delivers what was taken and settles it.
    async fn finish(&self, endpoint: &Endpoint, taken: Taken, readers: &mut Readers) {
        let Taken { queue, messages, mark } = taken;
        let mut delivery = pin!(self.deliver(&queue, messages));
        let mut sweep_at = Instant::now() + EXPIRY_INTERVAL;
        loop {
            tokio::select! {
                () = &mut delivery => break,
                () = tokio::time::sleep_until(sweep_at) => self.drop_expired_heads(endpoint, &queue, readers).await,
            }
            sweep_at = Instant::now() + EXPIRY_INTERVAL;
        }
        self.queues.settle(&queue, &mark);
    }

    async fn drop_expired_heads(&self, endpoint: &Endpoint, delivering: &QueueId, readers: &mut Readers) {
        match self.queues.take_expired(endpoint, delivering, self.queues.now_ms(), readers).await {
            Ok(expired) => {
                for (queue, message) in expired {
                    self.drop_message(&queue, Reason::TimeToLive, &message);
                }
            }
            Err(error) => unreadable(endpoint, &error).await,
        }
    }

    async fn deliver(&self, queue: &QueueId, messages: Vec<WaitingMessage>) {
        match &queue.endpoint {
            Endpoint::Upstream => {
                let senders = by_sender(messages).into_iter();
                crate::join_all(senders.map(|(sender, messages)| self.send_upstream(queue, sender, messages))).await;
            }
            Endpoint::Module { input, .. } if is_parked(&queue.endpoint) => {
                self.send_upstream(queue, Identity::from_client_id(input), messages).await;
            }
            Endpoint::Module { module, input } => {
                let module = Identity::module(&self.options.device.device_id, module);
                self.deliver_input(queue, &module, input, messages).await;
            }
        }
    }

    /// Sends one sender's messages, in order, until all are acknowledged, expired, or the hub above no longer knows the
    /// sender. Those of a sender that is refused, or cannot get through while others can, are parked, so that nobody waits for it.
    async fn send_upstream(&self, queue: &QueueId, sender: Identity, mut messages: Vec<WaitingMessage>) {
        self.drop_undeliverable(queue, &mut messages);
        if messages.is_empty() {
            return;
        }
        let is_parked = is_parked(&queue.endpoint);
        // Older ones are parked already.
        if !is_parked && self.queues.has_waiting(&parked(&sender)) && self.park(queue, &sender, &messages).await {
            return;
        }
        let link = self.link(&sender);
        let state = link.client.state();
        let mut wait = RetryWait::default();
        let begun = Instant::now();
        loop {
            let linked = self.wait_for_link(&state, &sender, is_parked);
            match self.while_alive(queue, &mut messages, linked).await {
                None => return,
                Some(Linked::Up) => {}
                Some(Linked::Gone) => {
                    tracing::warn!(%sender, messages = messages.len(), "dropped: the hub no longer knows this sender");
                    messages.iter().for_each(|message| self.drop_message(queue, Reason::SenderRemoved, message));
                    return;
                }
                Some(Linked::Late | Linked::Refused) => {
                    if !is_parked && self.park(queue, &sender, &messages).await {
                        return;
                    }
                    let mut state = state.clone();
                    state.borrow_and_update();
                    let changed = tokio::time::timeout(REFUSAL_CHECK_INTERVAL, state.changed());
                    if self.while_alive(queue, &mut messages, changed).await.is_none() {
                        return;
                    }
                    continue;
                }
            }
            self.drop_expired(queue, &mut messages);
            let stamped = |WaitingMessage { stored, .. }: &WaitingMessage| {
                for_upstream(stored, self.clock.on_the_wall_ms(stored.stored_at_ms))
            };
            let batch: Vec<_> = messages.iter().map(stamped).collect();
            let sending = Instant::now();
            match link.client.send(batch).await {
                Ok(()) => return self.count_sent(queue, &messages, sending.elapsed()),
                // The link itself waits longer and longer before it is made anew.
                Err(SendError::Disconnected) => {
                    wait.reset();
                    let is_late = begun.elapsed() >= SENDER_LAG_MAX && self.links.is_any_up_but(&sender);
                    if !is_parked && is_late && self.park(queue, &sender, &messages).await {
                        return;
                    }
                }
                Err(error @ SendError::TooLarge) => {
                    tracing::error!(%sender, %error, "messages that can be delivered were not taken, trying again");
                    wait.lengthen();
                }
                // The hub is shutting down.
                Err(SendError::Stopped) => return std::future::pending().await,
            }
            let pause = tokio::time::sleep(wait.next());
            if self.while_alive(queue, &mut messages, pause).await.is_none() {
                return;
            }
        }
    }

    /// Waits for something the endpoint needs, dropping messages whose time is up meanwhile. `None` when none is left.
    async fn while_alive<T>(
        &self,
        queue: &QueueId,
        messages: &mut Vec<WaitingMessage>,
        needed: impl Future<Output = T>,
    ) -> Option<T> {
        let mut needed = pin!(needed);
        loop {
            let first = messages.iter().map(|message| message.expires_at_ms).min()?;
            // The machine may sleep while we wait.
            let left = Duration::from_millis(first.saturating_sub(self.queues.now_ms())).min(EXPIRY_INTERVAL);
            tokio::select! {
                biased;
                value = &mut needed => return Some(value),
                () = tokio::time::sleep(left), if first != u64::MAX => self.drop_expired(queue, messages),
            }
        }
    }

    /// Waits until the link is up, or refused, or, where nobody waits for this sender alone, late.
    async fn wait_for_link(
        &self,
        state: &tokio::sync::watch::Receiver<LinkState>,
        sender: &Identity,
        is_parked: bool,
    ) -> Linked {
        let mut state = state.clone();
        let mut late_at = Instant::now() + SENDER_LAG_MAX;
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                LinkState::Connected => return Linked::Up,
                LinkState::Refused { reason } => {
                    tracing::warn!(%sender, reason, "the hub refuses this sender");
                    return if self.is_gone(sender).await { Linked::Gone } else { Linked::Refused };
                }
                _ => tokio::select! {
                    changed = state.changed() => if changed.is_err() {
                        return std::future::pending().await;
                    },
                    () = tokio::time::sleep_until(late_at), if !is_parked => {
                        if self.links.is_any_up_but(sender) {
                            tracing::info!(%sender, "the hub takes others and not this sender: its messages wait by themselves");
                            return Linked::Late;
                        }
                        late_at = Instant::now() + SENDER_LAG_MAX;
                    }
                },
            }
        }
    }

    /// Whether the hub itself said that there is no such identity. One that is blocked may be let in again, and this device's own
    /// modules are never given up.
    async fn is_gone(&self, sender: &Identity) -> bool {
        if sender.device_id() == self.options.device.device_id {
            return false;
        }
        self.scope.look_up(sender).await == Refreshed::Known && self.scope.get(sender).is_none()
    }

    /// Delivers to a module's input, many at a time and in order, until all are acknowledged or expired.
    async fn deliver_input(&self, queue: &QueueId, module: &Identity, input: &str, mut messages: Vec<WaitingMessage>) {
        self.drop_undeliverable(queue, &mut messages);
        let mut wait = RetryWait::default();
        loop {
            let connected = self.sessions.with_inputs(module);
            let Some(session) = self.while_alive(queue, &mut messages, connected).await else { return };
            self.drop_expired(queue, &mut messages);
            let sending = Instant::now();
            let taken = hand_over(&session, input, &messages).await;
            // In order, so that neighbours of one sender are counted together.
            let mut taken = taken.into_iter();
            let delivered: Vec<_> = messages.extract_if(.., |_| taken.next() == Some(true)).collect();
            self.count_sent(queue, &delivered, sending.elapsed());
            if !delivered.is_empty() {
                wait.reset();
            }
            if messages.is_empty() {
                return;
            }
            tracing::debug!(%module, input, waiting = messages.len(), "not acknowledged, delivering again");
            let pause = tokio::time::sleep(wait.next());
            if self.while_alive(queue, &mut messages, pause).await.is_none() {
                return;
            }
        }
    }

    fn drop_expired(&self, queue: &QueueId, messages: &mut Vec<WaitingMessage>) {
        let now_ms = self.queues.now_ms();
        for expired in messages.extract_if(.., |message| message.expires_at_ms <= now_ms) {
            self.drop_message(queue, Reason::TimeToLive, &expired);
        }
    }

    /// Says whether something was lost. Blocks.
    fn note_progress(&self) -> bool {
        if let Err(error) = self.queues.write_progress() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot note what was delivered; it may be sent again");
        }
        if let Err(error) = self.queues.set_aside() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "messages nobody takes cannot be set aside; they hold the log");
        }
        self.losses.write()
    }

    /// Notes how far the queues came, at most five times a second, and at once when the log is full.
    pub(super) async fn follow_progress(&self) {
        loop {
            tokio::select! {
                () = self.queues.pressed() => {}
                () = async {
                    tokio::select! {
                        () = self.queues.progressed() => {}
                        () = self.losses.changed() => {}
                    }
                    tokio::time::sleep(PROGRESS_INTERVAL).await;
                } => {}
            }
            self.drop_unrouted();
            // The task holds the hub: its folder is not free before this is done.
            let hub = self.me();
            match tokio::task::spawn_blocking(move || hub.note_progress()).await {
                Ok(lost) if lost => self.report(),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "noting what was delivered failed");
                }
            }
            self.tell_queues();
        }
    }
}

/// Delivers to a module's input, many at a time and in order. Says of each whether it was acknowledged: what was is not delivered
/// again because another was not. A module that takes one after the other has the time for each.
async fn hand_over(session: &SessionLink, input: &str, messages: &[WaitingMessage]) -> Vec<bool> {
    let mut taken = vec![false; messages.len()];
    let deliveries = messages.iter().enumerate().map(|(at, waiting)| {
        let delivery = session.deliver_input(input, &waiting.stored.message);
        async move { (at, delivery.await.is_ok()) }
    });
    let mut deliveries: FuturesUnordered<_> = deliveries.collect();
    while let Ok(Some((at, acknowledged))) = tokio::time::timeout(INPUT_ACK_TIMEOUT, deliveries.next()).await {
        taken[at] = acknowledged;
    }
    taken
}

/// A log that cannot be read is said loudly and tried again; nothing is skipped.
async fn unreadable(endpoint: &Endpoint, error: &ReadError) {
    let endpoint = endpoint_name(endpoint);
    tracing::error!(endpoint, error = error as &dyn std::error::Error, "cannot read the queues");
    tokio::time::sleep(RETRY_WAIT_MAX).await;
}

fn by_sender(messages: Vec<WaitingMessage>) -> Vec<(Identity, Vec<WaitingMessage>)> {
    let mut senders: Vec<(Identity, Vec<WaitingMessage>)> = Vec::new();
    for message in messages {
        match senders.iter_mut().find(|(sender, _)| *sender == message.stored.sender) {
            Some((_, messages)) => messages.push(message),
            None => senders.push((message.stored.sender.clone(), vec![message])),
        }
    }
    senders
}

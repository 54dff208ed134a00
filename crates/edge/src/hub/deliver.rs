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

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use model::identity::Identity;
use model::message::{MESSAGE_BYTES_MAX, Message};
use model::route::Endpoint;
use protocol::hub::bag;
use storage::log::ReadError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;
use transport::client::{LinkState, SendError};
use transport::server::SessionLink;

use super::EdgeHub;
use super::dropped::Reason;
use super::queue::{QueueId, Readers, Taken, WaitingMessage, endpoint_name};
use super::scope::Refreshed;
use crate::limits::{CLOCK_MIN_SECS, EXPIRY_INTERVAL, INPUT_ACK_TIMEOUT, PROGRESS_INTERVAL, RETRY_WAIT_MAX};
use crate::retry_wait::RetryWait;

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
            Endpoint::Module { module, input } => {
                let module = Identity::module(&self.options.device.device_id, module);
                self.deliver_input(queue, &module, input, messages).await;
            }
        }
    }

    /// Sends one sender's messages, in order, until all are acknowledged, expired, or the hub above no longer knows the
    /// sender.
    async fn send_upstream(&self, queue: &QueueId, sender: Identity, mut messages: Vec<WaitingMessage>) {
        let link = self.link(&sender);
        let state = link.client.state();
        loop {
            let linked = self.wait_for_link(&state, &sender);
            let Some(known) = self.while_alive(queue, &mut messages, linked).await else { return };
            if !known {
                tracing::warn!(%sender, messages = messages.len(), "dropped: the hub no longer knows this sender");
                messages.iter().for_each(|message| self.drop_message(queue, Reason::SenderRemoved, message));
                return;
            }
            self.drop_expired(queue, &mut messages);
            let batch: Vec<_> = messages.iter().map(for_upstream).collect();
            let sending = Instant::now();
            match link.client.send(batch).await {
                Ok(()) => return self.count_sent(queue, &messages, sending.elapsed()),
                Err(SendError::Disconnected) => {}
                Err(SendError::TooLarge) => {
                    // Every message was small enough when it came in: the stamps made the difference.
                    let too_large = messages.extract_if(.., |waiting| {
                        let message = for_upstream(waiting);
                        message.bag.len() + message.body.len() > MESSAGE_BYTES_MAX
                    });
                    for message in too_large {
                        tracing::error!(%sender, "a message too large for the hub above is dropped");
                        self.drop_message(queue, Reason::TooLarge, &message);
                    }
                }
                // The hub is shutting down.
                Err(SendError::Stopped) => return std::future::pending().await,
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
            // A clock may be put forward while we wait.
            let left = Duration::from_millis(first.saturating_sub(self.queues.now_ms())).min(EXPIRY_INTERVAL);
            tokio::select! {
                biased;
                value = &mut needed => return Some(value),
                () = tokio::time::sleep(left), if first != u64::MAX => self.drop_expired(queue, messages),
            }
        }
    }

    /// Waits until the link is up. False when the sender has no identity any more.
    async fn wait_for_link(&self, state: &tokio::sync::watch::Receiver<LinkState>, sender: &Identity) -> bool {
        let mut state = state.clone();
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                LinkState::Connected => return true,
                LinkState::Refused { reason } => {
                    tracing::warn!(%sender, reason, "the hub refuses this sender");
                    if self.is_gone(sender).await {
                        return false;
                    }
                    // Refused although the identity is there: keys being changed, most likely.
                    let _ = tokio::time::timeout(REFUSAL_CHECK_INTERVAL, state.changed()).await;
                }
                _ => {
                    if state.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                }
            }
        }
    }

    /// Whether the hub itself said that an identity is gone or disabled. This device's own modules are never given up.
    async fn is_gone(&self, sender: &Identity) -> bool {
        if sender.device_id() == self.options.device.device_id {
            return false;
        }
        let refreshed = self.scope.refresh_one(sender).await;
        let usable = self.scope.get(sender).is_some_and(|identity| identity.enabled);
        refreshed == Refreshed::Known && !usable
    }

    /// Delivers to a module's input, many at a time and in order, until all are acknowledged or expired.
    async fn deliver_input(&self, queue: &QueueId, module: &Identity, input: &str, mut messages: Vec<WaitingMessage>) {
        let mut wait = RetryWait::default();
        loop {
            let connected = self.sessions.with_inputs(module);
            let Some(session) = self.while_alive(queue, &mut messages, connected).await else { return };
            self.drop_expired(queue, &mut messages);
            let sending = Instant::now();
            let delivered = hand_over(&session, input, &messages).await;
            self.count_sent(queue, &messages[..delivered], sending.elapsed());
            if delivered > 0 {
                wait.reset();
            }
            messages.drain(..delivered);
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

    /// Blocks.
    fn note_progress(&self) {
        if let Err(error) = self.queues.write_progress() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot note what was delivered; it may be sent again");
        }
        if let Err(error) = self.queues.set_aside() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "messages nobody takes cannot be set aside; they hold the log");
        }
    }

    /// Notes how far the queues came, at most five times a second, and at once when the log is full.
    pub(super) async fn follow_progress(&self) {
        loop {
            tokio::select! {
                () = self.queues.pressed() => {}
                () = async {
                    self.queues.progressed().await;
                    tokio::time::sleep(PROGRESS_INTERVAL).await;
                } => {}
            }
            self.drop_unrouted();
            // The task holds the hub: its folder is not free before this is done.
            let hub = self.me();
            if let Err(error) = tokio::task::spawn_blocking(move || hub.note_progress()).await {
                tracing::error!(error = &error as &dyn std::error::Error, "noting what was delivered failed");
            }
            self.tell_queues();
        }
    }
}

/// Delivers to a module's input, many at a time and in order. Says how many, from the first on, were acknowledged: all, or
/// those before the one that was not in time. A module that takes one after the other has the time for each.
async fn hand_over(session: &SessionLink, input: &str, messages: &[WaitingMessage]) -> usize {
    let deliveries = messages.iter().map(|waiting| session.deliver_input(input, &waiting.stored.message));
    let mut deliveries: FuturesOrdered<_> = deliveries.collect();
    let mut acknowledged = 0;
    while let Ok(Some(Ok(()))) = tokio::time::timeout(INPUT_ACK_TIMEOUT, deliveries.next()).await {
        acknowledged += 1;
    }
    acknowledged
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

/// Without our stamps: the hub above makes its own from the link's identity.
///
/// Every message gets the time at which it came in, unless its sender gave one: the hub above would take the time of its
/// arrival there, and a chart of the time without a link would be one point wide. Not only what was held back: between
/// messages with and without such a time, those sent just before a link broke would look newer than those after it.
fn for_upstream(waiting: &WaitingMessage) -> Message {
    let Message { bag, body } = &waiting.stored.message;
    let stored_at_ms = waiting.stored.stored_at_ms;
    let bag = bag::remove(&bag::remove(bag, bag::CONNECTION_DEVICE_ID), bag::CONNECTION_MODULE_ID);
    let is_dated = bag::get_ignore_case(&bag, bag::CREATION_TIME_UTC).is_some();
    if !is_dated && stored_at_ms >= CLOCK_MIN_SECS * 1_000 {
        let dated = bag::append(&bag, bag::CREATION_TIME_UTC, &rfc3339(stored_at_ms));
        if dated.len() + body.len() <= MESSAGE_BYTES_MAX {
            return Message { bag: dated, body: body.clone() };
        }
    }
    Message { bag, body: body.clone() }
}

/// `2026-05-01T10:00:00.25Z`
fn rfc3339(unix_ms: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::record::StoredMessage;
    use super::*;

    fn sent(bag: &'static str, body: Bytes, stored_at_ms: u64) -> Message {
        let message = Message { bag: Bytes::from_static(bag.as_bytes()), body };
        for_upstream(&WaitingMessage::of(StoredMessage { sender: Identity::device("d"), stored_at_ms, message }))
    }

    #[test]
    fn a_message_without_a_time_of_its_own_gets_one() {
        let now = 1_777_629_600_250;
        for (bag, stored_at_ms, expected) in [
            ("a=1&%24.cdid=edge&%24.cmid=m", now, "a=1&iothub-creation-time-utc=2026-05-01T10%3A00%3A00.25Z"),
            ("%24.cdid=edge", now, "iothub-creation-time-utc=2026-05-01T10%3A00%3A00.25Z"),
            (
                "iothub-creation-time-utc=2020-01-01T00%3A00%3A00Z",
                now,
                "iothub-creation-time-utc=2020-01-01T00%3A00%3A00Z",
            ),
            // A clock that was never set knows nothing.
            ("a=1&%24.cdid=edge", 5_000, "a=1"),
        ] {
            let sent = sent(bag, Bytes::from_static(b"{}"), stored_at_ms);
            assert_eq!(std::str::from_utf8(&sent.bag), Ok(expected), "{bag} at {stored_at_ms}");
        }
    }

    #[test]
    fn no_message_becomes_too_large_by_its_time() {
        let body = Bytes::from(vec![b'x'; MESSAGE_BYTES_MAX - 3]);
        assert_eq!(sent("a=1&%24.cdid=edge", body, 1_777_629_600_250).bag, "a=1");
    }
}

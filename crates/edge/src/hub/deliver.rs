//! The pumps: one per endpoint, from its queues to where its messages go.
//!
//! A pump takes a batch from the most urgent queue that has something, delivers all of it, and looks again from the top. A
//! batch is finished when every message in it was acknowledged or has expired; only then the pump goes on, so the order of a
//! sender is kept. How far it came is written down at most once a second: what was delivered since is delivered again after
//! a crash, never lost.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::identity::Identity;
use model::message::{MESSAGE_BYTES_MAX, Message};
use model::route::Endpoint;
use protocol::hub::bag;
use storage::log::{Offset, ReadError, Reader, Record};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;
use transport::client::{LinkState, SendError};

use super::EdgeHub;
use super::queue::{Queue, endpoint_name};
use super::record::QueuedMessage;
use super::scope::Refreshed;
use crate::limits::{
    CLOCK_MIN_SECS, INPUT_ACK_TIMEOUT, PUMP_BATCH_BYTES, PUMP_BATCH_MESSAGES, RETRY_WAIT_FIRST, RETRY_WAIT_MAX,
};

/// Progress is written down at most this often.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// How often a refused identity is looked up again.
const REFUSAL_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// A queue with the pump's place in it.
struct Source {
    queue: Arc<Queue>,
    reader: Reader,
    /// Delivered up to here, not all of it written down yet.
    delivered: Offset,
    written: Offset,
}

/// A message with the time it was stored.
struct Waiting {
    queued: QueuedMessage,
    stored_at_ms: u64,
}

impl Waiting {
    fn is_expired(&self) -> bool {
        self.queued.is_expired(self.stored_at_ms, now_ms())
    }
}

impl EdgeHub {
    /// Starts a pump for every endpoint that has a queue.
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
        let mut sources: Vec<Source> = Vec::new();
        let mut checkpoint_at = Instant::now();
        loop {
            let (queues, stored) = self.queues.of_endpoint(endpoint);
            add_sources(&mut sources, queues);
            match next_batch(&mut sources).await {
                Some((at, batch)) => {
                    let end = Offset(batch.last().map_or(0, |record| record.offset.0 + 1));
                    self.deliver(endpoint, batch).await;
                    sources[at].delivered = end;
                    if checkpoint_at.elapsed() >= CHECKPOINT_INTERVAL {
                        write_progress(&mut sources).await;
                        checkpoint_at = Instant::now();
                    }
                }
                None => {
                    write_progress(&mut sources).await;
                    self.options.board.set("queues_waiting", serde_json::json!(self.queues.waiting()));
                    stored.notified().await;
                }
            }
        }
    }

    async fn deliver(&self, endpoint: &Endpoint, batch: Vec<Record>) {
        let mut waiting = Vec::with_capacity(batch.len());
        for record in batch {
            match QueuedMessage::decode(&record.payload) {
                Some(queued) => waiting.push(Waiting { queued, stored_at_ms: record.appended_at_ms }),
                None => tracing::error!(offset = record.offset.0, "a queued record of an unknown version is skipped"),
            }
        }
        match endpoint {
            Endpoint::Upstream => {
                let senders = by_sender(waiting).into_iter();
                crate::join_all(senders.map(|(sender, messages)| self.send_upstream(sender, messages))).await;
            }
            Endpoint::Module { module, input } => {
                let module = Identity::module(&self.options.device.device_id, module);
                self.deliver_input(&module, input, waiting).await;
            }
        }
    }

    /// Sends one sender's messages, in order, until all are acknowledged, expired, or the hub above no longer knows the
    /// sender.
    async fn send_upstream(&self, sender: Identity, mut messages: Vec<Waiting>) {
        let link = self.link(&sender);
        loop {
            if !self.wait_for_link(&link.client.state(), &sender).await {
                tracing::warn!(%sender, messages = messages.len(), "dropped: the hub no longer knows this sender");
                return;
            }
            drop_expired(&sender, &mut messages);
            let batch: Vec<_> = messages.iter().map(for_upstream).collect();
            match link.client.send(batch).await {
                Ok(()) => return,
                Err(SendError::Disconnected) => {}
                Err(SendError::TooLarge) => {
                    // Every message was small enough when it came in: the stamps made the difference.
                    messages.retain(|waiting| {
                        let message = for_upstream(waiting);
                        message.bag.len() + message.body.len() <= MESSAGE_BYTES_MAX
                    });
                    tracing::error!(%sender, "a message too large for the hub above is dropped");
                }
                // The hub is shutting down.
                Err(SendError::Stopped) => return std::future::pending().await,
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
    async fn deliver_input(&self, module: &Identity, input: &str, mut messages: Vec<Waiting>) {
        let mut wait = RETRY_WAIT_FIRST;
        loop {
            let session = self.sessions.with_inputs(module).await;
            drop_expired(module, &mut messages);
            let deliveries = messages.iter().map(|waiting| {
                let delivery = session.deliver_input(input, &waiting.queued.message);
                tokio::time::timeout(INPUT_ACK_TIMEOUT, delivery)
            });
            let outcomes = crate::join_all(deliveries).await;
            let Some(failed) = outcomes.iter().position(|outcome| !matches!(outcome, Ok(Ok(())))) else { return };
            wait = if failed > 0 { RETRY_WAIT_FIRST } else { wait };
            messages.drain(..failed);
            tracing::debug!(%module, input, waiting = messages.len(), "not acknowledged, delivering again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_WAIT_MAX);
        }
    }
}

/// Opens a reader for queues the pump does not know yet, most urgent first.
fn add_sources(sources: &mut Vec<Source>, queues: Vec<Arc<Queue>>) {
    for queue in queues {
        if sources.iter().all(|source| source.queue.id != queue.id) {
            let sent = queue.sent();
            sources.push(Source { reader: queue.log().reader(sent), queue, delivered: sent, written: sent });
        }
    }
    sources.sort_by_key(|source| source.queue.id.priority);
}

/// The next batch of the most urgent queue that has something, and that queue's place; `None` when all are empty.
async fn next_batch(sources: &mut [Source]) -> Option<(usize, Vec<Record>)> {
    for (at, source) in sources.iter_mut().enumerate() {
        while source.reader.position() < source.queue.log().next_offset() {
            match source.reader.next_batch(PUMP_BATCH_MESSAGES, PUMP_BATCH_BYTES).await {
                Ok(batch) => return Some((at, batch)),
                Err(error) => recover(source, &error).await,
            }
        }
    }
    None
}

/// A queue that cannot be read is said loudly and tried again; nothing is skipped but what is gone already.
async fn recover(source: &mut Source, error: &ReadError) {
    let endpoint = endpoint_name(&source.queue.id.endpoint);
    tracing::error!(endpoint, error = error as &dyn std::error::Error, "cannot read the queue");
    if let ReadError::Trimmed { first } = error {
        source.reader.seek(*first);
        return;
    }
    tokio::time::sleep(RETRY_WAIT_MAX).await;
}

async fn write_progress(sources: &mut [Source]) {
    for source in sources.iter_mut().filter(|source| source.written != source.delivered) {
        let (queue, offset) = (Arc::clone(&source.queue), source.delivered);
        let written = tokio::task::spawn_blocking(move || queue.set_sent(offset)).await;
        match written {
            Ok(Ok(())) => source.written = offset,
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot note what was delivered; it may be sent again"
                );
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "noting what was delivered failed"),
        }
    }
}

fn by_sender(waiting: Vec<Waiting>) -> Vec<(Identity, Vec<Waiting>)> {
    let mut senders: Vec<(Identity, Vec<Waiting>)> = Vec::new();
    for message in waiting {
        match senders.iter_mut().find(|(sender, _)| *sender == message.queued.sender) {
            Some((_, messages)) => messages.push(message),
            None => senders.push((message.queued.sender.clone(), vec![message])),
        }
    }
    senders
}

fn drop_expired(whose: &Identity, messages: &mut Vec<Waiting>) {
    let before = messages.len();
    messages.retain(|waiting| !waiting.is_expired());
    let expired = before - messages.len();
    if expired > 0 {
        tracing::info!(identity = %whose, expired, "messages expired before they could be delivered");
    }
}

/// Without our stamps: the hub above makes its own from the link's identity.
///
/// Every message gets the time at which it came in, unless its sender gave one: the hub above would take the time of its
/// arrival there, and a chart of the time without a link would be one point wide. Not only what was held back: between
/// messages with and without such a time, those sent just before a link broke would look newer than those after it.
fn for_upstream(waiting: &Waiting) -> Message {
    let Message { bag, body } = &waiting.queued.message;
    let bag = bag::remove(&bag::remove(bag, bag::CONNECTION_DEVICE_ID), bag::CONNECTION_MODULE_ID);
    let is_dated = bag::get_ignore_case(&bag, bag::CREATION_TIME_UTC).is_some();
    if !is_dated && waiting.stored_at_ms >= CLOCK_MIN_SECS * 1_000 {
        let dated = bag::append(&bag, bag::CREATION_TIME_UTC, &rfc3339(waiting.stored_at_ms));
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

fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn sent(bag: &'static str, body: Bytes, stored_at_ms: u64) -> Message {
        let message = Message { bag: Bytes::from_static(bag.as_bytes()), body };
        for_upstream(&Waiting {
            queued: QueuedMessage { sender: Identity::device("d"), lifetime_secs: None, message },
            stored_at_ms,
        })
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

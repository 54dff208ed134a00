//! Delivery to a session: a task a device, as long as there is something to send and somebody to take it.
//!
//! Messages leave in the order of the queue, several at a time. When the session ends, what was not acknowledged is back in the
//! queue at once, and goes to the next session first. A slow device holds nobody but itself.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use model::identity::Identity;
use model::message::Message;
use registry::{DeviceMessageRow, Settlement};
use tokio::sync::Notify;
use transport::server::{DeliverError, QueueNumber, SessionLink};

use super::queues::Key;
use super::writer::{Change, Which};
use super::{DeviceMessages, QueueError};
use crate::limits::{DEVICE_MESSAGES_UNDER_WAY_MAX, QUEUE_RETRY_PAUSE};

/// What waits to be looked at again.
enum Next {
    /// Nothing: what there is is on the way.
    Idle,
    /// The first message that is locked over HTTPS may be free then.
    At(Duration),
    /// The session takes no more.
    Over,
}

impl DeviceMessages {
    /// Delivers until nothing is left to deliver, or nobody takes it.
    pub(super) async fn deliver(&self, key: Key) {
        let device = Identity::device(&key.device);
        loop {
            let wake = self.queues().looks(&key);
            if let Some(session) = self.inner.sessions.takes_messages(&key.application, &device) {
                self.serve(&key, &session, &wake).await;
                self.queues().come_back(&key);
            }
            if self.queues().ends(&key) {
                return;
            }
        }
    }

    /// Sends to one session until it ends or the queue is empty.
    async fn serve(&self, key: &Key, session: &SessionLink, wake: &Notify) {
        let mut under_way = FuturesUnordered::new();
        loop {
            let mut next = Next::Idle;
            while under_way.len() < DEVICE_MESSAGES_UNDER_WAY_MAX && self.queues().has_more(key) {
                let room = DEVICE_MESSAGES_UNDER_WAY_MAX - under_way.len();
                let messages = match self.take(key, room).await {
                    Ok((messages, _)) if !messages.is_empty() => messages,
                    Ok((_, then)) => {
                        next = then;
                        break;
                    }
                    Err(()) => {
                        next = Next::At(QUEUE_RETRY_PAUSE);
                        break;
                    }
                };
                for row in messages {
                    match send(session, row).await {
                        Ok((sequence, delivery)) => {
                            under_way.push(async move { (sequence, delivery.acknowledged().await) });
                        }
                        Err(_) => {
                            next = Next::Over;
                            break;
                        }
                    }
                }
                if matches!(next, Next::Over) {
                    break;
                }
            }
            let pause = match next {
                Next::Over => return,
                Next::Idle if under_way.is_empty() => return,
                Next::Idle => None,
                Next::At(pause) => Some(pause),
            };
            tokio::select! {
                Some(first) = under_way.next() => {
                    let mut settled = vec![first];
                    while let Some(Some(more)) = under_way.next().now_or_never() {
                        settled.push(more);
                    }
                    self.complete(key, &settled).await;
                    if settled.iter().any(|(_, acknowledged)| acknowledged.is_err()) {
                        return;
                    }
                }
                () = wake.notified() => {}
                () = session.closed() => return,
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
    }

    /// The next messages; when there are none, what to wait for.
    async fn take(&self, key: &Key, most: usize) -> Result<(Vec<DeviceMessageRow>, Next), ()> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let taken = self.ask(|done| Change::Take { key: key.clone(), lock: None, most, done }).await;
        let taken = taken.map_err(|error| tell_of(&error, key))?;
        let next = match taken.free_at_ms {
            Some(at_ms) => {
                let pause_ms = u64::try_from(at_ms.saturating_sub(self.now_ms())).unwrap_or(0);
                Next::At(Duration::from_millis(pause_ms.max(1)))
            }
            // Messages may have ended instead: there may be others behind them.
            None if taken.have_ended => Next::At(Duration::ZERO),
            None => Next::Idle,
        };
        Ok((taken.messages, next))
    }

    /// What was acknowledged leaves the queue.
    async fn complete(&self, key: &Key, settled: &[(i64, Result<(), DeliverError>)]) {
        let acknowledged = settled.iter().filter(|(_, acknowledged)| acknowledged.is_ok());
        let completed = acknowledged.map(|(sequence, _)| {
            let which = Which::Sequence(*sequence);
            self.ask(|done| Change::Settle { key: key.clone(), which, settlement: Settlement::Complete, done })
        });
        for error in join_all(completed).await.into_iter().filter_map(Result::err) {
            // It is delivered once more.
            tell_of(&error, key);
        }
        let mut queues = self.queues();
        settled.iter().for_each(|(sequence, _)| queues.arrives(key, *sequence));
    }
}

async fn send(
    session: &SessionLink,
    row: DeviceMessageRow,
) -> Result<(i64, transport::server::Delivery), DeliverError> {
    let message = Message { bag: row.bag.into(), body: row.body.into() };
    let number = u64::try_from(row.sequence).unwrap_or_default();
    // The one that begins now is counted already.
    let number = QueueNumber { number, again: row.deliveries > 1 };
    Ok((row.sequence, session.send_to_device(number, &message).await?))
}

fn tell_of(error: &QueueError, key: &Key) {
    let (device, is_news) = (&*key.device, error.is_news());
    let error = error as &dyn std::error::Error;
    if is_news {
        tracing::error!(device, error, "the queue of a device could not be used");
    } else {
        tracing::debug!(device, error, "the queue of a device cannot be used just now");
    }
}

//! The one task that changes queues: many changes to a commit.

use std::sync::Arc;
use std::time::Duration;

use registry::{
    EndedMessage, MessageTransaction, NewDeviceMessage, PutMessage, QueuedCommandRow, Settlement, StoreError,
    TakeMessages, TakenMessages, WhichMessage,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::queues::Key;
use super::{DeviceMessages, QueueError};
use crate::limits::{
    DEVICE_MESSAGE_DELIVERIES_MAX, EXPIRIES_PER_COMMIT_MAX, EXPIRY_INTERVAL, FEEDBACK_KEPT_MAX, FEEDBACK_LIFE,
    QUEUE_CHANGES_PER_COMMIT_MAX,
};

/// How often old feedback is looked for.
const FEEDBACK_INTERVAL: Duration = Duration::from_secs(3600);

type Done<T> = oneshot::Sender<Result<T, QueueError>>;

/// Which message is settled.
pub(super) enum Which {
    Sequence(i64),
    Lock(String),
}

/// A change somebody waits for.
pub(super) enum Change {
    Put {
        key: Key,
        message: Box<NewDeviceMessage>,
        bytes: u64,
        done: Done<PutMessage>,
    },
    Take {
        key: Key,
        lock: Option<String>,
        most: u32,
        done: Done<TakenMessages>,
    },
    Settle {
        key: Key,
        which: Which,
        settlement: Settlement,
        done: Done<bool>,
    },
    Purge {
        key: Key,
        done: Done<usize>,
    },
    /// There was no room for the message of this run.
    Refuse {
        key: Key,
        run: Box<QueuedCommandRow>,
        done: Done<()>,
    },
}

impl Change {
    /// The message it brings, if it does.
    fn coming(&self) -> Option<(Key, u64)> {
        match self {
            Self::Put { key, bytes, .. } => Some((key.clone(), *bytes)),
            Self::Take { .. } | Self::Settle { .. } | Self::Purge { .. } | Self::Refuse { .. } => None,
        }
    }

    fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. }
            | Self::Take { key, .. }
            | Self::Settle { key, .. }
            | Self::Purge { key, .. }
            | Self::Refuse { key, .. } => key,
        }
    }
}

/// Tells whoever asked, once it is durable or failed.
type Tell = Box<dyn FnOnce(Result<(), QueueError>) + Send>;

fn tell<T: Send + 'static>(done: Done<T>, answer: T) -> Tell {
    // Whoever asked may have gone.
    Box::new(move |outcome| drop(done.send(outcome.map(|()| answer))))
}

/// Tells whoever asked for something that was not done why.
fn fail<T: Send + 'static>(done: Done<T>) -> Tell {
    Box::new(move |outcome| {
        if let Err(error) = outcome {
            drop(done.send(Err(error)));
        }
    })
}

/// What a group of changes leads to in memory, once it is durable.
#[derive(Default)]
struct Effects {
    /// What came, and whether it is there.
    came: Vec<(Key, u64, bool)>,
    departed: Vec<(Key, i64)>,
}

/// Writes what is asked of [`DeviceMessages`].
pub struct MessageWriter {
    messages: DeviceMessages,
    changes: mpsc::Receiver<Change>,
}

impl MessageWriter {
    pub(super) fn new(messages: DeviceMessages, changes: mpsc::Receiver<Change>) -> Self {
        Self { messages, changes }
    }

    /// Runs until the token is cancelled; then writes what is asked already and ends.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut expiry = tokio::time::interval_at(Instant::now() + EXPIRY_INTERVAL, EXPIRY_INTERVAL);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut feedback = tokio::time::interval(FEEDBACK_INTERVAL);
        feedback.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut group = Vec::new();
        loop {
            tokio::select! {
                received = self.changes.recv_many(&mut group, QUEUE_CHANGES_PER_COMMIT_MAX) => {
                    if received == 0 {
                        return;
                    }
                    self.write(std::mem::take(&mut group)).await;
                }
                _ = expiry.tick() => self.look_after().await,
                _ = feedback.tick() => self.forget_feedback().await,
                () = shutdown.cancelled() => break,
            }
        }
        self.changes.close();
        while self.changes.recv_many(&mut group, QUEUE_CHANGES_PER_COMMIT_MAX).await > 0 {
            self.write(std::mem::take(&mut group)).await;
        }
    }

    /// Makes a group of changes durable, and tells those who asked.
    pub(super) async fn write(&self, group: Vec<Change>) {
        let mut tells = Vec::with_capacity(group.len());
        let mut effects = Effects::default();
        let coming: Vec<(Key, u64)> = group.iter().filter_map(Change::coming).collect();
        let outcome = match self.make(group, &mut tells, &mut effects).await {
            Ok(ended) => {
                self.ended(&ended);
                self.take_effect(effects);
                Ok(())
            }
            Err(error) => {
                let mut queues = self.messages.queues();
                coming.iter().for_each(|(key, bytes)| queues.gives_up(key, *bytes));
                effects.departed.iter().for_each(|(key, sequence)| queues.arrives(key, *sequence));
                if matches!(error, StoreError::InDoubt(_)) {
                    queues.doubt();
                }
                Err(QueueError::Store(Arc::new(error)))
            }
        };
        for tell in tells {
            tell(outcome.clone());
        }
    }

    fn take_effect(&self, effects: Effects) {
        for (key, bytes, is_there) in effects.came {
            if is_there {
                self.messages.queues().lands(&key, bytes);
                self.messages.inner.metrics.queued();
                self.messages.wake_queue(key);
            } else {
                self.messages.queues().gives_up(&key, bytes);
            }
        }
    }

    async fn make(
        &self,
        group: Vec<Change>,
        tells: &mut Vec<Tell>,
        effects: &mut Effects,
    ) -> Result<Vec<EndedMessage>, StoreError> {
        let devices: Vec<Key> = group.iter().map(|change| change.key().clone()).collect();
        let devices = devices.iter().map(|key| (&*key.application, &*key.device));
        let registry = &self.messages.inner.registry;
        let begun = registry.message_transaction(devices, FEEDBACK_KEPT_MAX).await;
        let mut transaction = match begun {
            Ok(transaction) => transaction,
            Err(error) => {
                tells.extend(group.into_iter().map(Change::fails));
                return Err(error);
            }
        };
        let mut group = group.into_iter();
        while let Some(change) = group.next() {
            match self.make_one(&mut transaction, change, effects).await {
                Ok(tell) => tells.push(tell),
                Err((tell, error)) => {
                    tells.push(tell);
                    tells.extend(group.map(Change::fails));
                    return Err(error);
                }
            }
        }
        transaction.commit().await
    }

    async fn make_one(
        &self,
        transaction: &mut MessageTransaction,
        change: Change,
        effects: &mut Effects,
    ) -> Result<Tell, (Tell, StoreError)> {
        let now_ms = self.messages.now_ms();
        match change {
            Change::Put { key, message, bytes, done } => {
                let most = self.messages.queues().limits.device_messages;
                let put = transaction.put(&key.application, &key.device, &message, most).await;
                if let Ok(put) = &put {
                    effects.came.push((key, bytes, matches!(put, PutMessage::Put { .. })));
                }
                told(done, put)
            }
            Change::Take { key, lock, most, done } => {
                let under_way = self.messages.queues().under_way(&key);
                let wanted = TakeMessages {
                    application: &key.application,
                    device: &key.device,
                    lock: lock.as_deref(),
                    under_way: &under_way,
                    most,
                    deliveries_max: i64::from(DEVICE_MESSAGE_DELIVERIES_MAX),
                    now_ms,
                    until_ms: self.messages.held_until_ms(),
                };
                let taken = transaction.take(&wanted).await;
                if let (Ok(taken), None) = (&taken, &lock) {
                    // Before anybody else can look: nothing that is on the way is fetched over HTTPS.
                    let mut queues = self.messages.queues();
                    for message in &taken.messages {
                        queues.departs(&key, message.sequence);
                        effects.departed.push((key.clone(), message.sequence));
                    }
                }
                told(done, taken)
            }
            Change::Settle { key, which, settlement, done } => {
                let which = match &which {
                    Which::Sequence(sequence) => WhichMessage::Sequence(*sequence),
                    Which::Lock(token) => WhichMessage::Lock(token),
                };
                let settled = transaction.settle(&key.application, &key.device, which, settlement, now_ms).await;
                told(done, settled)
            }
            Change::Purge { key, done } => {
                let purged = transaction.purge(&key.application, &key.device, now_ms).await;
                told(done, purged)
            }
            Change::Refuse { key, run, done } => {
                told(done, transaction.refuse_command(&key.application, &key.device, &run).await)
            }
        }
    }

    fn ended(&self, ended: &[EndedMessage]) {
        self.messages.queues().ended(ended);
        for message in ended {
            self.messages.inner.metrics.ended(message.end);
            if message.end != registry::EndOfMessage::Completed {
                let EndedMessage { application, device, id, end, .. } = message;
                tracing::info!(application, device, message = id, "message to a device ended: {}", end.as_str());
            }
        }
    }

    /// Ends messages whose time is over; reads the lengths again when they are not sure.
    pub(super) async fn look_after(&self) {
        let looked = async {
            if self.messages.queues().is_doubtful() {
                // No change is under way: they are made by this task.
                let lengths = self.messages.inner.registry.message_queues().await?;
                self.messages.queues().settle_doubt(lengths);
            }
            while self.messages.queues().total() > 0 && self.expire().await? {}
            Ok::<_, StoreError>(())
        };
        if let Err(error) = looked.await {
            tell_of(&error, "expired messages were not looked for");
        }
    }

    /// Ends some messages whose time is over; answers whether there may be more.
    async fn expire(&self) -> Result<bool, StoreError> {
        let registry = &self.messages.inner.registry;
        let mut transaction = registry.message_transaction([], FEEDBACK_KEPT_MAX).await?;
        let expired = transaction.expire(self.messages.now_ms(), EXPIRIES_PER_COMMIT_MAX).await?;
        self.ended(&transaction.commit().await?);
        Ok(expired as u64 >= u64::from(EXPIRIES_PER_COMMIT_MAX))
    }

    pub(super) async fn forget_feedback(&self) {
        let life_ms = i64::try_from(FEEDBACK_LIFE.as_millis()).unwrap_or(i64::MAX);
        let before_ms = self.messages.now_ms().saturating_sub(life_ms);
        if let Err(error) = self.messages.inner.registry.message_feedback_forget(before_ms).await {
            tell_of(&error, "old feedback was not forgotten");
        }
    }
}

impl Change {
    /// Its answer, when the group it is in fails.
    fn fails(self) -> Tell {
        match self {
            Self::Put { done, .. } => fail(done),
            Self::Take { done, .. } => fail(done),
            Self::Settle { done, .. } => fail(done),
            Self::Purge { done, .. } => fail(done),
            Self::Refuse { done, .. } => fail(done),
        }
    }
}

/// Whom to tell of a step, and how the step went.
fn told<T: Send + 'static>(done: Done<T>, step: Result<T, StoreError>) -> Result<Tell, (Tell, StoreError)> {
    match step {
        Ok(answer) => Ok(tell(done, answer)),
        Err(error) => Err((fail(done), error)),
    }
}

/// The registry's being away is told elsewhere.
fn tell_of(error: &StoreError, what: &'static str) {
    let is_passing = error.is_passing();
    let error = error as &dyn std::error::Error;
    if is_passing {
        tracing::debug!(error, "{what}");
    } else {
        tracing::error!(error, "{what}");
    }
}

//! The way from the hub to a connected client.
//!
//! ```text
//! handler --SessionLink--> bounded queue --> connection task --> wire
//!         <---- oneshot: acknowledgement, method response, end of connection ----
//! ```

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use model::message::Message;
pub use protocol::event::{QueueNumber, Subscriptions};
use protocol::hub::topic;
use protocol::limits::{DELIVERIES_IN_FLIGHT_MAX, METHOD_PAYLOAD_BYTES_MAX};
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::limits::LINK_COMMANDS_MAX;

/// Handle of one live session: send desired patches, invoke methods, deliver inputs, close it. Cheap to clone.
///
/// Everything sent goes through one bounded queue to the connection task (`limits::LINK_COMMANDS_MAX`) and leaves in the
/// order it was put in, once CONNACK was sent; so `connect` must not wait for an answer that comes over its own link.
#[derive(Clone)]
pub struct SessionLink {
    shared: Arc<Shared>,
}

struct Shared {
    commands: mpsc::Sender<Box<LinkCommand>>,
    subscriptions: AtomicU8,
    deliveries: Semaphore,
    close_reason: OnceLock<CloseReason>,
    /// Nobody waits for a delivery that has a place, and there is none for another.
    abandoned: AtomicBool,
    /// Wakes the far end for a reason to close, and for what is abandoned.
    asked: Notify,
    ended: CancellationToken,
}

/// Why the hub ends a session on its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The same identity connected again; the newer connection stays.
    TakenOver,
    /// The identity was disabled or deleted, or its keys changed.
    Disabled,
    /// The token's time and the grace after it are over.
    Expired,
    /// The client has left too many messages unacknowledged.
    Unacknowledged,
    /// The program ends.
    ShuttingDown,
}

/// What a method handler answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodResponse {
    /// The handler's status, passed through unchanged.
    pub status: i32,
    /// Raw JSON, or empty.
    pub payload: Bytes,
}

/// Why a method got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The client is not subscribed to methods.
    #[error("the client takes no methods")]
    NotSubscribed,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection ended.
    #[error("the connection ended")]
    Closed,
    /// Too many methods or commands are under way on this connection.
    #[error("too many commands under way")]
    Busy,
    /// The method's name or payload cannot be sent.
    #[error("the method's name or payload cannot be sent")]
    Invalid,
}

/// The connection ended before it was done, or the client is not subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// The client is not subscribed.
    #[error("the client is not subscribed")]
    NotSubscribed,
    /// The connection ended.
    #[error("the connection ended")]
    Closed,
    /// The input's name or the message cannot be sent.
    #[error("the input's name or the message cannot be sent")]
    Invalid,
}

/// One thing to do for the hub, as the connection task (or a test holding a [`DetachedLink`]) gets it.
#[derive(Debug)]
pub enum LinkCommand {
    /// Publish a desired patch.
    DesiredPatch {
        /// The new desired version.
        version: u64,
        /// The patch, `$version` in it.
        patch: Bytes,
    },
    /// Invoke a method.
    Method {
        /// Its name.
        name: String,
        /// Raw JSON, or empty.
        payload: Bytes,
        /// Takes the answer.
        done: oneshot::Sender<Result<MethodResponse, InvokeError>>,
    },
    /// Deliver a cloud-to-device message.
    CloudToDevice {
        /// What its queue calls it.
        number: QueueNumber,
        /// What to deliver.
        message: Message,
        /// Told when the client acknowledged.
        done: oneshot::Sender<()>,
    },
    /// Give the places of deliveries back that nobody waits for: there is none for another.
    GiveUp,
    /// Deliver a message to a module's input.
    Input {
        /// The input's name.
        input: String,
        /// What to deliver.
        message: Message,
        /// Told when the client acknowledged.
        done: oneshot::Sender<()>,
    },
}

impl SessionLink {
    /// A link and its far end, for tests and for the connection task.
    pub fn detached() -> (SessionLink, DetachedLink) {
        let (commands, receiver) = mpsc::channel(LINK_COMMANDS_MAX);
        let shared = Arc::new(Shared {
            commands,
            subscriptions: AtomicU8::new(0),
            deliveries: Semaphore::new(DELIVERIES_IN_FLIGHT_MAX),
            close_reason: OnceLock::new(),
            abandoned: AtomicBool::new(false),
            asked: Notify::new(),
            ended: CancellationToken::new(),
        });
        (SessionLink { shared: shared.clone() }, DetachedLink { shared, commands: receiver })
    }

    /// What the client is subscribed to now.
    pub fn subscriptions(&self) -> Subscriptions {
        Subscriptions::from_bits(self.shared.subscriptions.load(Ordering::Acquire))
    }

    /// Restores the subscriptions of an earlier session. Only of use inside `connect`, together with `session_present`.
    pub fn restore_subscriptions(&self, subscriptions: Subscriptions) {
        self.shared.subscriptions.store(subscriptions.to_bits(), Ordering::Release);
    }

    /// Whether the connection ended or was asked to.
    pub fn is_closed(&self) -> bool {
        self.shared.ended.is_cancelled() || self.shared.close_reason.get().is_some()
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        self.shared.ended.cancelled().await;
    }

    /// Asks the connection to end. Returns at once; the first reason counts.
    pub fn close(&self, reason: CloseReason) {
        self.shared.close(reason);
    }

    /// Sends a desired patch, which already holds `$version`. Done when it is queued, in order, for the wire: nothing
    /// acknowledges a patch, clients read the whole twin after they reconnect.
    pub async fn desired_patch(&self, version: u64, patch: Bytes) -> Result<(), DeliverError> {
        self.require(self.subscriptions().desired)?;
        let command = Box::new(LinkCommand::DesiredPatch { version, patch });
        self.shared.commands.send(command).await.map_err(|_| DeliverError::Closed)
    }

    /// Invokes a method and waits for its answer. A late answer is dropped.
    pub async fn invoke_method(
        &self,
        name: &str,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<MethodResponse, InvokeError> {
        if self.is_closed() {
            return Err(InvokeError::Closed);
        }
        if !self.subscriptions().methods {
            return Err(InvokeError::NotSubscribed);
        }
        let sendable = topic::is_method_name(name);
        if !sendable || payload.len() > METHOD_PAYLOAD_BYTES_MAX {
            return Err(InvokeError::Invalid);
        }
        let (done, answer) = oneshot::channel();
        let command = Box::new(LinkCommand::Method { name: name.to_owned(), payload, done });
        self.shared.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => InvokeError::Busy,
            mpsc::error::TrySendError::Closed(_) => InvokeError::Closed,
        })?;
        match tokio::time::timeout(timeout, self.answered(answer)).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(InvokeError::Closed),
            Err(_) => Err(InvokeError::Timeout),
        }
    }

    /// Delivers a message to a module's input and waits until it is acknowledged, where the client does that. At most
    /// `DELIVERIES_IN_FLIGHT_MAX` are on the way at a time; further ones wait. Keeps the order of the calls. A delivery that the
    /// caller does not wait for any more loses its place to one that needs it.
    pub async fn deliver_input(&self, input: &str, message: &Message) -> Result<(), DeliverError> {
        self.require(self.subscriptions().inputs)?;
        if !topic::is_input_name(input) {
            return Err(DeliverError::Invalid);
        }
        let permit = self.place().await?;
        let (done, acknowledged) = oneshot::channel();
        let command = Box::new(LinkCommand::Input { input: input.to_owned(), message: message.clone(), done });
        self.shared.commands.send(command).await.map_err(|_| DeliverError::Closed)?;
        // From here on the permit belongs to the delivery: whoever settles it gives it back, also if we stop waiting.
        permit.forget();
        Delivery { acknowledged, link: Some(self.clone()) }.acknowledged().await
    }

    /// A place among the deliveries that are on the way.
    async fn place(&self) -> Result<SemaphorePermit<'_>, DeliverError> {
        if let Ok(permit) = self.shared.deliveries.try_acquire() {
            return Ok(permit);
        }
        self.shared.look_for_abandoned();
        self.shared.deliveries.acquire().await.map_err(|_| DeliverError::Closed)
    }

    /// What the connection task answers; `None` when it does not any more. A command that was queued in the moment in which the
    /// connection ended is carried out by nobody and dropped by nobody: its end is not waited for, but that of the connection.
    async fn answered<T>(&self, answer: impl Future<Output = Result<T, RecvError>>) -> Option<T> {
        tokio::select! {
            biased;
            answer = answer => answer.ok(),
            () = self.closed() => None,
        }
    }

    /// Sends a cloud-to-device message after those sent before; what comes back waits until it is acknowledged, where the client
    /// does that. At most `DELIVERIES_IN_FLIGHT_MAX` are on the way at a time; further ones wait. `number` is what the queue of
    /// the device calls the message, each time it is delivered.
    pub async fn send_to_device(&self, number: QueueNumber, message: &Message) -> Result<Delivery, DeliverError> {
        self.require(self.subscriptions().cloud_to_device)?;
        let permit = self.place().await?;
        let (done, acknowledged) = oneshot::channel();
        let command = Box::new(LinkCommand::CloudToDevice { number, message: message.clone(), done });
        self.shared.commands.send(command).await.map_err(|_| DeliverError::Closed)?;
        permit.forget();
        Ok(Delivery { acknowledged, link: Some(self.clone()) })
    }

    fn require(&self, subscribed: bool) -> Result<(), DeliverError> {
        match (self.is_closed(), subscribed) {
            (true, _) => Err(DeliverError::Closed),
            (false, false) => Err(DeliverError::NotSubscribed),
            (false, true) => Ok(()),
        }
    }
}

impl Shared {
    fn close(&self, reason: CloseReason) {
        let _ = self.close_reason.set(reason);
        self.asked.notify_one();
    }

    fn look_for_abandoned(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.asked.notify_one();
    }
}

/// A message on its way to a client. Who drops it does not wait for it any more.
pub struct Delivery {
    acknowledged: oneshot::Receiver<()>,
    /// Until it has ended.
    link: Option<SessionLink>,
}

impl Delivery {
    /// Waits until the client has acknowledged it.
    pub async fn acknowledged(mut self) -> Result<(), DeliverError> {
        let Some(link) = self.link.clone() else { return Err(DeliverError::Closed) };
        let acknowledged = link.answered(&mut self.acknowledged).await;
        self.link = None;
        acknowledged.ok_or(DeliverError::Closed)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        // First this, so that whoever looks finds nobody waiting.
        self.acknowledged.close();
        if link.shared.deliveries.available_permits() == 0 {
            link.shared.look_for_abandoned();
        }
    }
}

/// The far end of a [`SessionLink`]: the connection task holds one, and so may a test. Dropping it ends the link.
pub struct DetachedLink {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Box<LinkCommand>>,
}

impl DetachedLink {
    /// The next command.
    pub async fn next(&mut self) -> LinkCommand {
        match self.commands.recv().await {
            Some(command) => *command,
            // Cannot be: this end holds a sender, through `shared`.
            None => std::future::pending().await,
        }
    }

    /// The next command, or the reason somebody gave for closing the link.
    pub async fn next_or_close(&mut self) -> Result<LinkCommand, CloseReason> {
        let Self { shared, commands } = self;
        tokio::select! {
            biased;
            asked = asked(shared) => asked,
            Some(command) = commands.recv() => Ok(*command),
        }
    }

    /// Waits until somebody gives a reason for closing the link.
    pub async fn close_asked(&self) -> CloseReason {
        close_asked(&self.shared).await
    }

    /// A command that is there already.
    pub fn try_next(&mut self) -> Option<LinkCommand> {
        self.commands.try_recv().ok().map(|command| *command)
    }

    /// Says what the client is subscribed to.
    pub fn set_subscriptions(&self, subscriptions: Subscriptions) {
        self.shared.subscriptions.store(subscriptions.to_bits(), Ordering::Release);
    }

    /// What the link says the client is subscribed to.
    pub fn subscriptions(&self) -> Subscriptions {
        Subscriptions::from_bits(self.shared.subscriptions.load(Ordering::Acquire))
    }

    /// Ends the link for a reason of this end's.
    pub fn close(&self, reason: CloseReason) {
        self.shared.close(reason);
    }

    /// Gives back the place of a delivery that was settled, or that nobody waits for.
    pub fn delivered(&self) {
        self.shared.deliveries.add_permits(1);
    }

    /// The reason somebody gave for closing the link.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.shared.close_reason.get().copied()
    }
}

async fn close_asked(shared: &Shared) -> CloseReason {
    loop {
        // The notification keeps one permit, so that a reason set in between is not missed.
        if let Some(reason) = shared.close_reason.get() {
            return *reason;
        }
        shared.asked.notified().await;
    }
}

/// What is asked for besides the commands.
async fn asked(shared: &Shared) -> Result<LinkCommand, CloseReason> {
    loop {
        if let Some(reason) = shared.close_reason.get() {
            return Err(*reason);
        }
        if shared.abandoned.swap(false, Ordering::AcqRel) {
            return Ok(LinkCommand::GiveUp);
        }
        shared.asked.notified().await;
    }
}

impl Drop for DetachedLink {
    fn drop(&mut self) {
        self.shared.deliveries.close();
        self.shared.ended.cancel();
    }
}

#[cfg(test)]
mod tests;

//! Cloud-to-device messages for a downstream device: from the hub above over the device's own link, on to its session here.
//!
//! ```text
//!   hub above ──▶ link ──▶ waiting (bounded) ──▶ session of the device ──PUBACK──▶ acknowledged above
//! ```
//!
//! Nothing is kept here: the message is in the queue of the hub above until the device itself has acknowledged it. They are asked
//! for above only while the device takes them here, so that a device that is away uses up no deliveries. Those that came already
//! wait for it as long as the link they came by stands; then the hub above sends them again.

use std::sync::Arc;

use model::identity::Identity;
use protocol::hub::delivery;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use transport::client::InputMessage;
use transport::server::QueueNumber;

use super::EdgeHub;
use super::links::Link;
use crate::limits::MESSAGES_FROM_ABOVE_MAX;

/// What came by one connection of a link and is not at its device yet.
#[derive(Default)]
pub(super) struct Messages {
    on_their_way: Option<(mpsc::Sender<InputMessage>, AbortOnDropHandle<()>)>,
}

impl Messages {
    /// Hands a message on, behind those before it.
    pub(super) fn hand_on(&mut self, hub: &Arc<EdgeHub>, identity: &Identity, message: InputMessage) {
        let (waiting, _) = self.on_their_way.get_or_insert_with(|| {
            let (waiting, messages) = mpsc::channel(MESSAGES_FROM_ABOVE_MAX);
            let task = tokio::spawn(deliver(Arc::clone(hub), identity.clone(), messages));
            (waiting, AbortOnDropHandle::new(task))
        });
        if waiting.try_send(message).is_err() {
            // Not acknowledged, it comes again: with the next connection, or when the hub above has waited long enough.
            tracing::debug!(%identity, "too many messages from above wait for the device");
        }
    }

    /// The connection ended: what came by it comes again by the next.
    pub(super) fn clear(&mut self) {
        self.on_their_way = None;
    }
}

/// One by one, so that they stay in order however often the device comes and goes.
async fn deliver(hub: Arc<EdgeHub>, identity: Identity, mut messages: mpsc::Receiver<InputMessage>) {
    while let Some(message) = messages.recv().await {
        // Tried for ever it would hold those behind it. Not acknowledged, it comes to its end in the queue above.
        if let Err(reason) = delivery::on_to_device(&identity, &message.message) {
            tracing::warn!(%identity, %reason, "a message from the hub above cannot be delivered");
            continue;
        }
        let mut number = QueueNumber { number: message.number(), again: message.again };
        loop {
            let session = hub.sessions.with_messages(&identity).await;
            let Ok(sent) = session.send_to_device(number, &message.message).await else { continue };
            number.again = true;
            if sent.acknowledged().await.is_ok() {
                break;
            }
        }
        message.acknowledge().await;
    }
}

impl EdgeHub {
    /// Asks above for a device's messages while it takes them here.
    pub(super) fn listen_for(&self, identity: &Identity, link: &Link) {
        if identity.module_id().is_none() {
            link.client.listen_to_messages(self.sessions.takes_messages(identity));
        }
    }
}

//! What a hub client tells its owner.

use std::time::Instant;

use bytes::Bytes;
use model::message::Message;
use protocol::event::Receipt;
use tokio::sync::mpsc;

/// Something the owner of a client has to know or to answer.
#[derive(Debug)]
pub enum ClientEvent {
    /// Connected and subscribed. Desired properties may have changed meanwhile: read the twin.
    Connected {
        /// Whether the hub still knew the session.
        session_present: bool,
    },
    /// The connection ended; the client connects again by itself unless it was stopped.
    Disconnected {
        /// Why, in words.
        reason: String,
    },
    /// A desired patch.
    Desired {
        /// New desired version.
        version: u64,
        /// The patch, `$version` in it.
        patch: Bytes,
    },
    /// A direct method waits for an answer.
    Method(MethodCall),
    /// A message for a module's input waits to be settled.
    Input(InputMessage),
    /// A cloud-to-device message waits to be settled; its input name is empty.
    CloudToDevice(InputMessage),
}

/// What the owner answers, on its way to the connection it came by.
#[derive(Debug)]
pub(crate) enum Reply {
    Method { request_id: Bytes, status: i32, payload: Bytes },
    Settle { receipt: Receipt },
}

/// A direct method that waits for an answer.
#[derive(Debug)]
pub struct MethodCall {
    /// The method's name.
    pub name: String,
    /// Raw JSON, or empty.
    pub payload: Bytes,
    pub(crate) request_id: Bytes,
    pub(crate) replies: mpsc::Sender<Reply>,
}

impl MethodCall {
    /// Answers. Nothing happens when the connection the call came by has ended.
    pub async fn reply(self, status: i32, payload: Bytes) {
        let _ = self.replies.send(Reply::Method { request_id: self.request_id, status, payload }).await;
    }
}

/// A message that waits to be settled.
#[derive(Debug)]
pub struct InputMessage {
    /// The input's name.
    pub input: String,
    /// The message.
    pub message: Message,
    /// Whether the hub may have delivered it before, as far as it says so.
    pub again: bool,
    pub(crate) receipt: Option<Receipt>,
    pub(crate) replies: mpsc::Sender<Reply>,
}

impl InputMessage {
    /// What the hub calls the message, as long as it is on the way; 0 when it wants no acknowledgement.
    pub fn number(&self) -> u64 {
        self.receipt.map_or(0, Receipt::number)
    }

    /// Settles the message: the hub will not deliver it again. Nothing happens when the connection it came by has ended;
    /// the hub then delivers it again.
    pub async fn acknowledge(self) {
        if let Some(receipt) = self.receipt {
            let _ = self.replies.send(Reply::Settle { receipt }).await;
        }
    }
}

/// Where a client stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Under way to the hub.
    Connecting,
    /// Connected and subscribed.
    Connected,
    /// Between two attempts.
    Waiting {
        /// When the next attempt starts.
        retry_at: Instant,
        /// Why the last one failed or ended.
        reason: String,
    },
    /// The hub said no. The client still tries again, at its longest pause.
    Refused {
        /// The hub's answer.
        reason: String,
    },
    /// Stopped for good.
    Stopped,
}

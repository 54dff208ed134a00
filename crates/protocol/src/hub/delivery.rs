//! Whether a message can be delivered: one answer for who takes it in and for who sends it on.
//!
//! A hub acknowledges a message and sends it on later, on another topic, with other properties, as another client or to one.
//! What does not fit there would be tried for ever, and with it everything behind it. So the question is asked before the
//! acknowledgement, and again by whoever sends, with the same answer: a topic holds [`TEXT_BYTES_MAX`] bytes, ids and all.

use model::identity::Identity;
use model::message::{MESSAGE_BYTES_MAX, Message};

use super::topic;
use crate::limits::{CLOUD_TO_DEVICE_BYTES_MAX, TEXT_BYTES_MAX};

/// Why a message cannot be delivered, now or ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undeliverable {
    /// Body and properties together.
    #[error("it has {bytes} bytes, a message has at most {MESSAGE_BYTES_MAX}")]
    Message {
        /// So many.
        bytes: usize,
    },
    /// Body and properties of a cloud-to-device message together.
    #[error("it has {bytes} bytes, a message to a device has at most {CLOUD_TO_DEVICE_BYTES_MAX}")]
    CloudToDevice {
        /// So many.
        bytes: usize,
    },
    /// The topic with its properties.
    #[error("its properties make a topic of {bytes} bytes, a topic has at most {TEXT_BYTES_MAX}")]
    Properties {
        /// So many.
        bytes: usize,
    },
    /// The input's name.
    #[error("no input can have this name")]
    InputName,
}

/// Whether a message can be sent to a hub as telemetry of this identity.
pub fn as_telemetry(sender: &Identity, message: &Message) -> Result<(), Undeliverable> {
    fits(message.bag.len() + message.body.len(), topic::telemetry_prefix_bytes(sender) + message.bag.len())
}

/// Whether a message can be delivered to an input of this module. Its hub's own properties do not count against the size of a
/// message, but for their place on the topic.
pub fn to_input(module: &Identity, input: &str, message: &Message) -> Result<(), Undeliverable> {
    if !topic::is_input_name(input) {
        return Err(Undeliverable::InputName);
    }
    // Escaped, a byte is three at most. Nearly every message ends here, with nothing written.
    let escaped_bytes_max = topic::input_prefix_bytes_max(module, input) + 3 * message.bag.len();
    let topic_bytes = match escaped_bytes_max <= TEXT_BYTES_MAX {
        true => escaped_bytes_max,
        false => topic::input(module, input, &message.bag).len(),
    };
    fits(message.body.len(), topic_bytes)
}

/// Whether a message can be delivered to this device.
pub fn to_device(device: &Identity, message: &Message) -> Result<(), Undeliverable> {
    let bytes = message.bag.len() + message.body.len();
    if bytes > CLOUD_TO_DEVICE_BYTES_MAX {
        return Err(Undeliverable::CloudToDevice { bytes });
    }
    on_to_device(device, message)
}

/// Whether a message that another hub had for this device can be handed on to it. What that hub said of it does not count against
/// its size, but for its place on the topic.
pub fn on_to_device(device: &Identity, message: &Message) -> Result<(), Undeliverable> {
    fits(message.body.len(), topic::cloud_to_device(device, &message.bag).len())
}

fn fits(message_bytes: usize, topic_bytes: usize) -> Result<(), Undeliverable> {
    if message_bytes > MESSAGE_BYTES_MAX {
        return Err(Undeliverable::Message { bytes: message_bytes });
    }
    if topic_bytes > TEXT_BYTES_MAX {
        return Err(Undeliverable::Properties { bytes: topic_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests;

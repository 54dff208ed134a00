//! MQTT 3.1.1: packets and their bytes in both directions, and the two roles of a connection as state machines.
//!
//! ```text
//! byte 1   kind (high four bits), flags (low four)
//! byte 2-5 remaining length, seven bits a byte, least significant first
//! then     variable header and payload, together "remaining length" bytes
//! ```
//!
//! Decoding copies nothing: topics and payloads are slices of the read buffer. It is strict, because a peer that breaks the
//! format here cannot be trusted about lengths; one liberty is taken on purpose, topic names may hold `+` and `#`, which are
//! legal in device ids.
//!
//! [`HubConnection`] is the hub's [`Face`](crate::event::Face) towards MQTT clients, [`DeviceConnection`] the client. Packet
//! ids, quality of service and return codes are known here and nowhere else: what leaves is a
//! [`Receipt`](crate::event::Receipt).

pub mod decode;
mod device_side;
pub mod encode;
mod hub_side;
pub mod packet;

pub use decode::{DecodeError, decode};
pub use device_side::{CloseDevice, DeviceConnection, DeviceOptions, PublishError};
pub use encode::EncodeError;
pub use hub_side::{CloseHub, HubConnection};
pub use packet::{Connect, ConnectReturnCode, Packet, Publish, QoS, Text, Will};

use crate::event::{DeliverError, Receipt};

/// A packet id, as it is called outside.
fn receipt(packet_id: u16) -> Receipt {
    Receipt(packet_id.into())
}

/// The packet id behind a receipt that [`receipt`] made.
fn packet_id(receipt: Receipt) -> u16 {
    u16::try_from(receipt.0).expect("a face is given the receipts it made")
}

impl From<EncodeError> for DeliverError {
    fn from(_: EncodeError) -> Self {
        Self::Encode
    }
}

//! MQTT 3.1.1: packets and their bytes, both directions.
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

pub mod decode;
pub mod encode;
pub mod packet;

pub use decode::{DecodeError, decode};
pub use encode::EncodeError;
pub use packet::{Connect, ConnectReturnCode, Packet, Publish, QoS, Text, Will};

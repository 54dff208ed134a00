//! WebSocket (RFC 6455) as a carrier of bytes: its frames, for both roles.
//!
//! MQTT and AMQP take no notice of where a message begins or ends, so nobody is told: what was sent in binary messages comes out
//! as one stream of bytes. A frame is taken apart where it lies: [`Decoder::decode`] moves the payloads together in the buffer
//! that was read into, and holds nothing but a head or a control frame that has not come whole.

mod decode;
mod encode;

pub use decode::{Decoder, Violation};
pub use encode::{Sent, encode};

/// Where hub and provisioning service take WebSockets.
pub const PATH: &str = "/$iothub/websocket";

/// The subprotocol of MQTT. Some clients write it in capitals.
pub const MQTT: &str = "mqtt";

/// Which end of the connection is ours. The client masks what it sends, the server does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We connected.
    Client,
    /// We were connected to.
    Server,
}

/// Bytes of a control frame's payload.
const CONTROL_BYTES_MAX: usize = 125;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// Masks or unmasks bytes, and turns the mask on to where the next ones go on.
fn apply(mask: &mut [u8; 4], bytes: &mut [u8]) {
    let [a, b, c, d] = *mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    let rest = chunks.into_remainder();
    rest.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    mask.rotate_left(rest.len() % 4);
}

#[cfg(test)]
mod tests;

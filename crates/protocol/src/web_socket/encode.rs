//! Bytes to frames.

use bytes::{BufMut, BytesMut};

use super::{BINARY, CLOSE, CONTROL_BYTES_MAX, FINAL, MASKED, PING, PONG, apply};

/// What a frame is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent<'a> {
    /// Bytes, as a message of their own.
    Bytes(&'a [u8]),
    /// Are you there? With at most 125 bytes, as the answer has; what is more is cut off.
    Ping(&'a [u8]),
    /// The answer to a ping.
    Pong(&'a [u8]),
    /// The end, with a code.
    Close(Option<u16>),
}

/// Adds one frame. A client's has a mask, which nobody may be able to guess.
pub fn encode(sent: Sent<'_>, mask: Option<[u8; 4]>, out: &mut BytesMut) {
    let control = |payload: &'_ [u8]| payload.len().min(CONTROL_BYTES_MAX);
    match sent {
        Sent::Bytes(payload) => frame(BINARY, payload, mask, out),
        Sent::Ping(payload) => frame(PING, &payload[..control(payload)], mask, out),
        Sent::Pong(payload) => frame(PONG, &payload[..control(payload)], mask, out),
        Sent::Close(None) => frame(CLOSE, &[], mask, out),
        Sent::Close(Some(code)) => frame(CLOSE, &code.to_be_bytes(), mask, out),
    }
}

fn frame(kind: u8, payload: &[u8], mask: Option<[u8; 4]>, out: &mut BytesMut) {
    out.reserve(14 + payload.len());
    out.put_u8(FINAL | kind);
    let masked = if mask.is_some() { MASKED } else { 0 };
    match payload.len() {
        length @ ..=125 => out.put_u8(masked | length as u8),
        length @ 126..=0xFFFF => {
            out.put_u8(masked | 126);
            out.put_u16(length as u16);
        }
        length => {
            out.put_u8(masked | 127);
            out.put_u64(length as u64);
        }
    }
    out.extend_from_slice(mask.as_ref().map_or(&[], |mask| mask.as_slice()));
    let begin = out.len();
    out.extend_from_slice(payload);
    if let Some(mut mask) = mask {
        apply(&mut mask, &mut out[begin..]);
    }
}

//! Frames to bytes.

use bytes::{Bytes, BytesMut};

use super::{BINARY, CLOSE, CONTINUATION, CONTROL_BYTES_MAX, FINAL, MASKED, PING, PONG, RESERVED, Role, TEXT, apply};

/// What a peer may not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Text: what we carry is bytes.
    #[error("a text message, where only binary ones are taken")]
    Text,
    /// A client has to mask.
    #[error("a frame of a client that is not masked")]
    NotMasked,
    /// A server must not.
    #[error("a frame of a server that is masked")]
    Masked,
    /// Of an extension nobody agreed to.
    #[error("a frame with reserved bits")]
    Reserved,
    /// Of no kind we know.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    /// A message in the middle of another, or the middle of none.
    #[error("fragments of a message out of order")]
    Fragments,
    /// In pieces, or longer than 125 bytes.
    #[error("a control frame that is too long or in pieces")]
    Control,
    /// Written with more bytes than it needs, or with more than there can be.
    #[error("a frame whose length is not written in the shortest way")]
    Length,
    /// Longer than we take.
    #[error("a frame of {0} bytes, which is too long")]
    TooLong(u64),
    /// The end, with a code that says nothing.
    #[error("a close frame with an unusable code")]
    CloseCode,
}

impl Violation {
    /// The code the connection is closed with.
    pub fn code(self) -> u16 {
        match self {
            Self::Text => 1003,
            Self::TooLong(_) => 1009,
            _ => 1002,
        }
    }
}

/// Takes frames apart.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    frame_bytes_max: u64,
    head: [u8; 14],
    head_len: usize,
    /// The frame whose head has come.
    frame: Option<Frame>,
    is_in_message: bool,
    /// What has come of a control frame.
    control: BytesMut,
    ping: Option<Bytes>,
    close: Option<Option<u16>>,
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    mask: [u8; 4],
    left: u64,
}

impl Decoder {
    /// For one connection, with the longest frame that is taken.
    pub fn new(role: Role, frame_bytes_max: u64) -> Self {
        Self {
            role,
            frame_bytes_max,
            head: [0; 14],
            head_len: 0,
            frame: None,
            is_in_message: false,
            control: BytesMut::new(),
            ping: None,
            close: None,
        }
    }

    /// Takes what was read, of which it may be any part; says how many bytes of payload are at the front of it then. What
    /// follows a close frame is passed over.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<usize, Violation> {
        let (mut at, mut payload) = (0, 0);
        while at < bytes.len() && self.close.is_none() {
            let Some(frame) = &mut self.frame else {
                self.take_head(bytes[at])?;
                at += 1;
                continue;
            };
            let count = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len() - at);
            let here = at..at + count;
            if self.role == Role::Server {
                apply(&mut frame.mask, &mut bytes[here.clone()]);
            }
            frame.left -= count as u64;
            let is_whole = frame.left == 0;
            if frame.kind >= CLOSE {
                self.control.extend_from_slice(&bytes[here]);
            } else {
                bytes.copy_within(here, payload);
                payload += count;
            }
            at += count;
            if is_whole {
                self.end_frame()?;
            }
        }
        Ok(payload)
    }

    /// The newest ping that was not answered.
    pub fn take_ping(&mut self) -> Option<Bytes> {
        self.ping.take()
    }

    /// Whether the peer closed, and with which code if it gave one.
    pub fn closed(&self) -> Option<Option<u16>> {
        self.close
    }

    fn take_head(&mut self, byte: u8) -> Result<(), Violation> {
        self.head[self.head_len] = byte;
        self.head_len += 1;
        let [first, second, ..] = self.head;
        if self.head_len < 2 {
            return Ok(());
        }
        if self.head_len == 2 {
            self.check(first, second)?;
        }
        let length_bytes = match second & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_bytes = if self.role == Role::Server { 4 } else { 0 };
        if self.head_len < 2 + length_bytes + mask_bytes {
            return Ok(());
        }
        let length = &self.head[2..2 + length_bytes];
        let (left, least) = match length_bytes {
            0 => (u64::from(second & !MASKED), 0),
            _ => (
                length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
                if length_bytes == 2 { 126 } else { 1 << 16 },
            ),
        };
        if left < least || left >> 63 == 1 {
            return Err(Violation::Length);
        }
        if left > self.frame_bytes_max {
            return Err(Violation::TooLong(left));
        }
        let mut mask = [0; 4];
        mask[..mask_bytes].copy_from_slice(&self.head[2 + length_bytes..self.head_len]);
        self.head_len = 0;
        self.frame = Some(Frame { kind: first & 0x0F, mask, left });
        if left == 0 { self.end_frame() } else { Ok(()) }
    }

    /// What can be told from the first two bytes.
    fn check(&mut self, first: u8, second: u8) -> Result<(), Violation> {
        let (kind, is_final) = (first & 0x0F, first & FINAL != 0);
        if first & RESERVED != 0 {
            return Err(Violation::Reserved);
        }
        match (self.role, second & MASKED != 0) {
            (Role::Server, false) => return Err(Violation::NotMasked),
            (Role::Client, true) => return Err(Violation::Masked),
            _ => {}
        }
        match kind {
            TEXT => return Err(Violation::Text),
            BINARY | CONTINUATION if self.is_in_message != (kind == CONTINUATION) => return Err(Violation::Fragments),
            BINARY | CONTINUATION => self.is_in_message = !is_final,
            CLOSE | PING | PONG if !is_final || usize::from(second & !MASKED) > CONTROL_BYTES_MAX => {
                return Err(Violation::Control);
            }
            CLOSE | PING | PONG => {}
            _ => return Err(Violation::Kind(kind)),
        }
        Ok(())
    }

    fn end_frame(&mut self) -> Result<(), Violation> {
        let Some(frame) = self.frame.take() else { return Ok(()) };
        let control = std::mem::take(&mut self.control);
        match frame.kind {
            PING => self.ping = Some(control.freeze()),
            CLOSE => self.close = Some(close_code(&control)?),
            _ => {}
        }
        Ok(())
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    match payload {
        [] => Ok(None),
        [high, low, ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(code)),
            _ => Err(Violation::CloseCode),
        },
        [_] => Err(Violation::CloseCode),
    }
}

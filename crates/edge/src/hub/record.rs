//! One queued message as bytes.
//!
//! ```text
//! version 1 (1) | lifetime in seconds (4) | sender length (2) | bag length (4) | sender | bag | body
//! ```
//! Numbers are big endian; lifetime `FFFFFFFF` means for ever. The sender is in client id form, `device` or
//! `device/module`. When the message was stored is the log's to know.
//!
//! Version history: 1 the first.

use bytes::{BufMut, Bytes, BytesMut};
use model::identity::Identity;
use model::message::Message;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 11;
const FOREVER: u32 = u32::MAX;

/// A message on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Who sent it.
    pub sender: Identity,
    /// How long it may wait; `None`: for ever.
    pub lifetime_secs: Option<u32>,
    /// The message, stamped.
    pub message: Message,
}

impl QueuedMessage {
    /// The bytes.
    pub fn encode(&self) -> Bytes {
        let sender = self.sender.to_string();
        let Message { bag, body } = &self.message;
        let mut out = BytesMut::with_capacity(HEADER_BYTES + sender.len() + bag.len() + body.len());
        out.put_u8(VERSION);
        out.put_u32(self.lifetime_secs.map_or(FOREVER, |secs| secs.min(FOREVER - 1)));
        // Ids are at most 128 characters and a bag is part of a message of 256 KiB: both lengths fit.
        out.put_u16(sender.len() as u16);
        out.put_u32(bag.len() as u32);
        out.put_slice(sender.as_bytes());
        out.put_slice(bag);
        out.put_slice(body);
        out.freeze()
    }

    /// Takes bytes apart; `None` when they are nothing this version wrote. Bag and body share the record's memory.
    pub fn decode(record: &Bytes) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = record.first_chunk()?;
        if header[0] != VERSION {
            return None;
        }
        let lifetime = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let sender_end = HEADER_BYTES + usize::from(u16::from_be_bytes([header[5], header[6]]));
        let bag_bytes = u32::from_be_bytes([header[7], header[8], header[9], header[10]]);
        let bag_end = sender_end.checked_add(usize::try_from(bag_bytes).ok()?)?;
        if record.len() < bag_end {
            return None;
        }
        let sender = std::str::from_utf8(&record[HEADER_BYTES..sender_end]).ok()?;
        Some(Self {
            sender: Identity::from_client_id(sender),
            lifetime_secs: (lifetime != FOREVER).then_some(lifetime),
            message: Message { bag: record.slice(sender_end..bag_end), body: record.slice(bag_end..) },
        })
    }

    /// Whether it has waited longer than it may.
    pub fn is_expired(&self, stored_at_ms: u64, now_ms: u64) -> bool {
        let lifetime_ms = |secs: u32| u64::from(secs) * 1000;
        self.lifetime_secs.is_some_and(|secs| now_ms >= stored_at_ms.saturating_add(lifetime_ms(secs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            sender in "[a-z$]{1,20}(/[a-z$]{1,20})?",
            lifetime_secs in proptest::option::of(0..FOREVER),
            bag in proptest::collection::vec(any::<u8>(), 0..200),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let message = Message { bag: bag.into(), body: body.into() };
            let queued = QueuedMessage { sender: Identity::from_client_id(&sender), lifetime_secs, message };
            prop_assert_eq!(QueuedMessage::decode(&queued.encode()), Some(queued));
        }

        #[test]
        fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = QueuedMessage::decode(&bytes.into());
        }
    }

    #[test]
    fn lifetimes() {
        let message =
            |lifetime_secs| QueuedMessage { sender: Identity::device("d"), lifetime_secs, message: Message::default() };
        assert!(!message(None).is_expired(0, u64::MAX));
        assert!(message(Some(0)).is_expired(5, 5));
        assert!(!message(Some(1)).is_expired(1000, 1999));
        assert!(message(Some(1)).is_expired(1000, 2000));
    }
}

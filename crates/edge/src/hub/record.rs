//! One stored message as bytes: the message once, with every place it goes to.
//!
//! ```text
//! version 2 (1) | stored at (8) | number of targets (1) | targets | sender length (2) | bag length (4) | sender | bag | body
//!
//! target: kind (1) | priority (1) | lifetime (4) | kind 1 only: module length (2) | input length (2) | module | input
//! ```
//! Numbers are big endian. There is at least one target. *Stored at* is in milliseconds since 1970, by the clock of this device.
//! Kind 0 is `$upstream`, 1 an input of a module. Priority is 0 to 9, `FF` for none. Lifetime is in seconds from *stored at*,
//! `FFFFFFFF` for ever. The sender is in client id form, `device` or `device/module`.
//!
//! Version history:
//! - 2: several targets and the time. One log for everything.
//! - 1: `version (1) | lifetime (4) | sender length (2) | bag length (4) | sender | bag | body`, in a log for each endpoint and
//!   priority that knew the time. Still read, to be moved.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::identity::Identity;
use model::limits::ROUTE_PRIORITY_MAX;
use model::message::Message;
use model::route::{Endpoint, PRIORITY_WITHOUT_NUMBER};

use super::queue::QueueId;

const VERSION: u8 = 2;
const FIRST_VERSION: u8 = 1;
const FOREVER: u32 = u32::MAX;
const NO_PRIORITY: u8 = u8::MAX;
const UPSTREAM: u8 = 0;
const MODULE: u8 = 1;

/// Where a message goes, and how long it may wait there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Endpoint and priority.
    pub queue: QueueId,
    /// Seconds it may wait; `None`: for ever.
    pub lifetime_secs: Option<u32>,
}

/// A message as it waits for one of its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Who sent it.
    pub sender: Identity,
    /// When it came in, milliseconds since 1970.
    pub stored_at_ms: u64,
    /// The message, stamped.
    pub message: Message,
}

/// A record that no version up to this one wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored message has version {version}, or is damaged; this program knows version {known}")]
pub struct UnknownRecord {
    /// As it stands in the bytes.
    pub version: u8,
    /// What this program writes there.
    pub known: u8,
}

/// When a message is no longer to be delivered, in milliseconds since 1970; `u64::MAX`: never.
pub fn expires_at_ms(stored_at_ms: u64, lifetime_secs: Option<u32>) -> u64 {
    lifetime_secs.map_or(u64::MAX, |secs| stored_at_ms.saturating_add(u64::from(secs) * 1000))
}

/// Appends the bytes. There are 1 to 255 targets.
pub fn encode(out: &mut BytesMut, targets: &[Target], message: &StoredMessage) {
    out.put_u8(VERSION);
    out.put_u64(message.stored_at_ms);
    debug_assert!((1..=usize::from(u8::MAX)).contains(&targets.len()), "a configuration with more queues is refused");
    out.put_u8(targets.len() as u8);
    for Target { queue, lifetime_secs } in targets {
        out.put_u8(if queue.endpoint == Endpoint::Upstream { UPSTREAM } else { MODULE });
        out.put_u8(if queue.priority == PRIORITY_WITHOUT_NUMBER { NO_PRIORITY } else { queue.priority as u8 });
        out.put_u32(lifetime_secs.map_or(FOREVER, |secs| secs.min(FOREVER - 1)));
        if let Endpoint::Module { module, input } = &queue.endpoint {
            // Both come from a route, and a route from a twin of 32 KiB.
            out.put_u16(module.len() as u16);
            out.put_u16(input.len() as u16);
            out.put_slice(module.as_bytes());
            out.put_slice(input.as_bytes());
        }
    }
    let Message { bag, body } = &message.message;
    let sender = message.sender.to_string();
    // Ids are at most 128 characters and a bag is part of a message of 256 KiB: both lengths fit.
    out.put_u16(sender.len() as u16);
    out.put_u32(bag.len() as u32);
    out.put_slice(sender.as_bytes());
    out.put_slice(bag);
    out.put_slice(body);
}

/// A record whose targets can be looked at before anything is copied.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    bytes: Bytes,
    stored_at_ms: u64,
    targets: std::ops::Range<usize>,
}

/// A target as it stands in the bytes.
struct RawTarget<'a> {
    priority: u32,
    lifetime_secs: Option<u32>,
    /// `None`: upstream.
    module_input: Option<(&'a str, &'a str)>,
}

const TARGETS_AT: usize = 10;

impl StoredRecord {
    /// Looks at bytes. They keep the memory of whatever they are a slice of.
    pub fn parse(bytes: Bytes) -> Result<Self, UnknownRecord> {
        let version = bytes.first().copied().unwrap_or_default();
        let parsed = (version == VERSION).then(|| Self::parse_body(bytes)).flatten();
        parsed.ok_or(UnknownRecord { version, known: VERSION })
    }

    fn parse_body(bytes: Bytes) -> Option<Self> {
        let mut head = bytes.get(1..TARGETS_AT)?;
        let stored_at_ms = head.get_u64();
        let mut rest = &bytes[TARGETS_AT..];
        let targets = head.get_u8();
        if targets == 0 {
            return None;
        }
        for _ in 0..targets {
            RawTarget::take(&mut rest)?;
        }
        let targets = TARGETS_AT..bytes.len() - rest.len();
        let sender_bytes = usize::from(rest.try_get_u16().ok()?);
        let bag_bytes = usize::try_from(rest.try_get_u32().ok()?).ok()?;
        std::str::from_utf8(rest.get(..sender_bytes)?).ok()?;
        rest.get(sender_bytes..)?.get(..bag_bytes)?;
        Some(Self { bytes, stored_at_ms, targets })
    }

    fn raw_targets(&self) -> impl Iterator<Item = RawTarget<'_>> {
        let mut rest = &self.bytes[self.targets.clone()];
        std::iter::from_fn(move || RawTarget::take(&mut rest))
    }

    /// Everywhere it goes.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        self.raw_targets().map(|raw| Target {
            queue: QueueId {
                endpoint: match raw.module_input {
                    None => Endpoint::Upstream,
                    Some((module, input)) => Endpoint::Module { module: module.to_owned(), input: input.to_owned() },
                },
                priority: raw.priority,
            },
            lifetime_secs: raw.lifetime_secs,
        })
    }

    /// When its time is up in this queue, milliseconds since 1970; `None` when it does not go there.
    pub fn expires_at_ms(&self, queue: &QueueId) -> Option<u64> {
        let target = self.raw_targets().find(|raw| raw.is_for(queue))?;
        Some(expires_at_ms(self.stored_at_ms, target.lifetime_secs))
    }

    /// When it came in.
    pub fn stored_at_ms(&self) -> u64 {
        self.stored_at_ms
    }

    /// The message. Bag and body share the record's memory.
    pub fn message(&self) -> StoredMessage {
        let mut rest = self.bytes.slice(self.targets.end..);
        let (sender_bytes, bag_bytes) = (usize::from(rest.get_u16()), rest.get_u32() as usize);
        let sender = rest.split_to(sender_bytes);
        let sender = std::str::from_utf8(&sender).expect("looked at when the record was parsed");
        let bag = rest.split_to(bag_bytes);
        StoredMessage {
            sender: Identity::from_client_id(sender),
            stored_at_ms: self.stored_at_ms,
            message: Message { bag, body: rest },
        }
    }
}

impl<'a> RawTarget<'a> {
    /// Takes the next one off; `None` at the end, or when it is not whole.
    fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let kind = rest.try_get_u8().ok()?;
        let priority = match rest.try_get_u8().ok()? {
            NO_PRIORITY => PRIORITY_WITHOUT_NUMBER,
            number if u64::from(number) <= ROUTE_PRIORITY_MAX => u32::from(number),
            _ => return None,
        };
        let lifetime = rest.try_get_u32().ok()?;
        let module_input = match kind {
            UPSTREAM => None,
            MODULE => {
                let lengths = (rest.try_get_u16().ok()?, rest.try_get_u16().ok()?);
                Some((take_text(rest, lengths.0)?, take_text(rest, lengths.1)?))
            }
            _ => return None,
        };
        Some(Self { priority, lifetime_secs: (lifetime != FOREVER).then_some(lifetime), module_input })
    }

    fn is_for(&self, queue: &QueueId) -> bool {
        let same_endpoint = match (&queue.endpoint, self.module_input) {
            (Endpoint::Upstream, None) => true,
            (Endpoint::Module { module, input }, Some(found)) => found == (module.as_str(), input.as_str()),
            _ => false,
        };
        same_endpoint && self.priority == queue.priority
    }
}

fn take_text<'a>(rest: &mut &'a [u8], bytes: u16) -> Option<&'a str> {
    let (text, after) = rest.split_at_checked(usize::from(bytes))?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

/// Takes a record of version 1 apart: its lifetime and its message. `None` when it is none.
pub fn decode_first_version(record: &Bytes, stored_at_ms: u64) -> Option<(Option<u32>, StoredMessage)> {
    let mut rest = record.clone();
    if rest.try_get_u8().ok()? != FIRST_VERSION {
        return None;
    }
    let lifetime = rest.try_get_u32().ok()?;
    let sender_bytes = usize::from(rest.try_get_u16().ok()?);
    let bag_bytes = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    if rest.len() < sender_bytes.checked_add(bag_bytes)? {
        return None;
    }
    let sender = rest.split_to(sender_bytes);
    let sender = Identity::from_client_id(std::str::from_utf8(&sender).ok()?);
    let bag = rest.split_to(bag_bytes);
    let message = StoredMessage { sender, stored_at_ms, message: Message { bag, body: rest } };
    Some(((lifetime != FOREVER).then_some(lifetime), message))
}

#[cfg(test)]
pub(super) mod tests;

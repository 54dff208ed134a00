//! The ways out of this hub, and what cannot go there: asked before a message is acknowledged, and again when it is sent.

use model::identity::Identity;
use model::message::Message;
use model::route::Endpoint;
use protocol::hub::bag;
use protocol::hub::delivery::{self, Undeliverable};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::EdgeHub;
use super::parked::is_parked;
use super::queue::{QueueId, WaitingMessage};
use super::record::StoredMessage;
use crate::limits::CLOCK_MIN_SECS;

impl EdgeHub {
    /// Whether a stamped message can be delivered to an endpoint, now or ever.
    pub(super) fn can_be_delivered(&self, endpoint: &Endpoint, stored: &StoredMessage) -> Result<(), Undeliverable> {
        match endpoint {
            parked if is_parked(parked) => self.can_be_delivered(&Endpoint::Upstream, stored),
            // Nearly every message would fit with our stamps on it, which it leaves here.
            Endpoint::Upstream => delivery::as_telemetry(&stored.sender, &stored.message)
                .or_else(|_| delivery::as_telemetry(&stored.sender, &for_upstream(stored, 0))),
            Endpoint::Module { module, input } => {
                let module = Identity::module(&self.options.device.device_id, module);
                delivery::to_input(&module, input, &stored.message)
            }
        }
    }

    /// Takes out what cannot be delivered, which an earlier version may have stored. What is behind it goes on.
    pub(super) fn drop_undeliverable(&self, queue: &QueueId, messages: &mut Vec<WaitingMessage>) {
        messages.retain(|message| match self.can_be_delivered(&queue.endpoint, &message.stored) {
            Ok(()) => true,
            Err(why) => {
                self.drop_undeliverable_message(&queue.endpoint, &message.stored, &why);
                false
            }
        });
    }
}

/// Without our stamps: the hub above makes its own from the link's identity. `stored_at_ms` is by the clock on the wall.
///
/// Every message gets the time at which it came in, unless its sender gave one: the hub above would take the time of its
/// arrival there, and a chart of the time without a link would be one point wide. Not only what was held back: between
/// messages with and without such a time, those sent just before a link broke would look newer than those after it.
pub(super) fn for_upstream(stored: &StoredMessage, stored_at_ms: u64) -> Message {
    let StoredMessage { sender, message: Message { bag, body }, .. } = stored;
    let bag = bag::remove(&bag::remove(bag, bag::CONNECTION_DEVICE_ID), bag::CONNECTION_MODULE_ID);
    let is_dated =
        bag::get_ignore_case(&bag, bag::CREATION_TIME_UTC).is_some() || bag::get(&bag, bag::CREATION_TIME).is_some();
    if !is_dated && stored_at_ms >= CLOCK_MIN_SECS * 1_000 {
        let bag = bag::append(&bag, bag::CREATION_TIME_UTC, &rfc3339(stored_at_ms));
        let dated = Message { bag, body: body.clone() };
        if delivery::as_telemetry(sender, &dated).is_ok() {
            return dated;
        }
    }
    Message { bag, body: body.clone() }
}

/// `2026-05-01T10:00:00.25Z`
fn rfc3339(unix_ms: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use model::message::MESSAGE_BYTES_MAX;
    use protocol::hub::topic;
    use protocol::limits::TEXT_BYTES_MAX;

    use super::*;

    fn sent(bag: &'static str, body: Bytes, stored_at_ms: u64) -> Message {
        let message = Message { bag: Bytes::from_static(bag.as_bytes()), body };
        for_upstream(&StoredMessage { sender: Identity::device("d"), stored_at_ms: 0, message }, stored_at_ms)
    }

    #[test]
    fn a_message_without_a_time_of_its_own_gets_one() {
        let now = 1_777_629_600_250;
        for (bag, stored_at_ms, expected) in [
            ("a=1&%24.cdid=edge&%24.cmid=m", now, "a=1&iothub-creation-time-utc=2026-05-01T10%3A00%3A00.25Z"),
            ("%24.cdid=edge", now, "iothub-creation-time-utc=2026-05-01T10%3A00%3A00.25Z"),
            (
                "iothub-creation-time-utc=2020-01-01T00%3A00%3A00Z",
                now,
                "iothub-creation-time-utc=2020-01-01T00%3A00%3A00Z",
            ),
            // As SDKs name it that have a property for it.
            ("%24.ctime=2020-01-01T00%3A00%3A00Z", now, "%24.ctime=2020-01-01T00%3A00%3A00Z"),
            ("a=1&$.ctime=2020-01-01T00%3A00%3A00Z", now, "a=1&$.ctime=2020-01-01T00%3A00%3A00Z"),
            // A clock that was never set knows nothing.
            ("a=1&%24.cdid=edge", 5_000, "a=1"),
        ] {
            let sent = sent(bag, Bytes::from_static(b"{}"), stored_at_ms);
            assert_eq!(std::str::from_utf8(&sent.bag), Ok(expected), "{bag} at {stored_at_ms}");
        }
    }

    #[test]
    fn no_message_becomes_too_large_by_its_time() {
        let body = Bytes::from(vec![b'x'; MESSAGE_BYTES_MAX - 3]);
        assert_eq!(sent("a=1&%24.cdid=edge", body, 1_777_629_600_250).bag, "a=1");
    }
    #[test]
    fn no_bag_outgrows_its_topic_by_the_time() {
        let sender = Identity::device("d");
        let room = TEXT_BYTES_MAX - topic::telemetry_prefix(&sender).len();
        let added = "&iothub-creation-time-utc=2026-05-01T10%3A00%3A00.25Z".len();
        for (bytes, dated) in [(room, false), (room - added + 1, false), (room - added, true)] {
            let bag = Bytes::from("a".repeat(bytes));
            let stored =
                StoredMessage { sender: sender.clone(), stored_at_ms: 0, message: Message { bag, body: Bytes::new() } };
            let sent = for_upstream(&stored, 1_777_629_600_250);
            assert_eq!(sent.bag.len() > bytes, dated, "{bytes}");
            assert_eq!(delivery::as_telemetry(&sender, &sent), Ok(()));
        }
    }
}

//! Messages as devices send them.

use bytes::Bytes;
use model::message::Message;
use protocol::hub::bag::{BagBuilder, CONTENT_ENCODING, CONTENT_TYPE};

/// JSON telemetry as the official SDKs label it.
pub fn json_message(body: &str) -> Message {
    let mut bag = BagBuilder::new();
    bag.push(CONTENT_TYPE, "application/json").push(CONTENT_ENCODING, "utf-8");
    Message { bag: bag.build(), body: Bytes::copy_from_slice(body.as_bytes()) }
}

/// JSON telemetry `{"n":0}`, `{"n":1}`, …: easy to tell apart and to count.
pub fn numbered_messages(count: usize) -> Vec<Message> {
    (0..count).map(|number| json_message(&format!("{{\"n\":{number}}}"))).collect()
}

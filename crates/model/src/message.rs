//! A message: opaque bytes with properties.
//!
//! Properties travel and are stored in one text form, the *bag*: `name=value` pairs joined by `&`, both sides
//! percent-encoded, system names prefixed `$.` (written `%24.`). It is the MQTT topic's own form, so a message is
//! accepted, logged and forwarded without taking the pairs apart; whoever needs them decodes lazily.
//! The grammar of the bag lives in `protocol::hub::bag`.

use bytes::Bytes;

/// The largest message a hub takes: body and properties together, in bytes (256 KiB).
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// One device-to-cloud, module-to-module or cloud-to-device message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Encoded properties, without a leading or trailing slash; empty when there are none. Always UTF-8.
    pub bag: Bytes,
    /// Opaque payload.
    pub body: Bytes,
}

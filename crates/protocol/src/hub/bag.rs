//! The property bag: a message's properties in the one text form they travel and are stored in.
//!
//! ```text
//! %24.ct=application%2Fjson&%24.ce=utf-8&building=7&flag&empty=
//! |      |                               |          |    +-- empty string
//! |      +-- value, percent-encoded      |          +------- null value
//! +-- system name: `$.` + short name     +-- application property
//! ```
//!
//! Both sides are percent-encoded; a space is `%20`, `+` means itself. SDKs write system names as `%24.xx`, documents show
//! `$.xx`: both are read, the first is written (C compares with it, Java finds the bag by it). Of two equal names the first
//! counts. Nothing here fails: the bag came over MQTT as valid UTF-8, and an escape that makes no sense stays as it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use model::message::Message;
use model::route::MessageView;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Message id.
pub const MESSAGE_ID: &str = "$.mid";
/// Correlation id.
pub const CORRELATION_ID: &str = "$.cid";
/// User id.
pub const USER_ID: &str = "$.uid";
/// Destination.
pub const TO: &str = "$.to";
/// Content type.
pub const CONTENT_TYPE: &str = "$.ct";
/// Content encoding.
pub const CONTENT_ENCODING: &str = "$.ce";
/// Expiry.
pub const EXPIRY: &str = "$.exp";
/// Creation time.
pub const CREATION_TIME: &str = "$.ctime";
/// Output name, from modules.
pub const OUTPUT_NAME: &str = "$.on";
/// Plug and Play component.
pub const COMPONENT: &str = "$.sub";
/// Interface id (legacy).
pub const INTERFACE_ID: &str = "$.ifid";
/// Message schema.
pub const SCHEMA: &str = "$.schema";
/// Device the message came from; set by hubs only.
pub const CONNECTION_DEVICE_ID: &str = "$.cdid";
/// Module the message came from; set by hubs only.
pub const CONNECTION_MODULE_ID: &str = "$.cmid";
/// Kind of a system message.
pub const OPERATION: &str = "iothub-operation";
/// The device's own time stamp: an ordinary property with a reserved name.
pub const CREATION_TIME_UTC: &str = "iothub-creation-time-utc";
/// Marks the message a client left as its will.
pub const MESSAGE_TYPE: &str = "iothub-MessageType";
/// Marks a publish that had the RETAIN flag.
pub const RETAIN: &str = "mqtt-retain";

/// Wire name and the name conditions, queries and documents use. The first line of a wire name is its canonical long name.
const SYSTEM_NAMES: &[(&str, &str)] = &[
    (MESSAGE_ID, "messageId"),
    (CORRELATION_ID, "correlationId"),
    (CORRELATION_ID, "cid"),
    (TO, "to"),
    (USER_ID, "userId"),
    (EXPIRY, "absolute-expiry-time"),
    ("iothub-ack", "ack"),
    ("ack", "ack"),
    (OUTPUT_NAME, "outputName"),
    (CONTENT_TYPE, "contentType"),
    (CONTENT_ENCODING, "contentEncoding"),
    (SCHEMA, "messageSchema"),
    (CREATION_TIME, "creationTime"),
    (OPERATION, "operation"),
    (INTERFACE_ID, "iothub-interface-id"),
    (COMPONENT, "dt-subject"),
    (CONNECTION_DEVICE_ID, "connectionDeviceId"),
    (CONNECTION_MODULE_ID, "connectionModuleId"),
];

/// Whether a property is one of those hubs and SDKs know, rather than the application's.
pub fn is_system_name(name: &str) -> bool {
    name.starts_with("$.")
}

/// The long name (`contentType`) of a wire name (`$.ct`), if it names a system property.
pub fn system_name(wire_name: &str) -> Option<&'static str> {
    SYSTEM_NAMES.iter().find(|(wire, _)| *wire == wire_name).map(|(_, long)| *long)
}

/// The wire name (`$.ct`) of a long name (`contentType`, case ignored).
pub fn wire_name(system_name: &str) -> Option<&'static str> {
    SYSTEM_NAMES.iter().find(|(_, long)| long.eq_ignore_ascii_case(system_name)).map(|(wire, _)| *wire)
}

/// All but RFC 3986's unreserved characters is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes one side of a pair, or any other part of a topic that needs it.
pub fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, ESCAPED).into()
}

/// Percent-decodes one side of a pair; what is not UTF-8 afterwards becomes U+FFFD. `+` stays `+`.
pub fn decode(text: &[u8]) -> Cow<'_, str> {
    match percent_decode(text).into() {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    }
}

/// The pairs of a bag as they stand, still encoded.
fn raw_pairs(bag: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    bag.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| match memchr::memchr(b'=', pair) {
        Some(at) => (&pair[..at], Some(&pair[at + 1..])),
        None => (pair, None),
    })
}

/// The pairs of a bag, decoded one by one. A name without `=` has no value.
pub fn iter(bag: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Option<Cow<'_, str>>)> {
    raw_pairs(bag).map(|(name, value)| (decode(name), value.map(decode)))
}

/// The value of the first property of that wire name; a null value counts as empty.
pub fn get<'a>(bag: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    raw_pairs(bag).find(|(raw, _)| named(raw, name)).map(|(_, value)| value.map(decode).unwrap_or_default())
}

/// The value of the first property whose name equals `name` without regard to ASCII case.
pub fn get_ignore_case<'a>(bag: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    iter(bag).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.unwrap_or_default())
}

/// Whether the bag has a property of one of these names, without regard to ASCII case.
pub fn has_any_ignore_case(bag: &[u8], names: &[&str]) -> bool {
    raw_pairs(bag).any(|(raw, _)| {
        // Nearly every system name is written `%24.xx`, which needs no decoded copy.
        let short = raw.strip_prefix(b"%24");
        if memchr::memchr(b'%', short.unwrap_or(raw)).is_some() {
            let decoded = decode(raw);
            return names.iter().any(|name| decoded.eq_ignore_ascii_case(name));
        }
        names.iter().map(|name| name.as_bytes()).any(|name| match short {
            Some(short) => name.strip_prefix(b"$").is_some_and(|name| name.eq_ignore_ascii_case(short)),
            None => name.eq_ignore_ascii_case(raw),
        })
    })
}

fn named(raw: &[u8], name: &str) -> bool {
    raw == name.as_bytes() || (memchr::memchr(b'%', raw).is_some() && decode(raw) == name)
}

/// The bag with the property set: every pair of that name is replaced by one at the end.
pub fn set(bag: &[u8], name: &str, value: &str) -> Bytes {
    let mut builder = BagBuilder::with_capacity(bag.len() + name.len() + value.len() + 8);
    builder.copy_without(bag, |found| named(found, name));
    builder.push(name, value);
    builder.build()
}

/// The bag with a pair added at the end, without looking at the others.
pub fn append(bag: &[u8], name: &str, value: &str) -> Bytes {
    let mut builder = BagBuilder::with_capacity(bag.len() + name.len() + value.len() + 8);
    builder.copy(bag);
    builder.push(name, value);
    builder.build()
}

/// The bag without the pairs of that name; the same bytes when there is none.
pub fn remove(bag: &Bytes, name: &str) -> Bytes {
    if !raw_pairs(bag).any(|(found, _)| named(found, name)) {
        return bag.clone();
    }
    let mut builder = BagBuilder::with_capacity(bag.len());
    builder.copy_without(bag, |found| named(found, name));
    builder.build()
}

/// Writes a bag pair by pair.
#[derive(Debug, Default, Clone)]
pub struct BagBuilder {
    text: BytesMut,
}

impl BagBuilder {
    /// An empty bag.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty bag with room for that many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: BytesMut::with_capacity(bytes) }
    }

    /// Adds `name=value`, encoding both.
    pub fn push(&mut self, name: &str, value: &str) -> &mut Self {
        self.push_null(name);
        self.text.extend_from_slice(b"=");
        self.extend_encoded(value);
        self
    }

    /// Adds `name` alone, a null value. Java fails on these: hubs leave them out of what they send.
    pub fn push_null(&mut self, name: &str) -> &mut Self {
        self.separate();
        self.extend_encoded(name);
        self
    }

    /// Adds the pairs of an encoded bag as they stand.
    pub fn copy(&mut self, bag: &[u8]) -> &mut Self {
        if !bag.is_empty() {
            self.separate();
            self.text.extend_from_slice(bag);
        }
        self
    }

    /// Adds the pairs of an encoded bag whose (still encoded) name is not skipped.
    fn copy_without(&mut self, bag: &[u8], skip: impl Fn(&[u8]) -> bool) {
        for (name, value) in raw_pairs(bag) {
            if skip(name) {
                continue;
            }
            self.separate();
            self.text.extend_from_slice(name);
            if let Some(value) = value {
                self.text.extend_from_slice(b"=");
                self.text.extend_from_slice(value);
            }
        }
    }

    /// The bag.
    pub fn build(self) -> Bytes {
        self.text.freeze()
    }

    fn separate(&mut self) {
        if !self.text.is_empty() {
            self.text.extend_from_slice(b"&");
        }
    }

    fn extend_encoded(&mut self, text: &str) {
        for part in utf8_percent_encode(text, ESCAPED) {
            self.text.extend_from_slice(part.as_bytes());
        }
    }
}

/// A bag taken apart: system properties under their long names, everything else as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Long name (`contentType`) to value.
    pub system: BTreeMap<String, String>,
    /// Application properties. A null value is kept as the empty string.
    pub application: BTreeMap<String, String>,
}

impl Properties {
    /// Decodes a whole bag. A `$.` name this hub does not know is dropped, as nothing could ask for it.
    pub fn decode(bag: &[u8]) -> Self {
        let mut properties = Self::default();
        for (name, value) in iter(bag) {
            let value = value.unwrap_or_default().into_owned();
            match system_name(&name) {
                Some(long) => drop(properties.system.entry(long.to_owned()).or_insert(value)),
                None if name.starts_with("$.") => {}
                None => drop(properties.application.entry(name.into_owned()).or_insert(value)),
            }
        }
        properties
    }

    /// The bag that decodes to these properties. A system name without a wire name is left out.
    pub fn encode(&self) -> Bytes {
        let mut builder = BagBuilder::new();
        for (name, value) in &self.system {
            if let Some(wire) = wire_name(name) {
                builder.push(wire, value);
            }
        }
        for (name, value) in &self.application {
            builder.push(name, value);
        }
        builder.build()
    }
}

/// What routes see of a message: its bag, decoded on demand, and its body.
#[derive(Debug, Clone, Copy)]
pub struct BagView<'a> {
    /// Encoded properties.
    pub bag: &'a [u8],
    /// Payload.
    pub body: &'a [u8],
}

impl<'a> BagView<'a> {
    /// The view of a message.
    pub fn of(message: &'a Message) -> Self {
        Self { bag: &message.bag, body: &message.body }
    }
}

impl MessageView for BagView<'_> {
    fn application(&self, name: &str) -> Option<Option<Cow<'_, str>>> {
        iter(self.bag)
            .find(|(found, _)| found.eq_ignore_ascii_case(name) && system_name(found).is_none())
            .map(|(_, value)| value)
    }

    fn system(&self, name: &str) -> Option<Cow<'_, str>> {
        let long = system_name(wire_name(name)?)?;
        iter(self.bag).find(|(found, _)| system_name(found) == Some(long)).map(|(_, value)| value.unwrap_or_default())
    }

    fn body(&self) -> &[u8] {
        self.body
    }
}

#[cfg(test)]
mod tests;

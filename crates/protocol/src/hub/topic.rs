//! Topics of hub and provisioning, both directions.
//!
//! ```text
//! client to hub                                        hub to client
//! devices/{d}/messages/events/{bag}                    devices/{d}/messages/devicebound/{bag}
//! devices/{d}/modules/{m}/messages/events/{bag}        devices/{d}/modules/{m}/inputs/{input}/{bag}
//! $iothub/twin/GET/?$rid={rid}                         $iothub/twin/res/{status}/?$rid={rid}[&$version={n}]
//! $iothub/twin/PATCH/properties/reported/?$rid={rid}   $iothub/twin/PATCH/properties/desired/?$version={n}
//! $iothub/methods/res/{status}/?$rid={rid}             $iothub/methods/POST/{name}/?$rid={rid}
//! $dps/registrations/PUT/iotdps-register/?$rid={rid}   $dps/registrations/res/{status}/?$rid={rid}&retry-after={s}
//! $dps/registrations/GET/iotdps-get-operationstatus/?$rid={rid}&operationId={op}
//! ```
//!
//! Ids and method names are written raw. `?$rid=` stands first and request ids are echoed byte for byte: SDKs cut these
//! topics at fixed places.

use bytes::Bytes;
use model::identity::Identity;

use super::bag;
use crate::limits::{NAME_BYTES_MAX, REQUEST_ID_BYTES_MAX};

/// Filter a provisioning client subscribes to.
pub const DPS_FILTER: &str = "$dps/registrations/res/#";

const TWIN_GET: &[u8] = b"$iothub/twin/GET/";
const TWIN_PATCH_REPORTED: &[u8] = b"$iothub/twin/PATCH/properties/reported/";
const TWIN_PATCH_DESIRED: &[u8] = b"$iothub/twin/PATCH/properties/desired/";
const TWIN_RES: &[u8] = b"$iothub/twin/res/";
const METHODS_POST: &[u8] = b"$iothub/methods/POST/";
const METHODS_RES: &[u8] = b"$iothub/methods/res/";
const DPS_PUT: &[u8] = b"$dps/registrations/PUT/iotdps-register/";
const DPS_GET: &[u8] = b"$dps/registrations/GET/iotdps-get-operationstatus/";
const DPS_RES: &[u8] = b"$dps/registrations/res/";

/// Why a topic means nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseTopicError {
    /// No topic of the hub's, or one of another identity's.
    #[error("the topic is unknown or another identity's")]
    Unknown,
    /// A wildcard of filters stands where no id does: no topic to publish to.
    #[error("the topic has a wildcard, # or +, that is not escaped")]
    Wildcard,
    /// The request id is missing, empty or too long.
    #[error("the topic has no usable $rid")]
    RequestId,
    /// A status or version is not a number.
    #[error("the topic has a number that cannot be read")]
    Number,
}

/// What a client publishes to its hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientTopic {
    /// Telemetry, or a module's output.
    Telemetry {
        /// Properties.
        bag: Bytes,
    },
    /// Asks for the twin.
    TwinGet {
        /// To be echoed.
        request_id: Bytes,
    },
    /// Merges into the reported properties.
    TwinPatch {
        /// To be echoed.
        request_id: Bytes,
    },
    /// Answers a method.
    MethodResponse {
        /// The method handler's status.
        status: i32,
        /// That of the request.
        request_id: Bytes,
    },
}

/// What a device publishes to the provisioning service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DpsTopic {
    /// Register.
    Register {
        /// To be echoed.
        request_id: Bytes,
    },
    /// Poll.
    Status {
        /// To be echoed.
        request_id: Bytes,
        /// The operation.
        operation_id: String,
    },
}

/// What a hub publishes to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubTopic {
    /// Answers a twin request.
    TwinReply {
        /// HTTP-like status.
        status: u16,
        /// That of the request.
        request_id: Bytes,
        /// New reported version, after a patch.
        version: Option<u64>,
    },
    /// Desired properties changed.
    Desired {
        /// New desired version, if the topic names it.
        version: Option<u64>,
    },
    /// A direct method.
    Method {
        /// Its name.
        name: String,
        /// To be echoed.
        request_id: Bytes,
    },
    /// A message for an input of this module.
    Input {
        /// The input's name.
        input: String,
        /// Properties.
        bag: Bytes,
    },
    /// A message for this device.
    CloudToDevice {
        /// Properties.
        bag: Bytes,
    },
}

/// An answer of the provisioning service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpsReply {
    /// HTTP-like status.
    pub status: u16,
    /// That of the request.
    pub request_id: Bytes,
    /// Seconds to wait before the next request.
    pub retry_after_secs: Option<u32>,
}

/// Reads a topic a client published to its hub, as that identity.
pub fn parse_client_topic(topic: &Bytes, identity: &Identity) -> Result<ClientTopic, ParseTopicError> {
    // Ids are never escaped and may hold either sign.
    require_no_wildcard(after_identity(topic, identity).unwrap_or(topic))?;
    if let Some(bag) = under_identity(topic, identity, b"/messages/events") {
        return Ok(ClientTopic::Telemetry { bag });
    }
    if let Some(query) = after(topic, TWIN_GET) {
        return Ok(ClientTopic::TwinGet { request_id: request_id(&query)? });
    }
    if let Some(query) = after(topic, TWIN_PATCH_REPORTED) {
        return Ok(ClientTopic::TwinPatch { request_id: request_id(&query)? });
    }
    if let Some(rest) = after(topic, METHODS_RES) {
        let (status, query) = segment(&rest)?;
        return Ok(ClientTopic::MethodResponse { status: number(&status)?, request_id: request_id(&query)? });
    }
    Err(ParseTopicError::Unknown)
}

/// Reads a topic a device published to the provisioning service.
pub fn parse_dps_topic(topic: &Bytes) -> Result<DpsTopic, ParseTopicError> {
    require_no_wildcard(topic)?;
    if let Some(query) = after(topic, DPS_PUT) {
        return Ok(DpsTopic::Register { request_id: request_id(&query)? });
    }
    let query = after(topic, DPS_GET).ok_or(ParseTopicError::Unknown)?;
    let operation = parameter(&query, b"operationId").filter(|id| id.len() <= NAME_BYTES_MAX);
    Ok(DpsTopic::Status {
        request_id: request_id(&query)?,
        operation_id: operation.map(|id| bag::decode(&id).into_owned()).unwrap_or_default(),
    })
}

/// Reads a topic a hub published to that identity.
pub fn parse_hub_topic(topic: &Bytes, identity: &Identity) -> Result<HubTopic, ParseTopicError> {
    if let Some(rest) = after(topic, TWIN_RES) {
        let (status, query) = segment(&rest)?;
        let version = parameter(&query, b"$version").map(|text| number(&text)).transpose()?;
        return Ok(HubTopic::TwinReply { status: number(&status)?, request_id: request_id(&query)?, version });
    }
    if let Some(query) = after(topic, TWIN_PATCH_DESIRED) {
        let version = parameter(&query, b"$version").map(|text| number(&text)).transpose()?;
        return Ok(HubTopic::Desired { version });
    }
    if let Some(rest) = after(topic, METHODS_POST) {
        let (name, query) = segment(&rest)?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| ParseTopicError::Unknown)?;
        return Ok(HubTopic::Method { name, request_id: request_id(&query)? });
    }
    if let Some(bag) = under_identity(topic, identity, b"/messages/devicebound") {
        return Ok(HubTopic::CloudToDevice { bag });
    }
    let rest = under_identity(topic, identity, b"/inputs").ok_or(ParseTopicError::Unknown)?;
    let end = memchr::memchr(b'/', &rest).unwrap_or(rest.len());
    let bag = rest.slice(rest.len().min(end + 1)..);
    Ok(HubTopic::Input { input: bag::decode(&rest[..end]).into_owned(), bag })
}

/// Reads a topic the provisioning service published.
pub fn parse_dps_reply(topic: &Bytes) -> Result<DpsReply, ParseTopicError> {
    let rest = after(topic, DPS_RES).ok_or(ParseTopicError::Unknown)?;
    let (status, query) = segment(&rest)?;
    Ok(DpsReply {
        status: number(&status)?,
        request_id: request_id(&query)?,
        retry_after_secs: parameter(&query, b"retry-after").map(|text| number(&text)).transpose()?,
    })
}

/// What a subscription filter asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Direct methods.
    Methods,
    /// Twin replies.
    TwinReplies,
    /// Desired patches.
    Desired,
    /// Module inputs.
    Inputs,
    /// Cloud-to-device messages.
    CloudToDevice,
}

/// What a filter asks for, if that identity may ask for it.
pub fn parse_filter(filter: &str, identity: &Identity) -> Option<Filter> {
    match filter {
        "$iothub/methods/POST/#" => return Some(Filter::Methods),
        "$iothub/twin/res/#" => return Some(Filter::TwinReplies),
        "$iothub/twin/PATCH/properties/desired/#" => return Some(Filter::Desired),
        _ => {}
    }
    let own = after_identity(filter.as_bytes(), identity)?;
    match (own, identity.module_id()) {
        (b"/messages/devicebound/#", _) => Some(Filter::CloudToDevice),
        (b"/inputs/#" | b"/#", Some(_)) => Some(Filter::Inputs),
        _ => None,
    }
}

/// The filter our device role subscribes with.
pub fn filter(filter: Filter, identity: &Identity) -> String {
    match filter {
        Filter::Methods => "$iothub/methods/POST/#".to_owned(),
        Filter::TwinReplies => "$iothub/twin/res/#".to_owned(),
        Filter::Desired => "$iothub/twin/PATCH/properties/desired/#".to_owned(),
        Filter::Inputs => format!("{}/inputs/#", of_identity(identity)),
        Filter::CloudToDevice => format!("{}/messages/devicebound/#", of_identity(identity)),
    }
}

/// The identity's telemetry topic up to the bag: `devices/{d}[/modules/{m}]/messages/events/`.
pub fn telemetry_prefix(identity: &Identity) -> String {
    format!("{}/messages/events/", of_identity(identity))
}

/// How long that is.
pub(super) fn telemetry_prefix_bytes(identity: &Identity) -> usize {
    of_identity_bytes(identity) + "/messages/events/".len()
}

/// Asks for the twin.
pub fn twin_get(request_id: &str) -> String {
    format!("$iothub/twin/GET/?$rid={request_id}")
}

/// Patches the reported properties.
pub fn twin_patch_reported(request_id: &str) -> String {
    format!("$iothub/twin/PATCH/properties/reported/?$rid={request_id}")
}

/// Answers a method; the request id goes after it.
pub fn method_response_prefix(status: i32) -> String {
    format!("$iothub/methods/res/{status}/?$rid=")
}

/// Answers a twin request; the request id goes after it. The status has exactly three digits.
pub fn twin_reply_prefix(status: u16) -> String {
    format!("$iothub/twin/res/{:03}/?$rid=", status.clamp(100, 999))
}

/// What follows the request id in the answer to a patch.
pub fn version_suffix(version: u64) -> String {
    format!("&$version={version}")
}

/// Announces a desired patch.
pub fn desired_patch(version: u64) -> String {
    format!("$iothub/twin/PATCH/properties/desired/?$version={version}")
}

/// Invokes a method. `?$rid=` is the only parameter: C# takes everything after it.
pub fn method_request(name: &str, request_id: u32) -> String {
    format!("$iothub/methods/POST/{name}/?$rid={request_id:x}")
}

/// Whether a method of that name can be invoked: it is written raw, so it holds nothing the topic's own syntax needs.
pub fn is_method_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.contains(['/', '?', '#', '+', '%'])
        && !name.contains(char::is_control)
}

/// Whether an input of that name can be delivered to.
pub fn is_input_name(name: &str) -> bool {
    is_method_name(name)
}

/// System properties that go to an input, besides those without `$.`. Others are the sender's and its hub's own: SDKs would show
/// them among the application's.
const INPUT_SYSTEM_NAMES: [&str; 12] = [
    bag::EXPIRY,
    bag::CORRELATION_ID,
    bag::MESSAGE_ID,
    bag::TO,
    bag::USER_ID,
    bag::CONTENT_TYPE,
    bag::CONTENT_ENCODING,
    bag::SCHEMA,
    bag::CREATION_TIME,
    bag::CONNECTION_DEVICE_ID,
    bag::CONNECTION_MODULE_ID,
    bag::COMPONENT,
];

/// No topic for an input is longer than this before its bag, or with the bag that stands for none.
pub(super) fn input_prefix_bytes_max(identity: &Identity, input: &str) -> usize {
    let escaped = 3 * (input.len() + identity.device_id().len());
    of_identity_bytes(identity) + "/inputs//%24.cdid=".len() + escaped
}

/// A message for a module's input, with a bag that SDKs can read: never empty, system names as `%24.` and those only that go to
/// inputs, no `/` in it, no null and no empty values (Java fails on them, C# on a missing bag).
pub fn input(identity: &Identity, input: &str, bag: &[u8]) -> String {
    let mut topic = format!("{}/inputs/{}/", of_identity(identity), bag::encode(input));
    if !push_readable_bag(&mut topic, bag) {
        topic.push_str("%24.cdid=");
        topic.push_str(&bag::encode(identity.device_id()));
    }
    topic
}

/// A message for a device, with a bag that SDKs can read: begun with where it goes (C# fails on a missing bag), system names as
/// `%24.` and those only that go to inputs, no `/` in it.
pub fn cloud_to_device(device: &Identity, bag: &[u8]) -> String {
    let to = format!("/devices/{}/messages/devicebound", device.device_id());
    let mut topic = format!("{}/messages/devicebound/%24.to={}", of_identity(device), bag::encode(&to));
    for (name, value) in bag::iter(bag) {
        let is_other_hubs = bag::is_system_name(&name) && !INPUT_SYSTEM_NAMES.contains(&&*name);
        if is_other_hubs || name == bag::TO {
            continue;
        }
        topic.push('&');
        topic.push_str(&bag::encode(&name));
        if let Some(value) = value {
            topic.push('=');
            topic.push_str(&bag::encode(&value));
        }
    }
    topic
}

/// Appends the pairs every SDK can read; says whether there was one.
fn push_readable_bag(topic: &mut String, bag: &[u8]) -> bool {
    let start = topic.len();
    for (name, value) in bag::iter(bag) {
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        if bag::is_system_name(&name) && !INPUT_SYSTEM_NAMES.contains(&&*name) {
            continue;
        }
        if topic.len() > start {
            topic.push('&');
        }
        topic.push_str(&bag::encode(&name));
        topic.push('=');
        topic.push_str(&bag::encode(&value));
    }
    topic.len() > start
}

/// Registers.
pub fn dps_register(request_id: &str) -> String {
    format!("$dps/registrations/PUT/iotdps-register/?$rid={request_id}")
}

/// Polls.
pub fn dps_status(request_id: &str, operation_id: &str) -> String {
    let operation = bag::encode(operation_id);
    format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid={request_id}&operationId={operation}")
}

/// Answers a provisioning request; the request id goes after it.
pub fn dps_reply_prefix(status: u16) -> String {
    format!("$dps/registrations/res/{:03}/?$rid=", status.clamp(100, 999))
}

/// What follows the request id when the client shall come back. Lower case, and no other `$`: Python cuts there.
pub fn retry_after_suffix(secs: u32) -> String {
    format!("&retry-after={secs}")
}

fn of_identity(identity: &Identity) -> String {
    match identity.module_id() {
        Some(module) => format!("devices/{}/modules/{module}", identity.device_id()),
        None => format!("devices/{}", identity.device_id()),
    }
}

fn of_identity_bytes(identity: &Identity) -> usize {
    let module = identity.module_id().map_or(0, |module| "/modules/".len() + module.len());
    "devices/".len() + identity.device_id().len() + module
}

/// What follows `devices/{d}` or `devices/{d}/modules/{m}`, the slash included.
fn after_identity<'a>(topic: &'a [u8], identity: &Identity) -> Option<&'a [u8]> {
    let rest = topic.strip_prefix(b"devices/")?.strip_prefix(identity.device_id().as_bytes())?;
    match identity.module_id() {
        Some(module) => rest.strip_prefix(b"/modules/")?.strip_prefix(module.as_bytes()),
        None => Some(rest),
    }
}

/// What follows the identity's own `place`, without the slash before it and one slash after it: nobody owns that one (Node
/// and C# append it to the bag).
fn under_identity(topic: &Bytes, identity: &Identity, place: &[u8]) -> Option<Bytes> {
    let rest = after_identity(topic, identity)?.strip_prefix(place)?;
    let rest = match rest {
        [] => rest,
        [b'/', rest @ ..] => rest.strip_suffix(b"/").unwrap_or(rest),
        _ => return None,
    };
    Some(if rest.is_empty() { Bytes::new() } else { topic.slice_ref(rest) })
}

fn require_no_wildcard(topic: &[u8]) -> Result<(), ParseTopicError> {
    memchr::memchr2(b'#', b'+', topic).map_or(Ok(()), |_| Err(ParseTopicError::Wildcard))
}

fn after(topic: &Bytes, prefix: &[u8]) -> Option<Bytes> {
    topic.starts_with(prefix).then(|| topic.slice(prefix.len()..))
}

/// The text up to the next slash, and what follows it.
fn segment(rest: &Bytes) -> Result<(Bytes, Bytes), ParseTopicError> {
    let end = memchr::memchr(b'/', rest).ok_or(ParseTopicError::Unknown)?;
    Ok((rest.slice(..end), rest.slice(end + 1..)))
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, ParseTopicError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(ParseTopicError::Number)
}

/// The first parameter of that name in `?name=value&…`.
fn parameter(query: &Bytes, name: &[u8]) -> Option<Bytes> {
    let fields = query.strip_prefix(b"?")?;
    let value = fields.split(|byte| *byte == b'&').find_map(|field| field.strip_prefix(name)?.strip_prefix(b"="))?;
    Some(if value.is_empty() { Bytes::new() } else { query.slice_ref(value) })
}

fn request_id(query: &Bytes) -> Result<Bytes, ParseTopicError> {
    parameter(query, b"$rid")
        .filter(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()))
        .ok_or(ParseTopicError::RequestId)
}

#[cfg(test)]
mod tests;

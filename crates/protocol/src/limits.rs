//! Every bound of the protocol, by name, with what is held at the most.

use std::time::Duration;

use model::message::MESSAGE_BYTES_MAX;

/// Largest MQTT packet taken in, in bytes, fixed header excluded: the largest message, the longest topic and some room for
/// the packet's own fields. What does not fit closes the connection before it is buffered.
pub const PACKET_BYTES_MAX: usize = MESSAGE_BYTES_MAX + TEXT_BYTES_MAX + 16;

/// Largest CONNECT taken in, which anybody may send: a will with the longest payload, and 16 KiB for client id, user name, token
/// and topic.
pub const CONNECT_BYTES_MAX: usize = TEXT_BYTES_MAX + 16 * 1024;

/// Longest MQTT string, in bytes: the length prefix has 16 bits.
pub const TEXT_BYTES_MAX: usize = 65_535;

/// Largest value of MQTT's variable-length "remaining length" (four bytes of seven bits).
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// Most filters in one SUBSCRIBE or UNSUBSCRIBE. SDKs send one to five.
pub const FILTERS_MAX: usize = 32;

/// Longest device, module or registration id, in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// Longest model id a device announces, in bytes. Interfaces have at most 128 characters.
pub const MODEL_ID_BYTES_MAX: usize = 256;

/// Longest request id (`$rid`) that is echoed, in bytes. SDKs send a UUID or a small number.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Longest direct-method name or input name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Largest payload of a direct method, each way (128 KiB).
pub const METHOD_PAYLOAD_BYTES_MAX: usize = 128 * 1024;

/// Largest register body taken in.
pub const REGISTER_BYTES_MAX: usize = 64 * 1024;

/// How long a client may take from the open connection to its CONNECT.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest keep-alive granted, in seconds: 1.5 times this is the hub's documented cap of 1767 s.
pub const KEEP_ALIVE_SECS_MAX: u16 = 1177;

/// Clock skew allowed when a token's expiry is checked.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// How long a connection may outlive its token (the hub lets it run about ten minutes on).
pub const TOKEN_GRACE: Duration = Duration::from_secs(10 * 60);

/// Ids in an `auth-chain`: the target, its device, and the gateways between it and this hub (five levels are documented).
pub const AUTH_CHAIN_LENGTH_MAX: usize = 8;

/// Certificates of a client's chain that are taken in, the leaf among them: a root, and three between.
pub const CLIENT_CHAIN_CERTIFICATES_MAX: usize = 5;

/// Bytes of a client's chain that are taken in: RSA with 4096 bits and long names make 2 KiB a certificate.
pub const CLIENT_CHAIN_BYTES_MAX: usize = 16 * 1024;

/// Signatures that are checked for one chain: many certificates may have the same name.
pub const CLIENT_CHAIN_SIGNATURES_MAX: usize = 16;

/// Device role: how long the hub may take to answer CONNECT and SUBSCRIBE.
pub const CONNACK_TIMEOUT: Duration = Duration::from_secs(60);

/// Device role: how long the hub may take to answer a PINGREQ before it counts as gone.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Device role: how long the oldest unacknowledged publish may wait before the connection counts as dead.
pub const PUBACK_TIMEOUT: Duration = Duration::from_secs(120);

/// Largest cloud-to-device message: body and properties together, in bytes (64 KiB).
pub const CLOUD_TO_DEVICE_BYTES_MAX: usize = 64 * 1024;

/// Most deliveries (inputs, cloud-to-device messages) a hub has on the way to one client without PUBACK.
pub const DELIVERIES_IN_FLIGHT_MAX: usize = 64;

/// Deliveries nobody waits for any more that one client may still acknowledge; then its session ends, and it begins anew. An input that
/// is never acknowledged makes one in half a minute.
pub const DELIVERIES_GIVEN_UP_MAX: usize = 1024;

// There is a packet id for each.
const _: () = assert!(DELIVERIES_IN_FLIGHT_MAX + DELIVERIES_GIVEN_UP_MAX < u16::MAX as usize);

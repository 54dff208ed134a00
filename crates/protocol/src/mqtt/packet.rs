//! The packets.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// UTF-8 text that is a slice of the buffer it was read from.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text(Bytes);

impl Text {
    /// Takes bytes that are UTF-8; gives nothing if they are not.
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    /// The text's bytes, sharing the buffer.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a Text is made from UTF-8 only and never changes")
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

/// Quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// 0: sent once, not acknowledged.
    AtMostOnce = 0,
    /// 1: sent until acknowledged.
    AtLeastOnce = 1,
    /// 2: not offered by hubs.
    ExactlyOnce = 2,
}

impl QoS {
    /// From its two bits.
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// One control packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Client to server, first of all.
    Connect(Box<Connect>),
    /// The answer to it.
    ConnAck {
        /// Whether the server still knows the session.
        session_present: bool,
        /// Yes or no.
        code: ConnectReturnCode,
    },
    /// A message, either way.
    Publish(Publish),
    /// Acknowledges a QoS 1 publish.
    PubAck(u16),
    /// Part of QoS 2.
    PubRec(u16),
    /// Part of QoS 2.
    PubRel(u16),
    /// Part of QoS 2.
    PubComp(u16),
    /// Asks for topics.
    Subscribe {
        /// Echoed by the SUBACK.
        packet_id: u16,
        /// Filters with the quality of service asked for.
        filters: Vec<(Text, QoS)>,
    },
    /// The answer, one entry a filter: granted, or refused (`None`, 0x80).
    SubAck {
        /// That of the SUBSCRIBE.
        packet_id: u16,
        /// Granted quality of service, or none.
        granted: Vec<Option<QoS>>,
    },
    /// Gives topics back.
    Unsubscribe {
        /// Echoed by the UNSUBACK.
        packet_id: u16,
        /// The filters.
        filters: Vec<Text>,
    },
    /// The answer.
    UnsubAck(u16),
    /// Are you there?
    PingReq,
    /// Yes.
    PingResp,
    /// The client leaves in good order.
    Disconnect,
}

/// CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Start without an earlier session.
    pub clean_session: bool,
    /// Longest silence in seconds, 0 for no limit.
    pub keep_alive_secs: u16,
    /// Client id, may be empty.
    pub client_id: Text,
    /// Message to publish when the connection breaks.
    pub will: Option<Will>,
    /// User name.
    pub user_name: Option<Text>,
    /// Password; a user name goes with it.
    pub password: Option<Bytes>,
}

/// The message a client leaves for the case that its connection breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Topic.
    pub topic: Text,
    /// Payload.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
}

/// PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Sent before.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Topic.
    pub topic: Text,
    /// Present, and not 0, exactly when the quality of service is not 0.
    pub packet_id: Option<u16>,
    /// Payload.
    pub payload: Bytes,
}

/// The server's word on a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectReturnCode {
    /// 0
    #[error("accepted")]
    Accepted = 0,
    /// 1
    #[error("unacceptable protocol version")]
    UnacceptableProtocolVersion = 1,
    /// 2
    #[error("client id rejected")]
    IdentifierRejected = 2,
    /// 3
    #[error("server unavailable")]
    ServerUnavailable = 3,
    /// 4
    #[error("bad user name or password")]
    BadUserNameOrPassword = 4,
    /// 5
    #[error("not authorized")]
    NotAuthorized = 5,
}

impl ConnectReturnCode {
    /// From its byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Accepted),
            1 => Some(Self::UnacceptableProtocolVersion),
            2 => Some(Self::IdentifierRejected),
            3 => Some(Self::ServerUnavailable),
            4 => Some(Self::BadUserNameOrPassword),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(in crate::mqtt) mod tests;

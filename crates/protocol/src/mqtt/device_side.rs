//! The device's role, towards a hub or the provisioning service.
//!
//! ```text
//! Connecting --CONNACK 0--> Subscribing --SUBACK--> Ready --> Closed
//! ```
//!
//! Publishes at QoS 1 within a window. What was not acknowledged when the connection ends is the owner's to send again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use model::identity::Identity;
use model::message::Message;

use super::{
    Connect, ConnectReturnCode, DecodeError, EncodeError, Packet, Publish, QoS, Text, decode, encode, packet_id,
    receipt,
};
use crate::event::{DeviceEvent, Receipt, Subscriptions};
use crate::hub::topic::{self, Filter, HubTopic, ParseTopicError};
use crate::hub::username::{DpsUserName, HubUserName};
use crate::limits::{CONNACK_TIMEOUT, PING_TIMEOUT, PUBACK_TIMEOUT};

/// How to connect.
#[derive(Debug, Clone)]
pub struct DeviceOptions {
    /// As whom; `None` to be provisioned.
    identity: Option<Identity>,
    client_id: String,
    user_name: String,
    filters: Vec<String>,
    /// Password: a token.
    pub password: Option<String>,
    /// Longest silence.
    pub keep_alive: Duration,
    /// Whether the hub shall forget an earlier session.
    pub clean_session: bool,
    /// Publishes without PUBACK at a time.
    pub window: usize,
}

impl DeviceOptions {
    /// For a hub.
    pub fn hub(user: &HubUserName, subscribe: Subscriptions) -> Self {
        let wanted = [
            (subscribe.twin_replies, Filter::TwinReplies),
            (subscribe.desired, Filter::Desired),
            (subscribe.methods, Filter::Methods),
            (subscribe.inputs, Filter::Inputs),
            (subscribe.cloud_to_device, Filter::CloudToDevice),
        ];
        let filters = wanted.iter().filter(|(wanted, _)| *wanted);
        Self {
            client_id: user.identity.to_string(),
            user_name: user.to_string(),
            filters: filters.map(|(_, filter)| topic::filter(*filter, &user.identity)).collect(),
            ..Self::with(Some(user.identity.clone()))
        }
    }

    /// For the provisioning service.
    pub fn dps(user: &DpsUserName) -> Self {
        Self {
            client_id: user.registration_id.clone(),
            user_name: user.to_string(),
            filters: vec![topic::DPS_FILTER.to_owned()],
            clean_session: true,
            ..Self::with(None)
        }
    }

    fn with(identity: Option<Identity>) -> Self {
        Self {
            identity,
            client_id: String::new(),
            user_name: String::new(),
            filters: Vec::new(),
            password: None,
            keep_alive: Duration::from_secs(60),
            clean_session: false,
            window: 64,
        }
    }
}

/// Why the connection has to close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseDevice {
    /// The hub does not speak MQTT 3.1.1.
    #[error("the hub broke the protocol")]
    Decode(#[from] DecodeError),
    /// The hub said no.
    #[error("the hub refused the connection: {0}")]
    Refused(ConnectReturnCode),
    /// A filter was refused.
    #[error("the hub refused a subscription")]
    SubscriptionRefused,
    /// CONNACK or SUBACK took too long.
    #[error("the hub did not answer in time")]
    ConnectTimeout,
    /// PINGRESP took too long.
    #[error("the hub does not answer pings")]
    PingTimeout,
    /// A PUBACK took too long.
    #[error("the hub does not acknowledge")]
    PubackTimeout,
    /// A packet that makes no sense in this state or from a hub.
    #[error("the hub sent a packet that makes no sense here")]
    Unexpected,
    /// A topic hubs do not send.
    #[error("the hub sent an unknown topic")]
    Topic(#[from] ParseTopicError),
}

/// Why nothing was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The window is full: wait for [`DeviceEvent::Acknowledged`].
    #[error("the window is full")]
    Window,
    /// Not connected.
    #[error("there is no connection")]
    NotReady,
    /// Topic or packet would be too long.
    #[error("the message cannot be encoded")]
    Encode(#[from] EncodeError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Subscribing { session_present: bool },
    Ready,
    Closed,
}

/// One connection as the device sees it.
#[derive(Debug)]
pub struct DeviceConnection {
    options: DeviceOptions,
    telemetry_prefix: String,
    phase: Phase,
    started: Instant,
    last_received: Instant,
    last_sent: Instant,
    ping_sent: Option<Instant>,
    in_flight: VecDeque<(u16, Instant)>,
    last_packet_id: u16,
    output: BytesMut,
}

/// The first SUBSCRIBE of a connection.
const SUBSCRIBE_ID: u16 = 1;

impl DeviceConnection {
    /// A connection that just opened; CONNECT is in the output.
    pub fn new(now: Instant, options: DeviceOptions) -> Result<Self, EncodeError> {
        let mut output = BytesMut::new();
        let connect = Connect {
            clean_session: options.clean_session,
            keep_alive_secs: u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX),
            client_id: options.client_id.as_str().into(),
            will: None,
            user_name: Some(options.user_name.as_str().into()),
            password: options.password.as_ref().map(|text| Bytes::copy_from_slice(text.as_bytes())),
        };
        encode::connect(&connect, &mut output)?;
        Ok(Self {
            telemetry_prefix: options.identity.as_ref().map(topic::telemetry_prefix).unwrap_or_default(),
            options,
            phase: Phase::Connecting,
            started: now,
            last_received: now,
            last_sent: now,
            ping_sent: None,
            in_flight: VecDeque::new(),
            last_packet_id: SUBSCRIBE_ID,
            output,
        })
    }

    /// Takes packets off the input until one means something to the owner, or no whole packet is left.
    pub fn poll(&mut self, now: Instant, input: &mut BytesMut) -> Result<Option<DeviceEvent>, CloseDevice> {
        while self.phase != Phase::Closed {
            let packet = match decode(input) {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.closed(error.into())),
            };
            self.last_received = now;
            self.ping_sent = None;
            match self.take(packet) {
                Ok(None) => {}
                Ok(event) => return Ok(event),
                Err(close) => return Err(self.closed(close)),
            }
        }
        Ok(None)
    }

    fn closed(&mut self, close: CloseDevice) -> CloseDevice {
        self.phase = Phase::Closed;
        close
    }

    fn take(&mut self, packet: Packet) -> Result<Option<DeviceEvent>, CloseDevice> {
        match (packet, self.phase) {
            (Packet::ConnAck { session_present, code }, Phase::Connecting) => self.take_connack(session_present, code),
            (Packet::SubAck { packet_id: SUBSCRIBE_ID, granted }, Phase::Subscribing { session_present }) => {
                if granted.contains(&None) {
                    return Err(CloseDevice::SubscriptionRefused);
                }
                self.phase = Phase::Ready;
                Ok(Some(DeviceEvent::Ready { session_present }))
            }
            // A hub that still knows the session may deliver before SUBACK.
            (Packet::Publish(publish), Phase::Subscribing { .. } | Phase::Ready) => {
                self.take_publish(publish).map(Some)
            }
            (Packet::PubAck(id), Phase::Ready) => Ok(self.take_puback(id)),
            // A hub that grants no messages sends none.
            (Packet::SubAck { .. } | Packet::UnsubAck(_), Phase::Ready) => Ok(None),
            (Packet::PingResp, Phase::Subscribing { .. } | Phase::Ready) => Ok(None),
            _ => Err(CloseDevice::Unexpected),
        }
    }

    fn take_connack(
        &mut self,
        session_present: bool,
        code: ConnectReturnCode,
    ) -> Result<Option<DeviceEvent>, CloseDevice> {
        if code != ConnectReturnCode::Accepted {
            return Err(CloseDevice::Refused(code));
        }
        if self.options.filters.is_empty() {
            self.phase = Phase::Ready;
            return Ok(Some(DeviceEvent::Ready { session_present }));
        }
        self.phase = Phase::Subscribing { session_present };
        let filters =
            self.options.filters.iter().map(|filter| (Text::from(filter.as_str()), QoS::AtLeastOnce)).collect();
        encode::encode(&Packet::Subscribe { packet_id: SUBSCRIBE_ID, filters }, &mut self.output)
            .expect("five filters with ids as long as in CONNECT fit MQTT's lengths");
        Ok(None)
    }

    fn take_publish(&mut self, publish: Publish) -> Result<DeviceEvent, CloseDevice> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(CloseDevice::Unexpected);
        }
        let (body, receipt, again) = (publish.payload, publish.packet_id.map(receipt), publish.dup);
        let Some(identity) = &self.options.identity else {
            let reply = topic::parse_dps_reply(publish.topic.as_bytes())?;
            receipt.into_iter().for_each(|receipt| self.acknowledge(receipt));
            return Ok(DeviceEvent::DpsReply { reply, body });
        };
        let event = match topic::parse_hub_topic(publish.topic.as_bytes(), identity)? {
            HubTopic::TwinReply { status, request_id, version } => {
                DeviceEvent::TwinReply { status, request_id, version, body }
            }
            HubTopic::Desired { version } => DeviceEvent::Desired { version, patch: body },
            HubTopic::Method { name, request_id } => DeviceEvent::Method { name, request_id, payload: body },
            HubTopic::Input { input, bag } => {
                return Ok(DeviceEvent::Input { input, message: Message { bag, body }, receipt });
            }
            HubTopic::CloudToDevice { bag } => {
                return Ok(DeviceEvent::CloudToDevice { message: Message { bag, body }, again, receipt });
            }
        };
        receipt.into_iter().for_each(|receipt| self.acknowledge(receipt));
        Ok(event)
    }

    fn take_puback(&mut self, id: u16) -> Option<DeviceEvent> {
        let at = self.in_flight.iter().position(|(sent, _)| *sent == id)?;
        self.in_flight.remove(at);
        Some(DeviceEvent::Acknowledged(receipt(id)))
    }

    /// Publishes telemetry at QoS 1; the receipt comes back with [`DeviceEvent::Acknowledged`].
    pub fn publish(&mut self, now: Instant, message: &Message) -> Result<Receipt, PublishError> {
        if self.options.identity.is_none() {
            return Err(PublishError::NotReady);
        }
        if self.window_left() == 0 {
            return Err(if self.phase == Phase::Ready { PublishError::Window } else { PublishError::NotReady });
        }
        let id = self.next_packet_id();
        let topic = [self.telemetry_prefix.as_bytes(), &message.bag];
        encode::publish_topic(&topic, Some(id), &message.body, &mut self.output)?;
        self.in_flight.push_back((id, now));
        Ok(receipt(id))
    }

    fn next_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            // The window is far below 65,535, and acknowledgements come in order: the scan ends at once.
            if !self.in_flight.iter().any(|(id, _)| *id == self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }

    /// How many publishes may still go out now.
    pub fn window_left(&self) -> usize {
        match self.phase {
            Phase::Ready => self.options.window.saturating_sub(self.in_flight.len()),
            _ => 0,
        }
    }

    /// How many publishes wait for their PUBACK.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Asks for the twin; the request id (short, of the owner's choice) comes back with the answer.
    pub fn twin_get(&mut self, request_id: &str) -> Result<(), PublishError> {
        self.publish_plain(&[topic::twin_get(request_id).as_bytes()], b" ")
    }

    /// Patches the reported properties.
    pub fn patch_reported(&mut self, request_id: &str, patch: &[u8]) -> Result<(), PublishError> {
        self.publish_plain(&[topic::twin_patch_reported(request_id).as_bytes()], patch)
    }

    /// Answers a method.
    pub fn reply_method(&mut self, request_id: &[u8], status: i32, payload: &[u8]) -> Result<(), PublishError> {
        self.publish_plain(&[topic::method_response_prefix(status).as_bytes(), request_id], payload)
    }

    /// Registers, as a provisioning client.
    pub fn dps_register(&mut self, request_id: &str, body: &[u8]) -> Result<(), PublishError> {
        self.publish_plain(&[topic::dps_register(request_id).as_bytes()], body)
    }

    /// Polls a registration.
    pub fn dps_status(&mut self, request_id: &str, operation_id: &str) -> Result<(), PublishError> {
        self.publish_plain(&[topic::dps_status(request_id, operation_id).as_bytes()], b" ")
    }

    /// Asks for cloud-to-device messages from now on, or for no more.
    pub fn listen_to_messages(&mut self, wanted: bool) -> Result<(), PublishError> {
        let identity = self.options.identity.as_ref().filter(|_| self.phase == Phase::Ready);
        let filter = topic::filter(Filter::CloudToDevice, identity.ok_or(PublishError::NotReady)?);
        let filter = Text::from(filter.as_str());
        let packet_id = self.next_packet_id();
        let packet = match wanted {
            true => Packet::Subscribe { packet_id, filters: vec![(filter, QoS::AtLeastOnce)] },
            false => Packet::Unsubscribe { packet_id, filters: vec![filter] },
        };
        Ok(encode::encode(&packet, &mut self.output)?)
    }

    /// Requests and answers go at QoS 0: what answers them, or the end of the connection, is acknowledgement enough.
    fn publish_plain(&mut self, topic: &[&[u8]], body: &[u8]) -> Result<(), PublishError> {
        if self.phase != Phase::Ready {
            return Err(PublishError::NotReady);
        }
        Ok(encode::publish_topic(topic, None, body, &mut self.output)?)
    }

    /// Settles a delivery.
    pub fn acknowledge(&mut self, receipt: Receipt) {
        if self.phase != Phase::Closed {
            encode::puback(packet_id(receipt), &mut self.output);
        }
    }

    /// Leaves in good order: write the output, then close.
    pub fn disconnect(&mut self) {
        if self.phase != Phase::Closed {
            encode::encode(&Packet::Disconnect, &mut self.output).expect("DISCONNECT has two bytes");
            self.phase = Phase::Closed;
        }
    }

    /// Bytes to write, taken out; the clock of the keep-alive starts again.
    pub fn take_output(&mut self, now: Instant) -> BytesMut {
        if !self.output.is_empty() {
            self.last_sent = now;
        }
        std::mem::take(&mut self.output)
    }

    /// Bytes waiting to be taken.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Says that silence is our own doing, because the owner does not read at the moment.
    pub fn excuse_silence(&mut self, now: Instant) {
        self.last_received = now;
        self.ping_sent = None;
        self.in_flight.iter_mut().for_each(|(_, sent)| *sent = now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if nothing comes before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed => None,
            Phase::Connecting | Phase::Subscribing { .. } => Some(self.started + CONNACK_TIMEOUT),
            Phase::Ready => {
                let ping = match self.ping_sent {
                    Some(sent) => sent + PING_TIMEOUT,
                    None => self.next_ping(),
                };
                let puback = self.in_flight.front().map(|(_, sent)| *sent + PUBACK_TIMEOUT);
                Some(puback.map_or(ping, |puback| puback.min(ping)))
            }
        }
    }

    /// Silence in either direction is broken after half the keep-alive: the hub wants to hear from us, we from it.
    fn next_ping(&self) -> Instant {
        self.last_sent.min(self.last_received) + self.options.keep_alive.max(Duration::from_secs(2)) / 2
    }

    /// Checks the clocks: sends a ping, or gives the hub up.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), CloseDevice> {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        if self.phase != Phase::Ready {
            return Err(self.closed(CloseDevice::ConnectTimeout));
        }
        if self.in_flight.front().is_some_and(|(_, sent)| now >= *sent + PUBACK_TIMEOUT) {
            return Err(self.closed(CloseDevice::PubackTimeout));
        }
        if self.ping_sent.is_some() {
            return Err(self.closed(CloseDevice::PingTimeout));
        }
        encode::encode(&Packet::PingReq, &mut self.output).expect("PINGREQ has two bytes");
        self.ping_sent = Some(now);
        Ok(())
    }
}

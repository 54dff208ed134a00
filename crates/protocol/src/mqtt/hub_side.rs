//! The hub's role, for hub and provisioning clients alike: the CONNECT user name says which it is.
//!
//! ```text
//! AwaitConnect --CONNECT--> Deciding --accept--> Hub | Dps --DISCONNECT--> Closed
//!      |                       |                     |
//!      +--- anything else -----+------ refuse -------+--- error, timeout --> Closed
//! ```
//!
//! Telemetry is acknowledged only by [`Face::acknowledge`], a request only by its answer. MQTT has no way to say
//! no to a publish: one that cannot be taken closes the connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use model::identity::Identity;
use model::message::Message;
use serde_json::json;

use super::{
    Connect, ConnectReturnCode, DecodeError, Packet, Publish, QoS, Text, Will, decode, encode, packet_id, receipt,
};
use crate::event::{
    CallId, ConnectAttempt, DeliverError, DpsConnectAttempt, Face, HubEvent, PendingRequest, QueueNumber, Receipt,
    Refusal, Subscriptions,
};
use crate::hub::bag;
use crate::hub::delivery::{self, Undeliverable};
use crate::hub::topic::{self, ClientTopic, DpsTopic, Filter, ParseTopicError};
use crate::hub::username::{ParseUserNameError, UserName};
use crate::limits::{
    CONNECT_TIMEOUT, DELIVERIES_GIVEN_UP_MAX, DELIVERIES_IN_FLIGHT_MAX, KEEP_ALIVE_SECS_MAX, METHOD_PAYLOAD_BYTES_MAX,
};

/// Why the connection has to close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseHub {
    /// The client does not speak MQTT 3.1.1.
    #[error("the client broke the protocol")]
    Decode(#[from] DecodeError),
    /// The first packet was something else.
    #[error("the first packet was not CONNECT")]
    NotConnected,
    /// A second CONNECT.
    #[error("the client sent a second CONNECT")]
    ConnectedTwice,
    /// CONNECT took too long.
    #[error("CONNECT did not come in time")]
    ConnectTimeout,
    /// User name and client id make no sense; the client was told.
    #[error("the user name is refused")]
    UserName(#[from] ParseUserNameError),
    /// The user name is missing; the client was told.
    #[error("the user name is missing")]
    NoUserName,
    /// The will is not telemetry of the client's own; the client was told.
    #[error("the will is not telemetry of the client itself")]
    Will,
    /// Nothing came for 1.5 times the keep-alive.
    #[error("the client was silent for longer than its keep-alive")]
    KeepAlive,
    /// The token's time and its grace are over.
    #[error("the token expired")]
    Expired,
    /// QoS 2 is not offered.
    #[error("the client published at quality of service 2")]
    QoS2,
    /// A topic that is not the client's to publish to.
    #[error("a topic is refused")]
    Topic(#[from] ParseTopicError),
    /// A message that could not be sent on.
    #[error("a message is refused")]
    Undeliverable(#[from] Undeliverable),
    /// A method answer beyond its limit.
    #[error("a method's answer of {0} bytes is too large")]
    TooLarge(usize),
    /// A packet only servers send.
    #[error("the client sent a packet that only servers send")]
    Role,
    /// The hub refused the CONNECT; the client was told.
    #[error("the connection is refused: {0}")]
    Refused(ConnectReturnCode),
}

/// What a CONNECT begins with: its kind, and no flags.
const CONNECT_FIRST_BYTE: u8 = 0x10;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    AwaitConnect,
    /// The flag says whether it is for provisioning.
    Deciding {
        dps: bool,
    },
    Hub,
    Dps {
        subscribed: bool,
    },
    Closed,
}

/// One client connection as the hub sees it.
#[derive(Debug)]
pub struct HubConnection {
    phase: Phase,
    /// Set from CONNECT on; a provisioning client has none.
    identity: Option<Identity>,
    /// 1.5 times what the client asked for.
    silence_max: Duration,
    /// When the connection opened, then when the last packet came.
    last_received: Instant,
    expires_at: Option<Instant>,
    subscriptions: Subscriptions,
    /// SUBACK or UNSUBACK that waits for the owner's word.
    unconfirmed: Option<Box<Packet>>,
    will: Option<Box<Message>>,
    deliveries: VecDeque<u16>,
    /// Packet ids of deliveries that nobody waits for, which the client may still acknowledge.
    given_up: Vec<u16>,
    last_packet_id: u16,
    last_method_id: u32,
    output: BytesMut,
}

impl Face for HubConnection {
    type Close = CloseHub;

    fn open(now: Instant) -> Self {
        Self {
            phase: Phase::AwaitConnect,
            identity: None,
            silence_max: CONNECT_TIMEOUT,
            last_received: now,
            expires_at: None,
            subscriptions: Subscriptions::default(),
            unconfirmed: None,
            will: None,
            deliveries: VecDeque::new(),
            given_up: Vec::new(),
            last_packet_id: 0,
            last_method_id: 0,
            output: BytesMut::new(),
        }
    }

    fn poll(&mut self, now: Instant, input: &mut BytesMut) -> Result<Option<HubEvent>, CloseHub> {
        // Nobody knows who sends: what can be no CONNECT is not waited for.
        if self.phase == Phase::AwaitConnect && input.first().is_some_and(|first| *first != CONNECT_FIRST_BYTE) {
            self.phase = Phase::Closed;
            return Err(CloseHub::NotConnected);
        }
        while !matches!(self.phase, Phase::Deciding { .. } | Phase::Closed) && self.unconfirmed.is_none() {
            let packet = match decode(input) {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.refuse_version(error)),
            };
            self.last_received = now;
            if let Some(event) = self.take(packet).inspect_err(|_| self.phase = Phase::Closed)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn accept(&mut self, now: Instant, session_present: bool, known: Subscriptions, expires_at: Option<Instant>) {
        let Phase::Deciding { dps } = self.phase else { return };
        self.phase = if dps { Phase::Dps { subscribed: false } } else { Phase::Hub };
        self.last_received = now;
        self.expires_at = expires_at;
        if !dps {
            self.subscriptions = known;
        }
        encode::connack(session_present && !dps, ConnectReturnCode::Accepted, &mut self.output);
    }

    fn refuse(&mut self, refusal: Refusal) -> CloseHub {
        let code = match refusal {
            Refusal::NotAuthorized => ConnectReturnCode::NotAuthorized,
            Refusal::Unavailable => ConnectReturnCode::ServerUnavailable,
        };
        self.refuse_with(code, CloseHub::Refused(code))
    }

    fn confirm_subscriptions(&mut self) {
        if let Some(answer) = self.unconfirmed.take() {
            self.write(&answer);
        }
    }

    fn acknowledge(&mut self, receipt: Receipt) {
        encode::puback(packet_id(receipt), &mut self.output);
    }

    fn reply_twin(&mut self, request: PendingRequest, twin: &[u8]) {
        self.reply(request, &topic::twin_reply_prefix(200), "", twin);
    }

    fn reply_patch(&mut self, request: PendingRequest, version: u64) {
        self.reply(request, &topic::twin_reply_prefix(204), &topic::version_suffix(version), b"");
    }

    fn reply_twin_error(&mut self, request: PendingRequest, status: u16, message: &str) {
        let body = json!({"errorCode": u32::from(status) * 1000, "message": message}).to_string();
        self.reply(request, &topic::twin_reply_prefix(status), "", body.as_bytes());
    }

    fn reply_dps(&mut self, request: PendingRequest, status: u16, retry_after_secs: Option<u32>, body: &[u8]) {
        let suffix = retry_after_secs.map(topic::retry_after_suffix).unwrap_or_default();
        self.reply(request, &topic::dps_reply_prefix(status), &suffix, body);
    }

    fn desired_patch(&mut self, version: u64, patch: &[u8]) -> Result<(), DeliverError> {
        if !self.subscriptions.desired {
            return Err(DeliverError::NotSubscribed);
        }
        let topic = topic::desired_patch(version);
        Ok(encode::publish_topic(&[topic.as_bytes()], None, patch, &mut self.output)?)
    }

    fn invoke_method(&mut self, name: &str, payload: &[u8]) -> Result<CallId, DeliverError> {
        if !self.subscriptions.methods {
            return Err(DeliverError::NotSubscribed);
        }
        self.last_method_id = self.last_method_id.wrapping_add(1);
        let topic = topic::method_request(name, self.last_method_id);
        encode::publish_topic(&[topic.as_bytes()], None, payload, &mut self.output)?;
        Ok(CallId(self.last_method_id))
    }

    fn deliver_input(&mut self, input: &str, message: &Message) -> Result<Option<Receipt>, DeliverError> {
        let identity =
            self.identity.as_ref().filter(|_| self.subscriptions.inputs).ok_or(DeliverError::NotSubscribed)?;
        let topic = topic::input(identity, input, &message.bag);
        let packet_id = match self.subscriptions.inputs_unacknowledged {
            true => None,
            _ if self.deliveries.len() >= DELIVERIES_IN_FLIGHT_MAX => return Err(DeliverError::Window),
            _ => Some(self.next_packet_id()),
        };
        encode::publish_topic(&[topic.as_bytes()], packet_id, &message.body, &mut self.output)?;
        self.deliveries.extend(packet_id);
        Ok(packet_id.map(receipt))
    }

    fn deliver_cloud_to_device(
        &mut self,
        number: QueueNumber,
        message: &Message,
    ) -> Result<Option<Receipt>, DeliverError> {
        let identity =
            self.identity.as_ref().filter(|_| self.subscriptions.cloud_to_device).ok_or(DeliverError::NotSubscribed)?;
        let topic = topic::cloud_to_device(identity, &message.bag);
        let packet_id = match self.subscriptions.cloud_to_device_unacknowledged {
            true => None,
            _ if self.deliveries.len() >= DELIVERIES_IN_FLIGHT_MAX => return Err(DeliverError::Window),
            _ => Some(self.packet_id_of(number.number)),
        };
        // To the client it is the same packet again only under the id it had.
        match packet_id.filter(|id| number.again && *id == own_packet_id(number.number)) {
            Some(id) => encode::publish_again(&[topic.as_bytes()], id, &message.body, &mut self.output)?,
            None => encode::publish_topic(&[topic.as_bytes()], packet_id, &message.body, &mut self.output)?,
        }
        self.deliveries.extend(packet_id);
        Ok(packet_id.map(receipt))
    }

    fn give_up(&mut self, receipt: Receipt) -> bool {
        let id = packet_id(receipt);
        if let Some(at) = self.deliveries.iter().position(|delivery| *delivery == id) {
            self.deliveries.remove(at);
            self.given_up.push(id);
        }
        self.given_up.len() < DELIVERIES_GIVEN_UP_MAX
    }

    fn take_will(&mut self) -> Option<Message> {
        self.will.take().map(|will| *will)
    }

    fn take_output(&mut self) -> BytesMut {
        std::mem::take(&mut self.output)
    }

    fn output_len(&self) -> usize {
        self.output.len()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let silence = self.last_received + self.silence_max;
        match self.phase {
            Phase::AwaitConnect => Some(silence),
            Phase::Hub | Phase::Dps { .. } => Some(self.expires_at.map_or(silence, |expiry| expiry.min(silence))),
            Phase::Deciding { .. } | Phase::Closed => None,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), CloseHub> {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let close = match self.phase {
            Phase::AwaitConnect => CloseHub::ConnectTimeout,
            _ if self.expires_at.is_some_and(|expiry| now >= expiry) => CloseHub::Expired,
            _ => CloseHub::KeepAlive,
        };
        self.phase = Phase::Closed;
        Err(close)
    }
}

impl HubConnection {
    fn refuse_version(&mut self, error: DecodeError) -> CloseHub {
        if error == DecodeError::ProtocolVersion && self.phase == Phase::AwaitConnect {
            encode::connack(false, ConnectReturnCode::UnacceptableProtocolVersion, &mut self.output);
        }
        self.phase = Phase::Closed;
        error.into()
    }

    fn take(&mut self, packet: Packet) -> Result<Option<HubEvent>, CloseHub> {
        match (packet, &self.phase) {
            (Packet::Connect(connect), Phase::AwaitConnect) => self.take_connect(*connect).map(Some),
            (_, Phase::AwaitConnect) => Err(CloseHub::NotConnected),
            (Packet::Connect(_), _) => Err(CloseHub::ConnectedTwice),
            (Packet::Publish(publish), Phase::Dps { .. }) => self.take_dps_publish(publish).map(Some),
            (Packet::Publish(publish), _) => self.take_publish(publish).map(Some),
            (Packet::PubAck(id), _) => Ok(self.take_puback(id)),
            (Packet::Subscribe { packet_id, filters }, _) => Ok(self.take_subscribe(packet_id, &filters)),
            (Packet::Unsubscribe { packet_id, filters }, _) => Ok(self.take_unsubscribe(packet_id, &filters)),
            (Packet::PingReq, _) => {
                self.write(&Packet::PingResp);
                Ok(None)
            }
            (Packet::Disconnect, _) => {
                self.will = None;
                self.phase = Phase::Closed;
                Ok(Some(HubEvent::Disconnect))
            }
            (Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_), _) => Err(CloseHub::QoS2),
            (Packet::ConnAck { .. } | Packet::SubAck { .. } | Packet::UnsubAck(_) | Packet::PingResp, _) => {
                Err(CloseHub::Role)
            }
        }
    }

    fn take_connect(&mut self, connect: Connect) -> Result<HubEvent, CloseHub> {
        let Some(user_name) = &connect.user_name else {
            return Err(self.refuse_with(ConnectReturnCode::NotAuthorized, CloseHub::NoUserName));
        };
        // Whoever cannot say who he is, is not authorized: 2 would read as a broken protocol to SDKs.
        let user = UserName::parse(user_name, &connect.client_id)
            .map_err(|error| self.refuse_with(ConnectReturnCode::NotAuthorized, error.into()))?;
        let asked = if connect.keep_alive_secs == 0 { KEEP_ALIVE_SECS_MAX } else { connect.keep_alive_secs };
        self.silence_max = Duration::from_secs(asked.min(KEEP_ALIVE_SECS_MAX).into()) * 3 / 2;
        let password = connect.password.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        match user {
            UserName::Hub(user) => {
                if let Some(will) = &connect.will {
                    let will = will_message(will, &user.identity)
                        .ok_or_else(|| self.refuse_with(ConnectReturnCode::NotAuthorized, CloseHub::Will))?;
                    self.will = Some(Box::new(will));
                }
                self.phase = Phase::Deciding { dps: false };
                self.identity = Some(user.identity.clone());
                let clean_session = connect.clean_session;
                Ok(HubEvent::Connect(Box::new(ConnectAttempt { user, password, clean_session })))
            }
            UserName::Dps(user) => {
                self.phase = Phase::Deciding { dps: true };
                Ok(HubEvent::DpsConnect(Box::new(DpsConnectAttempt { user, password })))
            }
        }
    }

    fn take_publish(&mut self, publish: Publish) -> Result<HubEvent, CloseHub> {
        let identity = self.identity.as_ref().ok_or(CloseHub::NotConnected)?;
        if publish.qos == QoS::ExactlyOnce {
            return Err(CloseHub::QoS2);
        }
        let receipt = publish.packet_id.map(receipt);
        Ok(match topic::parse_client_topic(publish.topic.as_bytes(), identity)? {
            ClientTopic::Telemetry { bag } => {
                let message = telemetry(bag, publish.payload, publish.retain);
                delivery::as_telemetry(identity, &message)?;
                HubEvent::Telemetry { message, receipt }
            }
            ClientTopic::TwinGet { request_id } => HubEvent::TwinGet(PendingRequest { request_id, receipt }),
            ClientTopic::TwinPatch { request_id } => {
                HubEvent::TwinPatch(PendingRequest { request_id, receipt }, publish.payload)
            }
            ClientTopic::MethodResponse { status, request_id } => {
                if publish.payload.len() > METHOD_PAYLOAD_BYTES_MAX {
                    return Err(CloseHub::TooLarge(publish.payload.len()));
                }
                let call = std::str::from_utf8(&request_id).ok().and_then(|id| u32::from_str_radix(id, 16).ok());
                HubEvent::MethodResponse { call: call.map(CallId), status, payload: publish.payload, receipt }
            }
        })
    }

    fn take_dps_publish(&mut self, publish: Publish) -> Result<HubEvent, CloseHub> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(CloseHub::QoS2);
        }
        let receipt = publish.packet_id.map(receipt);
        Ok(match topic::parse_dps_topic(publish.topic.as_bytes())? {
            DpsTopic::Register { request_id } => {
                HubEvent::DpsRegister(PendingRequest { request_id, receipt }, publish.payload)
            }
            DpsTopic::Status { request_id, operation_id } => {
                HubEvent::DpsStatus(PendingRequest { request_id, receipt }, operation_id)
            }
        })
    }

    fn take_puback(&mut self, id: u16) -> Option<HubEvent> {
        if let Some(at) = self.given_up.iter().position(|given_up| *given_up == id) {
            self.given_up.swap_remove(at);
            return None;
        }
        let at = self.deliveries.iter().position(|delivery| *delivery == id)?;
        self.deliveries.remove(at);
        Some(HubEvent::Delivered(receipt(id)))
    }

    fn take_subscribe(&mut self, packet_id: u16, filters: &[(Text, QoS)]) -> Option<HubEvent> {
        let granted: Vec<Option<QoS>> = filters.iter().map(|(filter, qos)| self.subscribe(filter, *qos)).collect();
        self.answer_subscribe(Packet::SubAck { packet_id, granted })
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) -> Option<QoS> {
        let granted = qos.min(QoS::AtLeastOnce);
        if let Phase::Dps { subscribed } = &mut self.phase {
            *subscribed |= filter == topic::DPS_FILTER;
            return (filter == topic::DPS_FILTER).then_some(granted);
        }
        let filter = topic::parse_filter(filter, self.identity.as_ref()?)?;
        *flag(&mut self.subscriptions, filter) = true;
        if let Some(unacknowledged) = unacknowledged(&mut self.subscriptions, filter) {
            *unacknowledged = granted == QoS::AtMostOnce;
        }
        Some(granted)
    }

    fn take_unsubscribe(&mut self, packet_id: u16, filters: &[Text]) -> Option<HubEvent> {
        for filter in filters {
            if let Phase::Dps { subscribed } = &mut self.phase {
                *subscribed &= &**filter != topic::DPS_FILTER;
            } else if let Some(filter) =
                self.identity.as_ref().and_then(|identity| topic::parse_filter(filter, identity))
            {
                *flag(&mut self.subscriptions, filter) = false;
                unacknowledged(&mut self.subscriptions, filter).into_iter().for_each(|flag| *flag = false);
            }
        }
        self.answer_subscribe(Packet::UnsubAck(packet_id))
    }

    /// A hub client's answer waits for the owner; provisioning keeps no subscriptions.
    fn answer_subscribe(&mut self, answer: Packet) -> Option<HubEvent> {
        if self.phase != Phase::Hub {
            self.write(&answer);
            return None;
        }
        self.unconfirmed = Some(Box::new(answer));
        Some(HubEvent::SubscriptionsChanged(self.subscriptions))
    }

    fn refuse_with(&mut self, code: ConnectReturnCode, close: CloseHub) -> CloseHub {
        encode::connack(false, code, &mut self.output);
        self.will = None;
        self.phase = Phase::Closed;
        close
    }

    /// PUBACK of the request, if it wants one, and the answer at QoS 0, if the client listens.
    fn reply(&mut self, request: PendingRequest, prefix: &str, suffix: &str, body: &[u8]) {
        if let Some(receipt) = request.receipt {
            self.acknowledge(receipt);
        }
        let listens = match self.phase {
            Phase::Hub => self.subscriptions.twin_replies,
            Phase::Dps { subscribed } => subscribed,
            _ => false,
        };
        if listens {
            let topic = [prefix.as_bytes(), &request.request_id, suffix.as_bytes()];
            encode::publish_topic(&topic, None, body, &mut self.output)
                .expect("a request id is short and a reply far below MQTT's 256 MB");
        }
    }

    /// The packet id of a numbered message: always the same one, so that the PUBACK of an earlier connection acknowledges nothing
    /// else on this one. Of the few that are on the way together, two have the same only when 65,535 were numbered in between.
    fn packet_id_of(&mut self, number: u64) -> u16 {
        let id = own_packet_id(number);
        if self.is_taken(id) { self.next_packet_id() } else { id }
    }

    fn is_taken(&self, id: u16) -> bool {
        self.deliveries.contains(&id) || self.given_up.contains(&id)
    }

    fn next_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            if !self.is_taken(self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }

    fn write(&mut self, packet: &Packet) {
        encode::encode(packet, &mut self.output).expect("answers are far below MQTT's limits");
    }
}

/// The packet id of a message with this number, whenever it is free.
fn own_packet_id(number: u64) -> u16 {
    u16::try_from(number.saturating_sub(1) % u64::from(u16::MAX) + 1).expect("it is at most 65,535")
}

fn flag(subscriptions: &mut Subscriptions, filter: Filter) -> &mut bool {
    match filter {
        Filter::Methods => &mut subscriptions.methods,
        Filter::TwinReplies => &mut subscriptions.twin_replies,
        Filter::Desired => &mut subscriptions.desired,
        Filter::Inputs => &mut subscriptions.inputs,
        Filter::CloudToDevice => &mut subscriptions.cloud_to_device,
    }
}

/// Whether what comes is acknowledged, of what is delivered at either quality of service.
fn unacknowledged(subscriptions: &mut Subscriptions, filter: Filter) -> Option<&mut bool> {
    match filter {
        Filter::Inputs => Some(&mut subscriptions.inputs_unacknowledged),
        Filter::CloudToDevice => Some(&mut subscriptions.cloud_to_device_unacknowledged),
        Filter::Methods | Filter::TwinReplies | Filter::Desired => None,
    }
}

fn telemetry(bag: Bytes, body: Bytes, retain: bool) -> Message {
    let bag = if retain { bag::append(&bag, bag::RETAIN, "true") } else { bag };
    Message { bag, body }
}

fn will_message(will: &Will, identity: &Identity) -> Option<Message> {
    let Ok(ClientTopic::Telemetry { bag }) = topic::parse_client_topic(will.topic.as_bytes(), identity) else {
        return None;
    };
    let message =
        telemetry(bag::set(&bag, bag::MESSAGE_TYPE, "Will"), Bytes::copy_from_slice(&will.payload), will.retain);
    delivery::as_telemetry(identity, &message).is_ok().then_some(message)
}

//! What clients and a hub have to say to each other, whatever protocol carries it: telemetry, twins, methods, deliveries,
//! registrations.
//!
//! ```text
//! bytes + now ──▶ Face ── HubEvent ──▶ owner ──▶ handler
//!                  ◀── accept, acknowledge, reply, invoke, deliver ──
//! bytes, next time-out ◀── Face
//! ```
//!
//! A [`Face`] is one protocol's state machine in the hub's role; [`crate::mqtt::HubConnection`] is the first. What an event
//! wants settled comes with a [`Receipt`] or a [`PendingRequest`], which mean something to the face that gave them and to
//! nobody else: a packet id in MQTT, a delivery of a link in AMQP. A connection over WebSocket is the same face over another
//! stream of bytes.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use model::message::Message;

use crate::hub::topic::DpsReply;
use crate::hub::username::{DpsUserName, HubUserName};

/// Names one message on its way until it is settled. Opaque; costs no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt(pub(crate) u64);

impl Receipt {
    /// What it is called where it came from: the same when the message is delivered once more, by a hub that numbers its messages.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Names one method call on its way until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(pub(crate) u32);

/// A request to be answered, once. Dropping it leaves the client without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a request has to be answered"]
pub struct PendingRequest {
    /// What the client named it.
    pub(crate) request_id: Bytes,
    /// To be acknowledged with the answer.
    pub(crate) receipt: Option<Receipt>,
}

/// A client that wants in, well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectAttempt {
    /// Who, and what for.
    pub user: HubUserName,
    /// Token, if any. Bytes that are not UTF-8 are no token.
    pub password: Option<String>,
    /// Whether an earlier session shall be forgotten.
    pub clean_session: bool,
}

/// A client that wants to be provisioned, well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpsConnectAttempt {
    /// Scope and registration.
    pub user: DpsUserName,
    /// Token, if any.
    pub password: Option<String>,
}

/// What a client did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubEvent {
    /// Wants in; answer with `accept` or `refuse`. Nothing else comes before that.
    Connect(Box<ConnectAttempt>),
    /// Wants to be provisioned; answer with `accept` or `refuse`.
    DpsConnect(Box<DpsConnectAttempt>),
    /// Sent telemetry. Acknowledge the receipt once the message is durable.
    Telemetry {
        /// The message.
        message: Message,
        /// To be acknowledged, if the client wants to know.
        receipt: Option<Receipt>,
    },
    /// Wants its twin.
    TwinGet(PendingRequest),
    /// Wants its reported properties changed.
    TwinPatch(PendingRequest, Bytes),
    /// Answered a method.
    MethodResponse {
        /// What `invoke_method` gave; none if it is not one of ours.
        call: Option<CallId>,
        /// The method handler's status.
        status: i32,
        /// Raw JSON, or empty.
        payload: Bytes,
        /// To be acknowledged, if the client wants to know.
        receipt: Option<Receipt>,
    },
    /// Took a delivery.
    Delivered(Receipt),
    /// Wants its subscriptions changed to these. Confirm with `confirm_subscriptions` once they are kept as long as the session
    /// has to last: whoever was told yes does not ask again. Nothing else comes before that.
    SubscriptionsChanged(Subscriptions),
    /// Registers.
    DpsRegister(PendingRequest, Bytes),
    /// Polls an operation.
    DpsStatus(PendingRequest, String),
    /// Leaves in good order.
    Disconnect,
}

/// What a hub did, as a device sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceEvent {
    /// Connected and subscribed.
    Ready {
        /// Whether the hub still knew the session.
        session_present: bool,
    },
    /// Acknowledged telemetry.
    Acknowledged(Receipt),
    /// Answered a twin request.
    TwinReply {
        /// HTTP-like status.
        status: u16,
        /// That of the request.
        request_id: Bytes,
        /// New reported version, after a patch.
        version: Option<u64>,
        /// The twin, nothing, or an error.
        body: Bytes,
    },
    /// Changed desired properties.
    Desired {
        /// New desired version.
        version: Option<u64>,
        /// The patch, `$version` in it.
        patch: Bytes,
    },
    /// Invokes a method; to be answered with `reply_method`.
    Method {
        /// The method's name.
        name: String,
        /// For the answer.
        request_id: Bytes,
        /// Raw JSON, or empty.
        payload: Bytes,
    },
    /// Delivers to an input; to be settled with `acknowledge`.
    Input {
        /// The input's name.
        input: String,
        /// The message.
        message: Message,
        /// To be acknowledged, if any.
        receipt: Option<Receipt>,
    },
    /// Delivers a cloud-to-device message; to be settled with `acknowledge`.
    CloudToDevice {
        /// The message.
        message: Message,
        /// Whether the hub may have delivered it before.
        again: bool,
        /// To be acknowledged, if any.
        receipt: Option<Receipt>,
    },
    /// The provisioning service answered.
    DpsReply {
        /// Status and ids.
        reply: DpsReply,
        /// JSON.
        body: Bytes,
    },
}

/// The hub's no to a client that wants in. It learns nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its credential is wrong. Ends the retries of most SDKs.
    NotAuthorized,
    /// Something behind the hub is missing. SDKs try again.
    Unavailable,
}

/// Why something for the client was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// The client is not subscribed.
    #[error("the client is not subscribed")]
    NotSubscribed,
    /// `limits::DELIVERIES_IN_FLIGHT_MAX` are on the way.
    #[error("too many deliveries are on the way")]
    Window,
    /// The protocol has no room for it.
    #[error("the message cannot be encoded")]
    Encode,
}

/// What a client asked to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subscriptions {
    /// Direct methods.
    pub methods: bool,
    /// Changes of desired properties.
    pub desired: bool,
    /// Answers to its twin requests.
    pub twin_replies: bool,
    /// Messages to a module's inputs.
    pub inputs: bool,
    /// Cloud-to-device messages.
    pub cloud_to_device: bool,
    /// Messages to inputs without acknowledgement: granted at quality of service 0.
    pub inputs_unacknowledged: bool,
    /// The same of cloud-to-device messages.
    pub cloud_to_device_unacknowledged: bool,
}

impl Subscriptions {
    /// Everything a device can ask for: all but module inputs.
    pub fn device() -> Self {
        Self { methods: true, desired: true, twin_replies: true, cloud_to_device: true, ..Self::default() }
    }

    /// Everything a module can ask for.
    pub fn module() -> Self {
        Self { methods: true, desired: true, twin_replies: true, inputs: true, ..Self::default() }
    }

    /// The set as one byte, so that it can be shared between tasks without a lock, and kept.
    pub fn to_bits(self) -> u8 {
        let flags = [
            self.methods,
            self.desired,
            self.twin_replies,
            self.inputs,
            self.cloud_to_device,
            self.inputs_unacknowledged,
            self.cloud_to_device_unacknowledged,
        ];
        flags.iter().enumerate().fold(0, |bits, (at, set)| bits | (u8::from(*set) << at))
    }

    /// The set from [`to_bits`](Self::to_bits); other bits are ignored.
    pub fn from_bits(bits: u8) -> Self {
        let set = |at: u8| bits & (1 << at) != 0;
        Self {
            methods: set(0),
            desired: set(1),
            twin_replies: set(2),
            inputs: set(3),
            cloud_to_device: set(4),
            inputs_unacknowledged: set(5),
            cloud_to_device_unacknowledged: set(6),
        }
    }
}

/// What the queue of a device calls a message, each time it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueNumber {
    /// The same for life, and no other message's.
    pub number: u64,
    /// Whether it may have been delivered before.
    pub again: bool,
}

impl QueueNumber {
    /// Of a message that was never delivered.
    pub fn first(number: u64) -> Self {
        Self { number, again: false }
    }
}

/// One connection in the hub's role, in one protocol, without input or output of its own.
///
/// The owner reads bytes into a buffer, calls `poll` until it yields nothing, and then writes what `take_output` gives. So
/// everything one read brought is answered with one write. `poll_timeout` says when `handle_timeout` wants to be called. An
/// error ends the connection: what is left in the output (a refusal) is still written, then it closes.
pub trait Face: Send {
    /// Why a connection has to close, in the protocol's own words.
    type Close: std::error::Error + Send + Sync + 'static;

    /// A connection that just opened.
    fn open(now: Instant) -> Self;

    /// Takes bytes off the input until they mean something to the owner, or no whole unit is left.
    fn poll(&mut self, now: Instant, input: &mut BytesMut) -> Result<Option<HubEvent>, Self::Close>;

    /// Lets the client in. `known` are the subscriptions of an earlier session, said to be present if there are any; a
    /// provisioning client always gets a new session (C# gives up otherwise). After `expires_at` the connection is dropped.
    fn accept(&mut self, now: Instant, session_present: bool, known: Subscriptions, expires_at: Option<Instant>);

    /// Keeps the client out. The connection closes once the output is written.
    fn refuse(&mut self, refusal: Refusal) -> Self::Close;

    /// Answers [`HubEvent::SubscriptionsChanged`].
    fn confirm_subscriptions(&mut self);

    /// Acknowledges telemetry or a method's answer: to be called in the order they came.
    fn acknowledge(&mut self, receipt: Receipt);

    /// Answers [`HubEvent::TwinGet`].
    fn reply_twin(&mut self, request: PendingRequest, twin: &[u8]);

    /// Answers [`HubEvent::TwinPatch`] with the new reported version.
    fn reply_patch(&mut self, request: PendingRequest, version: u64);

    /// Says no to a twin request, with an HTTP-like status and words that are safe to show.
    fn reply_twin_error(&mut self, request: PendingRequest, status: u16, message: &str);

    /// Answers a provisioning request. `retry_after_secs` goes with 202 and 429.
    fn reply_dps(&mut self, request: PendingRequest, status: u16, retry_after_secs: Option<u32>, body: &[u8]);

    /// Announces a desired patch (which holds `$version`), if the client listens; says whether it does.
    fn desired_patch(&mut self, version: u64, patch: &[u8]) -> Result<(), DeliverError>;

    /// Invokes a method; the id comes back with [`HubEvent::MethodResponse`].
    fn invoke_method(&mut self, name: &str, payload: &[u8]) -> Result<CallId, DeliverError>;

    /// Delivers to a module's input. The receipt comes back with [`HubEvent::Delivered`]; without one the client does not
    /// acknowledge and the delivery is done.
    fn deliver_input(&mut self, input: &str, message: &Message) -> Result<Option<Receipt>, DeliverError>;

    /// Delivers a cloud-to-device message, as [`deliver_input`](Self::deliver_input) does to an input. `number` is what the queue
    /// calls the message: the same each time it is delivered, on whatever connection, and never that of another message, so that
    /// an acknowledgement that comes late on the next connection means the message it was given for.
    fn deliver_cloud_to_device(
        &mut self,
        number: QueueNumber,
        message: &Message,
    ) -> Result<Option<Receipt>, DeliverError>;

    /// Gives back the place of a delivery that nobody waits for any more. The client may acknowledge it after all: until then nothing
    /// else is called as it is on the wire. Answers whether there may be more of these.
    fn give_up(&mut self, receipt: Receipt) -> bool;

    /// What the client wants said when the connection ends without its leave: to be treated as telemetry. Once.
    fn take_will(&mut self) -> Option<Message>;

    /// Bytes to write, taken out.
    fn take_output(&mut self) -> BytesMut;

    /// Bytes waiting to be written.
    fn output_len(&self) -> usize;

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if nothing comes before.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Checks the clocks.
    fn handle_timeout(&mut self, now: Instant) -> Result<(), Self::Close>;
}

//! One connection to the hub.
//!
//! A publish counts for the call it came from; the call is answered when all of its publishes were acknowledged, or with
//! `Disconnected` when the connection ends first. When the owner's event queue is full nothing more is read, so that a slow
//! owner slows the hub and not the other way round.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use model::message::Message;
use protocol::event::{DeviceEvent, Receipt};
use protocol::mqtt::{DeviceConnection, PublishError};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::run::{Client, End};
use super::{Request, SendCall};
use crate::client::error::{RequestError, SendError};
use crate::client::event::{ClientEvent, InputMessage, LinkState, MethodCall, Reply};
use crate::client::socket::Socket;
use crate::limits::{CLIENT_EVENTS_MAX, CLIENT_REQUESTS_MAX, DRAIN_TIMEOUT, WRITE_BYTES_SOFT_MAX, WRITE_TIMEOUT};
use crate::stream::{Moved, Outgoing, exchange, now};

/// A call of `send`, partly on its way.
struct Call {
    unacknowledged: usize,
    done: oneshot::Sender<Result<(), SendError>>,
}

/// Who waits for an answer.
enum Waiting {
    Twin(oneshot::Sender<Result<Bytes, RequestError>>),
    Patch(oneshot::Sender<Result<u64, RequestError>>),
}

/// What [`Session::step`] waited for.
enum Happened {
    Reply(Reply),
    Request(Request),
    Send(SendCall),
    Messages,
    Moved(Moved),
    Room,
    Alarm,
}

pub(super) struct Session<'a> {
    client: &'a mut Client,
    stream: Socket,
    connection: DeviceConnection,
    input: BytesMut,
    output: Outgoing,
    /// When the stream last took something, while there is output.
    written_at: Instant,
    /// Messages of the newest call that are not yet on their way.
    outbox: VecDeque<Message>,
    /// Calls that are not answered, by number; the newest has `last_call`.
    calls: HashMap<u64, Call>,
    last_call: u64,
    /// Receipt to call.
    in_flight: HashMap<Receipt, u64>,
    /// Twin requests by `$rid`.
    waiting: HashMap<u32, Waiting>,
    last_request: u32,
    replies: mpsc::Receiver<Reply>,
    replies_sender: mpsc::Sender<Reply>,
    renew_at: Instant,
    ready: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(stream: Socket, connection: DeviceConnection, client: &'a mut Client, renew_at: Instant) -> Self {
        let (replies_sender, replies) = mpsc::channel(CLIENT_EVENTS_MAX);
        Self {
            client,
            stream,
            connection,
            input: BytesMut::new(),
            output: Outgoing::default(),
            written_at: Instant::now(),
            outbox: VecDeque::new(),
            calls: HashMap::new(),
            last_call: 0,
            in_flight: HashMap::new(),
            waiting: HashMap::new(),
            last_request: 0,
            replies,
            replies_sender,
            renew_at,
            ready: false,
        }
    }

    /// Serves the connection until it ends, then answers everybody who still waits. Says also whether it was ever ready.
    pub(super) async fn run(mut self) -> (End, bool) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if matches!(end, End::Stopped | End::TokenRenewal) {
            self.leave().await;
        }
        for (_, call) in self.calls.drain() {
            let _ = call.done.send(Err(SendError::Disconnected));
        }
        for (_, waiting) in self.waiting.drain() {
            waiting.fail(RequestError::Disconnected);
        }
        (end, self.ready)
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        loop {
            self.handle_input()?;
            self.fill_window();
            self.step(true).await?;
        }
    }

    /// Leaves in good order: what is on the way gets a moment to be acknowledged.
    async fn leave(&mut self) {
        let drained = async {
            while !self.in_flight.is_empty() || !self.outbox.is_empty() {
                self.handle_input()?;
                self.fill_window();
                self.step(false).await?;
            }
            Ok::<_, End>(())
        };
        if !matches!(timeout(DRAIN_TIMEOUT, drained).await, Ok(Ok(()))) {
            tracing::debug!(left = self.in_flight.len(), "leaving with publishes on the way");
        }
        self.connection.disconnect();
        self.output.push(self.connection.take_output(now()));
        let closed = async {
            self.output.write_all(&mut self.stream).await?;
            self.stream.shutdown().await
        };
        let _ = timeout(DRAIN_TIMEOUT, closed).await;
    }

    /// Waits for one thing to happen and does it. New work is taken only while `open`.
    async fn step(&mut self, open: bool) -> Result<(), End> {
        if self.output.is_done() {
            self.written_at = Instant::now();
        }
        self.output.push(self.connection.take_output(now()));
        let writing = !self.output.is_done();
        let taking = open && self.ready;
        let room = self.has_event_room();
        let alarm = sleep_until(self.wake_at(taking, writing));
        let client = &mut *self.client;
        let happened = tokio::select! {
            biased;
            () = client.stop.cancelled(), if open => return Err(End::Stopped),
            Some(reply) = self.replies.recv() => Happened::Reply(reply),
            request = client.requests.recv(), if taking && self.waiting.len() < CLIENT_REQUESTS_MAX => {
                Happened::Request(request.ok_or(End::Stopped)?)
            }
            Ok(()) = client.messages.changed(), if taking => Happened::Messages,
            call = client.sends.recv(), if taking && self.outbox.is_empty() => Happened::Send(call.ok_or(End::Stopped)?),
            moved = exchange(&mut self.stream, &mut self.output, &mut self.input, room) => Happened::Moved(moved),
            _ = client.events.reserve(), if !room => Happened::Room,
            () = alarm => Happened::Alarm,
        };
        match happened {
            Happened::Reply(reply) => self.answer(reply),
            Happened::Request(request) => self.ask(request),
            Happened::Send(call) => self.begin(call),
            Happened::Messages => {
                let wanted = *self.client.messages.borrow_and_update();
                wanted.into_iter().for_each(|wanted| self.listen_to_messages(wanted));
            }
            Happened::Moved(Moved::Written(written)) => {
                written?;
                self.written_at = Instant::now();
            }
            Happened::Moved(Moved::Read(read)) => {
                if read? == 0 {
                    return Err(End::Eof);
                }
            }
            Happened::Room => self.connection.excuse_silence(now()),
            Happened::Alarm => self.check_clocks(taking, writing, room)?,
        }
        Ok(())
    }

    /// When the clocks want to be looked at.
    fn wake_at(&self, taking: bool, writing: bool) -> Instant {
        let connection = self.connection.poll_timeout().map(Instant::from_std);
        let renewal = taking.then_some(self.renew_at);
        let write = writing.then_some(self.written_at + WRITE_TIMEOUT);
        [connection, renewal, write].into_iter().flatten().min().unwrap_or(self.renew_at)
    }

    fn check_clocks(&mut self, taking: bool, writing: bool, room: bool) -> Result<(), End> {
        let now = Instant::now();
        if writing && now >= self.written_at + WRITE_TIMEOUT {
            return Err(End::WriteTimeout);
        }
        if taking && now >= self.renew_at {
            return Err(End::TokenRenewal);
        }
        if !room {
            self.connection.excuse_silence(now.into_std());
        }
        Ok(self.connection.handle_timeout(now.into_std())?)
    }

    /// Whether the owner's queue takes another event. An owner who dropped the queue wants none, which is room enough.
    fn has_event_room(&self) -> bool {
        self.client.events.capacity() > 0 || self.client.events.is_closed()
    }

    /// Handles the packets that were read, as long as the owner can be told.
    fn handle_input(&mut self) -> Result<(), End> {
        while self.has_event_room() {
            match self.connection.poll(now(), &mut self.input)? {
                Some(event) => self.handle(event),
                None => break,
            }
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(())
    }

    fn handle(&mut self, event: DeviceEvent) {
        match event {
            DeviceEvent::Ready { session_present } => {
                self.ready = true;
                self.client.state.send_replace(LinkState::Connected);
                if let Some(member) = &self.client.member {
                    member.connected();
                }
                // A session the hub kept may listen where this connection did not ask to.
                if session_present && *self.client.messages.borrow() == Some(false) {
                    self.listen_to_messages(false);
                }
                self.tell(ClientEvent::Connected { session_present });
            }
            DeviceEvent::Acknowledged(receipt) => self.acknowledged(receipt),
            DeviceEvent::TwinReply { status, request_id, version, body } => {
                let id = std::str::from_utf8(&request_id).ok().and_then(|id| id.parse().ok());
                if let Some(waiting) = id.and_then(|id: u32| self.waiting.remove(&id)) {
                    waiting.answer(status, version, body);
                }
            }
            DeviceEvent::Desired { version, patch } => {
                let version = version.or_else(|| version_inside(&patch)).unwrap_or_default();
                self.tell(ClientEvent::Desired { version, patch });
            }
            DeviceEvent::Method { name, request_id, payload } => {
                let replies = self.replies_sender.clone();
                self.tell(ClientEvent::Method(MethodCall { name, payload, request_id, replies }));
            }
            DeviceEvent::Input { input, message, receipt } => {
                let replies = self.replies_sender.clone();
                self.tell(ClientEvent::Input(InputMessage { input, message, again: false, receipt, replies }));
            }
            DeviceEvent::CloudToDevice { message, again, receipt } => {
                let replies = self.replies_sender.clone();
                let input = String::new();
                self.tell(ClientEvent::CloudToDevice(InputMessage { input, message, again, receipt, replies }));
            }
            // Only a provisioning connection gets these.
            DeviceEvent::DpsReply { .. } => {}
        }
    }

    fn listen_to_messages(&mut self, wanted: bool) {
        if let Err(error) = self.connection.listen_to_messages(wanted) {
            tracing::debug!(%error, "cloud-to-device messages were not asked for");
        }
    }

    /// Tells the owner. There is room: it was looked for before the event was taken, and nobody else fills the queue.
    fn tell(&mut self, event: ClientEvent) {
        let _ = self.client.events.try_send(event);
    }

    fn acknowledged(&mut self, receipt: Receipt) {
        let Some(number) = self.in_flight.remove(&receipt) else { return };
        let Some(call) = self.calls.get_mut(&number) else { return };
        call.unacknowledged -= 1;
        if call.unacknowledged == 0
            && let Some(call) = self.calls.remove(&number)
        {
            let _ = call.done.send(Ok(()));
        }
    }

    fn answer(&mut self, reply: Reply) {
        match reply {
            Reply::Method { request_id, status, payload } => {
                if let Err(error) = self.connection.reply_method(&request_id, status, &payload) {
                    tracing::debug!(%error, "a method's answer was not sent");
                }
            }
            Reply::Settle { receipt } => self.connection.acknowledge(receipt),
        }
    }

    fn ask(&mut self, request: Request) {
        // Whoever gave up waiting makes room here.
        self.waiting.retain(|_, waiting| !waiting.is_abandoned());
        self.last_request = self.last_request.wrapping_add(1);
        let id = self.last_request.to_string();
        let (asked, waiting) = match request {
            Request::Twin { done } => (self.connection.twin_get(&id), Waiting::Twin(done)),
            Request::PatchReported { patch, done } => {
                (self.connection.patch_reported(&id, &patch), Waiting::Patch(done))
            }
        };
        match asked {
            Ok(()) => drop(self.waiting.insert(self.last_request, waiting)),
            Err(_) => waiting.fail(RequestError::Disconnected),
        }
    }

    fn begin(&mut self, call: SendCall) {
        if call.done.is_closed() {
            return;
        }
        self.last_call += 1;
        self.calls.insert(self.last_call, Call { unacknowledged: call.messages.len(), done: call.done });
        self.outbox = call.messages.into();
    }

    /// Publishes as much as the window and the output allow.
    fn fill_window(&mut self) {
        while self.output.len() + self.connection.output_len() < WRITE_BYTES_SOFT_MAX {
            let Some(message) = self.outbox.front() else { return };
            match self.connection.publish(now(), message) {
                Ok(receipt) => {
                    self.outbox.pop_front();
                    self.in_flight.insert(receipt, self.last_call);
                }
                Err(PublishError::Window | PublishError::NotReady) => return,
                Err(PublishError::Encode(_)) => {
                    self.outbox.clear();
                    if let Some(call) = self.calls.remove(&self.last_call) {
                        let _ = call.done.send(Err(SendError::TooLarge));
                    }
                }
            }
        }
    }
}

impl Waiting {
    fn answer(self, status: u16, version: Option<u64>, body: Bytes) {
        let refused = || RequestError::Refused { status, message: message_inside(&body) };
        match self {
            Self::Twin(done) => drop(done.send(if status < 300 { Ok(body) } else { Err(refused()) })),
            Self::Patch(done) => drop(done.send(version.filter(|_| status < 300).ok_or_else(refused))),
        }
    }

    fn fail(self, error: RequestError) {
        match self {
            Self::Twin(done) => drop(done.send(Err(error))),
            Self::Patch(done) => drop(done.send(Err(error))),
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Self::Twin(done) => done.is_closed(),
            Self::Patch(done) => done.is_closed(),
        }
    }
}

fn version_inside(patch: &[u8]) -> Option<u64> {
    let patch: serde_json::Value = serde_json::from_slice(patch).ok()?;
    patch.get("$version")?.as_u64()
}

fn message_inside(body: &[u8]) -> String {
    let message = |body: serde_json::Value| Some(body.get("message")?.as_str()?.to_owned());
    serde_json::from_slice(body).ok().and_then(message).unwrap_or_else(|| "no reason given".to_owned())
}

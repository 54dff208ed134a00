//! A hub client that keeps itself connected.
//!
//! ```text
//! HubClient --sends, requests--> task --TLS or WebSocket--> hub
//!   owner   <------events------- (session.rs: one connection; run.rs: connect, wait, connect again)
//! ```
//!
//! The task owns the connection. Calls reach it over bounded channels and are answered over oneshots; what a call sent is
//! never sent again behind the caller's back, so that whoever keeps the messages (a log, mostly) decides.

mod run;
mod session;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use protocol::event::Subscriptions;
use protocol::hub::{bag, delivery};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::error::{RequestError, SendError};
use super::event::{ClientEvent, LinkState};
use super::reconnection::Reconnection;
use super::socket::Way;
use super::token::TokenSource;
use crate::limits::{
    CLIENT_EVENTS_MAX, CLIENT_REQUESTS_MAX, CLIENT_SEND_MESSAGES_MAX, CLIENT_SENDS_MAX, REQUEST_TIMEOUT,
};

/// How and as whom to connect.
#[derive(Clone)]
pub struct HubClientOptions {
    /// Host to connect to, also the name the certificate is checked for: the hub, or a gateway.
    pub host: String,
    /// Its port, by custom 8883, and 443 for WebSocket.
    pub port: u16,
    /// The hub's name, in user name and token audience.
    pub hub_host: String,
    /// Who connects.
    pub identity: Identity,
    /// What tokens are signed for; `{hub}/devices/{d}[/modules/{m}]` when absent.
    pub token_audience: Option<String>,
    /// Where the tokens come from.
    pub tokens: Arc<dyn TokenSource>,
    /// `child;parentEdge;…` of an edge that speaks for a child.
    pub auth_chain: Option<String>,
    /// Model announced for the connection.
    pub model_id: Option<String>,
    /// Name of this client.
    pub client_type: String,
    /// TLS configuration, from [`crate::tls::client_config`].
    pub tls: Arc<rustls::ClientConfig>,
    /// Directly or through a proxy, over TLS or WebSocket.
    pub way: Way,
    /// Keep-alive granted to the hub; a ping goes out after half of it without traffic.
    pub keep_alive: Duration,
    /// What to ask the hub for.
    pub subscribe: Subscriptions,
    /// Shared with other clients of the same hub, to come back together; without it, this client waits by itself.
    pub reconnection: Option<Reconnection>,
}

/// Handle of a client. Cheap to clone; the client ends when it is stopped or every handle is gone.
#[derive(Clone)]
pub struct HubClient {
    identity: Identity,
    sends: mpsc::Sender<SendCall>,
    requests: mpsc::Sender<Request>,
    state: watch::Receiver<LinkState>,
    /// Whether cloud-to-device messages are asked for; nothing until somebody says so.
    messages: Arc<watch::Sender<Option<bool>>>,
    stop: CancellationToken,
}

/// Messages to send, and whom to tell when all were acknowledged.
struct SendCall {
    messages: Vec<Message>,
    done: oneshot::Sender<Result<(), SendError>>,
}

/// Something to ask the hub.
enum Request {
    Twin { done: oneshot::Sender<Result<Bytes, RequestError>> },
    PatchReported { patch: Bytes, done: oneshot::Sender<Result<u64, RequestError>> },
}

impl HubClient {
    /// Starts a client on the current runtime. It connects, and connects again, until it is stopped.
    pub fn start(options: HubClientOptions) -> (HubClient, mpsc::Receiver<ClientEvent>) {
        let (sends, sends_receiver) = mpsc::channel(CLIENT_SENDS_MAX);
        let (requests, requests_receiver) = mpsc::channel(CLIENT_REQUESTS_MAX);
        let (events, events_receiver) = mpsc::channel(CLIENT_EVENTS_MAX);
        let (state_sender, state) = watch::channel(LinkState::Connecting);
        let (messages, messages_wanted) = watch::channel(None);
        let stop = CancellationToken::new();
        let identity = options.identity.clone();
        let client = run::Client {
            member: options.reconnection.as_ref().map(Reconnection::member),
            options,
            sends: sends_receiver,
            requests: requests_receiver,
            events,
            state: state_sender,
            messages: messages_wanted,
            stop: stop.clone(),
        };
        tokio::spawn(client.run());
        let messages = Arc::new(messages);
        (HubClient { identity, sends, requests, state, messages, stop }, events_receiver)
    }

    /// Sends telemetry at QoS 1, in order, and returns when every message was acknowledged. Waits for a connection if there
    /// is none. Dropping the future gives up waiting; what is on the way may still arrive.
    pub async fn send(&self, messages: Vec<Message>) -> Result<(), SendError> {
        let too_large = |message: &Message| delivery::as_telemetry(&self.identity, message).is_err();
        if messages.len() > CLIENT_SEND_MESSAGES_MAX || messages.iter().any(too_large) {
            return Err(SendError::TooLarge);
        }
        if messages.is_empty() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        self.sends.send(SendCall { messages, done }).await.map_err(|_| SendError::Stopped)?;
        answer.await.unwrap_or(Err(SendError::Stopped))
    }

    /// The same, to an output of this module: the bag gets `%24.on={output}`.
    pub async fn send_to_output(&self, output: &str, mut messages: Vec<Message>) -> Result<(), SendError> {
        for message in &mut messages {
            message.bag = bag::set(&message.bag, bag::OUTPUT_NAME, output);
        }
        self.send(messages).await
    }

    /// The whole twin: `{"desired":{…,"$version":n},"reported":{…,"$version":n}}`.
    pub async fn twin(&self) -> Result<Bytes, RequestError> {
        self.request(|done| Request::Twin { done }).await
    }

    /// Merges a patch (a JSON object, null deletes) into the reported properties; answers their new version.
    pub async fn patch_reported(&self, patch: Bytes) -> Result<u64, RequestError> {
        self.request(|done| Request::PatchReported { patch, done }).await
    }

    async fn request<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, RequestError>>) -> Request,
    ) -> Result<T, RequestError> {
        let (done, answer) = oneshot::channel();
        let answered = async {
            self.requests.send(request(done)).await.map_err(|_| RequestError::Stopped)?;
            answer.await.unwrap_or(Err(RequestError::Stopped))
        };
        tokio::time::timeout(REQUEST_TIMEOUT, answered).await.unwrap_or(Err(RequestError::Timeout))
    }

    /// Asks for cloud-to-device messages from now on, on this connection and the next ones, or for no more, whatever was subscribed
    /// to and a session before this one may have left.
    pub fn listen_to_messages(&self, wanted: bool) {
        self.messages.send_if_modified(|listens| listens.replace(wanted) != Some(wanted));
    }

    /// Where the client stands, and every change of it.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Ends the client: what is on the way gets a moment to be acknowledged, then the connection closes.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.sends.closed().await;
    }
}

#[cfg(test)]
mod tests;

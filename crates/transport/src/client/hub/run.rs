//! Connects, and connects again.
//!
//! ```text
//!        +--------------------------- token about to expire ----------------------------+
//!        v                                                                              |
//! Connecting --fails--> Waiting (1 s … 60 s, doubling, jittered) --> Connecting --> Connected
//!                       (with others: `client::reconnection`)
//!        \--CONNACK 2, 4, 5--> Refused (60 s, jittered) --> Connecting
//! ```

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::auth::sas;
use protocol::hub::username::{API_VERSION, HubUserName};
use protocol::mqtt::{CloseDevice, DeviceConnection, DeviceOptions};
use protocol::mqtt::{ConnectReturnCode, EncodeError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::session::Session;
use super::{HubClientOptions, Request, SendCall};
use crate::client::backoff::{Backoff, random};
use crate::client::error::RequestError;
use crate::client::event::{ClientEvent, LinkState};
use crate::client::reconnection::Member;
use crate::client::socket::{self, OpenError, Socket};
use crate::client::token::TokenError;
use crate::limits::{CLIENT_WINDOW, TOKEN_LIFETIME, TOKEN_RENEWAL_MARGIN};
use crate::stream::now;

/// The client's task.
pub(super) struct Client {
    pub(super) options: HubClientOptions,
    pub(super) sends: mpsc::Receiver<SendCall>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) events: mpsc::Sender<ClientEvent>,
    pub(super) state: watch::Sender<LinkState>,
    /// Whether cloud-to-device messages are asked for.
    pub(super) messages: watch::Receiver<Option<bool>>,
    pub(super) stop: CancellationToken,
    pub(super) member: Option<Member>,
}

/// Why a connection was not made, or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("stopped")]
    Stopped,
    #[error("the token is about to expire")]
    TokenRenewal,
    #[error("no token")]
    Token(#[from] TokenError),
    #[error("cannot connect")]
    Open(#[from] OpenError),
    #[error("cannot encode CONNECT")]
    Encode(#[from] EncodeError),
    #[error("the hub closed the connection")]
    Eof,
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    #[error("the hub does not read what it is sent")]
    WriteTimeout,
    #[error("the connection failed")]
    Protocol(#[from] CloseDevice),
}

impl End {
    /// Whether the hub said no to this identity or token.
    fn is_refusal(&self) -> bool {
        use ConnectReturnCode::{BadUserNameOrPassword, IdentifierRejected, NotAuthorized};
        matches!(self, Self::Protocol(CloseDevice::Refused(IdentifierRejected | BadUserNameOrPassword | NotAuthorized)))
    }

    /// The whole chain of causes in one line.
    fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl Client {
    /// Runs until stopped, or until every handle is gone.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            self.state.send_replace(LinkState::Connecting);
            if let Some(member) = &mut self.member {
                member.begin();
            }
            let (end, was_connected) = self.attempt().await;
            if was_connected {
                backoff.reset();
                let reason = end.describe();
                // Nobody to tell is as good as told.
                tokio::select! {
                    _ = self.events.send(ClientEvent::Disconnected { reason }) => {}
                    () = self.stop.cancelled() => {}
                }
            }
            let pause = match &end {
                End::Stopped => break,
                End::TokenRenewal => continue,
                end if end.is_refusal() => backoff.longest(random()),
                _ => backoff.next(random()),
            };
            if self.wait(&end, pause).await.is_err() {
                break;
            }
        }
        self.state.send_replace(LinkState::Stopped);
    }

    /// One connection, from the name's resolution to its end; says whether it was ready at some time.
    async fn attempt(&mut self) -> (End, bool) {
        let expiry_secs = unix_secs() + TOKEN_LIFETIME.as_secs();
        let renew_at = tokio::time::Instant::now() + TOKEN_LIFETIME - TOKEN_RENEWAL_MARGIN;
        if let Some(wanted) = *self.messages.borrow_and_update() {
            self.options.subscribe.cloud_to_device = wanted;
        }
        let opened = {
            let opening = open(&self.options, expiry_secs);
            tokio::pin!(opening);
            loop {
                tokio::select! {
                    opened = &mut opening => break opened,
                    () = self.stop.cancelled() => break Err(End::Stopped),
                    request = self.requests.recv() => match request {
                        Some(request) => request.fail(RequestError::Disconnected),
                        None => break Err(End::Stopped),
                    },
                }
            }
        };
        let (stream, connection) = match opened {
            Ok(opened) => opened,
            Err(end) => return (end, false),
        };
        Session::new(stream, connection, self, renew_at).run().await
    }

    /// Waits before the next attempt; an error means to stop.
    async fn wait(&mut self, end: &End, pause: Duration) -> Result<(), ()> {
        let reason = end.describe();
        tracing::debug!(identity = %self.options.identity, host = self.options.host, reason, ?pause, "not connected");
        self.state.send_replace(if end.is_refusal() {
            LinkState::Refused { reason }
        } else {
            LinkState::Waiting { retry_at: Instant::now() + pause, reason }
        });
        let pause = async {
            match &mut self.member {
                // Who was refused comes no sooner because others are let in.
                Some(member) if !end.is_refusal() => member.wait(pause, random).await,
                _ => tokio::time::sleep(pause).await,
            }
        };
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                () = self.stop.cancelled() => return Err(()),
                request = self.requests.recv() => match request {
                    Some(request) => request.fail(RequestError::Disconnected),
                    None => return Err(()),
                },
            }
        }
    }
}

impl Request {
    /// Answers without having asked. Nobody left to tell is no matter.
    pub(super) fn fail(self, error: RequestError) {
        match self {
            Self::Twin { done } => drop(done.send(Err(error))),
            Self::PatchReported { done, .. } => drop(done.send(Err(error))),
        }
    }
}

type Opened = (Socket, DeviceConnection);

async fn open(options: &HubClientOptions, expiry_secs: u64) -> Result<Opened, End> {
    let audience = match &options.token_audience {
        Some(audience) => audience.clone(),
        None => sas::audience(&options.hub_host, &options.identity),
    };
    let token = options.tokens.token(&audience, expiry_secs).await?;
    let stream = socket::open_mqtt(&options.host, options.port, options.tls.clone(), &options.way).await?;
    let user = HubUserName {
        hub_host: options.hub_host.clone(),
        identity: options.identity.clone(),
        api_version: API_VERSION.to_owned(),
        model_id: options.model_id.clone(),
        auth_chain: options.auth_chain.clone(),
        client_type: Some(options.client_type.clone()),
    };
    let mut device = DeviceOptions::hub(&user, options.subscribe);
    device.password = Some(token);
    device.keep_alive = options.keep_alive;
    device.window = CLIENT_WINDOW;
    Ok((stream, DeviceConnection::new(now(), device)?))
}

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

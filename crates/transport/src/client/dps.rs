//! Provisioning, from the device's side: over HTTPS as the Edge identity service does it, over MQTT as SDKs do.
//!
//! Both end when the registration is assigned, refused or failed; whoever wants it tried again calls again.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, header};
use protocol::dps::{
    API_VERSION, AssignmentStatus, DpsError, OperationStatus, RETRY_AFTER_SECS, RegisterRequest, RegistrationState,
    audience,
};
use protocol::event::DeviceEvent;
use protocol::hub::bag;
use protocol::hub::username::DpsUserName;
use protocol::mqtt::EncodeError;
use protocol::mqtt::{CloseDevice, DeviceConnection, DeviceOptions};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::client::TlsStream;

use super::https::{HttpsClient, HttpsError};
use super::socket::{self, OpenError};
use super::token::{TokenError, TokenSource};
use crate::limits::{DRAIN_TIMEOUT, REGISTRATION_POLLS_MAX, REQUEST_TIMEOUT, RETRY_AFTER_MAX, TOKEN_LIFETIME};
use crate::stream::{Moved, Outgoing, exchange, now};

/// Why a registration did not end in an assignment.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// There is no token.
    #[error("no token for the registration")]
    Token(#[from] TokenError),
    /// The service cannot be reached, over HTTPS.
    #[error("the provisioning service did not answer")]
    Https(#[from] HttpsError),
    /// The service cannot be reached, over MQTT.
    #[error("cannot connect to the provisioning service")]
    Open(#[from] OpenError),
    /// The connection broke.
    #[error("the connection to the provisioning service broke")]
    Io(#[from] std::io::Error),
    /// The service closed the connection, or broke the protocol.
    #[error("the provisioning service ended the connection")]
    Closed(#[source] Option<CloseDevice>),
    /// Ids or token are too long to be sent.
    #[error("the registration cannot be encoded")]
    Encode(#[from] EncodeError),
    /// The service refused.
    #[error("the provisioning service refused")]
    Refused(#[from] DpsError),
    /// The registration failed or is disabled.
    #[error("the registration ended as {:?}: {}", .0.status, .0.error_message.as_deref().unwrap_or("no reason given"))]
    NotAssigned(Box<RegistrationState>),
    /// The answer makes no sense.
    #[error("the provisioning service's answer cannot be read: {0}")]
    Answer(&'static str),
    /// It took too long, or too many polls.
    #[error("the registration did not end in time")]
    Timeout,
}

/// One answer of the service, over whatever came.
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Bytes,
}

impl Answer {
    /// What a client has to do next. A refusal is an error, except one that asks to come back later.
    fn next(self) -> Result<Next, ProvisionError> {
        let pause = self.retry_after.unwrap_or(Duration::from_secs(RETRY_AFTER_SECS.into())).min(RETRY_AFTER_MAX);
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            return Ok(Next::Repeat { pause });
        }
        if self.status >= 300 {
            return Err(DpsError::from_json(self.status, &self.body).into());
        }
        let operation: OperationStatus =
            serde_json::from_slice(&self.body).map_err(|_| ProvisionError::Answer("it is no operation status"))?;
        if operation.is_pending() {
            if operation.operation_id.is_empty() {
                return Err(ProvisionError::Answer("it lacks the operation id"));
            }
            return Ok(Next::Poll { operation_id: operation.operation_id, pause });
        }
        let state = operation.registration_state.ok_or(ProvisionError::Answer("it lacks the registration state"))?;
        match (operation.status, &state.assigned_hub, &state.device_id) {
            (AssignmentStatus::Assigned, Some(_), Some(_)) => Ok(Next::Done(Box::new(state))),
            (AssignmentStatus::Assigned, ..) => Err(ProvisionError::Answer("it lacks hub or device id")),
            _ => Err(ProvisionError::NotAssigned(Box::new(state))),
        }
    }
}

enum Next {
    Poll { operation_id: String, pause: Duration },
    Repeat { pause: Duration },
    Done(Box<RegistrationState>),
}

/// Registers over HTTPS. `endpoint_url` is `https://host[:port]`.
pub async fn register_https(
    endpoint_url: &str,
    id_scope: &str,
    registration_id: &str,
    tokens: &dyn TokenSource,
    payload: Option<Value>,
    tls: Arc<rustls::ClientConfig>,
) -> Result<RegistrationState, ProvisionError> {
    let client = HttpsClient::from_url(endpoint_url, tls)?;
    let token = tokens.token(&audience(id_scope, registration_id), token_expiry_secs()).await?;
    let registration = format!("/{}/registrations/{}", bag::encode(id_scope), bag::encode(registration_id));
    let register = RegisterRequest { payload, tpm: None }.to_json(registration_id);
    let mut operation: Option<String> = None;
    for _ in 0..REGISTRATION_POLLS_MAX {
        let request = match &operation {
            None => https_request(Method::PUT, &format!("{registration}/register"), &token, register.clone().into()),
            Some(id) => {
                let path = format!("{registration}/operations/{}", bag::encode(id));
                https_request(Method::GET, &path, &token, Bytes::new())
            }
        }?;
        let (head, body) = client.request(request).await?.into_parts();
        let answer = Answer { status: head.status.as_u16(), retry_after: retry_after(&head.headers), body };
        match answer.next()? {
            Next::Done(state) => return Ok(*state),
            Next::Poll { operation_id, pause } => {
                operation = Some(operation_id);
                sleep(pause).await;
            }
            Next::Repeat { pause } => sleep(pause).await,
        }
    }
    Err(ProvisionError::Timeout)
}

fn https_request(method: Method, path: &str, token: &str, body: Bytes) -> Result<Request<Bytes>, ProvisionError> {
    Request::builder()
        .method(method)
        .uri(format!("{path}?api-version={API_VERSION}"))
        .header(header::AUTHORIZATION, token)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(body)
        .map_err(|_| ProvisionError::Answer("the request cannot be built from it"))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Registers over MQTT.
#[expect(clippy::too_many_arguments, reason = "those of `register_https`, whose URL is host and port in one")]
pub async fn register_mqtt(
    host: &str,
    port: u16,
    id_scope: &str,
    registration_id: &str,
    tokens: &dyn TokenSource,
    payload: Option<Value>,
    tls: Arc<rustls::ClientConfig>,
) -> Result<RegistrationState, ProvisionError> {
    let token = tokens.token(&audience(id_scope, registration_id), token_expiry_secs()).await?;
    let user = DpsUserName { id_scope: id_scope.to_owned(), registration_id: registration_id.to_owned() };
    let mut options = DeviceOptions::dps(&user);
    options.password = Some(token);
    let stream = socket::open(host, port, tls).await?;
    let connection = DeviceConnection::new(now(), options)?;
    let mut exchange = MqttExchange { stream, connection, input: BytesMut::new(), output: Outgoing::default() };
    let register = RegisterRequest { payload, tpm: None }.to_json(registration_id);
    let result = exchange.register(&register).await;
    exchange.leave().await;
    result
}

struct MqttExchange {
    stream: TlsStream<TcpStream>,
    connection: DeviceConnection,
    input: BytesMut,
    output: Outgoing,
}

impl MqttExchange {
    async fn register(&mut self, body: &[u8]) -> Result<RegistrationState, ProvisionError> {
        while !matches!(self.next_event(None).await?, Some(DeviceEvent::Ready { .. })) {}
        let mut operation: Option<String> = None;
        for number in 1..=REGISTRATION_POLLS_MAX {
            let request_id = number.to_string();
            let asked = match &operation {
                None => self.connection.dps_register(&request_id, body),
                Some(id) => self.connection.dps_status(&request_id, id),
            };
            asked.map_err(|_| ProvisionError::Closed(None))?;
            match self.answer(request_id.as_bytes()).await?.next()? {
                Next::Done(state) => return Ok(*state),
                Next::Poll { operation_id, pause } => {
                    operation = Some(operation_id);
                    self.pause(pause).await?;
                }
                Next::Repeat { pause } => self.pause(pause).await?,
            }
        }
        Err(ProvisionError::Timeout)
    }

    /// Waits for the answer to a request.
    async fn answer(&mut self, request_id: &[u8]) -> Result<Answer, ProvisionError> {
        let until = Instant::now() + REQUEST_TIMEOUT;
        loop {
            match self.next_event(Some(until)).await?.ok_or(ProvisionError::Timeout)? {
                DeviceEvent::DpsReply { reply, body } if reply.request_id == request_id => {
                    let retry_after = reply.retry_after_secs.map(|secs| Duration::from_secs(secs.into()));
                    return Ok(Answer { status: reply.status, retry_after, body });
                }
                _ => {}
            }
        }
    }

    /// Lets time pass, without letting the connection die.
    async fn pause(&mut self, pause: Duration) -> Result<(), ProvisionError> {
        let until = Instant::now() + pause;
        while self.next_event(Some(until)).await?.is_some() {}
        Ok(())
    }

    /// The next event, or nothing when the time is up.
    async fn next_event(&mut self, until: Option<Instant>) -> Result<Option<DeviceEvent>, ProvisionError> {
        let closed = |close| ProvisionError::Closed(Some(close));
        loop {
            if let Some(event) = self.connection.poll(now(), &mut self.input).map_err(closed)? {
                return Ok(Some(event));
            }
            self.output.push(self.connection.take_output(now()));
            let clock = self.connection.poll_timeout().map(Instant::from_std).unwrap_or_else(Instant::now);
            let wake_at = until.map_or(clock, |until| until.min(clock));
            tokio::select! {
                moved = exchange(&mut self.stream, &mut self.output, &mut self.input, true) => match moved {
                    Moved::Written(written) => written?,
                    Moved::Read(read) => if read? == 0 { return Err(ProvisionError::Closed(None)) },
                },
                () = sleep_until(wake_at) => {
                    if until.is_some_and(|until| Instant::now() >= until) {
                        return Ok(None);
                    }
                    self.connection.handle_timeout(now()).map_err(closed)?;
                }
            }
        }
    }

    async fn leave(&mut self) {
        self.connection.disconnect();
        self.output.push(self.connection.take_output(now()));
        let closed = async {
            self.output.write_all(&mut self.stream).await?;
            self.stream.shutdown().await
        };
        let _ = timeout(DRAIN_TIMEOUT, closed).await;
    }
}

fn token_expiry_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() + TOKEN_LIFETIME.as_secs()
}

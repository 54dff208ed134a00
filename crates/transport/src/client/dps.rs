//! Provisioning, from the device's side: over HTTPS as the Edge identity service does it; in tests, over MQTT as SDKs do.
//!
//! Both end when the registration is assigned, refused or failed; whoever wants it tried again calls again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use protocol::dps::{
    API_VERSION, AssignmentStatus, DpsError, OperationStatus, RETRY_AFTER_SECS, RegisterRequest, RegistrationState,
    audience,
};
use protocol::hub::bag;
use protocol::mqtt::{CloseDevice, EncodeError};
use serde_json::Value;
use tokio::time::sleep;

use super::https::{HttpsClient, HttpsError};
use super::socket::OpenError;
use super::token::{TokenError, TokenSource};
use crate::limits::{REGISTRATION_POLLS_MAX, RETRY_AFTER_MAX, TOKEN_LIFETIME};

#[cfg(feature = "testing")]
mod direct;
#[cfg(feature = "testing")]
mod mqtt;

#[cfg(feature = "testing")]
pub use direct::register_https;
#[cfg(feature = "testing")]
pub use mqtt::register_mqtt;

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

/// Registers over HTTPS, as the client connects: with tokens, or else with the certificate that the client's TLS shows.
pub async fn register_at(
    client: &HttpsClient,
    id_scope: &str,
    registration_id: &str,
    tokens: Option<&dyn TokenSource>,
    payload: Option<Value>,
) -> Result<RegistrationState, ProvisionError> {
    let token = match tokens {
        Some(tokens) => Some(tokens.token(&audience(id_scope, registration_id), token_expiry_secs()).await?),
        None => None,
    };
    register(client, id_scope, registration_id, token.as_deref(), payload).await
}

async fn register(
    client: &HttpsClient,
    id_scope: &str,
    registration_id: &str,
    token: Option<&str>,
    payload: Option<Value>,
) -> Result<RegistrationState, ProvisionError> {
    let registration = format!("/{}/registrations/{}", bag::encode(id_scope), bag::encode(registration_id));
    let register = RegisterRequest { payload, tpm: None }.to_json(registration_id);
    let mut operation: Option<String> = None;
    for _ in 0..REGISTRATION_POLLS_MAX {
        let request = match &operation {
            None => https_request(Method::PUT, &format!("{registration}/register"), token, register.clone().into()),
            Some(id) => {
                let path = format!("{registration}/operations/{}", bag::encode(id));
                https_request(Method::GET, &path, token, Bytes::new())
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

fn https_request(
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Bytes,
) -> Result<Request<Bytes>, ProvisionError> {
    let mut request = Request::builder().method(method).uri(format!("{path}?api-version={API_VERSION}"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, token);
    }
    request
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(body)
        .map_err(|_| ProvisionError::Answer("the request cannot be built from it"))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn token_expiry_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() + TOKEN_LIFETIME.as_secs()
}

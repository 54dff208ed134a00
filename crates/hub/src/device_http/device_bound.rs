//! Cloud-to-device messages over HTTPS: one is fetched, which locks it, and then completed, rejected or abandoned with its lock.
//!
//! The message's properties are headers, as they are when a device sends one; what the hub says of it are headers of its own.

use axum::body::Body;
use events::clock::rfc3339_ms;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use model::identity::Identity;
use protocol::hub::bag;
use registry::Settlement;

use super::error::HubHttpError;
use super::messages::{APPLICATION_PREFIX, SYSTEM_HEADERS};
use super::{Call, HubHttp, no_content};
use crate::device_messages::{DeviceMessages, Fetched, QueueError};

/// The header that carries the wish for feedback.
const ACK: &str = "iothub-ack";

impl HubHttp {
    /// The next message for a device, locked; 204 when there is none.
    pub(super) async fn message_next(&self, call: &Call<'_>, device: &str) -> Result<Response<Body>, HubHttpError> {
        let caller = self.caller(call, &Identity::device(device)).await?;
        let fetched = self.gateway.messages.fetch(&caller.app, device).await?;
        Ok(fetched.map_or_else(no_content, |fetched| answer(device, fetched)))
    }

    /// Completes a message, or rejects it where the query says so.
    pub(super) async fn message_end(
        &self,
        call: &Call<'_>,
        device: &str,
        lock: &str,
    ) -> Result<Response<Body>, HubHttpError> {
        let rejects = bag::iter(call.query.as_bytes()).any(|(name, _)| name.eq_ignore_ascii_case("reject"));
        let settlement = if rejects { Settlement::Reject } else { Settlement::Complete };
        self.message_settle(call, device, lock, settlement).await
    }

    /// Gives a message back.
    pub(super) async fn message_abandon(
        &self,
        call: &Call<'_>,
        device: &str,
        lock: &str,
    ) -> Result<Response<Body>, HubHttpError> {
        self.message_settle(call, device, lock, DeviceMessages::abandon()).await
    }

    async fn message_settle(
        &self,
        call: &Call<'_>,
        device: &str,
        lock: &str,
        settlement: Settlement,
    ) -> Result<Response<Body>, HubHttpError> {
        let caller = self.caller(call, &Identity::device(device)).await?;
        let settled = self.gateway.messages.settle_fetched(&caller.app, device, lock, settlement).await?;
        if settled { Ok(no_content()) } else { Err(HubHttpError::lock_lost()) }
    }
}

impl From<QueueError> for HubHttpError {
    fn from(error: QueueError) -> Self {
        if error.is_news() {
            tracing::error!(error = &error as &dyn std::error::Error, "the queue of a device could not be used");
        }
        Self::unavailable()
    }
}

fn answer(device: &str, fetched: Fetched) -> Response<Body> {
    let Fetched { message, lock } = fetched;
    let mut builder = Response::builder()
        .status(StatusCode::OK)
        .header(header::ETAG, format!("\"{lock}\""))
        .header("iothub-sequencenumber", message.sequence)
        .header("iothub-enqueuedtime", rfc3339_ms(message.enqueued_ms))
        .header("iothub-deliverycount", message.deliveries)
        .header("iothub-messagelocktoken", &lock)
        .header("iothub-to", bag::encode(&format!("/devices/{device}/messages/devicebound")).replace("%2F", "/"));
    for (name, value) in bag::iter(message.bag.as_bytes()).filter(|(name, _)| name != bag::TO) {
        let value = value.unwrap_or_default();
        if let Some(name) = header_name(&name) {
            builder = builder.header(name, header_value(&value));
        }
    }
    builder.body(Body::from(message.body)).expect("names and values were checked")
}

/// The header of a property; none for those of other hubs. A name that no header can have is escaped.
fn header_name(property: &str) -> Option<HeaderName> {
    if property == ACK {
        return Some(HeaderName::from_static(ACK));
    }
    if let Some((header, _)) = SYSTEM_HEADERS.iter().find(|(_, known)| *known == property) {
        return Some(HeaderName::from_static(header));
    }
    if bag::is_system_name(property) {
        return None;
    }
    let name = |property: &str| HeaderName::from_bytes(format!("{APPLICATION_PREFIX}{property}").as_bytes()).ok();
    name(property).or_else(|| name(&bag::encode(property)))
}

/// A value as it is, or escaped where no header can have it.
fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_str(value)
        .unwrap_or_else(|_| HeaderValue::from_str(&bag::encode(value)).expect("an escaped text is ASCII"))
}

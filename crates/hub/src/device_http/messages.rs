//! Telemetry over HTTPS: one message with its properties in headers, or a batch in JSON.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Response, header};
use model::identity::Identity;
use model::message::{MESSAGE_BYTES_MAX, Message};
use protocol::hub::bag::{self, BagBuilder};
use protocol::hub::delivery;
use serde::Deserialize;
use transport::server::TelemetryBatch;

use super::error::HubHttpError;
use super::{Call, HeaderNames, HubHttp, no_content};
use crate::limits::HUB_HTTP_BODY_BYTES_MAX;

const BATCH_TYPE: &str = "application/vnd.microsoft.iothub.json";
/// What the headers of application properties begin with.
pub const APPLICATION_PREFIX: &str = "iothub-app-";

/// Header names and the properties they stand for.
pub(super) const SYSTEM_HEADERS: [(&str, &str); 13] = [
    ("iothub-messageid", bag::MESSAGE_ID),
    ("iothub-correlationid", bag::CORRELATION_ID),
    ("iothub-userid", bag::USER_ID),
    ("iothub-to", bag::TO),
    ("iothub-contenttype", bag::CONTENT_TYPE),
    ("iothub-contentencoding", bag::CONTENT_ENCODING),
    ("iothub-expiry", bag::EXPIRY),
    ("iothub-creationtimeutc", bag::CREATION_TIME),
    ("iothub-creation-time-utc", bag::CREATION_TIME_UTC),
    ("iothub-interface-id", bag::INTERFACE_ID),
    ("iothub-messageschema", bag::SCHEMA),
    ("iothub-operation", bag::OPERATION),
    ("dt-subject", bag::COMPONENT),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchMessage {
    body: String,
    #[serde(default = "yes")]
    base64_encoded: bool,
    #[serde(default)]
    properties: serde_json::Map<String, serde_json::Value>,
}

fn yes() -> bool {
    true
}

impl HubHttp {
    /// Stores one message or a batch; 204 means durable.
    pub(super) async fn message_post(
        &self,
        call: &Call<'_>,
        identity: &Identity,
    ) -> Result<Response<Body>, HubHttpError> {
        let caller = self.caller(call, identity).await?;
        let body = call.body(HUB_HTTP_BODY_BYTES_MAX).await?;
        let is_batch = call
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with(BATCH_TYPE));
        let messages =
            if is_batch { batch(&body)? } else { vec![Message { bag: properties(call.headers, call.names)?, body }] };
        let bytes = messages.iter().map(|message| message.bag.len() + message.body.len()).sum::<usize>();
        let cannot_be_sent_on = |message: &Message| delivery::as_telemetry(identity, message).is_err();
        if bytes > MESSAGE_BYTES_MAX || messages.iter().any(cannot_be_sent_on) {
            return Err(HubHttpError::too_large());
        }
        if messages.is_empty() {
            return Ok(no_content());
        }
        let speaker = self.gateway.speaker(&caller.app, identity, caller.principal, None);
        let speaker = speaker.map_err(|error| HubHttpError::bad_request(error.to_string()))?;
        self.gateway.store(&speaker, messages).await.map_err(|error| match error.status {
            400 => HubHttpError::bad_request(error.message),
            _ => HubHttpError::unavailable(),
        })?;
        Ok(no_content())
    }
}

/// Properties from headers. Values are raw; names of application properties keep the letters they were written with, as far as
/// these are known: HTTP/2 has small ones only. A property that is no UTF-8 refuses the message: it would be lost.
fn properties(headers: &HeaderMap, names: Option<&HeaderNames>) -> Result<Bytes, HubHttpError> {
    let mut bag = BagBuilder::new();
    for (name, value) in headers {
        let name = name.as_str();
        let Ok(value) = std::str::from_utf8(value.as_bytes()) else {
            if is_property(name) {
                return Err(HubHttpError::bad_request(format!("the property {name} is no UTF-8")));
            }
            continue;
        };
        let written = names.and_then(|names| names.0.iter().find(|written| written.eq_ignore_ascii_case(name)));
        push(&mut bag, written.map_or(name, String::as_str), value);
    }
    Ok(bag.build())
}

fn is_property(header: &str) -> bool {
    let is_application =
        header.get(..APPLICATION_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(APPLICATION_PREFIX));
    is_application || SYSTEM_HEADERS.iter().any(|(known, _)| known.eq_ignore_ascii_case(header))
}

fn push(bag: &mut BagBuilder, header: &str, value: &str) {
    let (prefix, name) = header.split_at_checked(APPLICATION_PREFIX.len()).unwrap_or((header, ""));
    if prefix.eq_ignore_ascii_case(APPLICATION_PREFIX) && !name.is_empty() {
        bag.push(name, value);
    } else if let Some((_, property)) = SYSTEM_HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(header)) {
        bag.push(property, value);
    }
}

fn batch(body: &[u8]) -> Result<TelemetryBatch, HubHttpError> {
    let messages: Vec<BatchMessage> = serde_json::from_slice(body)
        .map_err(|error| HubHttpError::bad_request(format!("the body is no batch of messages: {error}")))?;
    messages
        .into_iter()
        .map(|message| {
            let body = if message.base64_encoded {
                let decoded = STANDARD.decode(&message.body);
                decoded.map_err(|_| HubHttpError::bad_request("a message body is not base64"))?.into()
            } else {
                Bytes::from(message.body)
            };
            let mut bag = BagBuilder::new();
            for (name, value) in &message.properties {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                push(&mut bag, name, &text);
            }
            Ok(Message { bag: bag.build(), body })
        })
        .collect()
}

//! Provisioning over HTTPS by an address alone: for tests, as the edge may go through a proxy.

use std::sync::Arc;

use protocol::dps::RegistrationState;
use serde_json::Value;

use super::{ProvisionError, register_at};
use crate::client::https::HttpsClient;
use crate::client::token::TokenSource;

/// Registers over HTTPS, directly. `endpoint_url` is `https://host[:port]`.
pub async fn register_https(
    endpoint_url: &str,
    id_scope: &str,
    registration_id: &str,
    tokens: &dyn TokenSource,
    payload: Option<Value>,
    tls: Arc<rustls::ClientConfig>,
) -> Result<RegistrationState, ProvisionError> {
    register_at(&HttpsClient::from_url(endpoint_url, tls)?, id_scope, registration_id, Some(tokens), payload).await
}

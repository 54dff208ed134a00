//! The HTTPS calls an edge device makes to its hub: module identities and the scope.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use protocol::hub::bag;
use serde_json::Value;
use transport::client::Proxies;
use transport::client::https::{HttpsClient, HttpsError};

use super::device::Device;
use super::signer::{KeyOf, SignError, Signer};
use crate::limits::TOKEN_LIFETIME;

const REGISTRY_VERSION: &str = "2017-11-08-preview";
const SCOPE_VERSION: &str = "2020-06-30-preview";

/// Calls the hub as this device, or as its `$edgeHub`.
#[derive(Clone)]
pub struct HubApi {
    https: HttpsClient,
    signer: Arc<dyn Signer>,
}

/// A call to the hub brought nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum HubApiError {
    /// The hub was not reached.
    #[error("the hub's HTTPS API is not reachable")]
    Unreachable(#[source] HttpsError),
    /// The hub said no.
    #[error("the hub refused {act}: status {status}, {message}")]
    Refused {
        /// What was asked.
        act: &'static str,
        /// HTTP status.
        status: u16,
        /// The hub's words.
        message: String,
    },
    /// The answer makes no sense.
    #[error("the hub's answer to {act} cannot be read")]
    Answer {
        /// What was asked.
        act: &'static str,
    },
    /// There is no token to ask with.
    #[error("no token to ask the hub with")]
    Token(#[source] SignError),
}

impl HubApiError {
    /// Whether the credential itself was refused.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { status: 401, .. })
    }
}

/// One request, without what all have in common.
struct HubRequest<'a> {
    act: &'static str,
    method: Method,
    path: String,
    version: &'static str,
    if_match: bool,
    body: Option<&'a Value>,
}

impl HubApi {
    /// For this device; `host` is where to connect: the hub, or the parent of a nested edge.
    pub fn new(host: &str, port: u16, signer: Arc<dyn Signer>, tls: Arc<rustls::ClientConfig>) -> Self {
        Self { https: HttpsClient::new(host, port, tls), signer }
    }

    /// The same through a proxy, where one applies.
    pub fn through(self, proxies: Proxies) -> Self {
        Self { https: self.https.through(proxies), ..self }
    }

    fn device(&self) -> &Device {
        self.signer.device()
    }

    fn module_path(&self, module: &str) -> String {
        format!("/devices/{}/modules/{}", escape(&self.device().device_id), escape(module))
    }

    /// A module identity, if there is one.
    pub async fn module(&self, module: &str) -> Result<Option<Value>, HubApiError> {
        let act = "reading a module identity";
        let path = self.module_path(module);
        let request =
            HubRequest { act, method: Method::GET, path, version: REGISTRY_VERSION, if_match: false, body: None };
        match self.as_device(request).await {
            Ok(found) => Ok(Some(found)),
            Err(HubApiError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes or changes a module identity.
    pub async fn put_module(&self, module: &str, body: &Value, overwrite: bool) -> Result<Value, HubApiError> {
        let act = if overwrite { "setting a module's keys" } else { "creating a module identity" };
        let path = self.module_path(module);
        let request = HubRequest {
            act,
            method: Method::PUT,
            path,
            version: REGISTRY_VERSION,
            if_match: overwrite,
            body: Some(body),
        };
        self.as_device(request).await
    }

    /// Deletes a module identity; fine when there is none.
    pub async fn delete_module(&self, module: &str) -> Result<(), HubApiError> {
        let act = "deleting a module identity";
        let path = self.module_path(module);
        let request =
            HubRequest { act, method: Method::DELETE, path, version: REGISTRY_VERSION, if_match: true, body: None };
        match self.as_device(request).await {
            Ok(_) | Err(HubApiError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One page of the identities in this device's scope, asked for as `$edgeHub`.
    pub async fn scope_page(&self, body: &Value) -> Result<Value, HubApiError> {
        self.as_hub("reading the scope", "devicesAndModulesInTargetDeviceScope", body).await
    }

    /// One identity in this device's scope, asked for as `$edgeHub`.
    pub async fn scope_identity(&self, body: &Value) -> Result<Value, HubApiError> {
        self.as_hub("reading an identity in scope", "getDeviceAndModuleOnBehalfOf", body).await
    }

    async fn as_device(&self, request: HubRequest<'_>) -> Result<Value, HubApiError> {
        let audience = self.device().audience();
        self.call(request, &audience, KeyOf::Device).await
    }

    async fn as_hub(&self, act: &'static str, call: &str, body: &Value) -> Result<Value, HubApiError> {
        let path = format!("{}/{call}", self.module_path("$edgeHub"));
        let request =
            HubRequest { act, method: Method::POST, path, version: SCOPE_VERSION, if_match: false, body: Some(body) };
        let audience = format!("{}/modules/$edgeHub", self.device().audience());
        self.call(request, &audience, KeyOf::Module("$edgeHub")).await
    }

    async fn call(&self, ask: HubRequest<'_>, audience: &str, key: KeyOf<'_>) -> Result<Value, HubApiError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expiry_secs = (now + TOKEN_LIFETIME).as_secs();
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("{}?api-version={}", ask.path, ask.version))
            .header(header::CONTENT_TYPE, "application/json");
        // A certificate is shown by the connection.
        if !(key == KeyOf::Device && self.signer.shows_certificate()) {
            let token = self.signer.token(key, audience, expiry_secs).await.map_err(HubApiError::Token)?;
            request = request.header(header::AUTHORIZATION, token);
        }
        if ask.if_match {
            request = request.header(header::IF_MATCH, "*");
        }
        let body = ask.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(body).map_err(|_| HubApiError::Answer { act: ask.act })?;
        let answer = self.https.request(request).await.map_err(HubApiError::Unreachable)?;
        read_answer(ask.act, answer.status(), answer.body())
    }
}

fn read_answer(act: &'static str, status: StatusCode, body: &[u8]) -> Result<Value, HubApiError> {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    if status.is_success() {
        return match json {
            Some(json) => Ok(json),
            None if body.is_empty() => Ok(Value::Null),
            None => Err(HubApiError::Answer { act }),
        };
    }
    let words = json.as_ref().and_then(|json| json.get("Message").or_else(|| json.get("message"))?.as_str());
    let message = words.unwrap_or("no reason given").to_owned();
    Err(HubApiError::Refused { act, status: status.as_u16(), message })
}

/// Ids in paths are escaped, except that system modules keep their `$`.
fn escape(id: &str) -> String {
    bag::encode(id).replace("%24", "$")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identity::testing;

    #[test]
    fn ids_are_escaped_as_the_original_does() {
        assert_eq!(escape("$edgeHub"), "$edgeHub");
        assert_eq!(escape("a=b/c"), "a%3Db%2Fc");
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(read_answer("x", StatusCode::NO_CONTENT, b"").unwrap(), Value::Null);
        assert!(matches!(read_answer("x", StatusCode::OK, b"<html>"), Err(HubApiError::Answer { .. })));
        let refused =
            read_answer("x", StatusCode::UNAUTHORIZED, br#"{"Message":"ErrorCode:IotHubUnauthorizedAccess"}"#);
        let error = refused.unwrap_err();
        assert!(error.is_unauthorized());
        assert_eq!(error.to_string(), "the hub refused x: status 401, ErrorCode:IotHubUnauthorizedAccess");
    }

    #[tokio::test]
    async fn tokens_for_a_call_end_soon() {
        let dir = tempfile::tempdir().unwrap();
        let signer = testing::Recorded::new(testing::signer(dir.path(), "edge", &[("$edgeHub", "key")]));
        let ca = std::fs::read(dir.path().join("ca.pem")).unwrap();
        // A port that was just free and is not listened on.
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let tls = transport::tls::client_config(Some(&ca)).unwrap();
        let api = HubApi::new("127.0.0.1", closed, Arc::clone(&signer) as _, tls);
        let now_secs = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let begun = now_secs();
        assert!(matches!(api.module("m").await, Err(HubApiError::Unreachable(_))));
        assert!(matches!(api.scope_page(&Value::Null).await, Err(HubApiError::Unreachable(_))));
        let life = TOKEN_LIFETIME.as_secs();
        let ends = signer.token_ends_secs.lock().unwrap().clone();
        assert_eq!(ends.len(), 2);
        assert!(ends.iter().all(|end| (begun + life..=now_secs() + life).contains(end)), "{ends:?} from {begun}");
    }
}

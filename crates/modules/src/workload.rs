//! The workload API, from the module's side: HTTP/1.1 over the unix socket of `IOTEDGE_WORKLOADURI`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use protocol::auth::sas;
use protocol::hub::bag;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use transport::client::token::TokenFuture;
use transport::client::{TokenError, TokenSource};

/// Largest answer read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A call to the workload API failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The URI names no unix socket.
    #[error("the workload URI {uri:?} is not unix:///PATH")]
    Uri {
        /// What it is.
        uri: String,
    },
    /// Nobody answers.
    #[error("cannot reach the workload API at {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The exchange broke off.
    #[error("the call to the workload API failed")]
    Exchange(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("the workload API did not answer in time")]
    Timeout,
    /// The daemon said no.
    #[error("the workload API refused with status {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The daemon's words.
        message: String,
    },
    /// The answer lacks what was asked for.
    #[error("the workload API's answer has no {0}")]
    Incomplete(&'static str),
}

/// The workload API of one module.
#[derive(Debug, Clone)]
pub struct Workload {
    socket: PathBuf,
    api_version: String,
    module: String,
    generation: String,
}

impl Workload {
    /// For a module of this life.
    pub fn new(uri: &str, api_version: &str, module: &str, generation: &str) -> Result<Self, WorkloadError> {
        let path = uri.strip_prefix("unix://").filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| WorkloadError::Uri { uri: uri.to_owned() })?;
        Ok(Self {
            socket: Path::new(path).to_owned(),
            api_version: api_version.to_owned(),
            module: module.to_owned(),
            generation: generation.to_owned(),
        })
    }

    /// What to trust, PEM.
    pub async fn trust_bundle(&self) -> Result<String, WorkloadError> {
        let answer = self.call(Method::GET, "/trust-bundle", None).await?;
        text(&answer, "certificate")
    }

    /// The signature over `data` with the module's key, base64.
    pub async fn sign(&self, data: &[u8]) -> Result<String, WorkloadError> {
        let path = format!("/modules/{}/genid/{}/sign", bag::encode(&self.module), bag::encode(&self.generation));
        let body = json!({ "keyId": "primary", "algo": "HMACSHA256", "data": STANDARD.encode(data) });
        let answer = self.call(Method::POST, &path, Some(body)).await?;
        text(&answer, "digest")
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, WorkloadError> {
        tokio::time::timeout(CALL_TIMEOUT, self.exchange(method, path, body))
            .await
            .map_err(|_| WorkloadError::Timeout)?
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, WorkloadError> {
        let broken = |error: Box<dyn std::error::Error + Send + Sync>| WorkloadError::Exchange(error);
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| WorkloadError::Connect { path: self.socket.clone(), source })?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(error.into()))?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?api-version={}", self.api_version))
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default()))
            .map_err(|error| broken(error.into()))?;
        let answer = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(broken)?.to_bytes();
        connection.abort();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let message = answer.get("message").and_then(Value::as_str).unwrap_or("no reason given").to_owned();
        Err(WorkloadError::Refused { status: status.as_u16(), message })
    }
}

fn text(answer: &Value, name: &'static str) -> Result<String, WorkloadError> {
    answer.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(WorkloadError::Incomplete(name))
}

/// A module never sees its key: the daemon signs its tokens.
impl TokenSource for Workload {
    fn token<'a>(&'a self, audience: &'a str, expiry_secs: u64) -> TokenFuture<'a> {
        Box::pin(async move {
            let audience = sas::escape_audience(audience);
            let signed = self.sign(sas::string_to_sign(&audience, expiry_secs).as_bytes()).await;
            let signature = signed.map_err(|error| TokenError { message: error.to_string() })?;
            Ok(sas::assemble(&audience, &signature, expiry_secs, None))
        })
    }
}

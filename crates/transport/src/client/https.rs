//! A small HTTPS client: one request a connection, bounded body, one deadline. For provisioning and the hub's HTTPS API,
//! which are called rarely.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use super::proxy::Proxies;
use super::socket::{self, OpenError, authority};
use crate::limits::{HTTPS_BODY_BYTES_MAX, HTTPS_TIMEOUT};

/// Calls one host.
#[derive(Clone)]
pub struct HttpsClient {
    host: String,
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    proxies: Proxies,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The URL is not `https://host[:port]`.
    #[error("not an https URL: {0}")]
    Url(String),
    /// There is no connection.
    #[error("cannot open the connection")]
    Open(#[from] OpenError),
    /// The exchange failed.
    #[error("the exchange failed")]
    Exchange(#[from] hyper::Error),
    /// The body is larger than `limits::HTTPS_BODY_BYTES_MAX`.
    #[error("the answer is too large")]
    TooLarge,
    /// It took longer than `limits::HTTPS_TIMEOUT`.
    #[error("no answer in time")]
    Timeout,
}

impl HttpsClient {
    /// For a host and port.
    pub fn new(host: &str, port: u16, tls: Arc<rustls::ClientConfig>) -> Self {
        Self { host: host.to_owned(), port, tls, proxies: Proxies::default() }
    }

    /// For `https://host[:port]`, a path is ignored.
    pub fn from_url(url: &str, tls: Arc<rustls::ClientConfig>) -> Result<Self, HttpsError> {
        let wrong = || HttpsError::Url(url.to_owned());
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?;
        if uri.scheme_str() != Some("https") {
            return Err(wrong());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self::new(host, uri.port_u16().unwrap_or(443), tls))
    }

    /// The same through these, where they apply.
    pub fn through(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// Sends one request, whose URI is path and query only, and reads the whole answer. `Host` is filled in.
    pub async fn request(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpsError> {
        tokio::time::timeout(HTTPS_TIMEOUT, self.exchange(request)).await.map_err(|_| HttpsError::Timeout)?
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpsError> {
        let stream = socket::open(&self.host, self.port, self.tls.clone(), &self.proxies).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = request.map(Full::new);
        let host = authority(&self.host, self.port);
        request.headers_mut().entry(header::HOST).or_insert(host);
        let (parts, mut body) = sender.send_request(request).await?.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                if bytes.len() + data.len() > HTTPS_BODY_BYTES_MAX {
                    return Err(HttpsError::TooLarge);
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(Response::from_parts(parts, bytes.freeze()))
    }
}

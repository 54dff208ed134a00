//! Asking over HTTP for a connection to be used for something else.

use http::{Request, StatusCode, response};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use crate::limits::WEB_SOCKET_HEAD_BYTES_MAX;

/// Why it cannot be.
pub(super) enum UpgradeError {
    /// The answer is another.
    Refused(StatusCode),
    /// There is none.
    Exchange(hyper::Error),
}

/// Sends a request that asks for it, and gives the connection with the head of the answer.
pub(super) async fn ask<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(response::Parts, Upgraded), UpgradeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connects = request.method() == http::Method::CONNECT;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(WEB_SOCKET_HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(UpgradeError::Exchange)?;
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
    let mut response = sender.send_request(request).await.map_err(UpgradeError::Exchange)?;
    let status = response.status();
    let is_granted = if connects { status.is_success() } else { status == StatusCode::SWITCHING_PROTOCOLS };
    if !is_granted {
        return Err(UpgradeError::Refused(status));
    }
    let upgraded = hyper::upgrade::on(&mut response).await.map_err(UpgradeError::Exchange)?;
    Ok((response.into_parts().0, upgraded))
}

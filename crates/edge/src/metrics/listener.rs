//! Serves the metrics over plain HTTP on a loopback address: `GET /metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{CONTENT_TYPE, CurrentMetrics};
use crate::unix_http::{self, Answer, Api, Call, raw, refused};

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}, which is listen_metrics in [tidegate]")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

struct MetricsApi(Arc<CurrentMetrics>);

impl Api for MetricsApi {
    async fn call(&self, call: Call) -> Answer {
        match (&call.method, call.path().as_slice()) {
            (&Method::GET, ["metrics"]) => answer(&self.0),
            (_, ["metrics"]) => refused(StatusCode::METHOD_NOT_ALLOWED, "metrics can only be read").into(),
            _ => refused(StatusCode::NOT_FOUND, "there is nothing here but /metrics").into(),
        }
    }
}

/// The metrics as an answer.
pub fn answer(metrics: &CurrentMetrics) -> Answer {
    raw(StatusCode::OK, CONTENT_TYPE, metrics.text().into())
}

/// Listens until `stop`; says where.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<CurrentMetrics>,
    stop: CancellationToken,
) -> Result<SocketAddr, ListenError> {
    let failed = |source| ListenError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tokio::spawn(stop.run_until_cancelled_owned(unix_http::accept(listener, Arc::new(MetricsApi(metrics)))));
    Ok(address)
}

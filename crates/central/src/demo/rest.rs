//! The demo's own use of the REST API: the same calls a user's script makes.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::Value;
use transport::client::https::HttpsClient;

use super::{POLL_INTERVAL, START_TIMEOUT};
use crate::data_folder::{DataFolder, Endpoints};

/// A client of the API with the built-in administrator's token.
pub struct Rest {
    client: HttpsClient,
    token: String,
    /// `https://host:port`, for links.
    pub origin: String,
}

impl Rest {
    /// Reads the token and the trust bundle from Central's data folder.
    pub fn open(folder: &DataFolder, endpoints: &Endpoints) -> Result<Self> {
        let roots = std::fs::read(folder.ca_pem()).context("cannot read ca.pem")?;
        let token = std::fs::read_to_string(folder.admin_token()).context("cannot read admin.token")?;
        let address = endpoints.https.as_deref().context("Central has no HTTPS listener")?;
        let port =
            address.rsplit(':').next().and_then(|port| port.parse().ok()).context("endpoints.json holds no port")?;
        let tls = transport::tls::client_config(Some(&roots)).context("ca.pem cannot be used")?;
        Ok(Self {
            client: HttpsClient::new(&endpoints.hostname, port, tls),
            token: token.trim().to_owned(),
            origin: format!("https://{}:{port}", endpoints.hostname),
        })
    }

    /// Waits until Central says it is ready.
    pub async fn await_ready(&self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + START_TIMEOUT;
        loop {
            let answer = self.client.request(Request::get("/health/ready").body(Bytes::new())?).await;
            match answer {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                _ if tokio::time::Instant::now() < deadline => tokio::time::sleep(POLL_INTERVAL).await,
                Ok(answer) => bail!("Central is not ready: {}", String::from_utf8_lossy(answer.body())),
                Err(error) => return Err(error).context("Central is not ready"),
            }
        }
    }

    /// Reads a resource; `None` when there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Value>> {
        let (status, body) = self.exchange(Method::GET, path, None).await?;
        match status {
            200 => Ok(Some(body)),
            404 => Ok(None),
            _ => bail!("GET {path} was answered {status}: {body}"),
        }
    }

    /// Creates, replaces or runs something.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.exchange(method.clone(), path, Some(body)).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} was answered {status}: {answer}");
        }
        Ok(answer)
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let request = Request::builder()
            .method(method)
            .uri(format!("/api{path}{separator}api-version=2022-10-31-preview"))
            .header(header::AUTHORIZATION, &self.token)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default())?;
        let answer = self.client.request(request).await.with_context(|| format!("no answer to {path}"))?;
        let value = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        Ok((answer.status().as_u16(), value))
    }
}

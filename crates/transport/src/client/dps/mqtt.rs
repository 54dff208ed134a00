//! Provisioning over MQTT, from the device's side: for tests, as the Edge identity service speaks HTTPS only.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use protocol::dps::{RegisterRequest, RegistrationState, audience};
use protocol::event::DeviceEvent;
use protocol::hub::username::DpsUserName;
use protocol::mqtt::{DeviceConnection, DeviceOptions};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Answer, Next, ProvisionError, token_expiry_secs};
use crate::client::socket::{self, Socket, Way};
use crate::client::token::TokenSource;
use crate::limits::{DRAIN_TIMEOUT, REGISTRATION_POLLS_MAX, REQUEST_TIMEOUT};
use crate::stream::{Moved, Outgoing, exchange, now};

/// Registers over MQTT.
#[expect(clippy::too_many_arguments, reason = "those of `register_https`, whose URL is host and port in one")]
pub async fn register_mqtt(
    host: &str,
    port: u16,
    id_scope: &str,
    registration_id: &str,
    tokens: &dyn TokenSource,
    payload: Option<Value>,
    tls: Arc<rustls::ClientConfig>,
    way: &Way,
) -> Result<RegistrationState, ProvisionError> {
    let token = tokens.token(&audience(id_scope, registration_id), token_expiry_secs()).await?;
    let user = DpsUserName { id_scope: id_scope.to_owned(), registration_id: registration_id.to_owned() };
    let mut options = DeviceOptions::dps(&user);
    options.password = Some(token);
    let stream = socket::open_mqtt(host, port, tls, way).await?;
    let connection = DeviceConnection::new(now(), options)?;
    let mut exchange = MqttExchange { stream, connection, input: BytesMut::new(), output: Outgoing::default() };
    let register = RegisterRequest { payload, tpm: None }.to_json(registration_id);
    let result = exchange.register(&register).await;
    exchange.leave().await;
    result
}

struct MqttExchange {
    stream: Socket,
    connection: DeviceConnection,
    input: BytesMut,
    output: Outgoing,
}

impl MqttExchange {
    async fn register(&mut self, body: &[u8]) -> Result<RegistrationState, ProvisionError> {
        while !matches!(self.next_event(None).await?, Some(DeviceEvent::Ready { .. })) {}
        let mut operation: Option<String> = None;
        for number in 1..=REGISTRATION_POLLS_MAX {
            let request_id = number.to_string();
            let asked = match &operation {
                None => self.connection.dps_register(&request_id, body),
                Some(id) => self.connection.dps_status(&request_id, id),
            };
            asked.map_err(|_| ProvisionError::Closed(None))?;
            match self.answer(request_id.as_bytes()).await?.next()? {
                Next::Done(state) => return Ok(*state),
                Next::Poll { operation_id, pause } => {
                    operation = Some(operation_id);
                    self.pause(pause).await?;
                }
                Next::Repeat { pause } => self.pause(pause).await?,
            }
        }
        Err(ProvisionError::Timeout)
    }

    /// Waits for the answer to a request.
    async fn answer(&mut self, request_id: &[u8]) -> Result<Answer, ProvisionError> {
        let until = Instant::now() + REQUEST_TIMEOUT;
        loop {
            match self.next_event(Some(until)).await?.ok_or(ProvisionError::Timeout)? {
                DeviceEvent::DpsReply { reply, body } if reply.request_id == request_id => {
                    let retry_after = reply.retry_after_secs.map(|secs| Duration::from_secs(secs.into()));
                    return Ok(Answer { status: reply.status, retry_after, body });
                }
                _ => {}
            }
        }
    }

    /// Lets time pass, without letting the connection die.
    async fn pause(&mut self, pause: Duration) -> Result<(), ProvisionError> {
        let until = Instant::now() + pause;
        while self.next_event(Some(until)).await?.is_some() {}
        Ok(())
    }

    /// The next event, or nothing when the time is up.
    async fn next_event(&mut self, until: Option<Instant>) -> Result<Option<DeviceEvent>, ProvisionError> {
        let closed = |close| ProvisionError::Closed(Some(close));
        loop {
            if let Some(event) = self.connection.poll(now(), &mut self.input).map_err(closed)? {
                return Ok(Some(event));
            }
            self.output.push(self.connection.take_output(now()));
            let clock = self.connection.poll_timeout().map(Instant::from_std).unwrap_or_else(Instant::now);
            let wake_at = until.map_or(clock, |until| until.min(clock));
            tokio::select! {
                moved = exchange(&mut self.stream, &mut self.output, &mut self.input, true) => match moved {
                    Moved::Written(written) => written?,
                    Moved::Read(read) => if read? == 0 { return Err(ProvisionError::Closed(None)) },
                },
                () = sleep_until(wake_at) => {
                    if until.is_some_and(|until| Instant::now() >= until) {
                        return Ok(None);
                    }
                    self.connection.handle_timeout(now()).map_err(closed)?;
                }
            }
        }
    }

    async fn leave(&mut self) {
        self.connection.disconnect();
        self.output.push(self.connection.take_output(now()));
        let closed = async {
            self.output.write_all(&mut self.stream).await?;
            self.stream.shutdown().await
        };
        let _ = timeout(DRAIN_TIMEOUT, closed).await;
    }
}

//! A provisioning connection: register, poll, leave.

use std::future::Future;
use std::pin::Pin;

use protocol::dps::{DpsError, OperationStatus, RETRY_AFTER_SECS};
use protocol::event::{DpsConnectAttempt, Face, HubEvent, Subscriptions};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::session::until_unix_secs;
use super::wire::Wire;
use super::{ConnectionOptions, End, credential};
use crate::server::handler::{DpsConnectRequest, Enrolled, ProvisioningHandler};
use crate::server::link::CloseReason;
use crate::stream::now;

/// Asks the handler, and serves the registration if it says yes.
pub(super) async fn serve<S, F, P>(
    wire: &mut Wire<S, F>,
    handler: &P,
    attempt: DpsConnectAttempt,
    options: &ConnectionOptions,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    F: Face,
    P: ProvisioningHandler,
{
    let request = DpsConnectRequest {
        id_scope: attempt.user.id_scope,
        registration_id: attempt.user.registration_id,
        credential: credential(attempt.password, options),
        peer: options.peer,
        end: options.shutdown.child_token(),
    };
    let end = request.end.clone();
    let accepted: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(handler.enroll(request));
    let Enrolled { enrollee, expires_at_secs } = match accepted.await {
        Ok(enrolled) => enrolled,
        Err(refusal) => return End::protocol(wire.face.refuse(refusal)),
    };
    options.admit();
    let expires_at = expires_at_secs.map(|secs| now() + until_unix_secs(secs));
    wire.face.accept(now(), false, Subscriptions::default(), expires_at);
    wire.arm();
    match run(wire, handler, &enrollee, &end, options).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn run<S, F, P>(
    wire: &mut Wire<S, F>,
    handler: &P,
    enrollee: &P::Enrollee,
    end: &CancellationToken,
    options: &ConnectionOptions,
) -> Result<std::convert::Infallible, End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    F: Face,
    P: ProvisioningHandler,
{
    loop {
        while let Some(event) = wire.poll()? {
            let (request, answer) = match event {
                HubEvent::DpsRegister(request, body) => (request, handler.register(enrollee, body).await),
                HubEvent::DpsStatus(request, operation) => {
                    (request, handler.operation_status(enrollee, &operation).await)
                }
                HubEvent::Disconnect => return Err(End::Disconnect),
                _ => unreachable!("a face yields nothing else on a provisioning connection"),
            };
            let (status, retry_after_secs, body) = encode(answer);
            wire.face.reply_dps(request, status, retry_after_secs, &body);
        }
        wire.flush().await?;
        wire.release();
        tokio::select! {
            biased;
            () = options.shutdown.cancelled() => return Err(End::Asked(CloseReason::ShuttingDown)),
            () = end.cancelled() => return Err(End::Asked(CloseReason::Disabled)),
            advanced = wire.advance() => advanced?,
        }
    }
}

fn encode(answer: Result<OperationStatus, DpsError>) -> (u16, Option<u32>, Vec<u8>) {
    match answer {
        Ok(operation) => {
            (operation.http_status(), operation.is_pending().then_some(RETRY_AFTER_SECS), operation.to_json())
        }
        Err(error) => {
            let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
            (error.status, error.is_retryable().then_some(RETRY_AFTER_SECS), error.to_json(&tracking_id(), &now))
        }
    }
}

/// Sixteen random hex digits that tie an answer to a log line; nothing depends on them.
fn tracking_id() -> String {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

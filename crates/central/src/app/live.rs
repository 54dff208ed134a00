//! Live streams: opened for a caller, and ended when the caller would no longer be let in.

use std::error::Error;
use std::sync::Arc;

use api::endpoint::Guard;
use events::clock::now_ms;
use events::live::{LiveEvent, LiveStream};
use hub::revocation::{Held, Judgement, Judging, KnownDevices, NotHeld, Opened};
use registry::{ApplicationRow, Ground};
use tokio_util::sync::CancellationToken;

use super::signing_key::TokenText;
use super::{Access, ActorKind, App, AppError, Proof, authorize};
use crate::limits::STREAM_JUDGE_INTERVAL;

/// What a caller was let in with, so that it can be judged again.
#[derive(Clone)]
pub struct Opening {
    /// The application of the request.
    pub application: Arc<ApplicationRow>,
    /// What the endpoint asks for.
    pub guard: Guard,
    /// What the caller proved itself with.
    pub proof: Proof,
}

/// A live stream of a caller.
pub struct WatchedStream {
    events: LiveStream,
    end: CancellationToken,
    _held: Held,
}

impl WatchedStream {
    /// The next event; `None` once the stream is over: it was too slow, or its caller would no longer be let in.
    pub async fn next(&mut self) -> Option<Arc<LiveEvent>> {
        self.end.run_until_cancelled(self.events.next()).await.flatten()
    }

    /// Whether it was cut for being slow.
    pub fn lagged(&self) -> bool {
        self.events.lagged() && !self.end.is_cancelled()
    }
}

struct OpenStream {
    app: App,
    opening: Opening,
    end: CancellationToken,
}

impl Opened for OpenStream {
    fn judge<'a>(&'a self, _known: &'a Arc<KnownDevices>) -> Judging<'a> {
        Box::pin(async {
            match self.app.judge(&self.opening).await {
                Ok(judgement) => Ok(judgement),
                Err(AppError::Unauthenticated | AppError::Forbidden(_)) => Ok(Judgement::Fell),
                Err(error) => Err(Box::new(error) as Box<dyn Error + Send + Sync>),
            }
        })
    }

    fn end(&self) {
        self.end.cancel();
    }
}

impl App {
    /// Follows what happens to one device, or the connections of all.
    pub async fn live_stream(
        &self,
        access: &Access,
        opening: Opening,
        device: Option<String>,
    ) -> Result<WatchedStream, AppError> {
        if let Some(device) = &device {
            self.device(access, device, false).await?;
        }
        let events = self.live().subscribe(access.application(), device).map_err(|_| AppError::TooManyRequests)?;
        let application = access.application();
        let ground = match &access.actor().kind {
            ActorKind::ApiToken { id } => Ground::token(application, id),
            ActorKind::User { id, .. } => Ground::user(application, id),
        };
        let end = CancellationToken::new();
        let open = OpenStream { app: self.clone(), opening, end: end.clone() };
        let held = self.inner.core.revocation.hold(None, &[ground], Arc::new(open)).await;
        let held = held.map_err(|not_held| match not_held {
            NotHeld::Fell => AppError::Unauthenticated,
            NotHeld::Unknown(error) => AppError::internal("a live stream's caller cannot be judged", error),
        })?;
        Ok(WatchedStream { events, end, _held: held })
    }

    /// Judges a caller again, and says until when that holds.
    async fn judge(&self, opening: &Opening) -> Result<Judgement, AppError> {
        let Opening { application, guard, proof } = opening;
        let (actor, ends_ms) = match proof {
            Proof::Header(header) => {
                let actor = self.authenticate_token(application, header).await?;
                (actor, TokenText::parse(header).map(|text| text.expires_ms))
            }
            Proof::Session(session) => self.session_standing(application, session).await?,
        };
        let actor = actor.ok_or(AppError::Unauthenticated)?;
        authorize(&actor, *guard, self.resource_of(application))?;
        let again_ms = now_ms().saturating_add(i64::try_from(STREAM_JUDGE_INTERVAL.as_millis()).unwrap_or(i64::MAX));
        Ok(Judgement::Stands { again_at_ms: Some(ends_ms.map_or(again_ms, |ends_ms| ends_ms.min(again_ms))) })
    }
}

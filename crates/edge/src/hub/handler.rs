//! The edge's side of [`HubHandler`]: each call is passed on to the part it concerns.

use bytes::Bytes;
use model::identity::Identity;
use transport::server::{
    Accepted, CloseReason, ConnectRequest, HubError, HubHandler, Refusal, SessionLink, TelemetryBatch,
};

use super::EdgeHub;
use super::links::LinkUse;
use super::sessions::Inserted;

/// One client's session.
pub struct Session {
    identity: Identity,
    number: u64,
    clean: bool,
    link: SessionLink,
    /// Keeps the client's upstream link open.
    upstream: LinkUse,
}

impl HubHandler for EdgeHub {
    type Session = Session;

    async fn connect(&self, request: ConnectRequest) -> Result<Accepted<Session>, Refusal> {
        let authenticated = self.authenticate(&request).await;
        let expires_at_secs = Some(authenticated.inspect_err(|refusal| self.count_refused(*refusal))?);
        let identity = request.identity;
        // Nothing is awaited between the judgement and this: it is what the judgement rests on.
        let mark = self.scope.mark(&identity);
        if request.clean_session && self.sessions.kept(&identity).is_some() {
            // Durable before it begins: else it would come back with the next session that is not new.
            if let Err(error) = self.sessions.keep(&identity, None).await {
                tracing::warn!(%identity, error = &error as &dyn std::error::Error, "cannot forget subscriptions");
            }
        }
        let inserted = self.sessions.insert(&identity, request.link.clone(), request.clean_session);
        let Some(Inserted { number, old, kept }) = inserted else {
            tracing::warn!(%identity, "connection refused: too many sessions");
            self.count_refused(Refusal::Unavailable);
            return Err(Refusal::Unavailable);
        };
        self.sessions.judged(&identity, number, mark);
        if let Some(old) = old {
            old.close(CloseReason::TakenOver);
        }
        tracing::info!(%identity, peer = %request.peer, client = request.client_type, "client connected");
        self.clients.connected(&identity);
        self.options.metrics.hub.connected(&identity);
        self.report();
        let upstream = self.link_with_model(&identity, request.model_id);
        let session = Session { identity, number, clean: request.clean_session, link: request.link, upstream };
        self.listen_for(&session.identity, &session.upstream);
        Ok(Accepted { session, session_present: kept.is_some(), expires_at_secs })
    }

    async fn telemetry(&self, session: &Session, batch: TelemetryBatch) -> Result<(), HubError> {
        self.ingest(&session.identity, batch.into_iter().map(|message| (None, message))).await
    }

    async fn twin_get(&self, session: &Session) -> Result<Bytes, HubError> {
        self.read_twin(&session.identity).await
    }

    async fn twin_patch_reported(&self, session: &Session, patch: Bytes) -> Result<u64, HubError> {
        self.patch_reported(&session.identity, patch).await
    }

    async fn subscriptions_changed(&self, session: &Session) -> Result<(), HubError> {
        let subscriptions = Some(session.link.subscriptions()).filter(|_| !session.clean);
        self.sessions.keep(&session.identity, subscriptions).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot keep subscriptions");
            HubError { status: 503, message: "the subscriptions could not be kept".into() }
        })?;
        self.listen_for(&session.identity, &session.upstream);
        Ok(())
    }

    async fn disconnected(&self, session: Session, graceful: bool) {
        tracing::info!(identity = %session.identity, graceful, "client disconnected");
        self.options.metrics.hub.disconnected(&session.identity);
        if self.sessions.remove(&session.identity, session.number) {
            self.clients.disconnected(&session.identity);
            self.listen_for(&session.identity, &session.upstream);
            self.report();
        }
    }
}

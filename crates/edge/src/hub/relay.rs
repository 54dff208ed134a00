//! Twins and methods between a client here and the hub above, over the client's own link.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use model::twin::{Twin, desired_notification, diff, validate_patch};
use protocol::hub::bag::{self, BagBuilder};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use transport::client::{ClientEvent, LinkState, MethodCall, RequestError};
use transport::server::{HubError, InvokeError};

use super::EdgeHub;
use super::ingest::TWIN_CHANGES;
use super::links::{Link, LinkUse};
use super::messages::Messages;
use super::twins::CachedTwin;
use crate::limits::{LINK_IDLE_TIMEOUT, METHOD_TIMEOUT_MAX, UPSTREAM_CALL_TIMEOUT};
use crate::metrics::Peer;

impl EdgeHub {
    /// The upstream link of an identity, followed by a task of its own.
    pub(super) fn link(&self, identity: &Identity) -> LinkUse {
        self.link_with_model(identity, None)
    }

    /// [`Self::link`], announcing a model if the link is not there yet.
    pub(super) fn link_with_model(&self, identity: &Identity, model_id: Option<String>) -> LinkUse {
        let (link, events) = self.links.get(identity, model_id);
        if let Some(events) = events {
            let followed = self.links.watch(&link);
            let stop = self.links.stopped();
            tokio::spawn(stop.run_until_cancelled_owned(follow(self.me(), followed, events)));
        }
        link
    }

    /// The hub above ended or refused the link of somebody: whether that one may still come in here is asked at once. Of this
    /// device's own modules nobody knows better than we do.
    fn doubt(&self, identity: &Identity) {
        if identity.device_id() != self.options.device.device_id {
            self.scope.doubt(identity);
        }
    }

    /// The twin for a client: the hub's if it can be had, else what is known of it.
    pub(super) async fn read_twin(&self, identity: &Identity) -> Result<Bytes, HubError> {
        let asked = Instant::now();
        let mut source = Peer::EdgeHub;
        let entry = self.twins.get(identity);
        let mut cached = entry.lock().await;
        let link = self.link(identity);
        if link.is_up().await {
            match in_time(self.fetch_twin(&link, &mut cached)).await {
                Ok(_) => source = Peer::Upstream,
                Err(RequestError::Refused { status, message }) => return Err(HubError { status, message }),
                Err(error) => tracing::debug!(%identity, %error, "twin answered from the cache"),
            }
        }
        self.options.metrics.hub.twin_read(identity, source, asked.elapsed());
        Ok(Bytes::from(cached.twin.to_device_json().to_string()))
    }

    /// Reads the twin above into the cache, after sending what it misses. Answers the desired change, if there is one. The cache
    /// is as it was when the future is dropped on the way.
    async fn fetch_twin(&self, link: &Link, cached: &mut CachedTwin) -> Result<Option<Value>, RequestError> {
        let mut upstream = read(link).await?;
        if let Some(missing) = cached.missing_upstream(&upstream)
            && missing.as_object().is_some_and(|members| !members.is_empty())
        {
            let patch = Bytes::from(missing.to_string());
            link.client.patch_reported(patch).await?;
            upstream = read(link).await?;
        }
        let old = Value::Object(cached.twin.desired.properties.clone());
        let change = diff(&old, &Value::Object(upstream.desired.properties.clone()));
        let changed = cached.complete && change.as_object().is_some_and(|members| !members.is_empty());
        let version = upstream.desired.version;
        *cached = CachedTwin { twin: upstream, unsent: false, complete: true };
        self.keep_twin(&link.identity, cached);
        Ok(changed.then(|| desired_notification(&change, version)))
    }

    /// A client's reported update: sent on if that is possible now, else kept until it is. Durable when it returns.
    pub(super) async fn patch_reported(&self, identity: &Identity, patch: Bytes) -> Result<u64, HubError> {
        let bad = |message: String| HubError { status: 400, message };
        let json: Value =
            serde_json::from_slice(&patch).map_err(|error| bad(format!("the patch is no JSON: {error}")))?;
        validate_patch(&json).map_err(|error| bad(error.to_string()))?;
        let asked = Instant::now();
        let entry = self.twins.get(identity);
        let mut cached = entry.lock().await;
        let link = self.link(identity);
        if link.is_up().await && !cached.unsent {
            match in_time(link.client.patch_reported(patch.clone())).await {
                Ok(version) => {
                    // The hub took it; what is kept here follows it as far as it knows.
                    let followed = cached.patch_unsent(&json).is_ok();
                    cached.unsent = false;
                    cached.complete = cached.complete && followed;
                    cached.twin.reported.version = version;
                    self.keep_twin(identity, &cached);
                    self.options.metrics.hub.reported(identity, Peer::Upstream, asked.elapsed());
                    self.route_twin_change(identity, patch).await;
                    return Ok(version);
                }
                Err(RequestError::Refused { status, message }) => return Err(HubError { status, message }),
                Err(error) => tracing::debug!(%identity, %error, "reported update kept until the hub is reached"),
            }
        }
        // What is refused must not be sent on later: it counts once it is stored.
        let mut patched = cached.clone();
        let version = patched.patch_unsent(&json).map_err(|error| bad(error.to_string()))?;
        self.twins.write(identity, &patched).map_err(|error| {
            tracing::error!(%identity, error = &error as &dyn std::error::Error, "reported update not stored");
            HubError { status: 503, message: "the update could not be stored".to_owned() }
        })?;
        *cached = patched;
        self.options.metrics.hub.reported(identity, Peer::EdgeHub, asked.elapsed());
        self.route_twin_change(identity, patch).await;
        Ok(version)
    }

    fn keep_twin(&self, identity: &Identity, cached: &CachedTwin) {
        if let Err(error) = self.twins.write(identity, cached) {
            tracing::warn!(%identity, error = &error as &dyn std::error::Error, "twin not cached on disk");
        }
    }

    /// A reported update is a message too, for routes that ask for it. That it could not be stored is no reason to refuse
    /// the update itself.
    async fn route_twin_change(&self, identity: &Identity, patch: Bytes) {
        let mut builder = BagBuilder::new();
        builder.push(bag::CONTENT_TYPE, "application/json").push(bag::CONTENT_ENCODING, "utf-8");
        builder.push(bag::MESSAGE_TYPE, "twinChangeNotifications");
        let message = Message { bag: builder.build(), body: patch };
        if let Err(error) = self.ingest(identity, std::iter::once((Some(TWIN_CHANGES), message))).await {
            tracing::warn!(%identity, %error, "twin change not routed");
        }
    }

    /// The link came up: send what the hub misses, and tell the client what it missed.
    async fn catch_up(&self, link: &Link) {
        let entry = self.twins.get(&link.identity);
        let mut cached = entry.lock().await;
        // A client that never used its twin is spared the traffic.
        if !cached.complete && !cached.unsent {
            return;
        }
        match in_time(self.fetch_twin(link, &mut cached)).await {
            Ok(Some(change)) => {
                let version = cached.twin.desired.version;
                self.deliver_desired(&link.identity, version, Bytes::from(change.to_string())).await;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(identity = %link.identity, %error, "twin not brought up to date"),
        }
    }

    async fn desired_changed(&self, link: &Link, version: u64, patch: Bytes) {
        {
            let entry = self.twins.get(&link.identity);
            let mut cached = entry.lock().await;
            let json = serde_json::from_slice(&patch).unwrap_or(Value::Null);
            if cached.complete {
                cached.twin.desired.follow(&json);
                self.keep_twin(&link.identity, &cached);
            }
        }
        self.deliver_desired(&link.identity, version, patch).await;
    }

    async fn deliver_desired(&self, identity: &Identity, version: u64, patch: Bytes) {
        let Some(session) = self.sessions.get(identity) else { return };
        if let Err(error) = session.desired_patch(version, patch).await {
            tracing::debug!(%identity, %error, "desired change not delivered; the client reads its twin when it connects");
        }
    }

    async fn relay_method(&self, identity: &Identity, call: MethodCall) {
        let asked = Instant::now();
        let (status, payload) = self.invoke_method(identity, &call.name, call.payload.clone()).await;
        self.options.metrics.hub.method(identity, asked.elapsed());
        call.reply(status, payload).await;
    }

    async fn invoke_method(&self, identity: &Identity, name: &str, payload: Bytes) -> (i32, Bytes) {
        let answer = match self.sessions.get(identity) {
            Some(session) => session.invoke_method(name, payload, METHOD_TIMEOUT_MAX).await,
            None => Err(InvokeError::Closed),
        };
        let refuse = |status: i32, message: &str| (status, Bytes::from(json!({ "message": message }).to_string()));
        match answer {
            Ok(answer) => (answer.status, answer.payload),
            Err(InvokeError::Closed | InvokeError::NotSubscribed) => {
                refuse(404, "the device or module is not connected to its gateway, or takes no methods")
            }
            Err(InvokeError::Timeout) => refuse(504, "no answer in time"),
            Err(error) => refuse(503, &error.to_string()),
        }
    }
}

/// Handles what the hub above says to one client, and closes the link when nobody has needed it for a while.
async fn follow(hub: Arc<EdgeHub>, link: Arc<Link>, mut events: mpsc::Receiver<ClientEvent>) {
    let mut users = link.users();
    let mut state = link.client.state();
    let mut unused_since: Option<tokio::time::Instant> = None;
    let mut messages = Messages::default();
    loop {
        unused_since = match *users.borrow_and_update() {
            0 => unused_since.or_else(|| Some(tokio::time::Instant::now())),
            _ => None,
        };
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => take(&hub, &link, event, &mut messages).await,
                None => break,
            },
            Ok(()) = state.changed() => {
                if matches!(*state.borrow_and_update(), LinkState::Refused { .. }) {
                    hub.doubt(&link.identity);
                }
            }
            // Also when it was used for a moment and is unused again.
            changed = users.changed() => match changed {
                Ok(()) => unused_since = None,
                Err(_) => break,
            },
            () = crate::sleep_until(unused_since.map(|since| since + LINK_IDLE_TIMEOUT)) => {
                if hub.links.remove_unused(&link) {
                    tracing::debug!(identity = %link.identity, "upstream link closed: not needed");
                    link.client.stop().await;
                    break;
                }
            }
        }
    }
}

async fn take(hub: &Arc<EdgeHub>, link: &Arc<Link>, event: ClientEvent, messages: &mut Messages) {
    match event {
        ClientEvent::Connected { .. } => {
            tracing::info!(identity = %link.identity, "upstream link connected");
            let (hub, link) = (Arc::clone(hub), Arc::clone(link));
            // Not here: catching up waits for answers, which come as long as events are taken.
            tokio::spawn(async move { hub.catch_up(&link).await });
        }
        ClientEvent::Disconnected { reason } => {
            tracing::info!(identity = %link.identity, reason, "upstream link ended");
            messages.clear();
            hub.doubt(&link.identity);
        }
        ClientEvent::Desired { version, patch } => hub.desired_changed(link, version, patch).await,
        ClientEvent::Method(call) => {
            let (hub, identity) = (Arc::clone(hub), link.identity.clone());
            tokio::spawn(async move { hub.relay_method(&identity, call).await });
        }
        ClientEvent::CloudToDevice(message) => messages.hand_on(hub, &link.identity, message),
        // Not subscribed to.
        ClientEvent::Input(_) => {}
    }
}

async fn read(link: &Link) -> Result<Twin, RequestError> {
    let bytes = link.client.twin().await?;
    let twin = serde_json::from_slice(&bytes).ok().and_then(|json| Twin::from_device_json(&json));
    twin.ok_or(RequestError::Refused { status: 503, message: "the hub's twin cannot be read".to_owned() })
}

async fn in_time<T>(request: impl Future<Output = Result<T, RequestError>>) -> Result<T, RequestError> {
    tokio::time::timeout(UPSTREAM_CALL_TIMEOUT, request).await.unwrap_or(Err(RequestError::Timeout))
}

#[cfg(test)]
mod tests;

//! A hub session: an accepted device or module.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::event::{CallId, ConnectAttempt, DeliverError, Face, HubEvent, Receipt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use super::wire::Wire;
use super::{ConnectionOptions, End, credential};
use crate::limits::{BATCH_MESSAGES_MAX, METHODS_PENDING_MAX, WRITE_BYTES_SOFT_MAX};
use crate::server::handler::{Accepted, ConnectRequest, HubHandler, TelemetryBatch};
use crate::server::link::{CloseReason, DetachedLink, InvokeError, LinkCommand, MethodResponse, SessionLink};
use crate::stream::now;

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Asks the handler, and serves the session if it says yes.
pub(super) async fn serve<S, F, H>(
    wire: &mut Wire<S, F>,
    handler: Arc<H>,
    attempt: Box<ConnectAttempt>,
    options: &ConnectionOptions,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    F: Face,
    H: HubHandler,
{
    let (link, far) = SessionLink::detached();
    // Handler futures are boxed throughout: inline, the largest of them would be part of every idle connection.
    let accepted: Pending<'_, _> = Box::pin(options.in_turn(handler.connect(connect_request(*attempt, options, link))));
    let Accepted { session, session_present, expires_at_secs } = match accepted.await {
        Ok(accepted) => accepted,
        Err(refusal) => return End::protocol(wire.face.refuse(refusal)),
    };
    options.admit();
    let open = OpenSession { handler, session: Some(session) };
    let expires_at = expires_at_secs.map(|secs| now() + until_unix_secs(secs));
    wire.face.accept(now(), session_present, far.subscriptions(), expires_at);
    wire.arm();
    let mut task = SessionTask {
        wire,
        far,
        batch: Vec::new(),
        acknowledge: Vec::new(),
        methods: HashMap::new(),
        deliveries: HashMap::new(),
    };
    let end = match open.session.as_ref() {
        Some(session) => task.run(&*open.handler, session, options).await.err().unwrap_or(End::Eof),
        None => End::Eof,
    };
    let graceful = matches!(end, End::Disconnect);
    let will = task.wire.face.take_will().filter(|_| !matches!(end, End::Asked(CloseReason::ShuttingDown)));
    drop(task);
    let left: Pending<'_, _> = Box::pin(options.in_turn(open.leave(graceful, will)));
    left.await;
    end
}

fn connect_request(attempt: ConnectAttempt, options: &ConnectionOptions, link: SessionLink) -> ConnectRequest {
    ConnectRequest {
        identity: attempt.user.identity,
        hub_host: attempt.user.hub_host,
        api_version: attempt.user.api_version,
        model_id: attempt.user.model_id,
        auth_chain: attempt.user.auth_chain,
        client_type: attempt.user.client_type,
        credential: credential(attempt.password, options),
        clean_session: attempt.clean_session,
        peer: options.peer,
        link,
    }
}

/// The handler's idea of a session, given back exactly once: by `leave`, or, if the task is dropped or a handler call
/// panics, by a task of its own.
struct OpenSession<H: HubHandler> {
    handler: Arc<H>,
    session: Option<H::Session>,
}

impl<H: HubHandler> OpenSession<H> {
    async fn leave(mut self, graceful: bool, will: Option<model::message::Message>) {
        if let (Some(session), Some(message)) = (self.session.as_ref(), will) {
            let stored: Pending<'_, _> = Box::pin(self.handler.telemetry(session, vec![message]));
            if let Err(error) = stored.await {
                tracing::warn!(%error, "a will could not be stored");
            }
        }
        if let Some(session) = self.session.take() {
            let told: Pending<'_, _> = Box::pin(self.handler.disconnected(session, graceful));
            told.await;
        }
    }
}

impl<H: HubHandler> Drop for OpenSession<H> {
    fn drop(&mut self) {
        if let (Some(session), Ok(runtime)) = (self.session.take(), tokio::runtime::Handle::try_current()) {
            let handler = self.handler.clone();
            runtime.spawn(async move { handler.disconnected(session, false).await });
        }
    }
}

/// What one session has under way.
struct SessionTask<'a, S, F> {
    wire: &'a mut Wire<S, F>,
    far: DetachedLink,
    batch: TelemetryBatch,
    /// Receipts of the batch.
    acknowledge: Vec<Receipt>,
    methods: HashMap<CallId, oneshot::Sender<Result<MethodResponse, InvokeError>>>,
    deliveries: HashMap<Receipt, oneshot::Sender<()>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Face> SessionTask<'_, S, F> {
    /// Serves until the connection ends; never returns `Ok`.
    async fn run<H: HubHandler>(
        &mut self,
        handler: &H,
        session: &H::Session,
        options: &ConnectionOptions,
    ) -> Result<(), End> {
        // Made once: every look at it from the start would take the lock that all connections share.
        let mut shutdown = std::pin::pin!(options.shutdown.cancelled());
        loop {
            self.handle_input(handler, session).await?;
            self.flush().await?;
            self.release();
            tokio::select! {
                biased;
                asked = self.far.next_or_close() => self.take_commands(asked.map_err(End::Asked)?),
                () = &mut shutdown => return Err(End::Asked(CloseReason::ShuttingDown)),
                advanced = self.wire.advance() => advanced?,
            }
        }
    }

    /// Handles everything that was read. Telemetry is gathered and handed over before anything that follows it.
    async fn handle_input<H: HubHandler>(&mut self, handler: &H, session: &H::Session) -> Result<(), End> {
        loop {
            match self.wire.poll() {
                Ok(Some(HubEvent::Telemetry { message, receipt })) => {
                    self.batch.push(message);
                    self.acknowledge.extend(receipt);
                    if self.batch.len() < BATCH_MESSAGES_MAX {
                        continue;
                    }
                    self.hand_over(handler, session).await?;
                }
                other => {
                    self.hand_over(handler, session).await?;
                    match other? {
                        // Boxed for the same reason: what is rare costs an allocation, not room in every connection.
                        Some(event) => Box::pin(self.handle(event, handler, session)).await?,
                        None => return Ok(()),
                    }
                }
            }
            if self.wire.output_len() > WRITE_BYTES_SOFT_MAX {
                self.flush().await?;
            }
        }
    }

    /// Writes everything, unless the hub ends the session meanwhile: a client that reads nothing is no reason to keep it.
    async fn flush(&mut self) -> Result<(), End> {
        let Self { wire, far, .. } = self;
        tokio::select! {
            biased;
            flushed = wire.flush() => flushed,
            reason = far.close_asked() => Err(End::Asked(reason)),
        }
    }

    /// Hands the gathered telemetry to the handler and acknowledges it.
    async fn hand_over<H: HubHandler>(&mut self, handler: &H, session: &H::Session) -> Result<(), End> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.serving(Box::pin(handler.telemetry(session, batch))).await??;
        for receipt in self.acknowledge.drain(..) {
            self.wire.face.acknowledge(receipt);
        }
        Ok(())
    }

    async fn handle<H: HubHandler>(&mut self, event: HubEvent, handler: &H, session: &H::Session) -> Result<(), End> {
        match event {
            HubEvent::TwinGet(request) => match self.serving(Box::pin(handler.twin_get(session))).await? {
                Ok(twin) => self.wire.face.reply_twin(request, &twin),
                Err(error) => self.wire.face.reply_twin_error(request, error.status, &error.message),
            },
            HubEvent::TwinPatch(request, patch) => {
                match self.serving(Box::pin(handler.twin_patch_reported(session, patch))).await? {
                    Ok(version) => self.wire.face.reply_patch(request, version),
                    Err(error) => self.wire.face.reply_twin_error(request, error.status, &error.message),
                }
            }
            HubEvent::MethodResponse { call, status, payload, receipt } => {
                receipt.into_iter().for_each(|receipt| self.wire.face.acknowledge(receipt));
                if let Some(done) = call.and_then(|call| self.methods.remove(&call)) {
                    let _ = done.send(Ok(MethodResponse { status, payload }));
                }
            }
            HubEvent::Delivered(receipt) => {
                if let Some(done) = self.deliveries.remove(&receipt) {
                    let _ = done.send(());
                    self.far.delivered();
                }
            }
            HubEvent::SubscriptionsChanged(subscriptions) => {
                self.far.set_subscriptions(subscriptions);
                // A client library may look for what it asked for only once it was told that it gets it, and one that
                // acknowledges by itself would lose what came before.
                self.serving_with(Box::pin(handler.subscriptions_changed(session)), false).await??;
                self.wire.face.confirm_subscriptions();
            }
            HubEvent::Disconnect => return Err(End::Disconnect),
            HubEvent::Telemetry { .. }
            | HubEvent::Connect(_)
            | HubEvent::DpsConnect(_)
            | HubEvent::DpsRegister(..)
            | HubEvent::DpsStatus(..) => unreachable!("gathered by the caller, or not of this kind of connection"),
        }
        Ok(())
    }

    /// Waits for a handler call, while commands still go out. The call is never given up: what it began, it ends.
    async fn serving<T>(&mut self, call: Pending<'_, T>) -> Result<T, End> {
        self.serving_with(call, true).await
    }

    /// The same; without `commands` they wait.
    async fn serving_with<T>(&mut self, mut call: Pending<'_, T>, commands: bool) -> Result<T, End> {
        let mut broken = None;
        loop {
            let open = broken.is_none();
            tokio::select! {
                biased;
                result = &mut call => {
                    self.wire.look_at_clock();
                    return broken.map_or(Ok(result), Err);
                }
                written = self.wire.write_some(), if open && self.wire.has_output() => {
                    broken = written.err().map(End::from);
                }
                command = self.far.next(), if commands && open && self.wire.output_len() < WRITE_BYTES_SOFT_MAX => {
                    self.take_commands(command);
                }
            }
        }
    }

    /// Carries out a command, and those that wait behind it.
    fn take_commands(&mut self, first: LinkCommand) {
        let mut next = Some(first);
        while let Some(command) = next {
            self.take_command(command);
            let room = self.wire.output_len() < WRITE_BYTES_SOFT_MAX;
            next = if room { self.far.try_next() } else { None };
        }
    }

    fn take_command(&mut self, command: LinkCommand) {
        match command {
            LinkCommand::DesiredPatch { version, patch } => {
                // Whoever unsubscribed meanwhile misses it, as if the patch had come a moment later.
                let _ = self.wire.face.desired_patch(version, &patch);
            }
            LinkCommand::Method { name, payload, done } => self.invoke(&name, &payload, done),
            LinkCommand::GiveUp => self.give_up(),
            // Whoever asked for it does not wait for it any more: it would only take a place.
            LinkCommand::Input { done, .. } | LinkCommand::CloudToDevice { done, .. } if done.is_closed() => {
                self.far.delivered();
            }
            LinkCommand::Input { input, message, done } => {
                let sent = self.wire.face.deliver_input(&input, &message);
                self.sent(sent, done);
            }
            LinkCommand::CloudToDevice { number, message, done } => {
                let sent = self.wire.face.deliver_cloud_to_device(number, &message);
                self.sent(sent, done);
            }
        }
    }

    /// Gives the places of deliveries back that nobody waits for.
    fn give_up(&mut self) {
        let Self { wire, far, deliveries, .. } = self;
        deliveries.retain(|receipt, done| {
            if !done.is_closed() {
                return true;
            }
            if !wire.face.give_up(*receipt) {
                far.close(CloseReason::Unacknowledged);
            }
            far.delivered();
            false
        });
    }

    /// A message went out, or did not.
    fn sent(&mut self, sent: Result<Option<Receipt>, DeliverError>, done: oneshot::Sender<()>) {
        match sent {
            Ok(Some(receipt)) => drop(self.deliveries.insert(receipt, done)),
            Ok(None) => {
                let _ = done.send(());
                self.far.delivered();
            }
            // Dropping `done` tells the caller that it was not delivered.
            Err(error) => {
                tracing::debug!(%error, "a message was not delivered");
                self.far.delivered();
            }
        }
    }

    fn invoke(&mut self, name: &str, payload: &[u8], done: oneshot::Sender<Result<MethodResponse, InvokeError>>) {
        if self.methods.len() >= METHODS_PENDING_MAX {
            self.methods.retain(|_, done| !done.is_closed());
        }
        if self.methods.len() >= METHODS_PENDING_MAX {
            let _ = done.send(Err(InvokeError::Busy));
            return;
        }
        match self.wire.face.invoke_method(name, payload) {
            Ok(call) => drop(self.methods.insert(call, done)),
            Err(error) => {
                let not_subscribed = error == DeliverError::NotSubscribed;
                let _ = done.send(Err(if not_subscribed { InvokeError::NotSubscribed } else { InvokeError::Invalid }));
            }
        }
    }

    /// Gives back the memory of a session that has nothing under way.
    fn release(&mut self) {
        self.wire.release();
        self.batch = Vec::new();
        self.acknowledge = Vec::new();
        if self.methods.is_empty() {
            self.methods = HashMap::new();
        }
        if self.deliveries.is_empty() {
            self.deliveries = HashMap::new();
        }
    }
}

pub(super) fn until_unix_secs(secs: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A century is as good as never, and stays within what the clock can hold.
    Duration::from_secs(secs).saturating_sub(now).min(Duration::from_secs(100 * 365 * 24 * 3600))
}

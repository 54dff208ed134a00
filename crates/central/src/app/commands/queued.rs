//! Commands that wait for the device: a cloud-to-device message each, and a run in the history from when it was asked for.
//!
//! | What the device gets | |
//! | --- | --- |
//! | property `method-name` | `name`, of a component `component*name` |
//! | body | the request value itself |
//! | `iothub-ack` | `none`: nobody waits for feedback, the run's state tells |
//!
//! The state changes with the message: queued, sent, answered (the device took it), refused (by the device, or delivered too
//! often), expired, purged.

use api::command::{DeviceCommand, MessageOutcome, MessageOutcomes, PurgedMessages, QueuedCommand, QueuedCommands};
use bytes::Bytes;
use events::clock::{now_ms, rfc3339_ms};
use hub::device_messages::{CloudToDevice, SendError};
use model::message::Message;
use protocol::hub::bag::{self, BagBuilder};
use registry::{Ack, CommandTarget, FeedbackRow, QueuedCommandRow, QueuedCommandState, StoreError, new_id};
use serde_json::Value;

use super::super::properties::Place;
use super::super::{Access, App, AppError};
use crate::limits::{MESSAGE_OUTCOMES_PER_ANSWER_MAX, QUEUED_COMMAND_LIFE};

/// What the history says of a run that has ended.
const CODE_ANSWERED: i32 = 200;
const CODE_REFUSED: i32 = 403;
const CODE_EXPIRED: i32 = 408;
const CODE_PURGED: i32 = 410;

/// The property that names the command.
const METHOD_NAME: &str = "method-name";

fn code(state: QueuedCommandState) -> Option<i32> {
    match state {
        QueuedCommandState::Queued | QueuedCommandState::Sent => None,
        QueuedCommandState::Answered => Some(CODE_ANSWERED),
        QueuedCommandState::Refused => Some(CODE_REFUSED),
        QueuedCommandState::Expired => Some(CODE_EXPIRED),
        QueuedCommandState::Purged => Some(CODE_PURGED),
    }
}

fn request(row: &QueuedCommandRow) -> Result<Option<Value>, StoreError> {
    let read = row.request.as_deref().map(serde_json::from_str).transpose();
    read.map_err(|source| StoreError::Corrupt { what: "command", source })
}

fn to_api(row: &QueuedCommandRow) -> Result<DeviceCommand, AppError> {
    let number = |value: Option<i64>| value.and_then(|value| i32::try_from(value).ok());
    Ok(DeviceCommand {
        id: Some(row.id.clone()),
        connection_timeout: number(row.connection_timeout_secs),
        response_timeout: number(row.response_timeout_secs),
        request: request(row)?,
        response: None,
        response_code: code(row.state),
    })
}

fn to_queued(row: &QueuedCommandRow) -> Result<QueuedCommand, AppError> {
    let component = Some(row.component.clone()).filter(|component| !component.is_empty());
    Ok(QueuedCommand {
        id: row.id.clone(),
        component,
        name: row.name.clone(),
        request: request(row)?,
        state: row.state.as_str().to_owned(),
        requested: rfc3339_ms(row.requested_ms),
        changed: rfc3339_ms(row.changed_ms),
    })
}

impl From<SendError> for AppError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::DeviceFull => Self::QueueFull,
            SendError::ApplicationFull | SendError::PlatformFull => Self::QueuesFull,
            SendError::NoDevice => Self::NotFound("The device is not there any more.".to_owned()),
            SendError::Undeliverable(cause) => Self::fault("/request", format!("cannot be sent: {cause}")),
            SendError::Queue(error) => error.into(),
            SendError::Life => Self::internal("a command's message was not queued", error),
        }
    }
}

impl App {
    /// The runs of a queued command, newest first.
    pub(super) async fn queued_runs(
        &self,
        access: &Access,
        target: &CommandTarget,
    ) -> Result<Vec<DeviceCommand>, AppError> {
        if !target.module.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.registry().queued_command_runs(access.application(), target).await?;
        rows.iter().map(to_api).collect()
    }

    /// Puts a command into the device's queue. `Ok` means that it is there.
    pub(super) async fn command_queue(
        &self,
        access: &Access,
        place: Place<'_>,
        name: &str,
        method: &str,
        wanted: &DeviceCommand,
    ) -> Result<DeviceCommand, AppError> {
        if place.module.is_some() {
            let message = "Commands of modules cannot wait in a queue: messages go to devices only.";
            return Err(AppError::NotSupported(message.to_owned()));
        }
        let now_ms = now_ms();
        let run = QueuedCommandRow {
            id: new_id(),
            component: place.component.unwrap_or_default().to_owned(),
            name: name.to_owned(),
            request: wanted.request.as_ref().map(Value::to_string),
            connection_timeout_secs: wanted.connection_timeout.map(i64::from),
            response_timeout_secs: wanted.response_timeout.map(i64::from),
            state: QueuedCommandState::Queued,
            requested_ms: now_ms,
            changed_ms: now_ms,
        };
        let mut properties = BagBuilder::new();
        properties.push(bag::CONTENT_TYPE, "application/json").push(bag::CONTENT_ENCODING, "utf-8");
        properties.push(METHOD_NAME, method);
        let body = Bytes::from(wanted.request.as_ref().unwrap_or(&Value::Null).to_string());
        let message = CloudToDevice {
            id: Some(run.id.clone()),
            message: Message { bag: properties.build(), body },
            ack: Ack::None,
            life: Some(QUEUED_COMMAND_LIFE),
            command: Some(run.clone()),
        };
        self.device_messages().send(access.application(), place.device, message).await?;
        tracing::info!(actor = access.actor().id(), device = place.device, command = method, "command queued");
        to_api(&run)
    }

    /// The queued commands of a device whose runs are kept, newest first.
    pub async fn queued_commands(&self, access: &Access, device: &str) -> Result<QueuedCommands, AppError> {
        self.device_row(access, device).await?;
        let rows = self.registry().queued_commands(access.application(), device).await?;
        let value = rows.iter().map(to_queued).collect::<Result<_, AppError>>()?;
        Ok(QueuedCommands { value, waiting: self.device_messages().waiting(access.application(), device) })
    }

    /// What became of messages for a device whose sender asked for it.
    pub async fn message_outcomes(&self, access: &Access, device: &str) -> Result<MessageOutcomes, AppError> {
        self.device_row(access, device).await?;
        let most = MESSAGE_OUTCOMES_PER_ANSWER_MAX;
        let rows = self.registry().message_feedback(access.application(), Some(device), most).await?;
        let outcome = |row: FeedbackRow| MessageOutcome {
            message_id: row.message,
            outcome: row.outcome,
            enqueued: rfc3339_ms(row.enqueued_ms),
            ended: rfc3339_ms(row.at_ms),
        };
        Ok(MessageOutcomes { value: rows.into_iter().map(outcome).collect() })
    }

    /// Empties a device's queue.
    pub async fn messages_purge(&self, access: &Access, device: &str) -> Result<PurgedMessages, AppError> {
        self.device_row(access, device).await?;
        let purged = self.device_messages().purge(access.application(), device).await?;
        tracing::info!(actor = access.actor().id(), device, purged, "queue of a device emptied");
        // The words of IoT Central, blank and all.
        let message = format!(
            "Cloud to device (C2D) message queue purged for device {device}.\n Total messages purged: {purged}."
        );
        Ok(PurgedMessages { message })
    }
}

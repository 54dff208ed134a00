//! Commands: a direct method to whoever shall do it, and the memory of the last runs.
//!
//! | Level | Direct method | On whose connection |
//! | --- | --- | --- |
//! | device | `name` | the device's |
//! | component | `component*name` | the device's |
//! | module, and its component | the same | the module's |
//!
//! The request value itself is the payload. A command that is modeled as durable waits for the device in its queue of messages
//! ([`queued`]), and has no answer.

mod queued;

use std::time::Duration;

use api::command::{DeviceCommand, DirectMethodAnswer, DirectMethodPayload, DirectMethodRequest};
use bytes::Bytes;
use events::clock::now_ms;
use hub::group_commit::{GroupCommit, GroupCommits};
use hub::sessions::{InvokeFailure, MethodTimeouts};
use model::template::{Command, DeviceTemplate};
use registry::{CommandRow, CommandTarget, NewCommand, Registry, StoreError, new_id};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::properties::Place;
use super::{Access, App, AppError};
use crate::limits::{
    COMMAND_RESPONSE_TIMEOUT_DEFAULT, COMMAND_RUNS_KEPT, COMMAND_RUNS_PER_COMMIT_MAX, COMMAND_RUNS_QUEUED_MAX,
};

impl From<InvokeFailure> for AppError {
    fn from(failure: InvokeFailure) -> Self {
        match failure {
            InvokeFailure::NotConnected => Self::DeviceNotConnected,
            InvokeFailure::Timeout => Self::DeviceTimeout,
            InvokeFailure::Busy => Self::TooManyRequests,
            InvokeFailure::Invalid => {
                Self::unprocessable("The command's name or request cannot be sent to a device.", Vec::new())
            }
        }
    }
}

/// Stores runs, those of many callers in one commit.
pub type CommandRuns = GroupCommit<NewCommand>;

/// The one task that writes them.
pub struct CommandRunWriter {
    registry: Registry,
    runs: GroupCommits<NewCommand>,
}

impl CommandRunWriter {
    /// For a registry; the caller runs it.
    pub fn new(registry: Registry) -> (CommandRuns, Self) {
        let (sender, runs) = GroupCommit::new(COMMAND_RUNS_QUEUED_MAX, COMMAND_RUNS_PER_COMMIT_MAX);
        (sender, Self { registry, runs })
    }

    /// Runs until the token is cancelled; then writes what is queued and ends.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { registry, runs } = self;
        let write = |group: Vec<NewCommand>| {
            let registry = registry.clone();
            async move { registry.commands_add(&group, COMMAND_RUNS_KEPT).await }
        };
        runs.run(shutdown, write).await;
    }
}

/// What the history says of a run without an answer: the status its caller got.
const CODE_NOT_CONNECTED: i64 = 404;
const CODE_TIMEOUT: i64 = 504;
const CODE_BUSY: i64 = 429;

fn target(place: Place<'_>, name: &str) -> CommandTarget {
    CommandTarget {
        device: place.device.to_owned(),
        module: place.module.unwrap_or_default().to_owned(),
        component: place.component.unwrap_or_default().to_owned(),
        name: name.to_owned(),
    }
}

fn to_api(row: &CommandRow) -> Result<DeviceCommand, AppError> {
    let read = |text: &Option<String>| -> Result<Option<Value>, StoreError> {
        text.as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|source| StoreError::Corrupt { what: "command", source })
    };
    let number = |value: Option<i64>| value.and_then(|value| i32::try_from(value).ok());
    Ok(DeviceCommand {
        id: Some(row.id.clone()),
        connection_timeout: number(row.connection_timeout_secs),
        response_timeout: number(row.response_timeout_secs),
        request: read(&row.request)?,
        response: read(&row.response)?,
        response_code: number(row.response_code),
    })
}

/// The command a template declares; `None` for a device without a template, where any may be tried.
fn declared<'t>(
    template: Option<&'t DeviceTemplate>,
    place: Place<'_>,
    name: &str,
) -> Result<Option<&'t Command>, AppError> {
    let Some(template) = template else { return Ok(None) };
    let scope = template.capabilities().scope(&place.scope());
    let command = scope.and_then(|scope| scope.command(name)).ok_or_else(|| AppError::not_found("command", name))?;
    Ok(Some(command))
}

fn check_request(command: &Command, request: Option<&Value>) -> Result<(), AppError> {
    let (Some(payload), Some(request)) = (&command.request, request) else { return Ok(()) };
    let checked = payload.schema.validate(request);
    checked.map_err(|error| AppError::fault(format!("/request{}", error.pointer), format!("request {}", error.message)))
}

/// What no row of the history could hold is refused before the device hears of it: it would fail for others too whose runs are
/// stored with it.
fn check_texts(place: Place<'_>, name: &str) -> Result<(), AppError> {
    let texts = [place.module, place.component, Some(name)];
    if texts.into_iter().flatten().any(|text| text.contains('\0')) {
        return Err(AppError::BadRequest("A text must not hold the character U+0000.".to_owned()));
    }
    Ok(())
}

/// A wait a caller asked for, within what is allowed.
fn wait(pointer: &str, asked: Option<i32>, least: i32, default: Duration) -> Result<Duration, AppError> {
    match asked {
        None => Ok(default),
        Some(secs) if (least..=30).contains(&secs) => Ok(Duration::from_secs(u64::try_from(secs).unwrap_or(0))),
        Some(_) => Err(AppError::fault(pointer, format!("must be {least} to 30 seconds"))),
    }
}

impl App {
    /// The last runs of a command, newest first.
    pub async fn command_history(
        &self,
        access: &Access,
        place: Place<'_>,
        name: &str,
    ) -> Result<Vec<DeviceCommand>, AppError> {
        let template = self.template_with(access, place).await?;
        let command = declared(template.as_deref(), place, name)?;
        if command.is_some_and(|command| command.durable) {
            return self.queued_runs(access, &target(place, name)).await;
        }
        let rows = self.registry().command_history(access.application(), &target(place, name)).await?;
        rows.iter().map(to_api).collect()
    }

    /// Runs a command and waits for its answer; one that is modeled as durable is put into the device's queue. A run that got no
    /// answer is in the history too.
    pub async fn command_run(
        &self,
        access: &Access,
        place: Place<'_>,
        name: &str,
        wanted: &DeviceCommand,
    ) -> Result<DeviceCommand, AppError> {
        let template = self.template_with(access, place).await?;
        let command = declared(template.as_deref(), place, name)?;
        if let Some(command) = command {
            check_request(command, wanted.request.as_ref())?;
        }
        check_texts(place, name)?;
        let connect = wait("/connectionTimeout", wanted.connection_timeout, 0, Duration::ZERO)?;
        let respond = wait("/responseTimeout", wanted.response_timeout, 5, COMMAND_RESPONSE_TIMEOUT_DEFAULT)?;
        let method = match place.component {
            Some(component) => format!("{component}*{name}"),
            None => name.to_owned(),
        };
        if command.is_some_and(|command| command.durable) {
            return self.command_queue(access, place, name, &method, wanted).await;
        }
        let identity = Self::identity(place.device, place.module);
        let payload = Bytes::from(wanted.request.as_ref().unwrap_or(&Value::Null).to_string());
        let requested_ms = now_ms();
        let application = access.application();
        let timeouts = MethodTimeouts { connect, response: respond };
        let outcome = self.sessions().invoke(application, &identity, &method, payload, timeouts).await;
        let (response, code) = match &outcome {
            Ok(answer) => (method_payload(&answer.payload), i64::from(answer.status)),
            Err(InvokeFailure::Invalid) => return Err(InvokeFailure::Invalid.into()),
            Err(InvokeFailure::NotConnected) => (None, CODE_NOT_CONNECTED),
            Err(InvokeFailure::Timeout) => (None, CODE_TIMEOUT),
            Err(InvokeFailure::Busy) => (None, CODE_BUSY),
        };
        let row = CommandRow {
            id: new_id(),
            request: wanted.request.as_ref().map(Value::to_string),
            response: response.map(|payload| payload.to_string()),
            response_code: Some(code),
            connection_timeout_secs: wanted.connection_timeout.map(i64::from),
            response_timeout_secs: wanted.response_timeout.map(i64::from),
            requested_ms,
        };
        let run = NewCommand { application: application.to_owned(), target: target(place, name), run: row.clone() };
        self.command_runs().make(run).await?;
        tracing::info!(actor = access.actor().id(), %identity, command = name, status = code, "command run");
        outcome?;
        to_api(&row)
    }

    /// Calls a direct method of a module, whatever the template says. An answer without a payload is its status alone, the form in
    /// which the command line extension takes that of `RestartModule`.
    pub async fn module_method(
        &self,
        access: &Access,
        device: &str,
        module: &str,
        request: &DirectMethodRequest,
    ) -> Result<DirectMethodAnswer, AppError> {
        self.device_row(access, device).await?;
        let identity = Self::identity(device, Some(module));
        let payload = Bytes::from(request.payload.to_string());
        let timeouts = MethodTimeouts { connect: Duration::ZERO, response: COMMAND_RESPONSE_TIMEOUT_DEFAULT };
        let method = &request.method_name;
        let answer = self.sessions().invoke(access.application(), &identity, method, payload, timeouts).await?;
        tracing::info!(actor = access.actor().id(), %identity, method = request.method_name, "direct method called");
        Ok(match method_payload(&answer.payload).filter(|payload| !payload.is_null()) {
            Some(payload) => DirectMethodAnswer::WithPayload(DirectMethodPayload { status: answer.status, payload }),
            None => DirectMethodAnswer::Status(answer.status),
        })
    }
}

/// The payload of a method's answer: JSON, or as a text if a device sent something else.
fn method_payload(payload: &[u8]) -> Option<Value> {
    if payload.is_empty() {
        return None;
    }
    let json = serde_json::from_slice(payload);
    Some(json.unwrap_or_else(|_| Value::from(String::from_utf8_lossy(payload).into_owned())))
}

#[cfg(test)]
mod tests;

//! The management API on `<data>/mgmt.sock`: what the command line and, later, tools on the device ask the daemon.
//!
//! Calls and answers are those of the daemon we replace as far as they read or restart; what only its agent may do (making
//! and deleting modules) is the lifecycle's business here and answered 403. `GET /status` and `GET /metrics` are ours.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use transport::server::GaveWay;

use crate::metrics::{self, CurrentMetrics};
use crate::runtime::ModuleLogs;
use crate::runtime::log_file::{LogFilter, LogLine, Stream};
use crate::unix_http::{Answer, Api, Call, Refused, empty, raw, refused, reply};
use crate::workload::ListModules;

/// Whether messages can be stored: [`QUEUES_FINE`], or why they are refused.
pub const QUEUES: &str = "queues";
/// See [`QUEUES`].
pub const QUEUES_FINE: &str = "fine";

/// Connections that had to give way at the listener since the start, by reason.
pub const GAVE_WAY: &str = "connections_gave_way";
/// How long the daemon runs.
pub const UPTIME_SECS: &str = "uptime_secs";

/// What the daemon tells about itself, kept up to date by its parts.
pub struct DaemonStatus {
    modules: Mutex<Value>,
    values: Mutex<BTreeMap<&'static str, Value>>,
    started: Instant,
    gave_way: GaveWay,
}

impl Default for DaemonStatus {
    fn default() -> Self {
        let (modules, values) = (Mutex::default(), Mutex::default());
        Self { modules, values, started: Instant::now(), gave_way: GaveWay::default() }
    }
}

impl DaemonStatus {
    /// Where the listener counts connections that had to give way.
    pub fn gave_way(&self) -> &GaveWay {
        &self.gave_way
    }

    /// Replaces the list of modules: an array in the form of the management API.
    pub fn set_modules(&self, modules: Value) {
        *self.modules.lock().unwrap_or_else(PoisonError::into_inner) = modules;
    }

    /// Says one thing about the daemon.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value.into());
    }

    /// Everything said, by name.
    pub fn to_json(&self) -> Value {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Map<_, _> = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let counts = self.gave_way.counts().filter(|(_, count)| *count > 0);
        let counts: Map<_, _> = counts.map(|(reason, count)| (reason.name().to_owned(), count.into())).collect();
        all.insert(GAVE_WAY.to_owned(), counts.into());
        all.insert(UPTIME_SECS.to_owned(), self.started.elapsed().as_secs().into());
        Value::Object(all)
    }

    fn modules(&self) -> Vec<Value> {
        let modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        modules.as_array().cloned().unwrap_or_default()
    }
}

impl ListModules for DaemonStatus {
    fn list(&self) -> Value {
        json!({ "modules": self.modules() })
    }
}

/// Something an operator wants done to a module.
#[derive(Debug)]
pub struct ModuleOrder {
    /// The module.
    pub module: String,
    /// What to do.
    pub action: ModuleAction,
    /// Takes the outcome: `Err` holds status and words.
    pub done: oneshot::Sender<Result<(), (u16, String)>>,
}

/// What can be done to a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleAction {
    /// Stop and start; does not count as a restart by policy.
    Restart,
    /// Start, if it was stopped.
    Start,
    /// Stop. Its restart policy may start it again.
    Stop,
}

/// Orders on their way to the lifecycle.
pub type Orders = mpsc::Sender<ModuleOrder>;

/// Sends an order and waits for its outcome.
pub async fn order(orders: &Orders, module: &str, action: ModuleAction) -> Result<(), (u16, String)> {
    let (done, outcome) = oneshot::channel();
    let order = ModuleOrder { module: module.to_owned(), action, done };
    let stopping = || (503, "the daemon is starting or stopping".to_owned());
    orders.send(order).await.map_err(|_| stopping())?;
    outcome.await.unwrap_or_else(|_| Err(stopping()))
}

/// The API.
pub struct ManagementApi {
    /// What is known.
    pub status: Arc<DaemonStatus>,
    /// The way to the lifecycle.
    pub orders: Orders,
    /// Output of modules.
    pub logs: Arc<dyn ModuleLogs>,
    /// What hub and agent count.
    pub metrics: Arc<CurrentMetrics>,
}

type Outcome = Result<Answer, Refused>;

impl Api for ManagementApi {
    async fn call(&self, call: Call) -> Answer {
        self.answer(&call).await.unwrap_or_else(Answer::from)
    }
}

impl ManagementApi {
    async fn answer(&self, call: &Call) -> Outcome {
        match (&call.method, call.path().as_slice()) {
            (&Method::GET, ["modules"]) => Ok(reply(StatusCode::OK, &self.status.list())),
            (&Method::GET, ["modules", name]) => Ok(reply(StatusCode::OK, &self.module(name)?)),
            (&Method::GET, ["modules", name, "logs"]) => self.logs(name, call).await,
            (&Method::POST, ["modules", name, "restart"]) => self.order(name, ModuleAction::Restart).await,
            (&Method::POST, ["modules", name, "start"]) => self.order(name, ModuleAction::Start).await,
            (&Method::POST, ["modules", name, "stop"]) => self.order(name, ModuleAction::Stop).await,
            (&Method::GET, ["status"]) => Ok(reply(StatusCode::OK, &self.status.to_json())),
            (&Method::GET, ["metrics"]) => Ok(metrics::listener::answer(&self.metrics)),
            (&Method::GET, ["systeminfo"]) => Ok(reply(StatusCode::OK, &system_info())),
            (&Method::POST | &Method::PUT | &Method::DELETE, ["modules", ..]) => {
                Err(refused(StatusCode::FORBIDDEN, "modules are made and removed by deployments only"))
            }
            _ => Err(refused(StatusCode::NOT_FOUND, "there is no such call")),
        }
    }

    fn module(&self, name: &str) -> Result<Value, Refused> {
        let found = self.status.modules().into_iter().find(|module| module["name"] == name);
        found.ok_or_else(|| refused(StatusCode::NOT_FOUND, format!("there is no module {name}")))
    }

    async fn order(&self, name: &str, action: ModuleAction) -> Outcome {
        self.module(name)?;
        match order(&self.orders, name, action).await {
            Ok(()) => Ok(empty(StatusCode::NO_CONTENT)),
            Err((status, message)) => {
                Err(refused(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), message))
            }
        }
    }

    async fn logs(&self, name: &str, call: &Call) -> Outcome {
        self.module(name)?;
        if call.query("follow").is_some_and(|follow| follow == "true") {
            return Err(refused(StatusCode::BAD_REQUEST, "follow is not supported: ask again with since"));
        }
        let filter = log_filter(call)?;
        let timestamps = call.query("timestamps").is_some_and(|wanted| wanted == "true");
        let lines = self
            .logs
            .read(name, &filter)
            .await
            .map_err(|error| refused(StatusCode::INTERNAL_SERVER_ERROR, crate::error_chain(&error)))?;
        Ok(raw(StatusCode::OK, "application/octet-stream", frame(&lines, timestamps)))
    }
}

fn log_filter(call: &Call) -> Result<LogFilter, Refused> {
    let bad = |name: &str| refused(StatusCode::BAD_REQUEST, format!("{name} cannot be read"));
    let time = |name: &str| {
        let now = OffsetDateTime::now_utc();
        call.query(name).map(|text| crate::log_time::parse(&text, now).ok_or_else(|| bad(name))).transpose()
    };
    let tail = match call.query("tail").as_deref() {
        None | Some("all") => None,
        Some(number) => Some(number.parse().map_err(|_| bad("tail"))?),
    };
    Ok(LogFilter { tail, since: time("since")?, until: time("until")? })
}

/// The engine's framing of log lines: stream (1 or 2), three zero bytes, length as 32 bits big endian, the line with its end.
fn frame(lines: &[LogLine], timestamps: bool) -> Bytes {
    let mut out = Vec::new();
    for line in lines {
        let time = line.at.format(&Rfc3339).unwrap_or_default();
        let text = if timestamps { format!("{time} {}\n", line.text) } else { format!("{}\n", line.text) };
        out.extend_from_slice(&[if line.stream == Stream::Stdout { 1 } else { 2 }, 0, 0, 0]);
        out.extend_from_slice(&(text.len() as u32).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.into()
}

/// Takes the framing apart: stream (1 or 2) and text of each line.
pub fn unframe(mut bytes: &[u8]) -> Vec<(u8, String)> {
    let mut lines = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let Some(text) = rest.get(..length) else { break };
        lines.push((header[0], String::from_utf8_lossy(text).into_owned()));
        bytes = &rest[length..];
    }
    lines
}

fn system_info() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    json!({
        "osType": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "version": env!("CARGO_PKG_VERSION"),
        "kernel_version": read("/proc/sys/kernel/osrelease"),
        "cpus": std::thread::available_parallelism().map_or(1, usize::from),
    })
}

#[cfg(test)]
mod tests;

//! Direct methods of `$edgeAgent`.

use std::sync::Arc;

use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::limits::MODULE_LOGS_ANSWER_BYTES_MAX;
use crate::management::{ModuleAction, Orders, order};
use crate::metrics::Metrics;
use crate::runtime::log_file::{LogFilter, LogLine};
use crate::runtime::{ModuleLogs, RuntimeError};
use crate::twin_link::AnswerMethods;

const KNOWN: &str = "ping, RestartModule, GetModuleLogs";

/// Answers the methods.
pub struct AgentMethods {
    /// The way to the lifecycle.
    pub orders: Orders,
    /// Output of modules.
    pub logs: Arc<dyn ModuleLogs>,
    /// For structured log lines.
    pub hub_host: String,
    /// For structured log lines.
    pub device_id: String,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
}

impl AnswerMethods for AgentMethods {
    async fn answer(&self, name: String, payload: Value) -> (i32, Option<Value>) {
        let count = |name| self.metrics.agent.method(name);
        let answered = match name.to_ascii_lowercase().as_str() {
            "ping" => {
                count("Ping");
                Ok(None)
            }
            "restartmodule" => {
                count("RestartModule");
                self.restart(payload).await.map(|()| None)
            }
            "getmodulelogs" => {
                count("GetModuleLogs");
                self.logs(payload).await.map(Some)
            }
            _ => Err((400, format!("method {name} is not known; known are {KNOWN}"))),
        };
        match answered {
            Ok(answer) => (200, answer),
            Err((status, message)) => (status, Some(json!({ "message": message }))),
        }
    }
}

type Refusal = (i32, String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RestartRequest {
    schema_version: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogsRequest {
    schema_version: String,
    items: OneOrMany,
    encoding: Option<String>,
    content_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(LogsItem),
    Many(Vec<LogsItem>),
}

#[derive(Deserialize)]
struct LogsItem {
    id: String,
    #[serde(default)]
    filter: LogsFilter,
}

#[derive(Deserialize, Default)]
struct LogsFilter {
    tail: Option<usize>,
    since: Option<Value>,
    until: Option<Value>,
    loglevel: Option<u8>,
    regex: Option<String>,
    #[serde(rename = "includeTimestamp")]
    include_timestamp: Option<bool>,
}

/// Which modules, and which of their lines.
struct Selection {
    modules: Regex,
    filter: LogFilter,
    level_max: Option<u8>,
    text: Option<Regex>,
    timestamps: bool,
}

impl AgentMethods {
    async fn restart(&self, payload: Value) -> Result<(), Refusal> {
        let request: RestartRequest = read(payload)?;
        check_version(&request.schema_version)?;
        let outcome = order(&self.orders, &request.id, ModuleAction::Restart).await;
        outcome.map_err(|(_, message)| (500, message))
    }

    async fn logs(&self, payload: Value) -> Result<Value, Refusal> {
        let request: LogsRequest = read(payload)?;
        check_version(&request.schema_version)?;
        if !matches!(request.encoding.as_deref(), None | Some("none")) {
            return Err((400, "encoding must be none: gzip is not supported".to_owned()));
        }
        let structured = match request.content_type.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => return Err((400, format!("contentType {other:?} is neither text nor json"))),
        };
        let items = match request.items {
            OneOrMany::One(item) => vec![item],
            OneOrMany::Many(items) => items,
        };
        let selections = items.into_iter().map(select).collect::<Result<Vec<_>, _>>()?;
        let mut answers = Vec::new();
        // Of the answer as it is sent: quotes and colours take more room there than in the log. The hub drops the connection
        // of whoever answers with more than it takes.
        let mut bytes = "[]".len();
        for name in self.logs.modules().await.map_err(unreadable)? {
            let Some(selection) = selections.iter().find(|selection| selection.modules.is_match(&name)) else {
                continue;
            };
            let payload = self.payload(&name, selection, structured).await?;
            let answer = json!({ "id": name, "payload": payload, "payloadBytes": null });
            bytes += answer.to_string().len() + if answers.is_empty() { 0 } else { ",".len() };
            if bytes > MODULE_LOGS_ANSWER_BYTES_MAX {
                let message = format!(
                    "the answer has more than {MODULE_LOGS_ANSWER_BYTES_MAX} bytes: ask for less with tail or since"
                );
                return Err((400, message));
            }
            answers.push(answer);
        }
        if answers.is_empty() {
            return Err((400, "no module's name matches".to_owned()));
        }
        Ok(Value::Array(answers))
    }

    async fn payload(&self, name: &str, selection: &Selection, structured: bool) -> Result<String, Refusal> {
        let lines = self.logs.read(name, &selection.filter).await.map_err(unreadable)?;
        let lines = lines.iter().filter(|line| selection.takes(line));
        if !structured {
            return Ok(lines.map(|line| text_line(line, selection.timestamps)).collect());
        }
        let objects = lines.map(|line| {
            json!({
                "iothub": self.hub_host, "device": self.device_id, "id": name, "stream": line.stream.as_str(),
                "loglevel": level(&line.text), "text": line.text, "timestamp": time_text(line),
            })
        });
        Ok(Value::Array(objects.collect()).to_string())
    }
}

fn unreadable(error: RuntimeError) -> Refusal {
    (500, crate::error_chain(&error))
}

impl Selection {
    fn takes(&self, line: &LogLine) -> bool {
        self.level_max.is_none_or(|max| level(&line.text) <= max)
            && self.text.as_ref().is_none_or(|text| text.is_match(&line.text))
    }
}

fn select(item: LogsItem) -> Result<Selection, Refusal> {
    let pattern = if item.id == "all" { "" } else { &item.id };
    let compile = |pattern: &str| {
        let built = RegexBuilder::new(pattern).case_insensitive(true).build();
        built.map_err(|error| (400, format!("{pattern:?} is no regular expression: {error}")))
    };
    let now = OffsetDateTime::now_utc();
    let moment = |name: &str, value: Option<Value>| -> Result<Option<OffsetDateTime>, Refusal> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        crate::log_time::parse(&text, now).map(Some).ok_or_else(|| (400, format!("{name} {text:?} is no time")))
    };
    let filter = item.filter;
    Ok(Selection {
        modules: compile(pattern)?,
        filter: LogFilter {
            tail: filter.tail,
            since: moment("since", filter.since)?,
            until: moment("until", filter.until)?,
        },
        level_max: filter.loglevel,
        text: filter.regex.as_deref().map(compile).transpose()?,
        timestamps: filter.include_timestamp.unwrap_or(true),
    })
}

/// `<N>` at the start of a line is its syslog level; 6 where there is none.
fn level(text: &str) -> u8 {
    match text.as_bytes() {
        [b'<', digit @ b'0'..=b'7', b'>', ..] => digit - b'0',
        _ => 6,
    }
}

fn text_line(line: &LogLine, timestamps: bool) -> String {
    if timestamps { format!("{} {}\n", time_text(line), line.text) } else { format!("{}\n", line.text) }
}

fn time_text(line: &LogLine) -> String {
    line.at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

fn read<T: serde::de::DeserializeOwned>(payload: Value) -> Result<T, Refusal> {
    serde_json::from_value(payload).map_err(|error| (400, format!("the payload cannot be read: {error}")))
}

fn check_version(version: &str) -> Result<(), Refusal> {
    let major = version.split('.').next().unwrap_or_default();
    if major == "1" { Ok(()) } else { Err((400, format!("schemaVersion {version:?} is not supported: 1.0 is"))) }
}

#[cfg(test)]
mod tests;

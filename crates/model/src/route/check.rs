//! `tidegate-edge route check`: one JSON object in, one JSON object out.
//!
//! | In | Out |
//! | --- | --- |
//! | `{"route": text}` | `{"valid": true, "source", "condition", "endpoint"}` or `{"valid": false, "error"}` |
//! | `{"condition": text, "message": {…}}` | `{"result": true \| false \| "undefined"}`, or `{"valid": false, "error"}` when it does not compile |
//! | anything else | `{"error"}` |
//!
//! `error` is `{"message", "column"}`, with `line` when it is not the first; the column counts characters from 1.
//!
//! A message has `body` (a JSON value, taken as it is written), `body_text`, or `body_b64`, then `properties` and
//! `system_properties`, objects of texts; a property may be null, a number or bool is taken as its text. Body and text are
//! UTF-8 bytes. Nothing is assumed: without `contentType` and `contentEncoding` in `system_properties` the body stays
//! closed to `$body`, as it would on a device. Unknown keys are ignored.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use super::message::OwnedMessage;
use super::{Condition, Endpoint, Route, RouteError, Verdict};
use crate::limits::ROUTE_CHECK_LINE_BYTES_MAX;

/// Answers one line of `route check`. The answer is one line too, without its end.
#[must_use]
pub fn check_line(json_line: &str) -> String {
    answer(json_line).unwrap_or_else(|refusal| json!({ "error": refusal.to_json() })).to_string()
}

#[derive(Deserialize)]
struct Question {
    route: Option<String>,
    condition: Option<String>,
    message: Option<Message>,
}

#[derive(Deserialize, Default)]
struct Message {
    body: Option<Box<RawValue>>,
    body_text: Option<String>,
    body_b64: Option<String>,
    properties: Option<Map<String, Json>>,
    system_properties: Option<Map<String, Json>>,
}

/// A line that is no question.
struct Refusal {
    message: String,
    column: usize,
}

impl Refusal {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), column: 1 }
    }

    fn to_json(&self) -> Json {
        json!({ "message": self.message, "column": self.column })
    }
}

fn answer(line: &str) -> Result<Json, Refusal> {
    if line.len() > ROUTE_CHECK_LINE_BYTES_MAX {
        return Err(Refusal::new(format!("the line is longer than {ROUTE_CHECK_LINE_BYTES_MAX} bytes")));
    }
    let question: Question = serde_json::from_str(line)
        .map_err(|error| Refusal { message: format!("not a question: {error}"), column: error.column().max(1) })?;
    match (question.route, question.condition) {
        (Some(route), None) => Ok(check_route(&route)),
        (None, Some(condition)) => check_condition(&condition, question.message.unwrap_or_default()),
        (Some(_), Some(_)) => Err(Refusal::new("'route' and 'condition' do not go together")),
        (None, None) => Err(Refusal::new("neither 'route' nor 'condition'")),
    }
}

fn check_route(text: &str) -> Json {
    let route = match Route::parse(text) {
        Ok(route) => route,
        Err(error) => return invalid(&error),
    };
    let endpoint = match &route.endpoint {
        Endpoint::Upstream => json!("$upstream"),
        Endpoint::Module { module, input } => json!({ "module": module, "input": input }),
    };
    json!({
        "valid": true,
        "source": route.source.as_str(),
        "condition": route.condition.text(),
        "endpoint": endpoint,
    })
}

fn check_condition(text: &str, message: Message) -> Result<Json, Refusal> {
    let message = message.into_owned()?;
    let condition = match Condition::parse(text) {
        Ok(condition) => condition,
        Err(error) => return Ok(invalid(&error)),
    };
    Ok(match condition.evaluate(&message) {
        Verdict::True => json!({ "result": true }),
        Verdict::False => json!({ "result": false }),
        Verdict::Undefined => json!({ "result": "undefined" }),
    })
}

fn invalid(error: &RouteError) -> Json {
    let mut place = json!({ "message": error.message, "column": error.column });
    if error.line > 1 {
        place["line"] = json!(error.line);
    }
    json!({ "valid": false, "error": place })
}

impl Message {
    fn into_owned(self) -> Result<OwnedMessage, Refusal> {
        let body = match (self.body, self.body_text, self.body_b64) {
            (None, None, None) => Vec::new(),
            (Some(json), None, None) => json.get().as_bytes().to_vec(),
            (None, Some(text), None) => text.into_bytes(),
            (None, None, Some(encoded)) => {
                STANDARD.decode(encoded).map_err(|error| Refusal::new(format!("body_b64 is no base64: {error}")))?
            }
            _ => return Err(Refusal::new("only one of 'body', 'body_text' and 'body_b64'")),
        };
        let properties =
            self.properties.into_iter().flatten().map(|(name, value)| Ok((name.clone(), property(&name, value)?)));
        let system =
            self.system_properties.into_iter().flatten().filter_map(|(name, value)| {
                property(&name, value).map(|text| text.map(|text| (name, text))).transpose()
            });
        Ok(OwnedMessage {
            body,
            properties: properties.collect::<Result<_, Refusal>>()?,
            system_properties: system.collect::<Result<_, Refusal>>()?,
        })
    }
}

fn property(name: &str, value: Json) -> Result<Option<String>, Refusal> {
    match value {
        Json::Null => Ok(None),
        Json::String(text) => Ok(Some(text)),
        Json::Number(number) => Ok(Some(number.to_string())),
        Json::Bool(value) => Ok(Some(value.to_string())),
        Json::Array(_) | Json::Object(_) => Err(Refusal::new(format!("property '{name}' is no text"))),
    }
}

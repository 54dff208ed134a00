//! The simulated temperature sensor on the wire: what it sends, and what it obeys.
//!
//! | It | Form |
//! | --- | --- |
//! | sends on output `temperatureOutput` | `{"machine":{"temperature","pressure"},"ambient":{"temperature","humidity"},"timeCreated"}`, application properties `sequenceNumber`, `batchId` |
//! | obeys desired properties | `SendData` (boolean), `SendInterval` (seconds, from 1); both are acknowledged as `{value, ac, av, ad}` |
//! | answers the method | `reset`, any case |
//! | takes on input `control` | `{"command":"reset"}`, or a list of such |

use std::time::Duration;

use bytes::Bytes;
use model::message::Message;
use model::twin::{Acknowledgement, format_time};
use protocol::hub::bag::{self, BagBuilder};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::thermometer::{Measurement, Thermometer};

/// Where telemetry goes.
pub const OUTPUT: &str = "temperatureOutput";
/// Where commands come in.
pub const CONTROL_INPUT: &str = "control";

const SEND_INTERVAL_SECS_DEFAULT: u64 = 5;
/// Longer than a day would look like a broken sensor.
const SEND_INTERVAL_SECS_MAX: u64 = 86_400;

/// What the sensor does, without the wire.
#[derive(Debug)]
pub struct Sensor {
    thermometer: Thermometer,
    send_data: bool,
    send_interval_secs: u64,
    batch_id: String,
    sequence_number: u64,
}

impl Sensor {
    /// A sensor whose messages carry this batch id, one for each start of the program.
    pub fn new(batch_id: String) -> Self {
        Self {
            thermometer: Thermometer::default(),
            send_data: true,
            send_interval_secs: SEND_INTERVAL_SECS_DEFAULT,
            batch_id,
            sequence_number: 0,
        }
    }

    /// The pause between two messages; `None` while nothing shall be sent.
    pub fn interval(&self) -> Option<Duration> {
        self.send_data.then(|| Duration::from_secs(self.send_interval_secs))
    }

    /// The next message.
    pub fn next_message(&mut self, now: OffsetDateTime, random: impl FnMut() -> f64) -> Message {
        let measurement = self.thermometer.measure(random);
        self.sequence_number += 1;
        let mut builder = BagBuilder::new();
        builder
            .push(bag::CONTENT_TYPE, "application/json")
            .push(bag::CONTENT_ENCODING, "utf-8")
            .push("sequenceNumber", &self.sequence_number.to_string())
            .push("batchId", &self.batch_id);
        Message { bag: builder.build(), body: Bytes::from(body(&measurement, now).to_string()) }
    }

    /// Takes desired properties, the whole section or a patch; answers what to report about them.
    pub fn take_desired(&mut self, desired: &Value) -> Value {
        let version = desired.get("$version").and_then(Value::as_u64).unwrap_or(1);
        let mut reported = Map::new();
        if let Some(wanted) = desired.get("SendData").filter(|wanted| !wanted.is_null()) {
            let problem = match wanted.as_bool() {
                Some(send_data) => {
                    self.send_data = send_data;
                    None
                }
                None => Some("must be true or false"),
            };
            reported.insert("SendData".to_owned(), acknowledged(json!(self.send_data), version, problem));
        }
        if let Some(wanted) = desired.get("SendInterval").filter(|wanted| !wanted.is_null()) {
            let seconds = wanted.as_f64().filter(|seconds| seconds.fract() == 0.0).map(|seconds| seconds as u64);
            let problem = match seconds {
                Some(seconds @ 1..=SEND_INTERVAL_SECS_MAX) => {
                    self.send_interval_secs = seconds;
                    None
                }
                _ => Some("must be a whole number of seconds from 1 to 86400"),
            };
            reported.insert("SendInterval".to_owned(), acknowledged(json!(self.send_interval_secs), version, problem));
        }
        Value::Object(reported)
    }

    /// Answers a direct method.
    pub fn answer_method(&mut self, name: &str) -> (i32, Value) {
        if name.eq_ignore_ascii_case("reset") {
            self.thermometer.reset();
            return (200, json!({ "result": "reset" }));
        }
        (404, json!({ "message": format!("method {name} is not known; known is reset") }))
    }

    /// Takes a message on the input `control`.
    pub fn take_control(&mut self, body: &[u8]) {
        let commands = match serde_json::from_slice(body) {
            Ok(Value::Array(commands)) => commands,
            Ok(command) => vec![command],
            Err(error) => {
                tracing::warn!(%error, "a control message that is no JSON is ignored");
                return;
            }
        };
        for command in commands {
            match command.get("command").and_then(Value::as_str) {
                Some(name) if name.eq_ignore_ascii_case("reset") => self.thermometer.reset(),
                other => tracing::warn!(command = other, "an unknown command is ignored"),
            }
        }
    }
}

fn acknowledged(value: Value, version: u64, problem: Option<&str>) -> Value {
    Acknowledgement {
        value,
        ac: if problem.is_some() { 400 } else { 200 },
        av: i64::try_from(version).unwrap_or(i64::MAX),
        ad: Some(problem.unwrap_or("applied").to_owned()),
    }
    .to_json()
}

fn body(measurement: &Measurement, now: OffsetDateTime) -> Value {
    json!({
        "machine": { "temperature": measurement.machine_temperature, "pressure": measurement.machine_pressure },
        "ambient": { "temperature": measurement.ambient_temperature, "humidity": measurement.ambient_humidity },
        "timeCreated": format_time(now),
    })
}

#[cfg(test)]
mod tests;

//! Desired properties of `$edgeHub`: routes, and how long messages are kept.
//!
//! ```text
//! { "schemaVersion": "1.1",
//!   "routes": { "up": "FROM /* INTO $upstream",
//!               "raw": { "route": "FROM … INTO …", "priority": 0, "timeToLiveSecs": 60 } },
//!   "storeAndForwardConfiguration": { "timeToLiveSecs": 7200, "storeLimits": { "maxSizeBytes": … } } }
//! ```
//!
//! | Version | Differences |
//! |---|---|
//! | 1.0 | routes are text only, a blank one is skipped; `storeAndForwardConfiguration` optional |
//! | 1.1 | routes also as objects with priority and time to live; a blank route is an error; `…timeToLiveSecs` required |
//! | 1.2 | adds `mqttBroker`, see [`super::broker`] |
//! | 1.3 | adds `integrity`, a signature, which is not looked at |
//!
//! Any error rejects the section as a whole with code 400; the running routes stay. Route texts are kept as they are:
//! whoever runs them compiles them with [`crate::route`]. The service compiles them too, to tell a person at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use super::broker;
use super::problem::{Level, ManifestErrorCode as Code, Problems};
use crate::limits::ROUTE_PRIORITY_MAX;
use crate::pointer::Pointer;

/// Priority of a route that names none: below all numbered ones.
pub const ROUTE_PRIORITY_DEFAULT: u32 = 2_000_000_000;

/// How messages flow on a device.
#[derive(Debug, Clone, PartialEq)]
pub struct HubDesired {
    /// Version of the section's format, as written.
    pub schema_version: String,
    /// Routes by name. A blank route of a 1.0 document is left out.
    pub routes: BTreeMap<String, Route>,
    /// How long and how much is kept.
    pub store_and_forward: StoreAndForward,
    /// `mqttBroker` as written, where there is one: it passed its checks and is otherwise unused.
    pub mqtt_broker: Option<Value>,
}

/// One route, not compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `FROM … [WHERE …] INTO …`
    pub text: String,
    /// 0 (first) to 9, or [`ROUTE_PRIORITY_DEFAULT`].
    pub priority: u32,
    /// How long its messages are kept; `None`: as all others.
    pub time_to_live: Option<Duration>,
}

/// How long a message is kept that could not be delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeToLive {
    /// Until it is delivered (a negative number).
    Forever,
    /// This long; zero expires at once.
    For(Duration),
}

/// `storeAndForwardConfiguration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreAndForward {
    /// For messages of routes that say nothing else.
    pub time_to_live: TimeToLive,
    /// `storeLimits.maxSizeBytes`.
    pub bytes_max: Option<u64>,
}

impl Default for StoreAndForward {
    /// What holds before any twin was seen: everything is kept for ever.
    fn default() -> Self {
        Self { time_to_live: TimeToLive::Forever, bytes_max: None }
    }
}

/// Why a device cannot use a section; reported as `lastDesiredStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("Error while parsing desired properties - {message}")]
pub struct HubConfigError {
    /// Always 400.
    pub code: u16,
    /// What is wrong and where.
    pub message: String,
}

impl HubDesired {
    /// Reads the section as a device does: `$version` and unknown members are ignored.
    ///
    /// # Errors
    /// The first problem. Its `Display` text is the description to report.
    pub fn parse(section: &Value) -> Result<Self, HubConfigError> {
        let failed = |message: String| HubConfigError { code: 400, message };
        let mut problems = Problems::new(Level::Device);
        let at = Pointer::root("");
        let members = problems.object(section, &at);
        let desired = members.and_then(|members| read(members, &at, &mut problems));
        match (desired, problems.into_errors().into_iter().next()) {
            (Some(desired), None) => Ok(desired),
            (_, Some(error)) => Err(failed(error.to_string())),
            (None, None) => Err(failed("the section cannot be read".to_owned())),
        }
    }
}

/// Reads the section at the level of `problems`. `None` only when the problems hold the reason.
pub(super) fn read(section: &Map<String, Value>, at: &Pointer<'_>, problems: &mut Problems) -> Option<HubDesired> {
    let version = problems.required_text(section, at, "schemaVersion")?;
    let Some(minor) = schema_minor(version) else {
        let message = format!("schemaVersion {version:?} is not supported: 1.0 to 1.3 are");
        problems.add(&at.key("schemaVersion"), Code::BadSchemaVersion, message);
        return None;
    };
    problems.unknown_members(section, at, |name| {
        matches!(name, "schemaVersion" | "routes" | "storeAndForwardConfiguration")
            || (name == "mqttBroker" && minor >= 2)
            || (name == "integrity" && minor >= 3)
    });
    let routes = read_routes(section, minor, at, problems);
    let store_and_forward = read_store_and_forward(section, minor, at, problems);
    let mqtt_broker = section.get("mqttBroker").filter(|broker| minor >= 2 && !broker.is_null());
    if let Some(broker) = mqtt_broker {
        broker::check(broker, &at.key("mqttBroker"), problems);
    }
    Some(HubDesired {
        schema_version: version.to_owned(),
        routes,
        store_and_forward,
        mqtt_broker: mqtt_broker.cloned(),
    })
}

/// The minor of a version `1.0` … `1.3`; further parts are ignored.
fn schema_minor(version: &str) -> Option<u8> {
    let mut parts = version.split('.');
    if parts.next()? != "1" {
        return None;
    }
    match parts.next()? {
        "0" => Some(0),
        "1" => Some(1),
        "2" => Some(2),
        "3" => Some(3),
        _ => None,
    }
}

fn read_routes(
    section: &Map<String, Value>,
    minor: u8,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, Route> {
    let mut routes = BTreeMap::new();
    let entries = match problems.is_service() {
        true => problems.required_object(section, at, "routes"),
        false => problems.optional_object(section, at, "routes"),
    };
    let at = at.key("routes");
    for (name, entry) in entries.into_iter().flatten() {
        let at = at.key(name);
        if name.trim().is_empty() && minor >= 1 {
            problems.add(&at, Code::BadName, "a route's name must not be blank");
        }
        let Some(route) = read_route(entry, minor, &at, problems) else { continue };
        if problems.is_service()
            && let Err(error) = crate::route::Route::parse(&route.text)
        {
            problems.add(&at, Code::BadRoute, format!("the route does not compile: {error}"));
        }
        routes.insert(name.clone(), route);
    }
    routes
}

fn read_route(entry: &Value, minor: u8, at: &Pointer<'_>, problems: &mut Problems) -> Option<Route> {
    let plain = |text: &str| Route { text: text.to_owned(), priority: ROUTE_PRIORITY_DEFAULT, time_to_live: None };
    match entry {
        Value::String(text) if text.trim().is_empty() => {
            if minor >= 1 {
                problems.add(at, Code::BadRoute, "a route must not be blank");
            }
            None
        }
        Value::String(text) => Some(plain(text)),
        Value::Object(members) if minor >= 1 => {
            problems.unknown_members(members, at, |name| matches!(name, "route" | "priority" | "timeToLiveSecs"));
            let text = problems.required_text(members, at, "route")?;
            if text.trim().is_empty() {
                problems.add(&at.key("route"), Code::BadRoute, "a route must not be blank");
            }
            let priority = problems.optional_integer(members, at, "priority", ROUTE_PRIORITY_MAX);
            let ttl_secs = problems.optional_integer(members, at, "timeToLiveSecs", u32::MAX.into());
            Some(Route {
                priority: priority.and_then(|value| u32::try_from(value).ok()).unwrap_or(ROUTE_PRIORITY_DEFAULT),
                time_to_live: ttl_secs.filter(|secs| *secs > 0).map(Duration::from_secs),
                ..plain(text)
            })
        }
        _ => {
            let wanted = if minor >= 1 { "a text or an object with a member route" } else { "a text" };
            problems.add(at, Code::WrongType, format!("a route must be {wanted}"));
            None
        }
    }
}

fn read_store_and_forward(
    section: &Map<String, Value>,
    minor: u8,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> StoreAndForward {
    let name = "storeAndForwardConfiguration";
    let members = match minor {
        0 => problems.optional_object(section, at, name),
        _ => problems.required_object(section, at, name),
    };
    let Some(members) = members else { return StoreAndForward::default() };
    let at = at.key(name);
    problems.unknown_members(members, &at, |name| matches!(name, "timeToLiveSecs" | "storeLimits"));
    let time_to_live = match members.get("timeToLiveSecs") {
        None | Some(Value::Null) if minor == 0 => TimeToLive::Forever,
        value => read_time_to_live(value, &at, problems),
    };
    let limits = problems.optional_object(members, &at, "storeLimits");
    let bytes_max = limits.and_then(|limits| {
        let at = at.key("storeLimits");
        problems.unknown_members(limits, &at, |name| name == "maxSizeBytes");
        problems.optional_integer(limits, &at, "maxSizeBytes", u64::MAX >> 1)
    });
    StoreAndForward { time_to_live, bytes_max }
}

/// A signed 32-bit number of seconds; negative means for ever.
fn read_time_to_live(value: Option<&Value>, at: &Pointer<'_>, problems: &mut Problems) -> TimeToLive {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        problems.add(at, Code::MissingMember, "timeToLiveSecs is required");
        return TimeToLive::Forever;
    };
    let at = at.key("timeToLiveSecs");
    let Some(secs) = value.as_i64().and_then(|secs| i32::try_from(secs).ok()) else {
        problems.add(&at, Code::BadValue, "timeToLiveSecs must be a whole number of at most 32 bits");
        return TimeToLive::Forever;
    };
    u64::try_from(secs).map_or(TimeToLive::Forever, |secs| TimeToLive::For(Duration::from_secs(secs)))
}

#[cfg(test)]
mod tests;

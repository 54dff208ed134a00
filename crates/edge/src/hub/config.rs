//! Routes and lifetimes: the desired section of `$edgeHub`, compiled; the last good one kept on disk.

use std::path::Path;
use std::sync::Arc;

use model::manifest::hub::{HubDesired, TimeToLive};
use model::route::{Endpoint, RouteTable};
use serde_json::{Value, json};

use super::EdgeHub;
use super::parked::is_parked;
use super::queue::Waiting;
use crate::lifecycle::deployment::Deployment;
use crate::limits::ROUTE_QUEUES_MAX;

/// A configuration in force.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Version of the section it came from.
    pub version: u64,
    /// The routes.
    pub routes: RouteTable,
    /// Lifetime of messages whose route names none; `None`: for ever.
    pub lifetime_secs: Option<u32>,
}

impl HubConfig {
    /// Compiles a section. The error is the description to report, with code 400: the runtime we replace reports a route
    /// whose condition does not compile as 200 and does not apply it, which nobody notices.
    pub fn compile(deployment: &Deployment) -> Result<Self, String> {
        let desired = HubDesired::parse(&deployment.section).map_err(|error| error.to_string())?;
        let routes = RouteTable::compile(&desired.routes).map_err(|error| {
            let route = &error.route_name;
            format!("Error while parsing desired properties - route {route}: {}", error.error)
        })?;
        let queues = routes.queues().len();
        if queues > ROUTE_QUEUES_MAX {
            return Err(format!(
                "Error while parsing desired properties - the routes lead to {queues} endpoints and priorities, \
                 {ROUTE_QUEUES_MAX} are allowed"
            ));
        }
        let lifetime_secs = match desired.store_and_forward.time_to_live {
            TimeToLive::Forever => None,
            TimeToLive::For(life) => Some(u32::try_from(life.as_secs()).unwrap_or(u32::MAX)),
        };
        Ok(Self { version: deployment.version, routes, lifetime_secs })
    }

    /// The last good one.
    pub fn restore(path: &Path) -> Option<Self> {
        match Deployment::read(path) {
            Ok(Some(deployment)) => match Self::compile(&deployment) {
                Ok(config) => Some(config),
                Err(reason) => {
                    tracing::error!(reason, "the stored routes cannot be used");
                    None
                }
            },
            Ok(None) => None,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the stored routes cannot be read");
                None
            }
        }
    }
}

impl EdgeHub {
    /// Takes a new desired section. A bad one is reported and changes nothing else.
    pub fn configure(&self, deployment: &Deployment) {
        let outcome = match HubConfig::compile(deployment) {
            Ok(config) => {
                if let Err(error) = deployment.write(&self.options.dir.join("config.json")) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "cannot keep the routes for starts without network"
                    );
                }
                self.put_in_force(config);
                (200, String::new())
            }
            Err(reason) => {
                tracing::warn!(version = deployment.version, reason, "routes refused");
                (400, reason)
            }
        };
        self.clients.set_outcome(deployment.version, outcome.0, outcome.1);
        self.report();
    }

    fn put_in_force(&self, config: HubConfig) {
        tracing::info!(version = config.version, routes = config.routes.routes().len(), "routes in force");
        *self.config.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Arc::new(config));
        self.drop_unrouted();
    }

    /// Drops what waits for endpoints no route leads to any more. What waits for upstream is never thrown away, even then: the
    /// runtime we replace does that, and it is how backlogs get lost by a typing mistake.
    pub(super) fn drop_unrouted(&self) {
        let Some(config) = self.config() else { return };
        let routed = |endpoint: &Endpoint| config.routes.queues().iter().any(|(named, _)| *named == endpoint);
        for endpoint in self.queues.endpoints() {
            if endpoint == Endpoint::Upstream || is_parked(&endpoint) || routed(&endpoint) {
                continue;
            }
            self.stop_pump(&endpoint);
            let Waiting { messages, .. } = self.queues.clear(&endpoint);
            self.drop_with_endpoint(&endpoint, messages);
        }
    }

    /// Brings the reported section up to date.
    pub(super) fn report(&self) {
        let version = env!("CARGO_PKG_VERSION");
        let mut section = json!({
            "schemaVersion": "1.0",
            "version": { "version": version, "build": "", "commit": "" },
        });
        self.clients.add_to(&mut section);
        if let Some(reason) = self.refusal() {
            section["messagesRefused"] = reason.into();
        }
        self.losses.add_to(&mut section);
        self.dropped.add_to(&mut section);
        let connected = self.sessions.count();
        self.options.metrics.hub.set_connected(connected);
        self.options.status.set("clients_connected", connected);
        self.reports.send_if_modified(|known: &mut Value| {
            let differs = *known != section;
            *known = section;
            differs
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::route::PRIORITY_WITHOUT_NUMBER;

    fn compile(section: Value) -> Result<HubConfig, String> {
        HubConfig::compile(&Deployment { version: 3, section })
    }

    #[test]
    fn routes_priorities_and_lifetimes_are_compiled() {
        let section = json!({
            "schemaVersion": "1.1",
            "routes": {
                "up": "FROM /* INTO $upstream",
                "fast": { "route": "FROM /messages/* INTO $upstream", "priority": 0, "timeToLiveSecs": 60 },
            },
            "storeAndForwardConfiguration": { "timeToLiveSecs": 7200 },
        });
        let config = compile(section).unwrap();
        assert_eq!((config.version, config.lifetime_secs), (3, Some(7200)));
        let routes = config.routes.routes().iter();
        let found: Vec<_> = routes.map(|route| (route.name.as_str(), route.priority, route.ttl_secs)).collect();
        assert_eq!(found, [("fast", Some(0), Some(60)), ("up", Some(PRIORITY_WITHOUT_NUMBER), None)]);
    }

    #[test]
    fn a_route_that_does_not_compile_is_named() {
        let section = json!({
            "schemaVersion": "1.0",
            "routes": { "bad": "FROM /* WHERE temp > 30 INTO $upstream" },
            "storeAndForwardConfiguration": { "timeToLiveSecs": -1 },
        });
        let reason = compile(section).unwrap_err();
        assert!(reason.starts_with("Error while parsing desired properties - route bad: "), "{reason}");
    }

    #[test]
    fn the_number_of_queues_is_bounded() {
        let routes = |count: usize| {
            let routes = (0..count).map(|n| {
                (format!("r{n}"), json!(format!("FROM /* INTO BrokeredEndpoint(\"/modules/m/inputs/i{n}\")")))
            });
            json!({ "schemaVersion": "1.0", "routes": Value::Object(routes.collect()) })
        };
        assert!(compile(routes(ROUTE_QUEUES_MAX)).is_ok());
        let reason = compile(routes(ROUTE_QUEUES_MAX + 1)).unwrap_err();
        assert!(reason.contains("129 endpoints and priorities, 128 are allowed"), "{reason}");
    }
}

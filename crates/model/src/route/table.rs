//! All routes of an edge hub: one message in, at most one delivery per endpoint out.
use std::collections::BTreeMap;

use thiserror::Error;

use super::body::Subject;
use super::message::MessageView;
use super::{Endpoint, Route, RouteError};
use crate::manifest::hub;

/// The priority of a route that names none: behind all numbered ones.
pub use crate::manifest::hub::ROUTE_PRIORITY_DEFAULT as PRIORITY_WITHOUT_NUMBER;

/// A set of routes that was refused because of one of them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot compile route '{route_name}'")]
pub struct CompileTableError {
    /// The name of the route.
    pub route_name: String,
    /// What is wrong with it.
    #[source]
    pub error: RouteError,
}

/// A route as `$edgeHub` names it.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedRoute {
    /// Its name in `properties.desired.routes`.
    pub name: String,
    /// The parsed route.
    pub route: Route,
    /// 0 (first) to 9 (last), or none: behind those.
    pub priority: Option<u32>,
    /// How long a message waits at the most; none or 0: the edge hub's own setting.
    pub ttl_secs: Option<u32>,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'t> {
    /// The endpoint; no two deliveries of a message have the same.
    pub endpoint: &'t Endpoint,
    /// The smallest priority number among the routes that took the message there.
    pub priority: u32,
    /// The lifetime of that same route; none: the edge hub's own setting.
    pub ttl_secs: Option<u32>,
    /// The name of that same route.
    pub route_name: &'t str,
}

/// The routes in force. Of two with the same endpoint and priority the first given counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteTable {
    routes: Vec<NamedRoute>,
}

impl RouteTable {
    /// Makes a table of routes.
    #[must_use]
    pub fn new(routes: Vec<NamedRoute>) -> Self {
        Self { routes }
    }

    /// Compiles the routes of `$edgeHub`, in the order of their names. One bad route refuses them all.
    pub fn compile(routes: &BTreeMap<String, hub::Route>) -> Result<Self, CompileTableError> {
        let named = routes.iter().map(|(name, written)| {
            let route =
                Route::parse(&written.text).map_err(|error| CompileTableError { route_name: name.clone(), error })?;
            let ttl_secs = written.time_to_live.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
            Ok(NamedRoute { name: name.clone(), route, priority: Some(written.priority), ttl_secs })
        });
        Ok(Self::new(named.collect::<Result<_, _>>()?))
    }

    /// The routes in the order given.
    #[must_use]
    pub fn routes(&self) -> &[NamedRoute] {
        &self.routes
    }

    /// Every endpoint and priority a message can be delivered with, once each: the queues the edge hub needs.
    #[must_use]
    pub fn queues(&self) -> Vec<(&Endpoint, u32)> {
        let mut queues = Vec::new();
        for named in &self.routes {
            let queue = (&named.route.endpoint, named.priority_number());
            if !queues.contains(&queue) {
                queues.push(queue);
            }
        }
        queues
    }

    /// Tests every route and keeps the best one per endpoint. Nothing: the message is acknowledged and dropped.
    #[must_use]
    pub fn evaluate(&self, source: &str, message: &dyn MessageView) -> Vec<Delivery<'_>> {
        let subject = Subject::new(message);
        let mut deliveries: Vec<Delivery> = Vec::new();
        for named in self.routes.iter().filter(|named| named.route.takes(source, &subject)) {
            let delivery = named.delivery();
            match deliveries.iter_mut().find(|known| known.endpoint == delivery.endpoint) {
                Some(known) if delivery.priority < known.priority => *known = delivery,
                Some(_) => {}
                None => deliveries.push(delivery),
            }
        }
        deliveries
    }
}

impl NamedRoute {
    fn priority_number(&self) -> u32 {
        self.priority.unwrap_or(PRIORITY_WITHOUT_NUMBER)
    }

    fn delivery(&self) -> Delivery<'_> {
        Delivery {
            endpoint: &self.route.endpoint,
            priority: self.priority_number(),
            ttl_secs: self.ttl_secs.filter(|secs| *secs != 0),
            route_name: &self.name,
        }
    }
}

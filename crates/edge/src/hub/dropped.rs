//! What was dropped since the start, by endpoint and reason: everything that was acknowledged and is not delivered.
//! Decision 8 lists the reasons.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use model::route::Endpoint;
use serde_json::{Map, Value, json};

use super::queue::endpoint_name;
use crate::limits::CURSORS_MAX;

/// Why a message was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// No route took it. Not counted for an endpoint.
    NoRoute,
    /// It waited longer than its route or the configuration lets it.
    TimeToLive,
    /// A deployment took away the last route to its endpoint.
    EndpointRemoved,
    /// The hub above no longer knows its sender.
    SenderRemoved,
    /// It does not fit the way to the endpoint, and never will: it is among the dead letters.
    Undeliverable,
}

impl Reason {
    /// As in metrics and reports; the first two as the runtime we replace names them.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::TimeToLive => "ttl_expiry",
            Self::EndpointRemoved => "endpoint_removed",
            Self::SenderRemoved => "sender_removed",
            Self::Undeliverable => "undeliverable",
        }
    }
}

/// Endpoints beyond the bound are counted together under this name, which no module can have.
const OTHERS: &str = "…";

/// The counts.
#[derive(Default)]
pub(super) struct Dropped {
    counts: Mutex<BTreeMap<String, BTreeMap<Reason, u64>>>,
    /// As last reported: they change too often for each change.
    published: Mutex<Value>,
}

impl Dropped {
    /// Counts messages of an endpoint.
    pub(super) fn add(&self, endpoint: &Endpoint, reason: Reason, messages: u64) {
        self.count(endpoint_name(endpoint), reason, messages);
    }

    /// Counts messages that go nowhere.
    pub(super) fn add_without_route(&self, messages: u64) {
        self.count(String::new(), Reason::NoRoute, messages);
    }

    fn count(&self, endpoint: String, reason: Reason, messages: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let crowded = counts.len() >= CURSORS_MAX && !counts.contains_key(&endpoint);
        let of_endpoint = counts.entry(if crowded { OTHERS.to_owned() } else { endpoint }).or_default();
        *of_endpoint.entry(reason).or_default() += messages;
    }

    /// What is reported from now on; says whether that is something else than before.
    pub(super) fn publish(&self) -> bool {
        let now = self.to_json();
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = *published != now && now.as_object().is_some_and(|counts| !counts.is_empty());
        *published = now;
        differs
    }

    /// Adds what people should see of it to the reported section, where names hold no `.`, `$` or blank.
    pub(super) fn add_to(&self, section: &mut Value) {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_reason: BTreeMap<String, u64> = BTreeMap::new();
        for (reason, messages) in
            published.as_object().into_iter().flatten().flat_map(|(_, counts)| counts.as_object().into_iter().flatten())
        {
            *by_reason.entry(reason.clone()).or_default() += messages.as_u64().unwrap_or_default();
        }
        if !by_reason.is_empty() {
            section["messagesDropped"] = json!(by_reason);
        }
    }

    /// `{"filter/input1": {"ttl_expiry": 3}, "": {"no_route": 7}}`
    pub(super) fn to_json(&self) -> Value {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_endpoint = |reasons: &BTreeMap<Reason, u64>| -> Value {
            reasons.iter().map(|(reason, messages)| (reason.name().to_owned(), Value::from(*messages))).collect()
        };
        let all: Map<_, _> =
            counts.iter().map(|(endpoint, reasons)| (endpoint.clone(), of_endpoint(reasons))).collect();
        all.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_apart_and_the_number_of_endpoints_is_bounded() {
        let dropped = Dropped::default();
        let module = |input: usize| Endpoint::Module { module: "m".into(), input: input.to_string() };
        dropped.add(&Endpoint::Upstream, Reason::TimeToLive, 2);
        dropped.add(&Endpoint::Upstream, Reason::SenderRemoved, 1);
        dropped.add(&Endpoint::Upstream, Reason::TimeToLive, 1);
        dropped.add_without_route(7);
        assert_eq!(
            dropped.to_json(),
            json!({ "$upstream": { "ttl_expiry": 3, "sender_removed": 1 }, "": { "no_route": 7 } })
        );
        let mut section = json!({});
        dropped.add_to(&mut section);
        assert_eq!(section, json!({}), "not yet published");
        assert!(dropped.publish() && !dropped.publish());
        dropped.add_to(&mut section);
        let expected = json!({ "messagesDropped": { "ttl_expiry": 3, "sender_removed": 1, "no_route": 7 } });
        assert_eq!(section, expected);
        for input in 0..CURSORS_MAX {
            dropped.add(&module(input), Reason::EndpointRemoved, 1);
        }
        let counted = dropped.to_json();
        assert_eq!(counted.as_object().map(Map::len), Some(CURSORS_MAX + 1));
        assert_eq!(counted[OTHERS]["endpoint_removed"], 2);
    }
}

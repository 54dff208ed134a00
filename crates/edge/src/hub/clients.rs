//! The `clients` and `lastDesired…` part of `$edgeHub`'s reported section.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use model::identity::Identity;
use model::twin::format_time;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::limits::CLIENTS_REPORTED_MAX;

/// What is known of clients and of the last desired section.
#[derive(Default)]
pub(super) struct Clients {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clients: BTreeMap<String, Client>,
    outcome: Option<(u64, u16, String)>,
}

#[derive(Default)]
struct Client {
    connected: bool,
    connected_at: Option<OffsetDateTime>,
    disconnected_at: Option<OffsetDateTime>,
}

impl Clients {
    pub(super) fn connected(&self, identity: &Identity) {
        self.with(|state| {
            let client = state.clients.entry(identity.to_string()).or_default();
            client.connected = true;
            client.connected_at = Some(OffsetDateTime::now_utc());
        });
    }

    /// A module stays listed as disconnected, a downstream device is taken off.
    pub(super) fn disconnected(&self, identity: &Identity) {
        self.with(|state| {
            if identity.module_id().is_none() {
                state.clients.remove(&identity.to_string());
            } else if let Some(client) = state.clients.get_mut(&identity.to_string()) {
                client.connected = false;
                client.disconnected_at = Some(OffsetDateTime::now_utc());
            }
        });
    }

    pub(super) fn set_outcome(&self, version: u64, code: u16, description: String) {
        self.with(|state| state.outcome = Some((version, code, description)));
    }

    /// Adds the members to the section. Of many clients only the first are listed, the number of the rest is told: the
    /// section must stay below 32 KiB.
    pub(super) fn add_to(&self, section: &mut Value) {
        self.with(|state| {
            let listed = state.clients.iter().take(CLIENTS_REPORTED_MAX);
            let clients: Map<_, _> = listed.map(|(id, client)| (escape(id), client.to_json())).collect();
            section["clients"] = clients.into();
            let more = state.clients.len().saturating_sub(CLIENTS_REPORTED_MAX);
            if more > 0 {
                section["clientsNotListed"] = more.into();
            }
            if let Some((version, code, description)) = &state.outcome {
                section["lastDesiredVersion"] = (*version).into();
                section["lastDesiredStatus"] = json!({ "code": code, "description": description });
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Client {
    fn to_json(&self) -> Value {
        let mut json = json!({ "status": if self.connected { "Connected" } else { "Disconnected" } });
        let mut set = |name: &str, time: Option<OffsetDateTime>| {
            if let Some(time) = time {
                json[name] = format_time(time).into();
            }
        };
        set("lastConnectedTimeUtc", self.connected_at);
        set("lastDisconnectedTimeUtc", self.disconnected_at);
        json
    }
}

/// Twin keys hold no `.`, `$` or blank.
fn escape(id: &str) -> String {
    id.replace('%', "%25").replace('.', "%2E").replace('$', "%24").replace(' ', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(clients: &Clients) -> Value {
        let mut section = json!({});
        clients.add_to(&mut section);
        section
    }

    #[test]
    fn modules_stay_listed_and_devices_go() {
        let clients = Clients::default();
        let (module, leaf) = (Identity::module("edge.1", "m"), Identity::device("leaf"));
        clients.connected(&module);
        clients.connected(&leaf);
        assert_eq!(section(&clients)["clients"]["leaf"]["status"], "Connected");
        clients.disconnected(&module);
        clients.disconnected(&leaf);
        let section = section(&clients);
        assert_eq!(section["clients"]["edge%2E1/m"]["status"], "Disconnected");
        assert_eq!(section["clients"].as_object().map(Map::len), Some(1));
    }

    #[test]
    fn many_clients_are_counted_not_listed() {
        let clients = Clients::default();
        for number in 0..CLIENTS_REPORTED_MAX + 5 {
            clients.connected(&Identity::device(&format!("leaf{number}")));
        }
        let section = section(&clients);
        assert_eq!(section["clients"].as_object().map(Map::len), Some(CLIENTS_REPORTED_MAX));
        assert_eq!(section["clientsNotListed"], 5);
        assert!(section.to_string().len() < 32 * 1024);
    }
}

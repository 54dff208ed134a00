//! What the tests have in common: who connects, and how to look at what happened.

use std::time::Duration;

use model::identity::Identity;
use protocol::event::{HubEvent, Subscriptions};
use protocol::hub::username::HubUserName;
use protocol::mqtt::DeviceOptions;
use testkit::pair::Pair;

pub fn user(identity: Identity) -> HubUserName {
    HubUserName {
        hub_host: "hub.example.test".to_owned(),
        identity,
        api_version: "2021-04-12".to_owned(),
        model_id: Some("dtmi:com:example:Thermostat;1".to_owned()),
        auth_chain: None,
        client_type: Some("pair".to_owned()),
    }
}

pub fn device_options() -> DeviceOptions {
    let mut options = DeviceOptions::hub(&user(Identity::device("dev1")), Subscriptions::device());
    options.password = Some("SharedAccessSignature sr=x&sig=eA==&se=1".to_owned());
    options.keep_alive = Duration::from_secs(60);
    options.window = 8;
    options
}

pub fn module_options() -> DeviceOptions {
    let mut options = DeviceOptions::hub(&user(Identity::module("dev1", "mod1")), Subscriptions::module());
    options.window = 8;
    options
}

/// Waits for the hub's next event.
pub fn hub_event(pair: &mut Pair) -> HubEvent {
    pair.run_until(|pair| !pair.hub_events.is_empty());
    pair.hub_events.pop_front().unwrap()
}

/// Waits for the device's next event.
pub fn device_event(pair: &mut Pair) -> protocol::event::DeviceEvent {
    pair.run_until(|pair| !pair.device_events.is_empty());
    pair.device_events.pop_front().unwrap()
}

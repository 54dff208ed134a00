//! The hub's section as a device reads it, by version.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

fn parse(version: &str, routes: Value) -> Result<BTreeMap<String, Route>, u16> {
    let section = json!({
        "schemaVersion": version,
        "routes": routes,
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
        "$version": 3,
    });
    HubDesired::parse(&section).map(|desired| desired.routes).map_err(|error| error.code)
}

fn one(version: &str, route: Value) -> Result<Option<Route>, u16> {
    parse(version, json!({ "r": route })).map(|routes| routes.get("r").cloned())
}

const TEXT: &str = "FROM /* INTO $upstream";

fn plain() -> Route {
    Route { text: TEXT.to_owned(), priority: ROUTE_PRIORITY_DEFAULT, time_to_live: None }
}

#[test]
fn versions() {
    for good in ["1.0", "1.1", "1.2", "1.3", "1.1.7", "1.3.x"] {
        assert!(parse(good, json!({})).is_ok(), "{good}");
    }
    for bad in ["", "1", "1.4", "2.0", "0.9", "1.01", "v1.0"] {
        assert_eq!(parse(bad, json!({})), Err(400), "{bad}");
    }
    let missing = json!({"routes": {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 1}});
    assert_eq!(HubDesired::parse(&missing).unwrap_err().code, 400);
    assert_eq!(HubDesired::parse(&json!([])).unwrap_err().code, 400);
}

#[test]
fn routes_of_version_1_0_are_text() {
    assert_eq!(one("1.0", json!(TEXT)), Ok(Some(plain())));
    assert_eq!(one("1.0", json!("  ")), Ok(None));
    assert_eq!(one("1.0", json!({"route": TEXT})), Err(400));
    assert_eq!(one("1.0", json!(5)), Err(400));
}

#[test]
fn routes_since_1_1() {
    let full = |priority: u32, secs: u64| Route {
        priority,
        time_to_live: (secs > 0).then(|| Duration::from_secs(secs)),
        ..plain()
    };
    assert_eq!(one("1.1", json!(TEXT)), Ok(Some(plain())));
    assert_eq!(one("1.1", json!({"route": TEXT})), Ok(Some(plain())));
    assert_eq!(one("1.1", json!({"route": TEXT, "priority": 0, "timeToLiveSecs": 60})), Ok(Some(full(0, 60))));
    assert_eq!(one("1.1", json!({"route": TEXT, "priority": ROUTE_PRIORITY_MAX})), Ok(Some(full(9, 0))));
    assert_eq!(one("1.1", json!({"route": TEXT, "priority": ROUTE_PRIORITY_MAX + 1})), Err(400));
    assert_eq!(one("1.1", json!({"route": TEXT, "priority": -1})), Err(400));
    assert_eq!(one("1.1", json!({"route": TEXT, "priority": "1"})), Err(400));
    let default = ROUTE_PRIORITY_DEFAULT;
    assert_eq!(one("1.1", json!({"route": TEXT, "timeToLiveSecs": 0})), Ok(Some(full(default, 0))));
    let most = u64::from(u32::MAX);
    assert_eq!(one("1.1", json!({"route": TEXT, "timeToLiveSecs": most})), Ok(Some(full(default, most))));
    assert_eq!(one("1.1", json!({"route": TEXT, "timeToLiveSecs": most + 1})), Err(400));
    for bad in [json!(""), json!({"route": " "}), json!({"priority": 1}), json!({"route": 5}), json!([TEXT]), json!(5)]
    {
        assert_eq!(one("1.1", bad.clone()), Err(400), "{bad}");
    }
    assert_eq!(parse("1.1", json!({" ": TEXT})), Err(400));
}

#[test]
fn time_to_live() {
    let read = |version: &str, store: Value| {
        let mut section = json!({"schemaVersion": version, "routes": {}});
        if !store.is_null() {
            section["storeAndForwardConfiguration"] = store;
        }
        HubDesired::parse(&section).map(|desired| desired.store_and_forward).map_err(|error| error.code)
    };
    let ttl = |secs: Value| read("1.1", json!({"timeToLiveSecs": secs})).map(|store| store.time_to_live);
    assert_eq!(ttl(json!(7200)), Ok(TimeToLive::For(Duration::from_secs(7200))));
    assert_eq!(ttl(json!(0)), Ok(TimeToLive::For(Duration::ZERO)));
    assert_eq!(ttl(json!(-1)), Ok(TimeToLive::Forever));
    assert_eq!(ttl(json!(i32::MIN)), Ok(TimeToLive::Forever));
    assert_eq!(ttl(json!(i32::MAX)), Ok(TimeToLive::For(Duration::from_secs(2_147_483_647))));
    assert_eq!(ttl(json!(2_147_483_648_u64)), Err(400));
    assert_eq!(ttl(json!("7200")), Err(400));
    assert_eq!(ttl(json!(1.5)), Err(400));
    // Required since 1.1, both the section and its member.
    assert_eq!(read("1.0", Value::Null), Ok(StoreAndForward::default()));
    assert_eq!(read("1.0", json!({})), Ok(StoreAndForward::default()));
    assert_eq!(read("1.1", Value::Null), Err(400));
    assert_eq!(read("1.1", json!({})), Err(400));
    let limited = json!({"timeToLiveSecs": -1, "storeLimits": {"maxSizeBytes": 1024}});
    assert_eq!(read("1.0", limited).map(|store| store.bytes_max), Ok(Some(1024)));
    assert_eq!(read("1.0", json!({"storeLimits": {"maxSizeBytes": -1}})), Err(400));
}

#[test]
fn the_broker_section_is_checked_since_1_2() {
    let read = |version: &str, broker: Value| {
        let section = json!({
            "schemaVersion": version, "routes": {}, "mqttBroker": broker,
            "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
        });
        HubDesired::parse(&section).map(|desired| desired.mqtt_broker.is_some()).map_err(|error| error.code)
    };
    let good = json!({
        "authorizations": [{
            "identities": ["{{iot:identity}}"],
            "allow": [{"operations": ["mqtt:connect"]}, {"operations": ["mqtt:publish"], "resources": ["a/#"]}],
        }],
        "bridges": [{"endpoint": "$upstream", "settings": [{"direction": "in", "topic": "a/#", "inPrefix": "x/"}]}],
    });
    assert_eq!(read("1.2", good), Ok(true));
    assert_eq!(read("1.1", json!(5)), Ok(false));
    let rule = |rule: Value| json!({"authorizations": [{"identities": ["a"], "deny": [rule]}]});
    for bad in [
        json!(5),
        json!({"authorizations": {}}),
        json!({"authorizations": [{"identities": []}]}),
        rule(json!({"operations": ["mqtt:publish"]})),
        rule(json!({"operations": ["mqtt:erase"], "resources": ["a"]})),
        json!({"bridges": [{"endpoint": "elsewhere", "settings": []}]}),
        json!({"bridges": [{"endpoint": "$upstream", "settings": [{"direction": "up", "topic": "a"}]}]}),
    ] {
        assert_eq!(read("1.2", bad.clone()), Err(400), "{bad}");
    }
}

#[test]
fn the_description_is_the_one_the_field_knows() {
    let error = HubDesired::parse(&json!({"schemaVersion": "9.9"})).unwrap_err();
    assert!(error.to_string().starts_with("Error while parsing desired properties - "), "{error}");
}

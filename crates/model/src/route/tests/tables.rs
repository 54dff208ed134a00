//! 4.8: several routes, one delivery per endpoint; the body is decoded once.
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::manifest::hub;
use crate::route::{Endpoint, MessageView, NamedRoute, PRIORITY_WITHOUT_NUMBER, Route, RouteTable};

fn named(name: &str, text: &str, priority: Option<u32>, ttl_secs: Option<u32>) -> NamedRoute {
    NamedRoute { name: name.to_owned(), route: Route::parse(text).unwrap(), priority, ttl_secs }
}

#[test]
fn the_smallest_priority_number_of_an_endpoint_wins() {
    let table = RouteTable::new(vec![
        named("plain", "FROM /messages/* INTO $upstream", None, Some(60)),
        named("low", "FROM /messages/* INTO $upstream", Some(9), Some(0)),
        named("high", "FROM /messages/* WHERE level = 'alarm' INTO $upstream", Some(0), Some(10)),
        named("same", "FROM /messages/* WHERE level = 'alarm' INTO $upstream", Some(0), Some(20)),
        named("filter", "FROM /messages/* INTO BrokeredEndpoint('/modules/f/inputs/i')", None, None),
        named("other input", "FROM /messages/* INTO BrokeredEndpoint('/modules/f/inputs/I')", None, None),
        named("twins", "FROM /twinChangeNotifications INTO $upstream", Some(5), None),
    ]);
    let told = |source: &str, message: &OwnedMessage| {
        let deliveries = table.evaluate(source, message);
        deliveries.iter().map(|one| (one.route_name.to_owned(), one.priority, one.ttl_secs)).collect::<Vec<_>>()
    };
    let module_routes = [
        ("filter".to_owned(), PRIORITY_WITHOUT_NUMBER, None),
        ("other input".to_owned(), PRIORITY_WITHOUT_NUMBER, None),
    ];
    let mut expected = vec![("low".to_owned(), 9, None)];
    expected.extend(module_routes.clone());
    assert_eq!(told("/messages", &message(&[])), expected);
    expected[0] = ("high".to_owned(), 0, Some(10));
    assert_eq!(told("/messages", &message(&["level=alarm"])), expected);
    assert_eq!(told("/twinChangeNotifications", &message(&[])), [("twins".to_owned(), 5, None)]);
    assert!(told("/deviceLifecycleEvents", &message(&[])).is_empty());
    assert!(RouteTable::default().evaluate("/messages", &message(&[])).is_empty());
}

#[test]
fn queues_are_one_per_endpoint_and_priority() {
    let table = RouteTable::new(vec![
        named("a", "FROM /messages INTO $upstream", Some(1), None),
        named("b", "FROM /* INTO $upstream", Some(1), None),
        named("c", "FROM /* INTO $upstream", None, None),
    ]);
    assert_eq!(table.queues(), [(&Endpoint::Upstream, 1), (&Endpoint::Upstream, PRIORITY_WITHOUT_NUMBER)]);
    assert_eq!(table.routes().len(), 3);
}

#[test]
fn the_routes_of_a_manifest_are_compiled_together() {
    let written = |text: &str, priority, secs: Option<u64>| hub::Route {
        text: text.to_owned(),
        priority,
        time_to_live: secs.map(Duration::from_secs),
    };
    let mut routes = BTreeMap::from([
        ("up".to_owned(), written("FROM /* INTO $upstream", PRIORITY_WITHOUT_NUMBER, None)),
        ("first".to_owned(), written("FROM /messages INTO $upstream", 0, Some(60))),
        ("long".to_owned(), written("FROM /* INTO BrokeredEndpoint('/modules/m/inputs/i')", 3, Some(4_294_967_295))),
    ]);
    let table = RouteTable::compile(&routes).unwrap();
    let deliveries = table.evaluate("/messages", &message(&[]));
    let told: Vec<_> = deliveries.iter().map(|one| (one.route_name, one.priority, one.ttl_secs)).collect();
    assert_eq!(told, [("first", 0, Some(60)), ("long", 3, Some(u32::MAX))]);

    routes.insert("bad".to_owned(), written("FROM /* WHERE temp > 30 INTO $upstream", 0, None));
    let error = RouteTable::compile(&routes).unwrap_err();
    assert_eq!((error.route_name.as_str(), error.error.kind), ("bad", RouteErrorKind::Compile));
    assert_eq!(error.to_string(), "cannot compile route 'bad'");
}

struct Counting {
    message: OwnedMessage,
    bodies: Cell<usize>,
}

impl MessageView for Counting {
    fn application(&self, name: &str) -> Option<Option<Cow<'_, str>>> {
        self.message.application(name)
    }

    fn system(&self, name: &str) -> Option<Cow<'_, str>> {
        self.message.system(name)
    }

    fn body(&self) -> &[u8] {
        self.bodies.set(self.bodies.get() + 1);
        self.message.body()
    }
}

#[test]
fn the_body_is_read_once_and_only_when_asked_for() {
    let body = "FROM /messages WHERE $body.x = 1 and $body.y = 2 INTO $upstream";
    let other = "FROM /twinChangeNotifications WHERE $body.x = 1 INTO $upstream";
    let without = "FROM /* WHERE level = 'alarm' or $contentType = 'application/json' INTO $upstream";
    for (routes, reads) in [(vec![body, body, body], 1), (vec![without, other], 0), (vec![without, body], 1)] {
        let table = RouteTable::new(routes.iter().map(|text| named("r", text, None, None)).collect());
        let counting = Counting { message: with_body(message(&[]), r#"{"x": 1, "y": 2}"#), bodies: Cell::new(0) };
        assert_eq!(table.evaluate("/messages", &counting).len(), 1);
        assert_eq!(counting.bodies.get(), reads, "{routes:?}");
    }
}

//! Paths as clients write them.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn paths_are_recognised() {
    let (device, edge) = (|| "d 1".to_owned(), || "e1".to_owned());
    let (scope, registration) = (|| "0ne1".to_owned(), || "r1".to_owned());
    let cases = [
        ("/devices/d%201/modules", Some(HubRoute::Modules { device: device() })),
        ("/devices/d%201/modules/", Some(HubRoute::Modules { device: device() })),
        ("/Devices/d%201/Modules/$edgeAgent", Some(HubRoute::Module { device: device(), module: "$edgeAgent".into() })),
        ("/devices/a+b/messages/events", Some(HubRoute::Events { identity: Identity::device("a+b") })),
        ("/devices/e1/modules/m/messages/events", Some(HubRoute::Events { identity: Identity::module("e1", "m") })),
        (
            "/devices/e1/modules/$edgeHub/devicesAndModulesInTargetDeviceScope",
            Some(HubRoute::ScopeOfTarget { edge: edge() }),
        ),
        ("/devices/e1/modules/%24edgehub/getDeviceAndModuleOnBehalfOf", None),
        ("/devices/e1/modules/$edgeHub/getDeviceAndModuleOnBehalfOf", Some(HubRoute::OnBehalfOf { edge: edge() })),
        ("/devices/e1/modules/$edgeHub/other", None),
        ("/0ne1/registrations/r1", Some(HubRoute::Registration { scope: scope(), registration: registration() })),
        ("/0ne1/registrations/r1/register", Some(HubRoute::Register { scope: scope(), registration: registration() })),
        (
            "/0ne1/registrations/r1/operations/4.ab",
            Some(HubRoute::Operation { scope: scope(), registration: registration(), operation: "4.ab".into() }),
        ),
        ("/devices", None),
        ("/devices/d1", None),
        ("/devices//modules", None),
        ("/api/devices", None),
        ("/", None),
    ];
    for (path, expected) in cases {
        assert_eq!(HubRoute::parse(path), expected, "{path}");
    }
}

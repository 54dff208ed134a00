//! Paths as clients write them.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn calls_are_recognised() {
    let cases = [
        ("GET", "/devices/d%201/modules", Call::ModulesList, "device=d 1"),
        ("GET", "/devices/d%201/modules/", Call::ModulesList, "device=d 1"),
        ("PUT", "/Devices/d/Modules/$edgeAgent", Call::ModulePut, "device=d module=$edgeAgent"),
        ("POST", "/devices/a+b/messages/events", Call::MessagePost, "device=a+b"),
        ("POST", "/devices/e/modules/m/messages/events", Call::MessagePost, "device=e module=m"),
        ("GET", "/devices/d/messages/devicebound", Call::MessageNext, "device=d"),
        ("DELETE", "/devices/d/messages/deviceBound/l", Call::MessageEnd, "device=d lock=l"),
        ("POST", "/devices/d/messages/deviceBound/l/abandon", Call::MessageAbandon, "device=d lock=l"),
        ("POST", "/devices/e/modules/$edgeHub/getDeviceAndModuleOnBehalfOf", Call::OnBehalfOf, "device=e"),
        ("POST", "/devices/e/modules/$edgeHub/devicesAndModulesInTargetDeviceScope", Call::ScopeOfTarget, "device=e"),
        ("POST", "/0ne1/registrations/r1", Call::Registration, "scope=0ne1 registration=r1"),
        ("PUT", "/0ne1/registrations/r1/register", Call::Register, "scope=0ne1 registration=r1"),
        ("GET", "/0ne1/registrations/r1/operations/4.ab", Call::Operation, "scope=0ne1 registration=r1 operation=4.ab"),
        ("POST", "/devices/d1/files/", Call::FileOpen, "device=d1"),
        ("POST", "/devices/d1/files/notifications/?", Call::FileDone, "device=d1 correlation=?"),
        ("PUT", "/device-files/d1/a//b", Call::BlobPut, ""),
        ("GET", "/twins/d1", Call::Unbuilt, ""),
        ("PATCH", "/twins", Call::Unbuilt, ""),
        ("GET", "/devices", Call::Unbuilt, ""),
        ("DELETE", "/devices/d1", Call::Unbuilt, "device=d1"),
        ("GET", "/jobs/v2/1", Call::Unbuilt, ""),
    ];
    for (method, path, call, ids) in cases {
        let found = HubRoute::find(method, path).unwrap_or_else(|| panic!("{path} is not found"));
        let shown: Vec<String> = found.ids.0.iter().map(|(name, id)| format!("{name}={id}")).collect();
        assert_eq!((found.call, shown.join(" ").as_str()), (Ok(call), ids), "{path}");
    }
}

#[test]
fn other_methods_are_told_which_there_are() {
    let refused = |method, path| HubRoute::find(method, path).unwrap().call.unwrap_err();
    assert_eq!(refused("PATCH", "/devices/d/modules/m"), "GET, PUT, DELETE");
    assert_eq!(refused("GET", "/devices/d/messages/events"), "POST");
    assert_eq!(refused("HEAD", "/0ne1/registrations/r1/register"), "PUT");
}

#[test]
fn other_paths_are_nobodys() {
    for path in
        ["/", "", "/api/devices", "/devices//modules", "/devices/e/modules/$edgeHub/other", "/templates", "/a/b/c"]
    {
        assert_eq!(HubRoute::find("GET", path), None, "{path}");
    }
}

#![allow(clippy::unwrap_used)]

use super::*;

fn hub(user_name: &str, client_id: &str) -> HubUserName {
    match UserName::parse(user_name, client_id) {
        Ok(UserName::Hub(user)) => user,
        other => panic!("{user_name}: {other:?}"),
    }
}

#[test]
fn every_form_sdks_send_is_read() {
    let model = Some("dtmi:com:example:Thermostat;1");
    let table = [
        ("h.t/d/?api-version=2019-10-01&DeviceClientType=py%2F1%20x", "d", None, Some("py/1 x")),
        (
            "h.t/d/?api-version=2020-09-30&DeviceClientType=py&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1",
            "d",
            model,
            Some("py"),
        ),
        (
            "h.t/d/?api-version=2021-04-12&model-id=dtmi:com:example:Thermostat;1&DeviceClientType=azure-iot-device%2F1.18.4",
            "d",
            model,
            Some("azure-iot-device/1.18.4"),
        ),
        ("h.t/d/m/?api-version=2020-09-30&DeviceClientType=c%2f1", "d/m", None, Some("c/1")),
        ("h.t/d/api-version=2016-11-14", "d", None, None),
        ("h.t/d/?DeviceClientType=raw/slash&api-version=1", "d", None, Some("raw/slash")),
        ("h.t/d/?api-version=1&a=b=c&api-version=2", "d", None, None),
        ("h.t/$edge+50%/$edgeHub/?api-version=1", "$edge+50%/$edgeHub", None, None),
        ("h.t/?x=1/?api-version=1", "?x=1", None, None),
    ];
    for (user_name, client_id, model_id, client_type) in table {
        let user = hub(user_name, client_id);
        assert_eq!(user.hub_host, "h.t");
        assert_eq!(user.identity.to_string(), client_id, "{user_name}");
        assert_eq!(user.model_id.as_deref(), model_id, "{user_name}");
        assert_eq!(user.client_type.as_deref(), client_type, "{user_name}");
    }
    assert_eq!(hub("h.t/c/?api-version=1&auth-chain=c%3Be1%3Be2", "c").auth_chain.unwrap(), "c;e1;e2");
    assert_eq!(hub("h.t/d/?api-version=1&api-version=2", "d").api_version, "1");
}

#[test]
fn what_does_not_fit_is_refused() {
    use ParseUserNameError::{ApiVersion, ClientId, Mismatch, ModelId};
    let long = "d".repeat(ID_BYTES_MAX + 1);
    let table = [
        ("", "d", Mismatch),
        ("h.t", "d", Mismatch),
        ("/d/?api-version=1", "d", Mismatch),
        ("h.t/D/?api-version=1", "d", Mismatch),
        ("h.t/d/?api-version=1", "e", Mismatch),
        ("h.t/d/m/?api-version=1", "d", ApiVersion),
        ("h.t/d/?api-version=1", "d/m", Mismatch),
        ("h.t/d/?api-version=", "d", ApiVersion),
        ("h.t/d/?api-version=%20", "d", ApiVersion),
        ("h.t/d/?x=1", "d", ApiVersion),
        ("h.t//?api-version=1", "", ClientId),
        ("h.t/d/m/n/?api-version=1", "d/m/n", ClientId),
        ("h.t/a b/?api-version=1", "a b", ClientId),
        (&format!("h.t/{long}/?api-version=1"), &long, ClientId),
        ("h.t/d/?api-version=1&model-id=urn:x", "d", ModelId),
    ];
    for (user_name, client_id, error) in table {
        assert_eq!(UserName::parse(user_name, client_id), Err(error), "{user_name} {client_id}");
    }
}

#[test]
fn provisioning_is_told_from_the_hub_by_the_client_id() {
    let dps = UserName::parse("0ne1/registrations/reg-1/api-version=2019-03-31&ClientVersion=py%2F2", "reg-1").unwrap();
    let expected = DpsUserName { id_scope: "0ne1".to_owned(), registration_id: "reg-1".to_owned() };
    assert_eq!(dps, UserName::Dps(expected));
    // A module of a device that is called like that.
    let module = hub("h.t/registrations/m/?api-version=1", "registrations/m");
    assert_eq!(module.identity, Identity::module("registrations", "m"));
    assert_eq!(hub("h.t/registrations/?api-version=1", "registrations").identity, Identity::device("registrations"));
}

#[test]
fn what_is_written_is_read_again() {
    let user = HubUserName {
        hub_host: "h.t".to_owned(),
        identity: Identity::module("d", "$edgeHub"),
        api_version: API_VERSION.to_owned(),
        model_id: Some("dtmi:a:b;1".to_owned()),
        auth_chain: Some("leaf;edge".to_owned()),
        client_type: Some("tidegate/1 (x&y=z)".to_owned()),
    };
    assert_eq!(hub(&user.to_string(), "d/$edgeHub"), user);
    let user = DpsUserName { id_scope: "0ne1".to_owned(), registration_id: "reg".to_owned() };
    assert_eq!(UserName::parse(&user.to_string(), "reg"), Ok(UserName::Dps(user)));
}

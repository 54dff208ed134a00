#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn device() -> Identity {
    Identity::device("dev1")
}

fn module() -> Identity {
    Identity::module("dev1", "mod1")
}

fn id(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn client(topic: &str, identity: &Identity) -> Result<ClientTopic, ParseTopicError> {
    parse_client_topic(&id(topic), identity)
}

#[test]
fn telemetry_topics_give_their_bag() {
    let table = [
        ("devices/dev1/messages/events", device(), ""),
        ("devices/dev1/messages/events/", device(), ""),
        ("devices/dev1/messages/events//", device(), ""),
        (
            "devices/dev1/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8",
            device(),
            "%24.ct=application%2Fjson&%24.ce=utf-8",
        ),
        ("devices/dev1/messages/events/k=v/", device(), "k=v"),
        ("devices/dev1/modules/mod1/messages/events/%24.on=out1/", module(), "%24.on=out1"),
        ("devices/a#+%b/messages/events/", Identity::device("a#+%b"), ""),
    ];
    for (topic, identity, bag) in table {
        assert_eq!(client(topic, &identity), Ok(ClientTopic::Telemetry { bag: id(bag) }), "{topic}");
    }
}

#[test]
fn requests_and_answers_are_read() {
    let rid = "3f2a-\u{e9}";
    let table = [
        (format!("$iothub/twin/GET/?$rid={rid}"), ClientTopic::TwinGet { request_id: id(rid) }),
        (format!("$iothub/twin/PATCH/properties/reported/?$rid={rid}"), ClientTopic::TwinPatch { request_id: id(rid) }),
        (
            format!("$iothub/twin/PATCH/properties/reported/?$version=4&$rid={rid}"),
            ClientTopic::TwinPatch { request_id: id(rid) },
        ),
        (
            format!("$iothub/methods/res/-3/?$rid={rid}"),
            ClientTopic::MethodResponse { status: -3, request_id: id(rid) },
        ),
    ];
    for (topic, expected) in table {
        assert_eq!(client(&topic, &device()), Ok(expected), "{topic}");
    }
}

#[test]
fn what_is_not_the_clients_own_is_refused() {
    use ParseTopicError::{Number, RequestId, Unknown, Wildcard};
    let long = "r".repeat(REQUEST_ID_BYTES_MAX + 1);
    let table = [
        ("", device(), Unknown),
        ("devices/dev2/messages/events/", device(), Unknown),
        ("devices/dev12/messages/events/", device(), Unknown),
        ("devices/dev1/messages/events/a=#", device(), Wildcard),
        ("devices/dev1/messages/events/#=a", device(), Wildcard),
        ("devices/dev1/messages/events/a=+", device(), Wildcard),
        ("devices/dev1/messages/+/a=b", device(), Wildcard),
        ("devices/dev1/modules/mod1/messages/events/+", module(), Wildcard),
        ("devices/+/messages/events/", device(), Wildcard),
        ("#", device(), Wildcard),
        ("$iothub/twin/GET/?$rid=1+1", device(), Wildcard),
        ("$iothub/methods/res/200/?$rid=#", device(), Wildcard),
        ("devices/dev1/messages/eventsx", device(), Unknown),
        ("devices/dev1/messages/devicebound/", device(), Unknown),
        ("devices/dev1/modules/mod1/messages/events/", device(), Unknown),
        ("devices/dev1/messages/events/", module(), Unknown),
        ("devices/dev1/modules/mod2/messages/events/", module(), Unknown),
        ("$iothub/twin/GET", device(), Unknown),
        ("$iothub/twin/GET/", device(), RequestId),
        ("$iothub/twin/GET/?$rid=", device(), RequestId),
        ("$iothub/twin/GET/?x=1", device(), RequestId),
        (&format!("$iothub/twin/GET/?$rid={long}"), device(), RequestId),
        ("$iothub/methods/res/ok/?$rid=1", device(), Number),
        ("$iothub/methods/res/200", device(), Unknown),
        ("$iothub/twin/res/200/?$rid=1", device(), Unknown),
    ];
    for (topic, identity, error) in table {
        assert_eq!(client(topic, &identity), Err(error), "{topic}");
    }
}

#[test]
fn provisioning_topics_go_both_ways() {
    let register = parse_dps_topic(&id(&dps_register("7"))).unwrap();
    assert_eq!(register, DpsTopic::Register { request_id: id("7") });
    let status = parse_dps_topic(&id(&dps_status("8", "4.0a+b/c"))).unwrap();
    assert_eq!(status, DpsTopic::Status { request_id: id("8"), operation_id: "4.0a+b/c".to_owned() });
    assert_eq!(parse_dps_topic(&id("$dps/registrations/PUT/other/?$rid=1")), Err(ParseTopicError::Unknown));
    let topic = format!("{}{}{}", dps_reply_prefix(202), "9", retry_after_suffix(3));
    assert_eq!(topic, "$dps/registrations/res/202/?$rid=9&retry-after=3");
    let reply = DpsReply { status: 202, request_id: id("9"), retry_after_secs: Some(3) };
    assert_eq!(parse_dps_reply(&id(&topic)), Ok(reply));
}

#[test]
fn what_the_hub_writes_the_device_reads() {
    let twin = format!("{}{}{}", twin_reply_prefix(204), "12", version_suffix(5));
    assert_eq!(twin, "$iothub/twin/res/204/?$rid=12&$version=5");
    let expected = HubTopic::TwinReply { status: 204, request_id: id("12"), version: Some(5) };
    assert_eq!(parse_hub_topic(&id(&twin), &device()), Ok(expected));
    assert_eq!(parse_hub_topic(&id(&desired_patch(9)), &device()), Ok(HubTopic::Desired { version: Some(9) }));
    let method = method_request("comp*reboot", 255);
    assert_eq!(method, "$iothub/methods/POST/comp*reboot/?$rid=ff");
    let expected = HubTopic::Method { name: "comp*reboot".to_owned(), request_id: id("ff") };
    assert_eq!(parse_hub_topic(&id(&method), &device()), Ok(expected));
    let to_device = parse_hub_topic(&id("devices/dev1/messages/devicebound/%24.to=x&k=v"), &device());
    assert_eq!(to_device, Ok(HubTopic::CloudToDevice { bag: id("%24.to=x&k=v") }));
    assert_eq!(
        parse_hub_topic(&id("devices/dev1/modules/mod1/inputs/in1/a=b"), &device()),
        Err(ParseTopicError::Unknown)
    );
}

#[test]
fn an_input_always_has_a_bag_every_sdk_can_read() {
    let table = [
        ("", "devices/dev1/modules/mod1/inputs/in1/%24.cdid=dev1"),
        ("flag&empty=", "devices/dev1/modules/mod1/inputs/in1/%24.cdid=dev1"),
        ("$.cdid=dev1&flag&a b=c/d", "devices/dev1/modules/mod1/inputs/in1/%24.cdid=dev1&a%20b=c%2Fd"),
        // What the sender told its own hub is no property of the message for the next.
        ("%24.on=out-1&zone=north", "devices/dev1/modules/mod1/inputs/in1/zone=north"),
        ("$.on=o&$.ifid=i&%24.unknown=1&%24.ct=a&$.mid=7", "devices/dev1/modules/mod1/inputs/in1/%24.ct=a&%24.mid=7"),
        ("%24.on=out-1", "devices/dev1/modules/mod1/inputs/in1/%24.cdid=dev1"),
    ];
    for (bag, topic) in table {
        assert_eq!(input(&module(), "in1", bag.as_bytes()), topic);
    }
    let topic = input(&module(), "in1", b"k=v");
    let expected = HubTopic::Input { input: "in1".to_owned(), bag: id("k=v") };
    assert_eq!(parse_hub_topic(&id(&topic), &module()), Ok(expected));
}

#[test]
fn filters_are_granted_to_their_identity_only() {
    use Filter::{CloudToDevice, Desired, Inputs, Methods, TwinReplies};
    let table = [
        ("$iothub/methods/POST/#", device(), Some(Methods)),
        ("$iothub/twin/res/#", module(), Some(TwinReplies)),
        ("$iothub/twin/PATCH/properties/desired/#", device(), Some(Desired)),
        ("devices/dev1/messages/devicebound/#", device(), Some(CloudToDevice)),
        ("devices/dev1/modules/mod1/inputs/#", module(), Some(Inputs)),
        ("devices/dev1/modules/mod1/#", module(), Some(Inputs)),
        ("devices/dev1/modules/mod1/messages/devicebound/#", module(), Some(CloudToDevice)),
        ("devices/dev2/messages/devicebound/#", device(), None),
        ("devices/dev1/modules/mod1/inputs/#", device(), None),
        ("devices/dev1/messages/devicebound/#", module(), None),
        ("devices/dev1/#", device(), None),
        ("#", device(), None),
        ("$dps/registrations/res/#", device(), None),
    ];
    for (text, identity, expected) in table {
        assert_eq!(parse_filter(text, &identity), expected, "{text} of {identity}");
        if let Some(kind) = expected {
            assert_eq!(parse_filter(&filter(kind, &identity), &identity), expected);
        }
    }
}

#[test]
fn method_names_are_written_raw_and_checked() {
    for (name, fine) in [("a*b", true), ("", false), ("a/b", false), ("a%20b", false), ("a#", false), ("a\n", false)] {
        assert_eq!(is_method_name(name), fine, "{name}");
    }
    assert!(is_method_name(&"n".repeat(NAME_BYTES_MAX)));
    assert!(!is_method_name(&"n".repeat(NAME_BYTES_MAX + 1)));
}

proptest! {
    #[test]
    fn any_topic_is_read_or_refused(topic in "(\\$iothub/|\\$dps/|devices/dev1/|modules/mod1/|twin/|\\?\\$rid=|[ -~]){0,9}") {
        for identity in [device(), module()] {
            let _ = parse_client_topic(&id(&topic), &identity);
            let _ = parse_hub_topic(&id(&topic), &identity);
            let _ = parse_filter(&topic, &identity);
        }
        let _ = parse_dps_topic(&id(&topic));
        let _ = parse_dps_reply(&id(&topic));
    }
}

#![allow(clippy::unwrap_used)]
use super::*;

fn sensor() -> Sensor {
    Sensor::new("batch".into())
}

#[test]
fn messages_have_the_known_shape() {
    let mut sensor = sensor();
    let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    sensor.next_message(now, || 0.5);
    let message = sensor.next_message(now, || 0.5);
    let property = |name| bag::get(&message.bag, name).unwrap().into_owned();
    assert_eq!(property("sequenceNumber"), "2");
    assert_eq!(property("batchId"), "batch");
    assert_eq!(property(bag::CONTENT_TYPE), "application/json");
    assert_eq!(property(bag::CONTENT_ENCODING), "utf-8");
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(body["timeCreated"], "2023-11-14T22:13:20.0000000Z");
    assert_eq!(body["machine"]["temperature"], 21.5);
    assert_eq!(body["ambient"], json!({ "temperature": 21.0, "humidity": 25 }));
    assert!(body["machine"]["pressure"].is_f64());
}

#[test]
fn desired_properties_are_obeyed_and_acknowledged() {
    let ok = |value: Value| json!({ "value": value, "ac": 200, "av": 4, "ad": "applied" });
    let bad = |value: Value, ad: &str| json!({ "value": value, "ac": 400, "av": 4, "ad": ad });
    let seconds = "must be a whole number of seconds from 1 to 86400";
    let cases = [
        (json!({}), json!({}), Some(5)),
        (json!({ "SendInterval": 10 }), json!({ "SendInterval": ok(json!(10)) }), Some(10)),
        (json!({ "SendInterval": 10.0 }), json!({ "SendInterval": ok(json!(10)) }), Some(10)),
        (json!({ "SendData": false }), json!({ "SendData": ok(json!(false)) }), None),
        (json!({ "SendInterval": 0 }), json!({ "SendInterval": bad(json!(5), seconds) }), Some(5)),
        (json!({ "SendInterval": 1.5 }), json!({ "SendInterval": bad(json!(5), seconds) }), Some(5)),
        (json!({ "SendInterval": -1 }), json!({ "SendInterval": bad(json!(5), seconds) }), Some(5)),
        (json!({ "SendInterval": "9" }), json!({ "SendInterval": bad(json!(5), seconds) }), Some(5)),
        (json!({ "SendData": "yes" }), json!({ "SendData": bad(json!(true), "must be true or false") }), Some(5)),
        (json!({ "SendData": null, "Other": 1 }), json!({}), Some(5)),
    ];
    for (mut desired, reported, interval) in cases {
        let mut sensor = sensor();
        desired["$version"] = json!(4);
        assert_eq!(sensor.take_desired(&desired), reported, "{desired}");
        assert_eq!(sensor.interval(), interval.map(Duration::from_secs), "{desired}");
    }
}

#[test]
fn reset_comes_by_method_and_by_message() {
    let now = OffsetDateTime::UNIX_EPOCH;
    let mut sensor = sensor();
    let hot = |sensor: &mut Sensor| {
        for _ in 0..100 {
            sensor.next_message(now, || 0.99);
        }
        let body: Value = serde_json::from_slice(&sensor.next_message(now, || 0.0).body).unwrap();
        body["machine"]["temperature"].as_f64().unwrap()
    };
    assert!(hot(&mut sensor) > 30.0);
    let temperature = |sensor: &mut Sensor| {
        let body: Value = serde_json::from_slice(&sensor.next_message(now, || 0.0).body).unwrap();
        body["machine"]["temperature"].as_f64().unwrap()
    };
    assert_eq!(sensor.answer_method("RESET").0, 200);
    assert_eq!(temperature(&mut sensor), 21.0);
    hot(&mut sensor);
    sensor.take_control(br#"[{"command":"reset"}]"#);
    assert_eq!(temperature(&mut sensor), 21.0);
    sensor.take_control(b"no json");
    sensor.take_control(br#"{"command":"explode"}"#);
    assert_eq!(sensor.answer_method("explode").0, 404);
}

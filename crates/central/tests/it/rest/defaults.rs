//! What a caller gets who does not say how much or how long.

use std::time::Duration;

use bytes::Bytes;
use central::app::roles;
use central::app::signing_key::SigningKeys;
use central::app::tokens::{self, OfflineToken, default_expiry_ms};
use central::limits::*;
use events::clock::{now_ms, parse_iso8601_ms, rfc3339_ms};
use events::live::LiveEvent;
use model::message::Message;
use protocol::hub::bag;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use transport::client::ClientEvent;

use super::client::Rest;
use crate::central::{TestCentral, await_live, data, next};

/// Far more than making a token takes.
const A_WHILE_MS: i64 = 60_000;

#[tokio::test]
async fn an_api_token_works_for_a_year() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let life_ms = i64::try_from(API_TOKEN_LIFE.as_millis()).unwrap();
    let operator = roles::by_name("Operator").unwrap();
    let before = now_ms();
    let made = rest.put("/api/apiTokens/asked", json!({ "roles": [{ "role": operator.id }] })).await;
    let expiry = parse_iso8601_ms(made["expiry"].as_str().unwrap()).unwrap();
    assert!((before + life_ms..=now_ms() + life_ms).contains(&expiry), "{made}");

    let core = &central.running.core;
    let application = core.applications.first();
    let key = SigningKeys::new(central.folder.clone()).of(&application.id).unwrap();
    for (id, age_ms, expected) in [("young", life_ms - A_WHILE_MS, 200), ("old", life_ms, 401)] {
        let now_ms = now_ms() - age_ms;
        let token = OfflineToken { id, role: operator, expires_ms: default_expiry_ms(now_ms), now_ms };
        let token = tokens::create_offline(&core.registry, application, &key, token).await.unwrap();
        let caller = Rest::anonymous(&central).with("authorization", &token);
        assert_eq!(caller.call("GET", "/api/devices", Value::Null).await.status, expected, "{id}");
    }
    central.stop().await;
}

/// Messages of a device with these numbers, each made so many milliseconds after the one before.
fn messages(numbers: std::ops::Range<usize>, first_ms: i64, apart_ms: i64) -> Vec<Message> {
    let message = |n: usize| {
        let at = rfc3339_ms(first_ms + i64::try_from(n).unwrap() * apart_ms).replace(':', "%3A");
        let bag = format!("{}={at}", bag::CREATION_TIME_UTC);
        Message { bag: bag.into(), body: Bytes::from(format!(r#"{{"n":{n}}}"#)) }
    };
    numbers.map(message).collect()
}

#[tokio::test]
async fn answers_are_as_long_as_they_are_when_nobody_says() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let device = central.provision("d").await;
    let (client, _events) = central.connect(&device).await;
    let mut live = central.watch("d");
    let first_ms = now_ms() - 1_000_000;
    let mut sent = 0;
    let mut send_up_to = async |count: usize| {
        client.send(messages(sent..count, first_ms, 1_000)).await.unwrap();
        sent = count;
        let is_last =
            |event: &LiveEvent| matches!(event, LiveEvent::Telemetry { values, .. } if values["n"] == count - 1);
        await_live(&mut live, is_last).await;
    };
    for (count, expected) in [
        (MESSAGES_PER_ANSWER_DEFAULT, MESSAGES_PER_ANSWER_DEFAULT),
        (MESSAGES_PER_ANSWER_DEFAULT + 1, MESSAGES_PER_ANSWER_DEFAULT),
    ] {
        send_up_to(count).await;
        let page = rest.get("/api/ext/v1/devices/d/messages").await;
        let page = page["value"].as_array().unwrap();
        assert_eq!((page.len(), &page[0]["body"]["n"]), (expected, &json!(count - 1)), "the newest of {count}");
    }

    let points = async |query: &str| {
        let series = rest.get(&format!("/api/ext/v1/devices/d/series?name=n{query}")).await;
        series["series"][0]["points"].as_array().unwrap().clone()
    };
    send_up_to(SERIES_POINTS_DEFAULT).await;
    let all: Vec<Value> = points("").await;
    assert_eq!(all.len(), SERIES_POINTS_DEFAULT);
    assert!(
        all.iter().enumerate().all(|(n, point)| point[1].as_f64() == Some(n as f64)),
        "just at the limit they come as they are"
    );
    send_up_to(SERIES_POINTS_DEFAULT + 1).await;
    let thinned = points("").await;
    assert!(thinned.len() <= SERIES_POINTS_DEFAULT, "{}", thinned.len());
    let more = points(&format!("&points={}", SERIES_POINTS_DEFAULT + 1)).await;
    assert_eq!(more.len(), SERIES_POINTS_DEFAULT + 1, "whoever asks for more gets them");
    client.stop().await;
    central.stop().await;
}

#[tokio::test]
async fn the_last_runs_of_a_command_are_kept() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let device = central.provision("d").await;
    let (client, mut events) = central.connect(&device).await;
    let answering = tokio::spawn(async move {
        for _ in 0..=COMMAND_RUNS_KEPT {
            let ClientEvent::Method(call) = next(&mut events).await else { panic!("a method was expected") };
            call.reply(200, Bytes::new()).await;
        }
    });
    let path = "/api/devices/d/commands/count";
    let kept = async || {
        let runs = rest.get(path).await;
        runs["value"].as_array().unwrap().iter().map(|run| run["request"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let most = u64::from(COMMAND_RUNS_KEPT);
    for n in 0..most {
        rest.expect("POST", path, json!({ "request": n }), 201).await;
    }
    assert_eq!(kept().await, (0..most).rev().collect::<Vec<_>>());
    rest.expect("POST", path, json!({ "request": most }), 201).await;
    assert_eq!(kept().await, (1..=most).rev().collect::<Vec<_>>(), "the oldest goes");
    answering.await.unwrap();
    client.stop().await;
    central.stop().await;
}

#[tokio::test]
async fn a_command_waits_for_its_answer_as_long_as_when_nobody_says() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let device = central.provision("d").await;
    let (client, mut events) = central.connect(&device).await;
    // A client of its own: the usual one waits no longer than Central.
    let mut stream = central.tls_stream().await;
    let token = std::fs::read_to_string(central.folder.admin_token()).unwrap();
    let request = format!(
        "POST /api/devices/d/commands/stop?api-version=2022-07-31 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         authorization: {}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}",
        token.trim()
    );
    let asked = Instant::now();
    stream.write_all(request.as_bytes()).await.unwrap();
    let ClientEvent::Method(call) = next(&mut events).await else { panic!("a method was expected") };
    let arrived = Instant::now();
    // One jump in time; the rest passes as always, for those who have work to do.
    tokio::time::pause();
    tokio::time::advance(COMMAND_RESPONSE_TIMEOUT_DEFAULT - asked.elapsed() - Duration::from_millis(100)).await;
    tokio::time::resume();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("DeviceTimeout"), "{answer}");
    assert!(asked.elapsed() >= COMMAND_RESPONSE_TIMEOUT_DEFAULT, "not before");
    assert!(arrived.elapsed() < COMMAND_RESPONSE_TIMEOUT_DEFAULT + Duration::from_secs(5), "{:?}", arrived.elapsed());
    drop(call);
    client.stop().await;
    central.stop_complaining(&["the device did not answer in time"]).await;
}

//! How the installation is, as its administrators read it.

use central::app::roles;
use central::data_folder::Guarded;
use serde_json::{Value, json};

use super::client::Rest;
use crate::applications;
use crate::central::{PATIENCE, TestCentral, data, message};

const HEALTH: &str = "/api/ext/v1/health";

/// The health, once it is as wanted.
async fn await_health(rest: &Rest, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let health = rest.get(HEALTH).await;
        if wanted(&health) {
            return health;
        }
        assert!(tokio::time::Instant::now() < deadline, "{health:#}");
        tokio::task::yield_now().await;
    }
}

fn reader<'a>(health: &'a Value, name: &str) -> &'a Value {
    health["readers"].as_array().unwrap().iter().find(|reader| reader["name"] == name).unwrap()
}

#[tokio::test]
async fn an_administrator_reads_that_all_is_well() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let device = central.provision("d").await;
    let (client, _events) = central.connect(&device).await;
    client.send(vec![message(r#"{"n":1}"#)]).await.unwrap();
    let has_read = |health: &Value| {
        let readers = health["readers"].as_array().unwrap();
        readers.iter().all(|reader| reader["lag"] == 0 && reader["lastMoved"].is_string())
    };
    let health = await_health(&rest, has_read).await;
    assert_eq!((&health["ready"], &health["problems"]), (&json!(true), &json!([])));
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    for name in ["telemetry", "last_seen"] {
        let reader = reader(&health, name);
        assert_eq!((&reader["state"], &reader["logWaits"]), (&json!("following"), &json!(true)), "{name}");
        assert_eq!((reader.get("problem"), reader.get("unreadSince")), (None, None), "{name}");
        assert!(reader["about"].as_str().unwrap().ends_with('.'), "{name}");
    }
    let (core, log) = (&central.running.core, &health["log"]);
    assert_eq!((&log["nextOffset"], &log["bytes"]), (&json!(core.log.next_offset().0), &json!(core.log.bytes())));
    assert_eq!(log["bytesMax"], crate::central::config().log.max_bytes);
    let disk = &health["disk"];
    assert!(disk["freeBytes"].as_u64().unwrap() <= disk["totalBytes"].as_u64().unwrap(), "{disk}");
    client.stop().await;
    central.stop().await;
}

#[tokio::test]
async fn others_are_refused_also_administrators_of_a_further_application() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    for name in ["Builder", "Operator"] {
        let role = roles::by_name(name).unwrap().id;
        let token = rest.put(&format!("/api/apiTokens/{name}"), json!({ "roles": [{ "role": role }] })).await;
        let caller = Rest::anonymous(&central).with("authorization", token["token"].as_str().unwrap());
        assert_eq!(caller.refused("GET", HEALTH, Value::Null).await.0, 403, "{name}");
    }
    let may_view = |session: Value| session["permissions"].as_array().unwrap().contains(&json!("installation.view"));
    assert!(may_view(rest.get("/api/ext/v1/session").await));

    let plant = applications::second(&central).await;
    let tenant = applications::rest(&central, &plant).await;
    let refused = tenant.call("GET", HEALTH, Value::Null).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("installation.view"), "{refused:?}");
    assert!(!may_view(tenant.get("/api/ext/v1/session").await));
    // They still make administrators of their own application.
    let administrator = json!({ "roles": [{ "role": roles::by_name("Administrator").unwrap().id }] });
    tenant.put("/api/apiTokens/second", administrator).await;
    central.stop().await;
}

#[tokio::test]
async fn a_reader_that_ended_says_why_while_the_other_follows() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let plant = applications::second(&central).await;
    let key = applications::provision(&central, &plant, "d").await;
    // Something is where the reader keeps the segments of that application.
    let in_the_way = central.folder.guarded(Guarded::Telemetry).join(&plant.id);
    std::fs::write(&in_the_way, "").unwrap();
    let client = applications::connect_second(&central, "d", &key).await;
    client.send(vec![message(r#"{"n":1}"#)]).await.unwrap();

    let has_stopped = |health: &Value| reader(health, "telemetry")["state"] == "stopped";
    let health = await_health(&rest, |health| has_stopped(health) && reader(health, "last_seen")["lag"] == 0).await;
    let stopped = reader(&health, "telemetry");
    let problem = stopped["problem"].as_str().unwrap();
    assert!(problem.starts_with("it ended and is started again: ") && problem.contains(&plant.id), "{problem}");
    assert!(stopped["lag"].as_u64().unwrap() > 0 && stopped["unreadSince"].is_string(), "{stopped}");
    assert_eq!(reader(&health, "last_seen")["state"], "following");
    assert_eq!(health["ready"], false);
    assert_eq!(health["problems"], json!([{ "condition": "reader telemetry", "message": problem }]));
    assert_eq!(rest.raw("GET", "/health/ready", "").await.status, 503);

    std::fs::remove_file(&in_the_way).unwrap();
    let health = await_health(&rest, |health| reader(health, "telemetry")["lag"] == 0 && health["ready"] == true).await;
    assert_eq!(reader(&health, "telemetry")["state"], "following");
    assert_eq!(central.running.core.telemetry.messages(&plant.id, "d", None, None, 10).len(), 1);
    client.stop().await;
    central.stop_complaining(&["a reader ended and is started again"]).await;
}

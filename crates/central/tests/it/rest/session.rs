//! Signing in to the console.

use std::time::Duration;

use central::app::{roles, sign_in};
use central::limits::{SIGN_IN_FAILURES_MAX, SIGN_IN_INVITATION_LIFE};
use events::clock::now_ms;
use serde_json::{Value, json};

use super::client::Rest;
use crate::central::{TestCentral, data};

/// What Central says of a code that does not work.
const GUESSED: &str = "sign-in with an unknown, used or expired code";

/// The code of an invitation made so long ago.
async fn code(central: &TestCentral, ago: Duration) -> String {
    let operator = roles::by_name("Operator").unwrap();
    let core = &central.running.core;
    let made_ms = now_ms() - i64::try_from(ago.as_millis()).unwrap();
    sign_in::invite_offline(&core.registry, core.applications.first(), "Ada@example.com", operator, made_ms)
        .await
        .unwrap()
}

const SESSION: &str = "/api/ext/v1/session";

#[tokio::test]
async fn a_code_becomes_a_session_once() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let anonymous = Rest::anonymous(&central);
    let code = code(&central, SIGN_IN_INVITATION_LIFE - Duration::from_secs(60)).await;
    let signed_in = anonymous.call("POST", SESSION, json!({ "code": code })).await;
    assert_eq!(signed_in.status, 200);
    assert_eq!(signed_in.body["user"]["email"], "ada@example.com");
    assert_eq!(signed_in.body["user"]["roles"][0]["displayName"], "Operator");
    assert_eq!(signed_in.body["application"]["id"], central.app());
    let cookie = signed_in.headers["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(anonymous.refused("POST", SESSION, json!({ "code": code })).await.0, 401);

    let pair = cookie.split(';').next().unwrap();
    let page = Rest::anonymous(&central).with("cookie", pair);
    assert_eq!(page.get(SESSION).await, signed_in.body);
    assert_eq!(page.refused("PUT", "/api/devices/d", json!({})).await.0, 403, "a forged request");
    let page = page.with("x-tidegate-csrf", "1");
    page.put("/api/devices/d", json!({})).await;
    page.delete(SESSION).await;
    assert_eq!(page.refused("GET", SESSION, Value::Null).await.0, 401);
    central.stop_complaining(&[GUESSED]).await;
}

#[tokio::test]
async fn codes_expire_and_guesses_are_limited() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let anonymous = Rest::anonymous(&central);
    let late = code(&central, SIGN_IN_INVITATION_LIFE).await;
    assert_eq!(anonymous.refused("POST", SESSION, json!({ "code": late })).await.0, 401);
    let good = code(&central, Duration::ZERO).await;
    for _ in 1..SIGN_IN_FAILURES_MAX {
        assert_eq!(anonymous.refused("POST", SESSION, json!({ "code": "guess" })).await.0, 401);
    }
    let limited = anonymous.refused("POST", SESSION, json!({ "code": "guess" })).await;
    assert_eq!(limited, (429, "TooManyRequests".to_owned(), Vec::new()));
    // Whoever was sent a link gets in, from the same address.
    assert_eq!(anonymous.call("POST", SESSION, json!({ "code": good })).await.status, 200);
    assert_eq!(anonymous.refused("POST", SESSION, json!({ "code": good })).await.0, 429, "it works once");
    central.stop_complaining(&[GUESSED]).await;
}

#[tokio::test]
async fn a_token_can_ask_who_it_is() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let session = Rest::new(&central).get(SESSION).await;
    assert_eq!(session["user"].get("email"), None);
    assert!(session["permissions"].as_array().unwrap().contains(&json!("apiTokens.manage")));
    central.stop().await;
}

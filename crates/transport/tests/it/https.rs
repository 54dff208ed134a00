//! The HTTPS client and provisioning over it, against a scripted server.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use protocol::dps::POLICY;
use testkit::authority::TestAuthority;
use testkit::proxy::TestProxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use transport::client::dps::{ProvisionError, register_https};
use transport::client::https::{HttpsClient, HttpsError};
use transport::client::{Proxies, SharedKey};
use transport::limits::{
    CONNECT_TIMEOUT, HTTPS_BODY_BYTES_MAX, HTTPS_TIMEOUT, REGISTRATION_POLLS_MAX, RETRY_AFTER_MAX,
};

use crate::rig::KEY;

/// Answers each connection's request with the next of these texts, and keeps the requests' first lines.
async fn script(authority: &TestAuthority, answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(authority.server());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = asked.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = vec![0; 16 * 1024];
            let read = stream.read(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request[..read]).into_owned();
            kept.lock().unwrap().push(text.lines().next().unwrap_or_default().to_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (url, asked)
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn get(url: &str, authority: &TestAuthority) -> Result<http::Response<Bytes>, HttpsError> {
    let client = HttpsClient::from_url(url, authority.client())?;
    client.request(Request::get("/path?x=1").body(Bytes::new()).unwrap()).await
}

#[tokio::test]
async fn requests_go_through_a_proxy_where_it_applies() {
    let authority = TestAuthority::default();
    let (url, asked) = script(&authority, vec![answer("200 OK", "a"), answer("200 OK", "b")]).await;
    let proxy = TestProxy::start(Some("user:p@ss")).await;
    for (no_proxy, through) in [("other.test", 1), ("localhost", 0)] {
        let proxies = Proxies::new(&format!("http://user:p%40ss@127.0.0.1:{}", proxy.port()), no_proxy).unwrap();
        let client = HttpsClient::from_url(&url, authority.client()).unwrap().through(proxies);
        let before = proxy.asked().len();
        client.request(Request::get("/path").body(Bytes::new()).unwrap()).await.unwrap();
        assert_eq!(proxy.asked().len() - before, through, "{no_proxy}");
    }
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert_eq!(proxy.asked(), [url.strip_prefix("https://").unwrap()]);
}

#[tokio::test]
async fn answers_are_read_whole() {
    let authority = TestAuthority::default();
    let (url, asked) = script(&authority, vec![answer("404 Not Found", "gone")]).await;
    let response = get(&url, &authority).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.body()[..]), (404, &b"gone"[..]));
    assert_eq!(*asked.lock().unwrap(), ["GET /path?x=1 HTTP/1.1"]);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let authority = TestAuthority::default();
    let answers = vec![
        answer("200 OK", &"x".repeat(HTTPS_BODY_BYTES_MAX)),
        answer("200 OK", &"x".repeat(HTTPS_BODY_BYTES_MAX + 1)),
    ];
    let (url, _) = script(&authority, answers).await;
    assert_eq!(get(&url, &authority).await.unwrap().body().len(), HTTPS_BODY_BYTES_MAX);
    assert!(matches!(get(&url, &authority).await, Err(HttpsError::TooLarge)));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let authority = TestAuthority::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::time::pause();
    // Nobody speaks TLS.
    let began = Instant::now();
    assert!(matches!(get(&url, &authority).await, Err(HttpsError::Open(_))));
    assert_eq!(began.elapsed().as_secs(), CONNECT_TIMEOUT.as_secs());
    // TLS, but no answer.
    let acceptor = TlsAcceptor::from(authority.server());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(acceptor.accept(stream).await);
        }
    });
    let began = Instant::now();
    assert!(matches!(get(&url, &authority).await, Err(HttpsError::Timeout)));
    assert_eq!(began.elapsed().as_secs(), HTTPS_TIMEOUT.as_secs());
}

#[tokio::test]
async fn only_https_urls_are_called() {
    let tls = TestAuthority::default().client();
    for url in ["http://localhost", "localhost", "", "https://"] {
        assert!(matches!(HttpsClient::from_url(url, tls.clone()), Err(HttpsError::Url(_))), "{url}");
    }
    HttpsClient::from_url("https://[::1]:8443/ignored", tls).unwrap();
}

async fn register(url: &str, authority: &TestAuthority) -> Result<protocol::dps::RegistrationState, ProvisionError> {
    let tokens = SharedKey::new(KEY).with_policy(POLICY);
    register_https(url, "0ne1", "dev1", &tokens, None, authority.client()).await
}

#[tokio::test]
async fn a_registration_is_polled_until_assigned() {
    let authority = TestAuthority::default();
    let assigning = r#"{"operationId":"4.a/b","status":"assigning"}"#;
    let assigned = r#"{"operationId":"4.a/b","status":"assigned","registrationState":{"registrationId":"dev1",
        "assignedHub":"hub.example.test","deviceId":"dev1","status":"assigned"}}"#;
    let answers = vec![
        answer("429 Too Many\r\nretry-after: 0", "{}"),
        answer("202 Accepted\r\nretry-after: 0", assigning),
        answer("202 Accepted\r\nretry-after: 0", assigning),
        answer("200 OK", assigned),
    ];
    let (url, asked) = script(&authority, answers).await;
    assert_eq!(register(&url, &authority).await.unwrap().assigned_hub.unwrap(), "hub.example.test");
    let register = "PUT /0ne1/registrations/dev1/register?api-version=2019-03-31 HTTP/1.1";
    let poll = "GET /0ne1/registrations/dev1/operations/4.a%2Fb?api-version=2019-03-31 HTTP/1.1";
    assert_eq!(*asked.lock().unwrap(), [register, register, poll, poll]);
}

#[tokio::test]
async fn a_registration_that_never_ends_is_given_up() {
    let authority = TestAuthority::default();
    // Asked to come back tomorrow, clients come back after a minute.
    let later = answer("202 Accepted\r\nretry-after: 86400", r#"{"operationId":"4","status":"assigning"}"#);
    let (url, asked) = script(&authority, vec![later; REGISTRATION_POLLS_MAX as usize + 1]).await;
    tokio::time::pause();
    let began = Instant::now();
    assert!(matches!(register(&url, &authority).await, Err(ProvisionError::Timeout)));
    let waited = RETRY_AFTER_MAX * REGISTRATION_POLLS_MAX;
    assert!(began.elapsed() >= waited && began.elapsed() < waited + RETRY_AFTER_MAX, "{:?}", began.elapsed());
    assert_eq!(asked.lock().unwrap().len(), REGISTRATION_POLLS_MAX as usize);
}

#[tokio::test]
async fn refusals_failures_and_nonsense_are_told_apart() {
    let authority = TestAuthority::default();
    let failed = r#"{"operationId":"4","status":"failed","registrationState":{"registrationId":"dev1","status":"failed",
        "errorCode":400208,"errorMessage":"no hub"}}"#;
    let answers = vec![
        answer("401 Unauthorized", r#"{"errorCode":401002,"message":"unknown"}"#),
        answer("200 OK", failed),
        answer("200 OK", "<html>"),
    ];
    let (url, _) = script(&authority, answers).await;
    let Err(ProvisionError::Refused(error)) = register(&url, &authority).await else { panic!("not refused") };
    assert_eq!((error.status, error.code), (401, 401_002));
    let Err(ProvisionError::NotAssigned(state)) = register(&url, &authority).await else { panic!("not failed") };
    assert_eq!(state.error_message.as_deref(), Some("no hub"));
    assert!(matches!(register(&url, &authority).await, Err(ProvisionError::Answer(_))));
}

//! What somebody without credentials can cost, and learn: attacks in small, against the real program where it matters.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream as StdStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use central::data_folder::{DataFolder, Endpoints};
use events::clock::{now_ms, now_secs};
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::identity::Identity;
use protocol::auth::sas;
use registry::NewDevice;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use transport::client::https::HttpsClient;
use transport::client::{HubClient, HubClientOptions, LinkState, SharedKey, Subscriptions, Way};
use transport::limits::{DESCRIPTORS_RESERVED, STRANGER_BODY_BYTES_MAX};

use crate::central::{PATIENCE, TestCentral, TestDevice, data};
use crate::rest::client::Rest;

/// The program, with as many descriptors as it is given, and what it writes to its log.
struct Program {
    child: Child,
    endpoints: Endpoints,
    folder: DataFolder,
}

impl Program {
    fn start(data: &Path, descriptors: u64) -> Self {
        let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_tidegate"), "serve", "--data", data.to_str().unwrap()])
            .args(["--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"), "it starts");
        let folder = DataFolder::at(data);
        let endpoints = serde_json::from_str(&std::fs::read_to_string(folder.endpoints()).unwrap()).unwrap();
        Self { child, endpoints, folder }
    }

    fn https(&self) -> u16 {
        port(&self.endpoints.https)
    }

    fn tls(&self) -> Arc<rustls::ClientConfig> {
        transport::tls::client_config(Some(&std::fs::read(self.folder.ca_pem()).unwrap())).unwrap()
    }

    async fn get(&self, path: &str) -> u16 {
        let request = Request::builder().uri(path).body(Bytes::new()).unwrap();
        HttpsClient::new("localhost", self.https(), self.tls()).request(request).await.unwrap().status().as_u16()
    }

    /// How many connections gave way at a listener for a reason, as `/metrics` has it.
    async fn gave_way(&self, listener: &str, reason: &str) -> u64 {
        let request = Request::builder().uri("/metrics").body(Bytes::new()).unwrap();
        let client = HttpsClient::new("localhost", self.https(), self.tls());
        let text = String::from_utf8(client.request(request).await.unwrap().into_body().to_vec()).unwrap();
        let labels = format!("{{listener=\"{listener}\",reason=\"{reason}\"}} ");
        let series = format!("tidegate_connections_gave_way_total{labels}");
        text.lines().find_map(|line| line.strip_prefix(&series)).expect(&text).parse().unwrap()
    }

    fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Ends it; answers its log.
    fn end(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        self.child.wait().unwrap();
        log
    }
}

fn port(address: &Option<String>) -> u16 {
    address.as_deref().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn silent_connections_use_up_no_descriptors_and_keep_nobody_out() {
    let (_dir, data) = data();
    let descriptors = DESCRIPTORS_RESERVED + 44;
    let program = Program::start(&data, descriptors);
    let mqtts = port(&program.endpoints.mqtts);
    let mut silent = Vec::new();
    for _ in 0..descriptors {
        silent.push(StdStream::connect(("127.0.0.1", mqtts)).unwrap());
        silent.push(StdStream::connect(("127.0.0.1", program.https())).unwrap());
    }
    let began = Instant::now();
    assert_eq!(program.get("/health/ready").await, 200);
    let options = HubClientOptions {
        host: "localhost".into(),
        port: mqtts,
        hub_host: "localhost".into(),
        identity: Identity::device("nobody"),
        token_audience: None,
        tokens: Arc::new(SharedKey::new("a2V5")),
        auth_chain: None,
        model_id: None,
        client_type: "test".into(),
        tls: program.tls(),
        way: Way::default(),
        keep_alive: Duration::from_secs(60),
        subscribe: Subscriptions::default(),
        reconnection: None,
    };
    // It is heard, if only to be refused.
    let (client, _events) = HubClient::start(options);
    let mut state = client.state();
    let refused = |state: &LinkState| matches!(state, LinkState::Refused { .. });
    tokio::time::timeout(PATIENCE, state.wait_for(refused)).await.expect("the hub answers").unwrap();
    // Those before it in the backlog take their turns: in the time one may be silent, as many as there are places.
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    for listener in ["mqtts", "https"] {
        assert_ne!(program.gave_way(listener, "address_share").await, 0, "{listener}");
    }
    assert_ne!(program.gave_way("mqtts", "full").await, 0, "there are fewer descriptors than silent connections");
    let doctor = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["doctor", "--json", "--data"]).arg(&data).output();
    let said = String::from_utf8(doctor.unwrap().stdout).unwrap();
    let found = said.lines().find(|line| line.contains(r#""check":"connections""#)).expect(&said);
    assert!(found.contains("many connections gave way") && found.contains("warning"), "{found}");
    let log = program.end();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[tokio::test]
async fn bodies_of_strangers_are_not_held() {
    const CONNECTIONS: usize = 32;
    const SENT: usize = 3 * 1024 * 1024;
    let (_dir, data) = data();
    let program = Program::start(&data, 1024);
    let stream = async || {
        let socket = TcpStream::connect(("localhost", program.https())).await.unwrap();
        let mut tls = Arc::unwrap_or_clone(program.tls());
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsConnector::from(Arc::new(tls)).connect("localhost".try_into().unwrap(), socket).await.unwrap()
    };
    assert_eq!(program.get("/health/live").await, 200);
    let before = program.resident_bytes();
    let mut open = Vec::new();
    for announced in ["content-length: 4194304", "transfer-encoding: chunked"].repeat(CONNECTIONS / 2) {
        let head = format!("POST /api/ext/v1/session HTTP/1.1\r\nhost: localhost\r\n{announced}\r\n\r\n");
        let mut stream = stream().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let chunk = [&b"4000\r\n"[..], &[b' '; 0x4000], b"\r\n"].concat();
        for _ in 0..SENT / chunk.len() {
            // It may be cut off at some time.
            if stream.write_all(&chunk).await.is_err() {
                break;
            }
        }
        open.push(stream);
    }
    let grown = program.resident_bytes().saturating_sub(before);
    assert!(grown < (CONNECTIONS * SENT / 3) as u64, "{grown} bytes for {CONNECTIONS} connections");
    program.end();
}

#[tokio::test]
async fn a_stranger_writes_no_line_of_his_own_into_the_log() {
    let (_dir, data) = data();
    let program = Program::start(&data, 1024);
    let forged = "2026-01-01T00:00:00.000000Z  INFO signed in actor=admin";
    let token = sas::sign("x/registrations/y", "a2V5", now_secs() + 60, Some(forged)).unwrap();
    let encoded = "%0a".to_owned() + &forged.replace(' ', "%20") + "%1b%5b2K%0d";
    let https = HttpsClient::new("localhost", program.https(), program.tls());
    for path in [format!("/0ne/registrations/{encoded}/register"), format!("/devices/{encoded}/modules/m")] {
        let request = Request::builder().method("PUT").uri(path).header(header::AUTHORIZATION, &token);
        let status = https.request(request.body(Bytes::new()).unwrap()).await.unwrap().status();
        assert!(status.is_client_error(), "{status}");
    }
    let log = program.end();
    assert!(log.contains("signed in"), "it is told: {log}");
    assert!(!log.lines().any(|line| line.starts_with(forged)), "{log}");
    assert!(!log.contains(['\r', '\u{1b}']), "{log:?}");
}

/// Sends a whole request, body and all, and only then reads.
async fn send_and_read(stream: &mut TlsStream<TcpStream>, head: &str, body: usize) -> String {
    let head = format!("{head}\r\nhost: localhost\r\ncontent-length: {body}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; body]).await.expect("nobody cuts the connection while it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the answer is not taken back");
    answer
}

#[tokio::test]
async fn a_refusal_reaches_a_caller_who_is_sending_still() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let token = sas::sign("localhost/devices/d1", "a2V5", now_secs() + 60, None).unwrap();
    let heads = [
        ("PUT /api/devices/d1?api-version=2022-07-31 HTTP/1.1".to_owned(), "401"),
        (format!("PUT /devices/d1/modules/m HTTP/1.1\r\nauthorization: {token}"), "401"),
        (format!("PUT /0ne/registrations/d1/register HTTP/1.1\r\nauthorization: {token}"), "401"),
        ("POST /api/ext/v1/session HTTP/1.1".to_owned(), "413"),
        ("PUT /api/nothing/here HTTP/1.1".to_owned(), "404"),
    ];
    for (head, status) in &heads {
        for body in [20_000, 1_000_000] {
            for _ in 0..3 {
                let mut stream = central.tls_stream().await;
                let answer = send_and_read(&mut stream, head, body).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head} with {body} bytes: {answer}");
            }
        }
    }
    central.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_a_caller_who_is_sending_still_over_http2() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let socket = TcpStream::connect(("localhost", central.https_port())).await.unwrap();
    let mut tls = Arc::unwrap_or_clone(central.tls());
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TlsConnector::from(Arc::new(tls)).connect("localhost".try_into().unwrap(), socket).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for body in [20_000, 1_000_000, 3_000_000].repeat(3) {
        let request = Request::builder()
            .method("PUT")
            .uri("https://localhost/api/devices/d1?api-version=2022-07-31")
            .body(Full::new(Bytes::from(vec![b'x'; body])))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 401, "with {body} bytes");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&text).contains("Unauthenticated"));
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    central.stop().await;
}

#[tokio::test]
async fn a_connection_that_was_refused_goes_on() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let mut stream = central.tls_stream().await;
    let body = 20_000;
    let head = format!(
        "PUT /api/devices/d?api-version=2022-07-31 HTTP/1.1\r\nhost: localhost\r\ncontent-length: {body}\r\n\r\n"
    );
    for _ in 0..3 {
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; body]).await.unwrap();
        let (mut read, mut answer) = ([0; 4096], String::new());
        while !answer.contains("\"code\":\"Unauthenticated\"") {
            let count = stream.read(&mut read).await.unwrap();
            assert!(count > 0, "it ended after {answer}");
            answer.push_str(std::str::from_utf8(&read[..count]).unwrap());
        }
    }
    central.stop().await;
}

/// A device of each kind there is, by name; `known` is enabled and has a module.
async fn names(central: &TestCentral) -> TestDevice {
    let known = central.provision("known").await;
    let off = central.provision("off").await;
    let rest = Rest::new(central);
    rest.patch("/api/devices/off", json!({ "enabled": false })).await;
    let bare = NewDevice { id: "bare".into(), enabled: true, created_ms: now_ms(), ..NewDevice::default() };
    central.running.core.registry.device_create(central.app(), bare).await.unwrap();
    let caller = crate::hub_http::Caller::device(central, &known);
    caller.send(Method::PUT, "/devices/known/modules/m", &[], "{}").await;
    off
}

#[tokio::test]
async fn whoever_holds_no_key_learns_of_no_name_whether_it_is_there() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let off = names(&central).await;
    let https = HttpsClient::new("localhost", central.https_port(), central.tls());
    let ask = async |identity: &Identity, key: &str| {
        let token = sas::sign(&sas::audience("localhost", identity), key, now_secs() + 60, None).unwrap();
        let path = sas::audience("", identity) + "/messages/events?api-version=2021-04-12";
        let request = Request::builder().method("POST").uri(path).header(header::AUTHORIZATION, token);
        let answer = https.request(request.body("1".into()).unwrap()).await.unwrap();
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        (answer.status().as_u16(), answer.headers()["iothub-errorcode"].clone(), body["Message"].clone())
    };
    let known = Identity::device("known");
    let expected = ask(&known, "d3Jvbmc=").await;
    assert_eq!(expected.0, 401);
    let others = [
        Identity::device("unknown"),
        Identity::device("off"),
        Identity::device("bare"),
        Identity::module("known", "m"),
        Identity::module("known", "none"),
        Identity::module("off", "m"),
        Identity::module("unknown", "m"),
    ];
    for identity in &others {
        assert_eq!(ask(identity, "d3Jvbmc=").await, expected, "{identity}");
    }
    // Whoever holds the key is told.
    assert_eq!(ask(&Identity::device("off"), &off.key).await.0, 403);

    let register = async |id: &str| {
        let scope = central.id_scope();
        let audience = format!("{scope}/registrations/{id}");
        let token = sas::sign(&audience, "d3Jvbmc=", now_secs() + 60, Some("registration")).unwrap();
        let request = Request::builder().method("PUT").uri(format!("/{audience}/register?api-version=2021-06-01"));
        let request = request.header(header::AUTHORIZATION, token).body(Bytes::new()).unwrap();
        let body: Value = serde_json::from_slice(https.request(request).await.unwrap().body()).unwrap();
        (body["errorCode"].clone(), body["message"].clone())
    };
    let expected = register("known").await;
    assert_eq!(expected.0, 401_002);
    for id in ["unknown", "off", "bare"] {
        assert_eq!(register(id).await, expected, "{id}");
    }

    let mut told = Vec::new();
    for identity in others.into_iter().chain([known]) {
        let (client, _events) = HubClient::start(central.client_options(identity, "d3Jvbmc="));
        let mut state = client.state();
        let answered = state.wait_for(|state| matches!(state, LinkState::Refused { .. } | LinkState::Waiting { .. }));
        let answered = tokio::time::timeout(PATIENCE, answered).await.expect("the hub answers").unwrap().clone();
        assert!(matches!(answered, LinkState::Refused { .. }), "{answered:?}");
        told.push(answered);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    central.stop().await;
}

#[tokio::test]
async fn a_sign_in_takes_a_small_body_and_whoever_is_known_may_send_more() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let anonymous = Rest::anonymous(&central);
    let body = |bytes: usize| "{}".to_owned() + &" ".repeat(bytes - 2);
    let post = async |bytes: usize| anonymous.raw("POST", "/api/ext/v1/session", &body(bytes)).await.status;
    assert_eq!(post(STRANGER_BODY_BYTES_MAX).await, 422);
    assert_eq!(post(STRANGER_BODY_BYTES_MAX + 1).await, 413);
    central.stop().await;
}

//! MQTT over WebSocket, and through a proxy: the same as over TLS, from the handshake on.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::dps::{AssignmentStatus, POLICY};
use protocol::web_socket::{Sent, encode};
use testkit::memory_hub::{HUB_HOST, ID_SCOPE};
use testkit::message::numbered_messages;
use testkit::proxy::TestProxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use transport::client::dps::register_mqtt;
use transport::client::{ClientEvent, HubClient, LinkState, Proxies, SharedKey, Way};
use transport::limits::{ARRIVAL_TIMEOUT, CLIENT_WINDOW, CONNECT_TIMEOUT, WEB_SOCKET_HEAD_BYTES_MAX};

use crate::rig::{KEY, Rig, connect, device, module, next, state};

const ASKING: &str = "GET /$iothub/websocket?iothub-no-client-cert=true HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                      Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

async fn dial(rig: &Rig) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(rig.addr).await.unwrap();
    TlsConnector::from(rig.authority.client()).connect("localhost".try_into().unwrap(), socket).await.unwrap()
}

/// What comes up to the end of a head.
async fn head(stream: &mut TlsStream<TcpStream>) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        text.push(byte);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_device_and_a_module_do_over_web_socket_what_they_do_over_tls() {
    let mut rig = Rig::start_over_web_socket().await;
    let (client, mut events) = rig.connect(device()).await;
    let sent = numbered_messages(4 * CLIENT_WINDOW + 3);
    client.send(sent.clone()).await.unwrap();
    let taken: Vec<_> = rig.hub.telemetry().into_iter().map(|(_, message)| message).collect();
    assert_eq!(taken, sent);
    let counts = rig.hub.counts();
    assert!(counts.batches <= sent.len() / 8, "{} batches for {}", counts.batches, sent.len());

    let link = rig.hub.link(&device()).unwrap();
    let caller = tokio::spawn(async move { link.invoke_method("m", "5".into(), Duration::from_secs(30)).await });
    let ClientEvent::Method(call) = next(&mut events).await else { panic!("no method") };
    let payload = call.payload.clone();
    call.reply(200, payload).await;
    assert_eq!(caller.await.unwrap().unwrap().payload, "5");
    client.patch_reported(Bytes::from_static(b"{\"a\":1}")).await.unwrap();
    assert!(!client.twin().await.unwrap().is_empty());

    let (of_module, _events) = rig.connect(module()).await;
    of_module.send_to_output("out", numbered_messages(1)).await.unwrap();
    // Both sides end in good order.
    of_module.stop().await;
    rig.stop_server().await;
    assert!(matches!(next(&mut events).await, ClientEvent::Disconnected { .. }));
}

#[tokio::test]
async fn a_registration_over_web_socket_ends_with_the_assigned_hub() {
    let rig = Rig::start_over_web_socket().await;
    let way = Way { web_socket: true, ..Way::default() };
    let tokens = SharedKey::new(KEY).with_policy(POLICY);
    let tls = rig.authority.client();
    let state = register_mqtt("localhost", rig.addr.port(), ID_SCOPE, "dev1", &tokens, None, tls, &way).await.unwrap();
    assert_eq!((state.status, state.assigned_hub.as_deref()), (AssignmentStatus::Assigned, Some(HUB_HOST)));
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let rig = Rig::start_over_web_socket().await;
    let with = |from: &str, to: &str| {
        assert!(ASKING.contains(from));
        ASKING.replace(from, to)
    };
    let long = |bytes: usize| with("Host: h", &format!("Host: h\r\nX: {}", "x".repeat(bytes)));
    let table = [
        ("as it should be", ASKING.to_owned(), "101"),
        ("at the root", with("/$iothub/websocket?iothub-no-client-cert=true", "/"), "101"),
        ("in capitals", with(": mqtt", ": MQTT"), "101"),
        ("elsewhere", with("/$iothub/websocket", "/devices"), "404"),
        ("no WebSocket", with("Upgrade: websocket", "Accept: */*"), "426"),
        ("old", with("Version: 13", "Version: 8"), "426"),
        ("another protocol", with(": mqtt", ": chat"), "400"),
        ("AMQP", with(": mqtt", ": AMQPWSB10"), "400"),
        ("a bad key", with("dGhlIHNhbXBsZSBub25jZQ==", "short"), "400"),
        ("HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), "400"),
        ("POST", with("GET", "POST"), "400"),
        ("not HTTP", "\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0\r\n\r\n".to_owned(), "400"),
        ("a head that is just short enough", long(WEB_SOCKET_HEAD_BYTES_MAX - ASKING.len() - 10), "101"),
        ("a head that is too long", long(WEB_SOCKET_HEAD_BYTES_MAX), "431"),
    ];
    for (name, request, status) in table {
        let mut stream = dial(&rig).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = head(&mut stream).await;
        let (version, rest) = answer.split_once(' ').unwrap();
        assert!(version.starts_with("HTTP/1.") && rest.starts_with(&format!("{status} ")), "{name}: {answer}");
        if status == "101" {
            let name = if request.contains("MQTT") { "MQTT" } else { "mqtt" };
            assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
            assert!(answer.contains(&format!("sec-websocket-protocol: {name}\r\n")), "{answer}");
            assert!(!answer.to_lowercase().contains("deflate"), "{answer}");
        }
    }
}

#[tokio::test]
async fn what_may_not_be_sent_ends_the_connection_with_its_code() {
    let rig = Rig::start_over_web_socket().await;
    let mut long = vec![0x82, 0xFF];
    long.extend((1_u64 << 40).to_be_bytes());
    long.extend([0; 4]);
    for (frame, code) in [(vec![0x81, 0x80, 0, 0, 0, 0], 1003_u16), (vec![0x82, 0], 1002), (long, 1009)] {
        let mut stream = dial(&rig).await;
        // In one go: what follows the request is not lost.
        stream.write_all(&[ASKING.as_bytes(), &frame].concat()).await.unwrap();
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 101 "));
        let mut end = Vec::new();
        stream.read_to_end(&mut end).await.unwrap();
        assert_eq!(end, [&[0x88, 2][..], &code.to_be_bytes()].concat());
    }
}

#[tokio::test]
async fn who_asks_for_a_web_socket_has_no_longer_to_connect_than_others() {
    let rig = Rig::start_over_web_socket().await;
    let began = Instant::now();
    let mut silent = dial(&rig).await;
    let mut asked = dial(&rig).await;
    asked.write_all(ASKING.as_bytes()).await.unwrap();
    assert!(head(&mut asked).await.starts_with("HTTP/1.1 101 "));
    let mut ping = BytesMut::new();
    encode(Sent::Ping(b"x"), Some([0; 4]), &mut ping);
    asked.write_all(&ping).await.unwrap();
    let mut pong = [0; 3];
    asked.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong, *b"\x8A\x01x");
    tokio::time::pause();
    assert!(!matches!(silent.read(&mut [0; 1]).await, Ok(1..)));
    let mut end = Vec::new();
    asked.read_to_end(&mut end).await.unwrap();
    assert_eq!(end, [0x88, 2, 0x03, 0xE8]);
    assert_eq!(began.elapsed().as_secs(), ARRIVAL_TIMEOUT.as_secs());
}

#[tokio::test]
async fn where_there_is_no_web_socket_the_reason_is_said() {
    let rig = Rig::start().await;
    let mut options = rig.options(device());
    options.way.web_socket = true;
    let (client, _events) = HubClient::start(options);
    let waiting = state(&client, |state| matches!(state, LinkState::Waiting { .. })).await;
    let LinkState::Waiting { reason, .. } = waiting else { unreachable!() };
    assert!(reason.starts_with("cannot connect: localhost does not take a WebSocket: "), "{reason}");
}

#[tokio::test]
async fn through_a_proxy_with_and_without_credentials() {
    for (credentials, url_credentials) in [(None, ""), (Some("us er:p@ss:w/rd"), "us%20er:p%40ss:w%2Frd@")] {
        let proxy = TestProxy::start(credentials).await;
        let proxies = Proxies::new(&format!("http://{url_credentials}127.0.0.1:{}", proxy.port()), "").unwrap();
        for web_socket in [false, true] {
            let rig = if web_socket { Rig::start_over_web_socket().await } else { Rig::start().await };
            let mut options = rig.options(device());
            options.way.proxies = proxies.clone();
            let (client, _events) = connect(options).await;
            client.send(numbered_messages(100)).await.unwrap();
            assert_eq!(proxy.asked().last().unwrap(), &format!("localhost:{}", rig.addr.port()));
        }
        assert_eq!(proxy.asked().len(), 2);
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_the_password() {
    let proxy = TestProxy::start(Some("user:other")).await;
    let rig = Rig::start().await;
    let mut options = rig.options(device());
    options.way.proxies = Proxies::new(&format!("http://user:secret@127.0.0.1:{}", proxy.port()), "").unwrap();
    let (client, _events) = HubClient::start(options);
    let waiting = state(&client, |state| matches!(state, LinkState::Waiting { .. })).await;
    let LinkState::Waiting { reason, .. } = waiting else { unreachable!() };
    let expected = format!(
        "cannot connect: cannot connect to localhost:{} through the proxy 127.0.0.1:{}: \
         the proxy refused with status 407: it wants other credentials",
        rig.addr.port(),
        proxy.port()
    );
    assert_eq!(reason, expected);
    assert!(proxy.asked()[0].starts_with('!'));
}

#[tokio::test]
async fn a_proxy_or_a_host_that_says_nothing_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start().await;
    let mut options = rig.options(device());
    let url = format!("http://127.0.0.1:{}", silent.local_addr().unwrap().port());
    options.way.proxies = Proxies::new(&url, "").unwrap();
    let (client, _events) = HubClient::start(options);
    let (_asked, _) = silent.accept().await.unwrap();
    tokio::time::pause();
    let began = Instant::now();
    let waiting = state(&client, |state| matches!(state, LinkState::Waiting { .. })).await;
    let LinkState::Waiting { reason, .. } = waiting else { unreachable!() };
    assert_eq!(reason, "cannot connect: 127.0.0.1 did not answer in time");
    assert_eq!(began.elapsed().as_secs(), CONNECT_TIMEOUT.as_secs());
}

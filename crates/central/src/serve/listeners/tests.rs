//! What a connection may cost, on a clock that stands while anything is left to do.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::authority::TestAuthority;
use testkit::memory_hub::MemoryHub;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use transport::limits::ARRIVAL_TIMEOUT;
use transport::server::WebSockets;

use super::*;

/// Far more than any connection here lasts; it passes at once.
const PATIENCE: Duration = Duration::from_secs(3_600);
const MILLISECOND: Duration = Duration::from_millis(1);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Answers after a while, and counts what it was asked.
#[derive(Clone)]
struct Slow {
    after: Duration,
    asked: Arc<AtomicUsize>,
}

impl Answer for Slow {
    async fn answer_one(self, _: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.after).await;
        Response::new(Body::from("answered"))
    }
}

/// Takes WebSockets.
#[derive(Clone)]
struct Upgrading(WebSockets<MemoryHub, MemoryHub>);

impl Answer for Upgrading {
    async fn answer_one(self, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if !asks_for_web_socket(request.headers()) {
            return Response::new(Body::from("answered"));
        }
        let admission = request.extensions().get::<Admission>().cloned();
        self.0.answer(&mut request, peer, admission).map(Body::from)
    }
}

/// A client's end of a connection, in memory.
struct Client {
    stream: DuplexStream,
    asked: Arc<AtomicUsize>,
    stop: CancellationToken,
    admission: Admission,
    serving: JoinHandle<()>,
    started: Instant,
}

impl Client {
    fn connect(after: Duration) -> Self {
        Self::connect_over(None, after)
    }

    fn connect_over(tls: Option<HttpsTls>, after: Duration) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        Self::connect_to(Slow { after, asked: Arc::clone(&asked) }, tls, asked)
    }

    fn connect_to(answer: impl Answer, tls: Option<HttpsTls>, asked: Arc<AtomicUsize>) -> Self {
        let (stream, far) = duplex(64 * 1024);
        let stop = CancellationToken::new();
        let peer = SocketAddr::from(([192, 0, 2, 1], 1));
        let admission = Admissions::new(ServerLimits::default()).try_enter(peer.ip()).unwrap();
        let client = super::Client { peer, admission: admission.clone(), certificate: None };
        let serving = tokio::spawn(connection(far, client, tls, answer, stop.clone()));
        Self { stream, asked, stop, admission, serving, started: Instant::now() }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Waits until so many requests have reached who answers them.
    async fn await_asked(&self, requests: usize) {
        while self.asked.load(Ordering::Relaxed) < requests {
            tokio::task::yield_now().await;
        }
    }

    /// Reads until the connection ends: what came, and how long after the start that was.
    async fn ended(mut self) -> (String, Duration) {
        let mut read = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut read)).await.expect("the connection ends").unwrap();
        self.serving.await.unwrap();
        (String::from_utf8_lossy(&read).into_owned(), self.started.elapsed())
    }

    /// The next HTTP/2 frame: kind, flags, stream, payload.
    async fn frame(&mut self) -> (u8, u8, u32, Vec<u8>) {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.stream.read_exact(&mut payload).await.unwrap();
        (head[3], head[4], u32::from_be_bytes(head[5..].try_into().unwrap()), payload)
    }
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// How an HTTP/2 client begins.
fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat()
}

/// A whole request without a body: `GET https://localhost/`.
fn request(stream: u32) -> Vec<u8> {
    const END_OF_STREAM_AND_HEADERS: u8 = 0x5;
    frame(HEADERS, END_OF_STREAM_AND_HEADERS, stream, b"\x82\x87\x84\x41\x09localhost")
}

fn https_tls() -> HttpsTls {
    HttpsTls::new(&TestAuthority::default().identity())
}

#[tokio::test(start_paused = true)]
async fn the_first_request_is_there_in_time_or_the_connection_ends() {
    let half_a_head = &REQUEST[..20];
    for silent in [&b""[..], b"PRI", half_a_head, &preface()] {
        let mut client = Client::connect(Duration::ZERO);
        client.send(silent).await;
        assert_eq!(client.ended().await.1, ARRIVAL_TIMEOUT, "{:?}", String::from_utf8_lossy(silent));
    }
    let client = Client::connect_over(Some(https_tls()), Duration::ZERO);
    assert_eq!(client.ended().await.1, ARRIVAL_TIMEOUT, "no handshake");

    let mut client = Client::connect(Duration::ZERO);
    client.send(half_a_head).await;
    tokio::time::sleep(ARRIVAL_TIMEOUT - MILLISECOND).await;
    client.send(&REQUEST[20..]).await;
    let (answer, ended) = client.ended().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("answered"), "{answer}");
    assert_eq!(ended, ARRIVAL_TIMEOUT + HTTP_HEADER_TIMEOUT - MILLISECOND, "the next request has as long");
}

#[tokio::test(start_paused = true)]
async fn handshake_and_first_request_have_one_time_together() {
    let authority = TestAuthority::default();
    let tls = HttpsTls::new(&authority.identity());
    let Client { stream, started, serving, .. } = Client::connect_over(Some(tls), Duration::ZERO);
    tokio::time::sleep(ARRIVAL_TIMEOUT / 2).await;
    let connector = tokio_rustls::TlsConnector::from(authority.client());
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("the connection ends");
    assert!(ended.is_err() && started.elapsed() == ARRIVAL_TIMEOUT, "{ended:?} after {:?}", started.elapsed());
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_may_take_longer_than_its_head() {
    let mut client = Client::connect(2 * HTTP_HEADER_TIMEOUT);
    client.send(REQUEST).await;
    let (answer, ended) = client.ended().await;
    assert!(answer.ends_with("answered"), "{answer}");
    assert_eq!(ended, 3 * HTTP_HEADER_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn as_many_requests_share_a_connection_as_may_and_one_more_is_refused() {
    const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
    assert_eq!((HTTP1_BUFFER_BYTES_MAX, HTTP2_SEND_BYTES_MAX), (64 * 1024, 32 * 1024));
    assert_eq!(HTTP_STRANGERS_MAX, 128);
    let mut client = Client::connect(Duration::MAX);
    client.admission.known();
    client.send(&preface()).await;
    let streams: Vec<u32> = (0..=HTTP_STREAMS_MAX).map(|n| 2 * n + 1).collect();
    for stream in &streams {
        client.send(&request(*stream)).await;
    }
    let (stream, reason) = loop {
        let (kind, _, stream, payload) = client.frame().await;
        if kind == RST_STREAM {
            break (stream, payload);
        }
    };
    assert_eq!((stream, &reason[..]), (*streams.last().unwrap(), &REFUSED_STREAM[..]));
    client.await_asked(HTTP_STREAMS_MAX as usize).await;
    tokio::time::sleep(MILLISECOND).await;
    assert_eq!(client.asked.load(Ordering::Relaxed), HTTP_STREAMS_MAX as usize);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_has_few_requests_answered_at_a_time_until_he_is_known() {
    let mut client = Client::connect(PATIENCE);
    client.send(&preface()).await;
    let most = u32::try_from(HTTP_STRANGER_STREAMS_MAX + HTTP_STRANGER_WAITING_MAX).unwrap();
    for n in 0..=most {
        client.send(&request(2 * n + 1)).await;
    }
    // The last one is told to come again: 503, in a table both sides know.
    let refused = loop {
        let (kind, _, stream, payload) = client.frame().await;
        if kind == HEADERS {
            break (stream, String::from_utf8_lossy(&payload).contains("retry") || !payload.is_empty());
        }
    };
    assert_eq!(refused, (2 * most + 1, true));
    assert_eq!(client.asked.load(Ordering::Relaxed), HTTP_STRANGER_STREAMS_MAX);
    client.admission.known();
    client.await_asked(most as usize).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_and_what_nobody_reads_are_so_large() {
    const SETTING_WINDOW: u16 = 4;
    const SETTING_HEAD: u16 = 6;
    const WINDOW_UPDATE: u8 = 8;
    let mut client = Client::connect(PATIENCE);
    client.send(&preface()).await;
    let (mut settings, mut window) = (Vec::new(), 65_535);
    while settings.is_empty() || window == 65_535 {
        match client.frame().await {
            (SETTINGS, 0, _, payload) => settings = payload,
            (WINDOW_UPDATE, _, 0, payload) => window += u32::from_be_bytes(payload.try_into().unwrap()),
            _ => {}
        }
    }
    let setting = |wanted: u16| {
        let mut all = settings.chunks(6).map(|one| (u16::from_be_bytes([one[0], one[1]]), &one[2..]));
        all.find(|(name, _)| *name == wanted).map(|(_, value)| u32::from_be_bytes(value.try_into().unwrap()))
    };
    assert_eq!(setting(SETTING_WINDOW), Some(HTTP2_STREAM_WINDOW_BYTES));
    assert_eq!(setting(SETTING_HEAD), Some(HTTP2_HEAD_BYTES_MAX));
    assert_eq!(window, HTTP2_CONNECTION_WINDOW_BYTES);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_loses_its_connection_and_one_that_answers_keeps_it() {
    let mut client = Client::connect(Duration::ZERO);
    client.send(&[preface(), request(1)].concat()).await;
    let mut pings = 0;
    while pings < 3 {
        let (kind, flags, _, payload) = client.frame().await;
        if kind == PING && flags != ACK {
            pings += 1;
            assert_eq!(client.started.elapsed(), HTTP_PING_INTERVAL * pings);
            if pings < 3 {
                client.send(&frame(PING, ACK, 0, &payload)).await;
            }
        }
    }
    assert_eq!(client.ended().await.1, HTTP_PING_INTERVAL * 3 + HTTP_PING_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn at_a_stop_requests_have_a_while_and_the_rest_ends_at_once() {
    for (takes, answered) in [(HTTP_DRAIN_TIMEOUT - MILLISECOND, true), (HTTP_DRAIN_TIMEOUT + MILLISECOND, false)] {
        let mut client = Client::connect(takes);
        client.send(REQUEST).await;
        client.await_asked(1).await;
        client.stop.cancel();
        let (answer, ended) = client.ended().await;
        assert_eq!((answer.ends_with("answered"), ended), (answered, takes.min(HTTP_DRAIN_TIMEOUT)), "{answer}");
    }
    for tls in [None, Some(https_tls())] {
        let client = Client::connect_over(tls, Duration::ZERO);
        tokio::time::sleep(MILLISECOND).await;
        client.stop.cancel();
        assert_eq!(client.ended().await.1, MILLISECOND, "nothing was asked");
    }
}

/// A request for a WebSocket.
const UPGRADE: &[u8] = b"GET /$iothub/websocket HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: mqtt\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn there_are_so_many_web_sockets_and_a_place_is_given_back() {
    let hub = Arc::new(MemoryHub::default());
    let answer = Upgrading(WebSockets::new(Arc::clone(&hub), hub, 1, CancellationToken::new()));
    let mut clients = [(); 2].map(|()| Client::connect_to(answer.clone(), None, Arc::default()));
    let mut heads = Vec::new();
    for client in &mut clients {
        client.send(UPGRADE).await;
        let mut head = [0; 12];
        client.stream.read_exact(&mut head).await.unwrap();
        heads.push(String::from_utf8(head.to_vec()).unwrap());
    }
    assert_eq!(heads, ["HTTP/1.1 101", "HTTP/1.1 503"]);
    for client in clients {
        client.ended().await;
    }
    let mut again = Client::connect_to(answer, None, Arc::default());
    again.send(UPGRADE).await;
    assert!(again.ended().await.0.starts_with("HTTP/1.1 101"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_web_socket_is_a_stranger_until_he_connects() {
    let hub = Arc::new(MemoryHub::default());
    // With and without a request before it, which has its own time.
    for (requests, after, due) in [
        (0, Duration::ZERO, ARRIVAL_TIMEOUT),
        (0, ARRIVAL_TIMEOUT - MILLISECOND, ARRIVAL_TIMEOUT),
        (1, ARRIVAL_TIMEOUT - MILLISECOND, 2 * ARRIVAL_TIMEOUT - MILLISECOND),
    ] {
        let shutdown = CancellationToken::new();
        let answer = Upgrading(WebSockets::new(Arc::clone(&hub), Arc::clone(&hub), 1, shutdown));
        let mut client = Client::connect_to(answer, None, Arc::default());
        for _ in 0..requests {
            client.send(REQUEST).await;
        }
        tokio::time::sleep(after).await;
        client.send(UPGRADE).await;
        let admission = client.admission.clone();
        let (read, ended) = client.ended().await;
        assert!(read.contains("HTTP/1.1 101 "), "{read}");
        assert_eq!(ended, due, "{requests} {after:?}");
        assert!(!admission.is_known());
    }
}

//! Load generator of the benchmarks: any MQTT 3.1.1 server over TLS, QoS 1.
//!
//! Each connection keeps a window of messages under way and sends a new one for every acknowledgement, for a given time.
//! The same program, flags and messages are used against every server of a comparison, so that only the server differs.
//! Prints one JSON object: messages acknowledged, seconds, and the time from sending to acknowledgement.
//!
//! With `--connects`, connections are made and ended instead, so many at once, and no message is sent. With `--answer`, each
//! client answers direct methods until it is ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use clap::Parser;
use protocol::mqtt::decode::decode;
use protocol::mqtt::encode;
use protocol::mqtt::packet::{Connect, ConnectReturnCode, Packet, QoS, Text};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::{ClientConfig, HandshakeKind};

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// Most packets under way on one connection.
const WINDOW_MAX: u16 = 10_000;
/// Attempts of a client that comes and goes.
const CONNECT_ATTEMPTS_MAX: u32 = 20;
/// Where direct methods come.
const METHODS: &str = "$iothub/methods/POST/#";
/// The packet that ends a session.
const DISCONNECT: [u8; 2] = [0xe0, 0];
/// How long a server may take to answer at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct Options {
    /// Address of the server.
    #[arg(long)]
    address: SocketAddr,
    /// Name its certificate is checked for.
    #[arg(long, default_value = "localhost")]
    server_name: String,
    /// Root certificates, PEM.
    #[arg(long)]
    ca: PathBuf,
    /// A line a connection: client id, user name, password and topic, separated by tabs.
    #[arg(long)]
    clients: PathBuf,
    /// Messages under way on each connection.
    #[arg(long, default_value_t = 20)]
    window: u16,
    /// How long to send.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Bytes of each message.
    #[arg(long, default_value_t = 150)]
    size: usize,
    /// Most messages a second over all connections; 0 for as many as go.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Connect this often instead of sending, over all clients in turn.
    #[arg(long)]
    connects: Option<usize>,
    /// With `--connects`: so many at once, of different clients.
    #[arg(long, default_value_t = 1, requires = "connects")]
    at_once: usize,
    /// With `--connects`: take up the TLS session of an earlier connection where the server lets us.
    #[arg(long, requires = "connects")]
    resume: bool,
    /// Answer direct methods instead of sending, until ended; prints a line once all are subscribed.
    #[arg(long, conflicts_with = "connects")]
    answer: bool,
}

struct Client {
    id: String,
    user_name: String,
    password: String,
    topic: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    if options.window == 0 || options.window > WINDOW_MAX {
        bail!("--window is 1 to {WINDOW_MAX}");
    }
    let clients = read_clients(&options.clients)?;
    let tls = transport::tls::client_config(Some(&std::fs::read(&options.ca)?))?;
    if let Some(connects) = options.connects {
        return connect_and_leave(options, tls, clients, connects).await;
    }
    let connector = TlsConnector::from(tls);
    let mut streams = Vec::new();
    for client in clients {
        let stream = connect(&options, &connector, &client).await.with_context(|| format!("client {}", client.id))?;
        streams.push((stream, client.topic));
    }
    if options.answer {
        return answer_methods(streams.into_iter().map(|(stream, _)| stream)).await;
    }
    let connections = streams.len();
    let payload = payload(options.size);
    let started = Instant::now();
    let deadline = started + Duration::from_secs_f64(options.seconds);
    let pause = pause_between(options.rate, connections);
    let mut tasks = JoinSet::new();
    for (stream, topic) in streams {
        tasks.spawn(publish(stream, topic, payload.clone(), Plan { window: options.window, deadline, pause }));
    }
    let mut latencies = Vec::new();
    while let Some(result) = tasks.join_next().await {
        latencies.extend(result??);
    }
    report(&mut latencies, started.elapsed().min(Duration::from_secs_f64(options.seconds + 1.0)), connections);
    Ok(())
}

/// Connections that only come and go: what a server pays for one, or what others feel of many.
async fn connect_and_leave(
    options: Options,
    tls: Arc<ClientConfig>,
    clients: Vec<Client>,
    connects: usize,
) -> Result<()> {
    let mut tls = Arc::unwrap_or_clone(tls);
    if !options.resume {
        tls.resumption = Resumption::disabled();
    }
    let connector = TlsConnector::from(Arc::new(tls));
    if options.at_once == 0 || options.at_once > clients.len() {
        bail!("--at-once is 1 to the number of clients, which is {}", clients.len());
    }
    let at_once = options.at_once;
    let (options, clients) = (Arc::new(options), Arc::new(clients));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for worker in 0..at_once {
        let (options, connector, clients) = (options.clone(), connector.clone(), clients.clone());
        tasks.spawn(async move {
            let mut resumed = 0;
            // Each has clients of its own: two connections of one would end each other.
            let own = clients.iter().skip(worker).step_by(at_once).cycle();
            for client in own.take((connects + worker) / at_once) {
                let mut stream = persistent(&options, &connector, client).await?;
                let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                resumed += usize::from(is_resumed);
                stream.write_all(&DISCONNECT).await?;
                stream.shutdown().await?;
            }
            anyhow::Ok(resumed)
        });
    }
    let mut resumed = 0;
    while let Some(result) = tasks.join_next().await {
        resumed += result??;
    }
    let seconds = started.elapsed().as_secs_f64();
    print(&serde_json::json!({ "connects": connects, "resumed": resumed, "seconds": seconds }));
    Ok(())
}

/// Every direct method is answered with status 200 and the payload it came with.
async fn answer_methods(streams: impl Iterator<Item = TlsStream<TcpStream>>) -> Result<()> {
    let mut tasks = JoinSet::new();
    let mut subscribed = Vec::new();
    for mut stream in streams {
        let filters = vec![(Text::from(METHODS), QoS::AtMostOnce)];
        let mut output = BytesMut::new();
        encode::encode(&Packet::Subscribe { packet_id: 1, filters }, &mut output)?;
        stream.write_all(&output).await?;
        let (tell, told) = tokio::sync::oneshot::channel();
        subscribed.push(told);
        tasks.spawn(answer(stream, tell));
    }
    for told in subscribed {
        told.await?;
    }
    print(&serde_json::json!({ "subscribed": tasks.len() }));
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn answer(mut stream: TlsStream<TcpStream>, subscribed: tokio::sync::oneshot::Sender<()>) -> Result<()> {
    let mut subscribed = Some(subscribed);
    let (mut input, mut output) = (BytesMut::with_capacity(READ_BYTES), BytesMut::new());
    loop {
        while let Some(packet) = decode(&mut input)? {
            match packet {
                Packet::SubAck { .. } => {
                    subscribed.take().and_then(|subscribed| subscribed.send(()).ok());
                }
                Packet::Publish(method) => {
                    let (_, request) = method.topic.rsplit_once("$rid=").context("a method without a request id")?;
                    let topic = [b"$iothub/methods/res/200/?$rid=", request.as_bytes()];
                    encode::publish_topic(&topic, None, &method.payload, &mut output)?;
                }
                _ => {}
            }
        }
        stream.write_all_buf(&mut output).await?;
        input.reserve(READ_BYTES);
        if stream.read_buf(&mut input).await? == 0 {
            bail!("the server closed the connection");
        }
    }
}

/// Connects as a device does, which tries again when a busy server has no place for it.
async fn persistent(options: &Options, connector: &TlsConnector, client: &Client) -> Result<TlsStream<TcpStream>> {
    let mut attempt = 1;
    loop {
        match connect(options, connector, client).await {
            Err(_) if attempt < CONNECT_ATTEMPTS_MAX => attempt += 1,
            connected => return connected.with_context(|| format!("client {}", client.id)),
        }
    }
}

fn read_clients(path: &std::path::Path) -> Result<Vec<Client>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            let mut next = || fields.next().with_context(|| format!("a line has fewer than four fields: {line}"));
            Ok(Client { id: next()?, user_name: next()?, password: next()?, topic: next()? })
        })
        .collect()
}

/// JSON of the wanted size, as a device would send it.
fn payload(size: usize) -> Bytes {
    let head = r#"{"machine":{"temperature":21.4,"pressure":1.03},"note":""#;
    let filler = size.saturating_sub(head.len() + 2);
    Bytes::from(format!("{head}{}\"}}", "x".repeat(filler)))
}

fn pause_between(rate: u32, connections: usize) -> Option<Duration> {
    let share = f64::from(rate) / f64::from(u32::try_from(connections).unwrap_or(u32::MAX));
    (rate > 0).then(|| Duration::from_secs_f64(1.0 / share))
}

async fn connect(options: &Options, connector: &TlsConnector, client: &Client) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(options.address).await?;
    tcp.set_nodelay(true)?;
    let mut stream = connector.connect(ServerName::try_from(options.server_name.clone())?, tcp).await?;
    let packet = Connect {
        clean_session: true,
        keep_alive_secs: 300,
        client_id: Text::from(client.id.as_str()),
        will: None,
        user_name: (!client.user_name.is_empty()).then(|| Text::from(client.user_name.as_str())),
        password: (!client.password.is_empty()).then(|| Bytes::from(client.password.clone())),
    };
    let mut out = BytesMut::new();
    encode::connect(&packet, &mut out)?;
    stream.write_all(&out).await?;
    let mut input = BytesMut::with_capacity(256);
    loop {
        if let Some(packet) = decode(&mut input)? {
            return match packet {
                Packet::ConnAck { code: ConnectReturnCode::Accepted, .. } => Ok(stream),
                other => bail!("the server answered {other:?}"),
            };
        }
        if tokio::time::timeout(ANSWER_TIMEOUT, stream.read_buf(&mut input)).await?? == 0 {
            bail!("the server closed the connection");
        }
    }
}

#[derive(Clone, Copy)]
struct Plan {
    window: u16,
    deadline: Instant,
    pause: Option<Duration>,
}

/// One connection's messages under way.
struct Publisher {
    stream: TlsStream<TcpStream>,
    input: BytesMut,
    output: BytesMut,
    sent_at: Vec<Option<Instant>>,
    free: Vec<u16>,
    latencies: Vec<Duration>,
}

/// Sends until the deadline, then waits for what is still under way. Gives the time each message took.
async fn publish(stream: TlsStream<TcpStream>, topic: String, payload: Bytes, plan: Plan) -> Result<Vec<Duration>> {
    let mut publisher = Publisher {
        stream,
        input: BytesMut::with_capacity(READ_BYTES),
        output: BytesMut::new(),
        sent_at: vec![None; usize::from(plan.window) + 1],
        free: (1..=plan.window).rev().collect(),
        latencies: Vec::new(),
    };
    // At a slow pace a connection is idle from the start.
    let mut due = Instant::now() + plan.pause.unwrap_or_default();
    loop {
        let now = Instant::now();
        let sending = now < plan.deadline;
        let is_idle = publisher.free.len() == usize::from(plan.window);
        if !sending && is_idle {
            break;
        }
        let count = if sending { take_due(&mut due, now, plan.pause, publisher.free.len()) } else { 0 };
        publisher.send(&topic, &payload, count, now).await?;
        match plan.pause {
            // What is due next must not wait for the answers to what was sent before.
            Some(_) if sending => {
                let under_way = publisher.free.len() < usize::from(plan.window);
                let next = tokio::time::Instant::from_std(due.min(plan.deadline));
                tokio::select! {
                    taken = publisher.acknowledgements(), if under_way => taken?,
                    () = tokio::time::sleep_until(next), if !publisher.free.is_empty() || due >= plan.deadline => {}
                }
            }
            _ => publisher.acknowledgements().await?,
        }
    }
    encode::encode(&Packet::Disconnect, &mut publisher.output)?;
    publisher.stream.write_all(&publisher.output).await?;
    Ok(publisher.latencies)
}

/// How many messages may be sent now. A pace is kept on average: what could not be sent in time is sent later.
fn take_due(due: &mut Instant, now: Instant, pause: Option<Duration>, free: usize) -> usize {
    let Some(pause) = pause else { return free };
    let mut count = 0;
    while count < free && *due <= now {
        *due += pause;
        count += 1;
    }
    count
}

impl Publisher {
    async fn send(&mut self, topic: &str, payload: &[u8], count: usize, now: Instant) -> Result<()> {
        for id in self.free.drain(self.free.len() - count..) {
            encode::publish_topic(&[topic.as_bytes()], Some(id), payload, &mut self.output)?;
            self.sent_at[usize::from(id)] = Some(now);
        }
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }

    /// Takes what the server acknowledges next. Loses nothing when dropped before it is done.
    async fn acknowledgements(&mut self) -> Result<()> {
        self.input.reserve(READ_BYTES);
        let read = tokio::time::timeout(ANSWER_TIMEOUT, self.stream.read_buf(&mut self.input)).await;
        if read.context("no acknowledgement in time")?? == 0 {
            bail!("the server closed the connection");
        }
        let now = Instant::now();
        while let Some(packet) = decode(&mut self.input)? {
            if let Packet::PubAck(id) = packet {
                let sent = self.sent_at.get_mut(usize::from(id)).and_then(Option::take);
                self.latencies.push(now - sent.context("an acknowledgement for nothing")?);
                self.free.push(id);
            }
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "these numbers are small")]
fn report(latencies: &mut [Duration], elapsed: Duration, connections: usize) {
    latencies.sort_unstable();
    let at = |share: f64| -> u128 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index from a share of a length")]
        let index = ((latencies.len() as f64 - 1.0).max(0.0) * share) as usize;
        latencies.get(index).map_or(0, Duration::as_micros)
    };
    let result = serde_json::json!({
        "connections": connections,
        "messages": latencies.len(),
        "seconds": elapsed.as_secs_f64(),
        "messages_per_second": latencies.len() as f64 / elapsed.as_secs_f64(),
        "p50_us": at(0.5),
        "p99_us": at(0.99),
    });
    print(&result);
}

#[expect(clippy::print_stdout, reason = "the result is the output")]
fn print(result: &serde_json::Value) {
    println!("{result}");
}

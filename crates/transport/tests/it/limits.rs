//! What one connection and one listener may cost, met at the limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::identity::Identity;
use protocol::mqtt::encode::publish_topic;
use protocol::mqtt::{Connect, HubConnection, Packet, QoS, decode};
use testkit::memory_hub::{HUB_HOST, MemoryHub};
use testkit::message::numbered_messages;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use transport::client::{ClientEvent, HubClient, LinkState};
use transport::limits::{
    ARRIVAL_TIMEOUT, BATCH_MESSAGES_MAX, CLOSE_TIMEOUT, DRAIN_TIMEOUT, LINK_COMMANDS_MAX, METHODS_PENDING_MAX,
    READ_BYTES_MAX, REFUSED_BYTES_MAX, REFUSED_TIMEOUT, SHUTDOWN_TIMEOUT, STRANGER_SILENCE_MAX, WRITE_BYTES_SOFT_MAX,
    WRITE_TIMEOUT,
};
use transport::server::{CloseReason, ConnectionOptions, HubServer, InvokeError, ServerLimits, serve_connection};

use crate::lifecycle::{in_memory, in_memory_with, send};
use crate::rig::{KEY, Rig, connect, device, next, state};

const SUBSCRIBE: [&str; 2] = ["$iothub/methods/POST/#", "$iothub/twin/PATCH/properties/desired/#"];

/// The next packet of the hub.
async fn receive(stream: &mut DuplexStream, input: &mut BytesMut) -> Packet {
    loop {
        if let Some(packet) = decode(input).unwrap() {
            return packet;
        }
        assert_ne!(stream.read_buf(input).await.unwrap(), 0, "the connection ended");
    }
}

async fn subscribe(stream: &mut DuplexStream) {
    let filters = SUBSCRIBE.map(|filter| (filter.into(), QoS::AtMostOnce)).into();
    send(stream, &Packet::Subscribe { packet_id: 1, filters }).await;
    let mut input = BytesMut::new();
    assert!(matches!(receive(stream, &mut input).await, Packet::SubAck { .. }));
}

#[tokio::test]
async fn a_batch_holds_so_many_messages() {
    let hub = Arc::new(MemoryHub::default());
    let (mut client, _serving, _) = in_memory_with(&hub, READ_BYTES_MAX).await;
    let mut bytes = BytesMut::new();
    for _ in 0..=BATCH_MESSAGES_MAX {
        publish_topic(&[b"devices/dev1/messages/events/"], None, b"", &mut bytes).unwrap();
    }
    assert!(bytes.len() <= READ_BYTES_MAX, "one read brings them all");
    client.write_all(&bytes).await.unwrap();
    let counts = hub.wait_until(|counts| counts.messages > BATCH_MESSAGES_MAX).await;
    assert_eq!((counts.batches, counts.batch_messages_max), (2, BATCH_MESSAGES_MAX));
}

#[tokio::test]
async fn so_many_methods_wait_for_their_answers() {
    let hub = Arc::new(MemoryHub::default());
    let (mut client, _serving, _) = in_memory(&hub).await;
    subscribe(&mut client).await;
    let link = hub.link(&device()).unwrap();
    let invoke = || {
        let link = link.clone();
        tokio::spawn(async move { link.invoke_method("m", Bytes::new(), ARRIVAL_TIMEOUT).await })
    };
    let mut input = BytesMut::new();
    let mut callers = Vec::new();
    for _ in 0..METHODS_PENDING_MAX {
        callers.push(invoke());
        assert!(matches!(receive(&mut client, &mut input).await, Packet::Publish(_)));
    }
    assert_eq!(invoke().await.unwrap(), Err(InvokeError::Busy));
    // Whoever gives up makes room.
    callers.pop().unwrap().abort();
    let mut again = invoke();
    loop {
        tokio::select! {
            packet = receive(&mut client, &mut input) => break assert!(matches!(packet, Packet::Publish(_))),
            // The one that gave up was not gone yet.
            answer = &mut again => {
                assert_eq!(answer.unwrap(), Err(InvokeError::Busy));
                again = invoke();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_so_much_and_so_long() {
    let hub = Arc::new(MemoryHub::default());
    let (mut client, serving, _) = in_memory(&hub).await;
    subscribe(&mut client).await;
    let link = hub.link(&device()).unwrap();
    let patch = Bytes::from(vec![b' '; WRITE_BYTES_SOFT_MAX]);
    let began = Instant::now();
    let mut taken = 0;
    while link.desired_patch(taken, patch.clone()).await.is_ok() {
        taken += 1;
    }
    serving.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), WRITE_TIMEOUT.as_secs());
    // One is being written and one more may have been encoded; the others stay in the queue.
    let most = LINK_COMMANDS_MAX as u64 + 2;
    assert!((LINK_COMMANDS_MAX as u64..=most).contains(&taken), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_keeps_no_session_that_the_hub_ends() {
    let hub = Arc::new(MemoryHub::default());
    let (mut client, serving, _) = in_memory(&hub).await;
    subscribe(&mut client).await;
    let link = hub.link(&device()).unwrap();
    let patch = Bytes::from(vec![b' '; WRITE_BYTES_SOFT_MAX]);
    // As much as can be queued without waiting: the connection is writing all the while.
    let sent = tokio::time::timeout(WRITE_TIMEOUT / 2, async {
        for version in 0.. {
            link.desired_patch(version, patch.clone()).await.unwrap();
        }
    });
    assert!(sent.await.is_err());
    let began = Instant::now();
    link.close(CloseReason::Disabled);
    link.closed().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    serving.await.unwrap();
    assert!(began.elapsed() <= CLOSE_TIMEOUT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn handshake_and_connect_have_so_long_together() {
    let rig = Rig::start().await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(rig.addr).await.unwrap();
    let socket = TcpStream::connect(rig.addr).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(rig.authority.client());
    let mut shaken = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
    tokio::time::pause();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    // Whether it is told in TLS or only cut off.
    assert!(!matches!(shaken.read(&mut [0; 1]).await, Ok(1..)));
    assert_eq!(began.elapsed().as_secs(), ARRIVAL_TIMEOUT.as_secs());
}

#[tokio::test]
async fn silent_connections_do_not_keep_a_device_out() {
    let rig = Rig::start().await;
    let limits = ServerLimits { strangers_max: 8, ..ServerLimits::default() };
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = HubServer::bind(addr, rig.authority.server(), rig.hub.clone(), limits).await.unwrap();
    let addr = server.local_addr();
    tokio::spawn(server.serve(CancellationToken::new()));
    let mut silent = Vec::new();
    for _ in 0..3 * limits.strangers_max {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    let mut options = rig.options(device());
    options.port = addr.port();
    tokio::time::pause();
    let began = Instant::now();
    let (_client, _events) = connect(options).await;
    // Those before it in the backlog come in twice as many as there are places, a patience each time.
    assert!(began.elapsed() <= 4 * STRANGER_SILENCE_MAX, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_crowd_of_devices_gets_in_through_few_places_at_the_first_attempt() {
    let rig = Rig::start().await;
    let limits = ServerLimits { strangers_max: 4, ..ServerLimits::default() };
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = HubServer::bind(addr, rig.authority.server(), rig.hub.clone(), limits).await.unwrap();
    let port = server.local_addr().port();
    tokio::spawn(server.serve(CancellationToken::new()));
    let mut crowd = Vec::new();
    for n in 0..12 * limits.strangers_max {
        let identity = Identity::device(&format!("dev{n}"));
        rig.hub.add_key(&identity, KEY);
        let mut options = rig.options(identity);
        options.port = port;
        crowd.push(HubClient::start(options));
    }
    for (client, _events) in &crowd {
        let over = state(client, |state| !matches!(state, LinkState::Connecting)).await;
        assert_eq!(over, LinkState::Connected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reaches_a_client_that_is_sending_still() {
    let hub = Arc::new(MemoryHub::default());
    let (mut client, serving) = refused(&hub).await;
    let began = Instant::now();
    let (mut sent, chunk) = (0, [0; 4096]);
    // A pipe that nobody reads any more breaks.
    while client.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    assert!((REFUSED_BYTES_MAX..=REFUSED_BYTES_MAX + 2 * READ_BYTES_MAX).contains(&sent), "{sent}");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 5]);
    serving.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 0);
    // One that neither sends nor goes.
    let (_client, serving) = refused(&hub).await;
    let began = Instant::now();
    serving.await.unwrap();
    assert_eq!(began.elapsed(), REFUSED_TIMEOUT);
}

/// A client the hub does not know, and its connection.
async fn refused(hub: &Arc<MemoryHub>) -> (DuplexStream, tokio::task::JoinHandle<()>) {
    let (mut near, far) = tokio::io::duplex(READ_BYTES_MAX);
    let options = ConnectionOptions {
        peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        certificate: None,
        admission: None,
        shutdown: CancellationToken::new(),
    };
    let serving = tokio::spawn(serve_connection::<HubConnection, _, _, _>(far, hub.clone(), hub.clone(), options));
    let connect = Connect {
        clean_session: true,
        keep_alive_secs: 60,
        client_id: "nobody".into(),
        will: None,
        user_name: Some(format!("{HUB_HOST}/nobody/?api-version=1").into()),
        password: Some("SharedAccessSignature sr=a&sig=YQ%3D%3D&se=4000000000".into()),
    };
    send(&mut near, &Packet::Connect(Box::new(connect))).await;
    (near, serving)
}

#[tokio::test]
async fn a_shutdown_waits_so_long_for_sessions_to_end() {
    let mut rig = Rig::start().await;
    let (_client, mut events) = rig.connect(device()).await;
    rig.hub.set_stalled(true);
    tokio::time::pause();
    let began = Instant::now();
    rig.stop_server().await;
    assert_eq!(began.elapsed().as_secs(), SHUTDOWN_TIMEOUT.as_secs());
    assert!(matches!(next(&mut events).await, ClientEvent::Disconnected { .. }));
}

#[tokio::test]
async fn a_client_that_stops_waits_so_long_for_acknowledgements() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(device()).await;
    rig.hub.set_stalled(true);
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send(numbered_messages(1)).await }
    });
    // On its way before the client is told to stop.
    tokio::task::yield_now().await;
    tokio::time::pause();
    let began = Instant::now();
    client.stop().await;
    let drained = began.elapsed();
    assert!(drained >= DRAIN_TIMEOUT && drained <= 2 * DRAIN_TIMEOUT, "{drained:?}");
    assert!(sending.await.unwrap().is_err());
}

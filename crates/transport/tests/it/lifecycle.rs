//! Sessions begin and end exactly once, whatever happens around them; the listener keeps to its limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::identity::Identity;
use protocol::auth::sas;
use protocol::mqtt::encode::encode;
use protocol::mqtt::{Connect, HubConnection, Packet};
use testkit::memory_hub::{HUB_HOST, MemoryHub};
use testkit::message::numbered_messages;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transport::client::{ClientEvent, HubClient, LinkState, SharedKey};
use transport::limits::{CLIENT_EVENTS_MAX, TOKEN_LIFETIME, TOKEN_RENEWAL_MARGIN};
use transport::server::{ConnectionOptions, HubServer, ServerLimits, serve_connection};

use crate::rig::{KEY, RecordedTokens, Rig, connect, device, module, next, state};

/// A client's end of a connection that runs in memory, CONNECT accepted.
pub async fn in_memory(hub: &Arc<MemoryHub>) -> (DuplexStream, JoinHandle<()>, CancellationToken) {
    in_memory_with(hub, 4096).await
}

/// The same, over a pipe that holds so many bytes each way.
pub async fn in_memory_with(
    hub: &Arc<MemoryHub>,
    pipe_bytes: usize,
) -> (DuplexStream, JoinHandle<()>, CancellationToken) {
    hub.add_key(&device(), KEY);
    let (mut near, far) = tokio::io::duplex(pipe_bytes);
    let shutdown = CancellationToken::new();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let options = ConnectionOptions { peer, certificate: None, admission: None, shutdown: shutdown.clone() };
    let serving = tokio::spawn(serve_connection::<HubConnection, _, _, _>(far, hub.clone(), hub.clone(), options));
    let token = sas::sign(&sas::audience(HUB_HOST, &device()), KEY, 4_000_000_000, None).unwrap();
    let connect = Connect {
        clean_session: true,
        keep_alive_secs: 60,
        client_id: "dev1".into(),
        will: Some(protocol::mqtt::Will {
            topic: "devices/dev1/messages/events/".into(),
            payload: "gone".into(),
            qos: protocol::mqtt::QoS::AtMostOnce,
            retain: false,
        }),
        user_name: Some(format!("{HUB_HOST}/dev1/?api-version=1").into()),
        password: Some(token.into()),
    };
    send(&mut near, &Packet::Connect(Box::new(connect))).await;
    let mut connack = [0; 4];
    near.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    (near, serving, shutdown)
}

pub async fn send(stream: &mut DuplexStream, packet: &Packet) {
    let mut bytes = bytes::BytesMut::new();
    encode(packet, &mut bytes).unwrap();
    stream.write_all(&bytes).await.unwrap();
}

#[tokio::test]
async fn leaving_in_good_order_is_told_apart_and_the_will_is_dropped() {
    let hub = Arc::new(MemoryHub::default());
    let (mut client, serving, _) = in_memory(&hub).await;
    send(&mut client, &Packet::Disconnect).await;
    serving.await.unwrap();
    let counts = hub.counts();
    assert_eq!((counts.disconnected, counts.graceful, counts.messages), (1, 1, 0));
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_its_will() {
    let hub = Arc::new(MemoryHub::default());
    let (client, serving, _) = in_memory(&hub).await;
    drop(client);
    serving.await.unwrap();
    let counts = hub.counts();
    assert_eq!((counts.disconnected, counts.graceful, counts.messages), (1, 0, 1));
    let (_, will) = hub.telemetry().remove(0);
    assert_eq!((&will.bag[..], &will.body[..]), (&b"iothub-MessageType=Will"[..], &b"gone"[..]));
}

#[tokio::test]
async fn a_task_that_is_thrown_away_still_ends_its_session() {
    let hub = Arc::new(MemoryHub::default());
    let (_client, serving, _) = in_memory(&hub).await;
    serving.abort();
    hub.wait_until(|counts| counts.disconnected == 1).await;
}

#[tokio::test]
async fn a_shutdown_ends_sessions_without_their_will() {
    let hub = Arc::new(MemoryHub::default());
    let (mut client, serving, shutdown) = in_memory(&hub).await;
    shutdown.cancel();
    serving.await.unwrap();
    assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
    let counts = hub.counts();
    assert_eq!((counts.disconnected, counts.graceful, counts.messages), (1, 0, 0));
}

#[tokio::test]
async fn a_subscription_that_cannot_be_kept_is_not_confirmed_and_the_connection_ends() {
    let hub = Arc::new(MemoryHub::default());
    hub.set_fail_subscriptions(true);
    let (mut client, serving, _) = in_memory(&hub).await;
    let filters = vec![("$iothub/methods/POST/#".into(), protocol::mqtt::QoS::AtLeastOnce)];
    send(&mut client, &Packet::Subscribe { packet_id: 1, filters }).await;
    let mut answers = Vec::new();
    client.read_to_end(&mut answers).await.unwrap();
    assert_eq!(answers, [0_u8; 0]);
    serving.await.unwrap();
}

/// A library may throw away what comes for a subscription it does not know to have.
#[tokio::test(start_paused = true)]
async fn what_a_client_subscribed_to_comes_after_its_suback() {
    let hub = Arc::new(MemoryHub::default());
    let release = hub.hold_subscriptions();
    let (mut client, _serving, _) = in_memory(&hub).await;
    let filters = vec![("$iothub/methods/POST/#".into(), protocol::mqtt::QoS::AtLeastOnce)];
    send(&mut client, &Packet::Subscribe { packet_id: 1, filters }).await;
    let link = hub.link(&device()).unwrap();
    while !link.subscriptions().methods {
        tokio::task::yield_now().await;
    }
    let call = tokio::spawn(async move { link.invoke_method("m", "{}".into(), Duration::from_secs(60)).await });
    let mut first = [0; 5];
    let too_early = tokio::time::timeout(Duration::from_secs(1), client.read_exact(&mut first)).await;
    assert!(too_early.is_err(), "{first:?}");
    release.notify_one();
    client.read_exact(&mut first).await.unwrap();
    assert_eq!(first, [0x90, 3, 0, 1, 1]);
    let mut publish = [0; 1];
    client.read_exact(&mut publish).await.unwrap();
    assert_eq!(publish, [0x30]);
    call.abort();
}

#[tokio::test]
async fn telemetry_before_an_error_is_taken_and_acknowledged() {
    let hub = Arc::new(MemoryHub::default());
    let (mut client, serving, _) = in_memory(&hub).await;
    let mut bytes = bytes::BytesMut::new();
    for id in 1..=3 {
        let topic: &[&[u8]] = &[b"devices/dev1/messages/events/"];
        protocol::mqtt::encode::publish_topic(topic, Some(id), b"{}", &mut bytes).unwrap();
    }
    encode(&Packet::PingResp, &mut bytes).unwrap();
    client.write_all(&bytes).await.unwrap();
    let mut answers = Vec::new();
    client.read_to_end(&mut answers).await.unwrap();
    assert_eq!(answers, [0x40, 2, 0, 1, 0x40, 2, 0, 2, 0x40, 2, 0, 3]);
    serving.await.unwrap();
    // The will comes on top: a broken protocol is no way to leave.
    assert_eq!((hub.counts().batches, hub.counts().messages), (2, 4));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let rig = Rig::start().await;
    let limits = ServerLimits { connections_max: 1, ..ServerLimits::default() };
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = HubServer::bind(addr, rig.authority.server(), rig.hub.clone(), limits).await.unwrap();
    let port = server.local_addr().port();
    tokio::spawn(server.serve(CancellationToken::new()));
    let options = |identity: Identity| {
        let mut options = rig.options(identity);
        options.port = port;
        options
    };
    let (first, _first_events) = connect(options(device())).await;
    let (second, mut second_events) = HubClient::start(options(module()));
    first.send(numbered_messages(10)).await.unwrap();
    assert_eq!(*second.state().borrow(), LinkState::Connecting);
    first.stop().await;
    assert!(matches!(next(&mut second_events).await, ClientEvent::Connected { .. }));
}

#[tokio::test]
async fn a_client_renews_its_token_by_connecting_again() {
    let rig = Rig::start().await;
    let tokens = Arc::new(RecordedTokens::new(SharedKey::new(KEY)));
    let mut options = rig.options(device());
    options.tokens = tokens.clone();
    let (client, mut events) = connect(options).await;
    tokens.assert_lives(1);
    // The clock jumps from ping to ping until the token is about to end.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let ClientEvent::Disconnected { reason } = next(&mut events).await else { panic!("no renewal") };
    assert!(reason.contains("token"), "{reason}");
    let early = (TOKEN_LIFETIME - TOKEN_RENEWAL_MARGIN).abs_diff(began.elapsed());
    assert!(early < Duration::from_secs(5), "{early:?}");
    assert!(matches!(next(&mut events).await, ClientEvent::Connected { .. }));
    tokio::time::resume();
    client.send(numbered_messages(1)).await.unwrap();
    assert_eq!((rig.hub.counts().connected, rig.hub.counts().graceful), (2, 1));
    tokens.assert_lives(2);
}

#[tokio::test]
async fn an_unavailable_hub_is_tried_again() {
    let rig = Rig::start().await;
    rig.hub.set_unavailable(true);
    let (client, mut events) = HubClient::start(rig.options(device()));
    let LinkState::Waiting { reason, .. } = state(&client, |state| matches!(state, LinkState::Waiting { .. })).await
    else {
        panic!("not waiting")
    };
    assert!(reason.contains("server unavailable"), "{reason}");
    rig.hub.set_unavailable(false);
    assert!(matches!(next(&mut events).await, ClientEvent::Connected { .. }));
}

#[tokio::test]
async fn dropping_every_handle_ends_the_client() {
    let rig = Rig::start().await;
    let (client, mut events) = rig.connect(device()).await;
    drop(client);
    assert!(matches!(next(&mut events).await, ClientEvent::Disconnected { .. }));
    assert!(events.recv().await.is_none());
    assert_eq!(rig.hub.wait_until(|counts| counts.disconnected == 1).await.graceful, 1);
}

#[tokio::test]
async fn an_owner_that_ignores_events_is_no_obstacle() {
    let rig = Rig::start().await;
    let (client, events) = rig.connect(device()).await;
    drop(events);
    let link = rig.hub.link(&device()).unwrap();
    for version in 0..1000 {
        link.desired_patch(version, "{}".into()).await.unwrap();
    }
    client.twin().await.unwrap();
    client.send(numbered_messages(5)).await.unwrap();
}

#[tokio::test]
async fn a_slow_owner_slows_the_hub_and_loses_nothing() {
    let rig = Rig::start().await;
    let (client, mut events) = rig.connect(device()).await;
    let link = rig.hub.link(&device()).unwrap();
    let beyond = 8 * CLIENT_EVENTS_MAX as u64;
    let sender = tokio::spawn(async move {
        for version in 0..beyond {
            link.desired_patch(version, "{}".into()).await.unwrap();
        }
    });
    for expected in 0..beyond {
        let ClientEvent::Desired { version, .. } = next(&mut events).await else { panic!("no patch") };
        assert_eq!(version, expected);
    }
    sender.await.unwrap();
    client.send(numbered_messages(1)).await.unwrap();
}

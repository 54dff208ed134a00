//! Sessions that outlive their connection: what a client subscribed to once, it need not subscribe to again.

use bytes::{Bytes, BytesMut};
use central::database::Database;
use hub::device_messages::CloudToDevice;
use hub::sessions::MethodTimeouts;
use model::identity::Identity;
use model::message::Message;
use protocol::auth::sas;
use protocol::mqtt::encode::encode;
use protocol::mqtt::{Connect, Packet, QoS, decode};
use registry::{Ack, ModuleAuthentication, ModuleChange, new_symmetric_keys};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use transport::client::{ClientEvent, HubClient, Subscriptions};

use crate::central::{PATIENCE, TestCentral, connect, data, next, on_both_databases};

on_both_databases!(a_client_that_never_subscribes_again_gets_all_it_asked_for_once);

/// The client as it is after it reconnected: it subscribes to nothing. It has to be known, and to be served.
async fn expect_served(central: &TestCentral, identity: &Identity, key: &str) {
    let mut options = central.client_options(identity.clone(), key);
    options.subscribe = Subscriptions::default();
    let (client, mut events) = HubClient::start(options);
    let ClientEvent::Connected { session_present } = next(&mut events).await else { panic!("it must connect") };
    assert!(session_present, "{identity}: the hub has to say that it knows the session");

    tokio::time::timeout(PATIENCE, client.twin()).await.expect("a twin answer reaches the client").unwrap();
    central.running.core.twins.patch_desired(central.app(), identity, json!({ "rate": 5 })).await.unwrap();
    let told = next(&mut events).await;
    assert!(matches!(told, ClientEvent::Desired { .. }), "{identity}: {told:?}");
    let timeouts = MethodTimeouts { connect: PATIENCE, response: PATIENCE };
    let call = central.running.core.sessions.invoke(central.app(), identity, "reset", Bytes::new(), timeouts);
    let answer = async {
        let ClientEvent::Method(method) = next(&mut events).await else { panic!("a method was expected") };
        method.reply(200, Bytes::new()).await;
    };
    let (answered, ()) = tokio::join!(call, answer);
    assert_eq!(answered.unwrap().status, 200);
    client.stop().await;
}

async fn a_client_that_never_subscribes_again_gets_all_it_asked_for_once(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let device = central.provision("d1").await;
    let keys = new_symmetric_keys();
    let authentication = Some(ModuleAuthentication::Sas(keys.clone()));
    let change = ModuleChange { managed_by: None, authentication, if_match: None };
    central.running.core.registry.module_put(central.app(), "d1", "m", change, 1).await.unwrap();
    let clients = [(Identity::device("d1"), device.key.clone()), (Identity::module("d1", "m"), keys.primary.clone())];
    for (identity, key) in &clients {
        let (client, _events) = connect(central.client_options(identity.clone(), key)).await;
        client.stop().await;
        expect_served(&central, identity, key).await;
    }
    let etag = |row: registry::DeviceRow| row.etag;
    let before = central.running.core.registry.device_get(central.app(), "d1").await.unwrap().map(etag);
    central.stop().await;

    let central = TestCentral::start_on(&database, &data).await;
    for (identity, key) in &clients {
        expect_served(&central, identity, key).await;
    }
    let after = central.running.core.registry.device_get(central.app(), "d1").await.unwrap().map(etag);
    assert_eq!(before, after, "a session is no part of the record");
    central.stop().await;
}

/// A client written by hand.
struct RawClient {
    stream: TlsStream<TcpStream>,
    input: BytesMut,
}

impl RawClient {
    /// Connects as `d1`; answers whether the hub says that it knows the session.
    async fn connect(central: &TestCentral, key: &str, clean_session: bool) -> (Self, bool) {
        let stream = TcpStream::connect(("localhost", central.mqtts_port())).await.unwrap();
        let stream = TlsConnector::from(central.tls()).connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let token = sas::sign("localhost/devices/d1", key, 4_000_000_000, None).unwrap();
        let mut client = Self { stream, input: BytesMut::new() };
        let connect = Connect {
            clean_session,
            keep_alive_secs: 60,
            client_id: "d1".into(),
            will: None,
            user_name: Some("localhost/d1/?api-version=2021-04-12".into()),
            password: Some(token.into()),
        };
        match client.ask(Packet::Connect(Box::new(connect))).await {
            Packet::ConnAck { session_present, .. } => (client, session_present),
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&mut self, packet: Packet) -> Packet {
        self.tell(packet).await;
        self.next().await
    }

    async fn tell(&mut self, packet: Packet) {
        let mut out = BytesMut::new();
        encode(&packet, &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    async fn next(&mut self) -> Packet {
        let answered = async {
            loop {
                if let Some(packet) = decode(&mut self.input).unwrap() {
                    return packet;
                }
                self.stream.read_buf(&mut self.input).await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.expect("an answer comes in time")
    }

    /// Asks for cloud-to-device messages; answers the packet ids and bodies of so many that come.
    async fn messages(&mut self, count: usize) -> Vec<(u16, Bytes)> {
        let filters = vec![("devices/d1/messages/devicebound/#".into(), QoS::AtLeastOnce)];
        self.tell(Packet::Subscribe { packet_id: 1, filters }).await;
        let mut messages = Vec::new();
        // A message may come before the answer.
        for _ in 0..=count {
            match self.next().await {
                Packet::Publish(publish) => messages.push((publish.packet_id.unwrap(), publish.payload)),
                answer => assert!(matches!(answer, Packet::SubAck { .. }), "{answer:?}"),
            }
        }
        messages
    }

    async fn subscribe(&mut self, filter: &str) {
        let filters = vec![(filter.into(), QoS::AtLeastOnce)];
        let answer = self.ask(Packet::Subscribe { packet_id: 1, filters }).await;
        assert!(matches!(answer, Packet::SubAck { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn a_session_is_present_when_it_was_kept_and_never_after_a_clean_one() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let key = central.provision("d1").await.key;
    let kept = || async {
        let row = central.running.core.registry.device_get(central.app(), "d1").await.unwrap().unwrap();
        Subscriptions::from_bits(row.subscriptions)
    };
    let methods = Subscriptions { methods: true, ..Subscriptions::default() };

    let (mut client, present) = RawClient::connect(&central, &key, false).await;
    assert!(!present, "the first session");
    client.subscribe("$iothub/methods/POST/#").await;
    // The answer says that it is kept: whatever happens from here on.
    assert_eq!(kept().await, methods);
    let (mut client, present) = RawClient::connect(&central, &key, false).await;
    assert!(present, "over an older connection that was not closed");
    let unsubscribe = Packet::Unsubscribe { packet_id: 2, filters: vec!["$iothub/methods/POST/#".into()] };
    assert_eq!(client.ask(unsubscribe).await, Packet::UnsubAck(2));
    assert_eq!(kept().await, Subscriptions::default());
    client.subscribe("$iothub/twin/res/#").await;

    let (mut client, present) = RawClient::connect(&central, &key, true).await;
    assert!(!present, "a clean session is new");
    assert_eq!(kept().await, Subscriptions::default(), "and the earlier one is forgotten at once");
    client.subscribe("$iothub/methods/POST/#").await;
    assert_eq!(kept().await, Subscriptions::default(), "it ends with its connection");
    let (_client, present) = RawClient::connect(&central, &key, false).await;
    assert!(!present, "nothing was kept of the clean session");
    central.stop().await;
}

#[tokio::test]
async fn a_clean_session_leaves_the_queue_and_a_late_acknowledgement_means_its_own_message_only() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let key = central.provision("d1").await.key;
    let queues = &central.running.core.messages;
    for body in ["one", "two"] {
        let message = Message { bag: Bytes::new(), body: Bytes::from(body) };
        let message = CloudToDevice { id: None, message, ack: Ack::None, life: None, command: None };
        queues.send(central.app(), "d1", message).await.unwrap();
    }
    let waiting = async |messages| {
        let reached = async {
            while queues.waiting(central.app(), "d1") != messages {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the queue gets there");
    };
    let (mut client, _) = RawClient::connect(&central, &key, false).await;
    let sent = client.messages(2).await;
    assert_eq!((&sent[0].1[..], &sent[1].1[..]), (b"one".as_slice(), b"two".as_slice()));
    let (one, two) = (sent[0].0, sent[1].0);
    drop(client);

    // Acknowledgements of the connection before: nothing is on the way on this one.
    let (mut client, present) = RawClient::connect(&central, &key, true).await;
    assert!(!present);
    client.tell(Packet::PubAck(one)).await;
    assert_eq!(client.messages(2).await, sent, "a clean session begins with the same queue and the same packet ids");
    client.tell(Packet::PubAck(two)).await;
    waiting(1).await;
    drop(client);

    let (mut client, _) = RawClient::connect(&central, &key, false).await;
    assert_eq!(client.messages(1).await, sent[..1]);
    for late in [two, two + 1] {
        client.tell(Packet::PubAck(late)).await;
    }
    assert_eq!(client.ask(Packet::PingReq).await, Packet::PingResp);
    assert_eq!(queues.waiting(central.app(), "d1"), 1, "neither is that of the message on the way");
    client.tell(Packet::PubAck(one)).await;
    waiting(0).await;
    central.stop().await;
}

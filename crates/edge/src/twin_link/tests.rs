#![allow(clippy::unwrap_used)]
use model::identity::Identity;
use testkit::authority::TestAuthority;
use testkit::memory_hub::{HUB_HOST, MemoryHub};
use tokio_util::sync::CancellationToken;
use transport::client::{HubClientOptions, SharedKey, Subscriptions};
use transport::server::{HubServer, ServerLimits};

use super::*;
use crate::metrics::Metrics;

const KEY: &str = "a2V5";

struct NoMethods;

impl AnswerMethods for NoMethods {
    async fn answer(&self, _: String, _: Value) -> (i32, Option<Value>) {
        (404, None)
    }
}

/// A client that is connected to a hub.
async fn connected(authority: &TestAuthority, stop: &CancellationToken) -> HubClient {
    let (hub, identity) = (Arc::new(MemoryHub::default()), Identity::module("edge", "$edgeAgent"));
    hub.add_key(&identity, KEY);
    let address = "127.0.0.1:0".parse().unwrap();
    let server = HubServer::bind(address, authority.server(), hub, ServerLimits::default()).await.unwrap();
    let port = server.local_addr().port();
    tokio::spawn(server.serve(stop.clone()));
    let (client, mut events) = HubClient::start(HubClientOptions {
        host: "127.0.0.1".to_owned(),
        port,
        hub_host: HUB_HOST.to_owned(),
        identity,
        token_audience: None,
        tokens: Arc::new(SharedKey::new(KEY)),
        auth_chain: None,
        model_id: None,
        client_type: "test".to_owned(),
        tls: authority.client(),
        keep_alive: Duration::from_secs(60),
        subscribe: Subscriptions::module(),
    });
    assert!(matches!(events.recv().await, Some(ClientEvent::Connected { .. })));
    client
}

#[tokio::test]
async fn reads_of_the_twin_and_changes_that_are_told_are_counted() {
    let (authority, stop, metrics) = (TestAuthority::default(), CancellationToken::new(), Metrics::new("hub", "edge"));
    let client = connected(&authority, &stop).await;
    let (told, events) = mpsc::channel(1);
    let (_reports, reports) = watch::channel(Value::Null);
    let (desired, mut sections) = mpsc::channel(1);
    let syncs = metrics.agent.syncs.clone();
    let link = TwinLink { client: client.clone(), events, reports, desired, methods: Arc::new(NoMethods), syncs };
    let task = tokio::spawn(link.run());

    told.send(ClientEvent::Connected { session_present: false }).await.unwrap();
    assert_eq!(sections.recv().await.unwrap().version, 1);
    let patch = Bytes::from(r#"{"a":1,"$version":2}"#);
    told.send(ClientEvent::Desired { version: 2, patch }).await.unwrap();
    assert_eq!(sections.recv().await.unwrap().version, 2);
    client.stop().await;
    told.send(ClientEvent::Connected { session_present: false }).await.unwrap();
    drop(told);
    task.await.unwrap();

    let text = metrics.text();
    for (name, count) in [("iothub_syncs", 3), ("unsuccessful_iothub_syncs", 1)] {
        let line = text.lines().find(|line| line.starts_with(&format!("edgeAgent_{name}_total{{"))).unwrap();
        assert!(line.ends_with(&format!("}} {count}")), "{line}");
    }
    stop.cancel();
}

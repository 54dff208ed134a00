//! What is changed above counts here as soon as the hub above ends the link of whom it concerns.

use transport::server::CloseReason;

use super::*;
use crate::limits::SENDER_LAG_MAX;

const NEW_KEY: &str = "bmV3IGtleQ==";
pub(super) const ENDED: &str =
    "disconnected: its keys were changed, it was disabled, or it left the scope identity=leaf";

async fn connected(client: &transport::client::HubClient) {
    soon(client.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
}

async fn refused(client: &transport::client::HubClient) {
    soon(client.state().wait_for(|state| matches!(state, LinkState::Refused { .. }))).await.unwrap();
}

/// The hub above ends the link of a device, which stood.
pub(super) async fn end_link(site: &Site, identity: &Identity) {
    let link = site.hub().link(identity);
    soon(link.client.state().wait_for(|state| *state == LinkState::Connected)).await.unwrap();
    site.upstream.link(identity).await.close(CloseReason::Disabled);
}

#[tokio::test]
async fn a_device_that_is_blocked_above_is_out_at_once_and_nothing_more_of_it_is_acknowledged() {
    let site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream" })).await;
    site.complaints.expect(ENDED);
    site.complaints.expect("connection refused identity=leaf");
    let leaf = Identity::device("leaf");
    let (client, _events) = site.client(&leaf);
    connected(&client).await;
    site.scope.set_leaf(site::LEAF_KEY, "disabled");
    end_link(&site, &leaf).await;
    refused(&client).await;
    let sent = timeout(Duration::from_millis(50), client.send(vec![numbered(1)])).await;
    assert!(!matches!(sent, Ok(Ok(()))), "{sent:?}");
}

#[tokio::test]
async fn a_device_with_a_new_key_is_in_with_that_one_only() {
    let site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream" })).await;
    site.complaints.expect(ENDED);
    site.complaints.expect("connection refused identity=leaf");
    let leaf = Identity::device("leaf");
    let (old, _events) = site.client(&leaf);
    connected(&old).await;
    site.scope.set_leaf(NEW_KEY, "enabled");
    end_link(&site, &leaf).await;
    refused(&old).await;
    let (new, _new_events) = site.client_with_key(&leaf, NEW_KEY);
    connected(&new).await;
    soon(new.send(vec![numbered(1)])).await.unwrap();
    assert_eq!(numbers(&site.upstream_received(1).await, &leaf), [1]);
}

/// Somebody else who knocks has the scope looked up; what that brings counts for who is in, too.
#[tokio::test]
async fn a_change_that_is_seen_because_another_knocks_ends_the_session_all_the_same() {
    let site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream" })).await;
    site.complaints.expect(ENDED);
    site.complaints.expect("connection refused identity=leaf");
    let leaf = Identity::device("leaf");
    // Known already, so that it is not asked for when it comes, and is when the other one does.
    site.hub().look_up_again(&leaf).await;
    let (old, _events) = site.client(&leaf);
    connected(&old).await;
    site.scope.set_leaf(NEW_KEY, "enabled");
    let (stranger, _stranger_events) = site.client_with_key(&leaf, site::WRONG_KEY);
    refused(&stranger).await;
    refused(&old).await;
}

#[tokio::test]
async fn a_link_that_broke_ends_nobodys_session() {
    let mut site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream" })).await;
    let leaf = Identity::device("leaf");
    let (client, mut events) = site.client(&leaf);
    connected(&client).await;
    end_link(&site, &leaf).await;
    site.stop_upstream().await;
    soon(site.upstream_link_down(&leaf)).await;
    soon(client.send(vec![numbered(1)])).await.unwrap();
    site.start_upstream().await;
    site.upstream_received(1).await;
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, ClientEvent::Disconnected { .. }), "{event:?}");
    }
}

/// A hub above that refuses one sender for now lets all others through, and gets the rest, in order, once it lets that one in.
async fn is_refused_alone(refused: &Identity, other: &Identity) {
    let mut site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream" })).await;
    site.complaints.expect("the hub refuses this sender sender=");
    let (blocked, _events) = site.client(refused);
    let (free, _other_events) = site.client(other);
    site.upstream.refuse(Some(refused));
    site.stop_upstream().await;
    soon(blocked.send((0..3).map(numbered).collect())).await.unwrap();
    soon(free.send((0..20).map(numbered).collect())).await.unwrap();
    site.start_upstream().await;
    let received = site.upstream_received(20).await;
    assert_eq!(without_repeats(numbers(&received, other)), (0..20).collect::<Vec<_>>());
    assert_eq!(numbers(&received, refused), [0; 0]);
    // Sent while those before it are out of the way: behind them.
    soon(blocked.send((3..5).map(numbered).collect())).await.unwrap();
    soon(free.send(vec![numbered(20)])).await.unwrap();
    site.upstream_received(21).await;
    site.upstream.refuse(None);
    site.restart_edge().await;
    let received = site.upstream_received(26).await;
    assert_eq!(without_repeats(numbers(&received, refused)), [0, 1, 2, 3, 4]);
    site.counted("edgehub_queue_length", &[], 0.0).await;
    site.counted("edgehub_messages_dropped_total", &[], 0.0).await;
}

#[tokio::test]
async fn a_module_that_is_refused_stops_nobody_and_loses_nothing() {
    is_refused_alone(&module("sensor"), &Identity::device("leaf")).await;
}

#[tokio::test]
async fn a_device_that_is_refused_stops_nobody_and_loses_nothing() {
    is_refused_alone(&Identity::device("leaf"), &module("sensor")).await;
}

/// The hub above says "later" to one identity, as Central does whose store has no room for it, and takes all others.
#[tokio::test]
async fn a_sender_that_alone_is_put_off_stops_nobody_and_loses_nothing() {
    let site = Site::new(json!({ "up": "FROM /messages/* INTO $upstream" })).await;
    let (sensor, leaf) = (module("sensor"), Identity::device("leaf"));
    site.upstream.put_off(Some(&sensor));
    let (late, _events) = site.client(&sensor);
    let (free, _other_events) = site.client(&leaf);
    soon(site.upstream.has_put_off()).await;
    site.upstream.link(&leaf).await;
    soon(late.send((0..3).map(numbered).collect())).await.unwrap();
    soon(free.send((0..20).map(numbered).collect())).await.unwrap();
    // What was stored is in memory: the pump that was told of it is not waiting for anything but its turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(site.upstream_received(0).await.is_empty(), "nobody is late yet");
    tokio::time::pause();
    tokio::time::advance(SENDER_LAG_MAX).await;
    tokio::time::resume();
    let received = site.upstream_received(20).await;
    assert_eq!(without_repeats(numbers(&received, &leaf)), (0..20).collect::<Vec<_>>());
    assert_eq!(numbers(&received, &sensor), [0; 0]);
    soon(late.send((3..5).map(numbered).collect())).await.unwrap();
    soon(free.send(vec![numbered(20)])).await.unwrap();
    site.upstream_received(21).await;
    site.upstream.put_off(None);
    let received = site.upstream_received(26).await;
    assert_eq!(without_repeats(numbers(&received, &sensor)), [0, 1, 2, 3, 4]);
    site.counted("edgehub_queue_length", &[], 0.0).await;
    site.counted("edgehub_messages_dropped_total", &[], 0.0).await;
}

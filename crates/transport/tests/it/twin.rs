//! The twin, both ways.

use bytes::Bytes;
use serde_json::{Value, json};
use transport::client::{ClientEvent, RequestError};
use transport::server::DeliverError;

use crate::rig::{Rig, device, next};

#[tokio::test]
async fn the_twin_is_read_and_patched() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(device()).await;
    let version = client.patch_reported(Bytes::from_static(br#"{"temperature":21}"#)).await.unwrap();
    assert_eq!(version, 2);
    let twin: Value = serde_json::from_slice(&client.twin().await.unwrap()).unwrap();
    assert_eq!(twin, json!({"desired": {"$version": 1}, "reported": {"temperature": 21, "$version": 2}}));
}

#[tokio::test]
async fn a_bad_patch_is_refused_with_its_status() {
    let rig = Rig::start().await;
    let (client, _events) = rig.connect(device()).await;
    let refused = client.patch_reported(Bytes::from_static(b"[1]")).await.unwrap_err();
    let message = "the patch is not a JSON object".to_owned();
    assert_eq!(refused, RequestError::Refused { status: 400, message });
    client.twin().await.unwrap();
}

#[tokio::test]
async fn desired_patches_arrive_in_order() {
    let rig = Rig::start().await;
    let (_client, mut events) = rig.connect(device()).await;
    let link = rig.hub.link(&device()).unwrap();
    for version in 2..50 {
        let patch = json!({"n": version, "$version": version}).to_string();
        link.desired_patch(version, patch.into()).await.unwrap();
    }
    for expected in 2..50 {
        let ClientEvent::Desired { version, patch } = next(&mut events).await else { panic!("no patch") };
        assert_eq!(version, expected);
        assert_eq!(serde_json::from_slice::<Value>(&patch).unwrap()["n"], expected);
    }
}

#[tokio::test]
async fn a_client_that_does_not_listen_gets_no_patch() {
    let rig = Rig::start().await;
    let mut options = rig.options(device());
    options.subscribe.desired = false;
    let (client, _events) = crate::rig::connect(options).await;
    let link = rig.hub.link(&device()).unwrap();
    assert_eq!(link.desired_patch(2, Bytes::from_static(b"{}")).await, Err(DeliverError::NotSubscribed));
    client.stop().await;
    link.closed().await;
    assert_eq!(link.desired_patch(2, Bytes::from_static(b"{}")).await, Err(DeliverError::Closed));
}

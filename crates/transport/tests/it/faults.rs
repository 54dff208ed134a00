//! What goes wrong: credentials, takeover, restarts, links that break without telling anybody.

use std::sync::Arc;
use std::time::Duration;

use protocol::auth::sas;
use testkit::message::numbered_messages;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use transport::client::token::TokenFuture;
use transport::client::{ClientEvent, HubClient, LinkState, SendError, SharedKey, TokenSource};
use transport::server::CloseReason;

use crate::rig::{KEY, OTHER_KEY, Rig, connect, device, next, state};

#[tokio::test]
async fn a_wrong_key_is_refused_and_said_so() {
    let rig = Rig::start().await;
    let mut options = rig.options(device());
    options.tokens = Arc::new(SharedKey::new(OTHER_KEY));
    let (client, _events) = HubClient::start(options);
    let LinkState::Refused { reason } = state(&client, |state| matches!(state, LinkState::Refused { .. })).await else {
        panic!("not refused")
    };
    assert!(reason.contains("not authorized"), "{reason}");
    assert_eq!(rig.hub.counts().connected, 0);
    assert_eq!(rig.hub.counts().disconnected, 0);
}

/// Signs tokens that ended long ago.
struct Expired;

impl TokenSource for Expired {
    fn token<'a>(&'a self, audience: &'a str, _expiry_secs: u64) -> TokenFuture<'a> {
        Box::pin(async move { Ok(sas::sign(audience, KEY, 1_700_000_000, None).unwrap()) })
    }
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let rig = Rig::start().await;
    let mut options = rig.options(device());
    options.tokens = Arc::new(Expired);
    let (client, _events) = HubClient::start(options);
    state(&client, |state| matches!(state, LinkState::Refused { .. })).await;
}

#[tokio::test]
async fn a_session_whose_token_ends_is_dropped() {
    let rig = Rig::start().await;
    rig.hub.set_expires_at_secs(Some(1));
    let (_client, mut events) = rig.connect(device()).await;
    assert!(matches!(next(&mut events).await, ClientEvent::Disconnected { .. }));
    assert_eq!(rig.hub.wait_until(|counts| counts.disconnected >= 1).await.graceful, 0);
}

#[tokio::test]
async fn the_newer_connection_of_an_identity_wins() {
    let rig = Rig::start().await;
    let (older, mut older_events) = rig.connect(device()).await;
    let (newer, _newer_events) = rig.connect(device()).await;
    assert!(matches!(next(&mut older_events).await, ClientEvent::Disconnected { .. }));
    older.stop().await;
    rig.hub.wait_until(|counts| counts.disconnected == counts.connected - 1).await;
    drop(older);
    // Whichever of the two won last, the identity has one link, and the newer client gets through in the end.
    while newer.send(numbered_messages(1)).await == Err(SendError::Disconnected) {}
    assert!(rig.hub.link(&device()).is_some());
}

#[tokio::test]
async fn the_hub_can_close_a_session() {
    let rig = Rig::start().await;
    let (_client, mut events) = rig.connect(device()).await;
    let link = rig.hub.link(&device()).unwrap();
    link.close(CloseReason::Disabled);
    link.closed().await;
    assert!(link.is_closed());
    assert!(matches!(next(&mut events).await, ClientEvent::Disconnected { .. }));
}

#[tokio::test]
async fn a_client_survives_a_restart_of_its_hub() {
    let mut rig = Rig::start().await;
    let (client, mut events) = rig.connect(device()).await;
    client.send(numbered_messages(5)).await.unwrap();
    rig.stop_server().await;
    assert_eq!(rig.hub.counts().disconnected, 1);
    assert!(matches!(next(&mut events).await, ClientEvent::Disconnected { .. }));
    // Sent while there is no hub: waits for the next connection.
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.send(numbered_messages(5)).await }
    });
    rig.start_server().await;
    assert!(matches!(next(&mut events).await, ClientEvent::Connected { .. }));
    waiting.await.unwrap().unwrap();
    assert_eq!(rig.hub.counts().messages, 10);
}

/// A relay whose link can go silent: it stays open, but nothing passes any more.
async fn relay(to: std::net::SocketAddr) -> (u16, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, silent) = (listener.local_addr().unwrap().port(), CancellationToken::new());
    let first = silent.clone();
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(to).await.unwrap();
            if first.is_cancelled() {
                tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
                continue;
            }
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = first.cancelled() => held.push((near, far)),
            }
        }
    });
    (port, silent)
}

#[tokio::test]
async fn a_silent_link_is_noticed_and_replaced() {
    let rig = Rig::start().await;
    let (port, silent) = relay(rig.addr).await;
    let mut options = rig.options(device());
    options.port = port;
    let (client, mut events) = connect(options).await;
    client.send(numbered_messages(1)).await.unwrap();
    silent.cancel();
    let lost = tokio::spawn({
        let client = client.clone();
        async move { client.send(numbered_messages(1)).await }
    });
    // From here on the clock jumps to the next thing that is due, keep-alive and pings among them.
    tokio::time::pause();
    let ClientEvent::Disconnected { reason } = next(&mut events).await else { panic!("not noticed") };
    tokio::time::resume();
    assert!(reason.contains("ping"), "{reason}");
    assert_eq!(lost.await.unwrap(), Err(SendError::Disconnected));
    assert!(matches!(next(&mut events).await, ClientEvent::Connected { .. }));
    client.send(numbered_messages(1)).await.unwrap();
}

#[tokio::test]
async fn a_stranger_that_says_nothing_sensible_is_dropped() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rig = Rig::start().await;
    let name = "localhost".try_into().unwrap();
    let stream = TcpStream::connect(rig.addr).await.unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(rig.authority.client()).connect(name, stream).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.is_empty());
}

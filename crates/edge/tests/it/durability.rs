//! `kill -9` at any moment: what was acknowledged is forwarded, in order, and no module is left behind.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use protocol::hub::bag;
use testkit::authority::TestAuthority;
use testkit::memory_hub::MemoryHub;
use tokio_util::sync::CancellationToken;
use transport::server::{HubServer, ServerLimits};

use crate::daemon::{Device, KEY, is_running};

const ROUNDS: usize = 4;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it happens soon")
}

/// Keeps a port for the hub above that nobody listens on yet.
fn reserve_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_order_is_kept() {
    let authority = TestAuthority::default();
    let port = reserve_port();
    let mut device = Device::new("exec sleep 1000", port, &authority);
    // The hub that takes what was kept knows no deployment.
    device.expected.extend(["desired properties of $edgeAgent are empty", "routes refused version=1"]);
    let mut next = 0_usize;
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        device.start();
        let (client, _events) = device.client("sensor");
        // Enough acknowledged messages before the kill, which then comes in the middle of others.
        let batches = 20 + 13 * round;
        for batch in 0.. {
            let numbers: Vec<usize> = (next..next + 7).collect();
            next += 7;
            let messages =
                numbers.iter().map(|number| Message { bag: format!("n={number}").into(), body: Bytes::new() });
            let sending = client.send(messages.collect());
            if batch < batches {
                soon(sending).await.unwrap();
                acknowledged.extend(numbers);
                continue;
            }
            let mut sending = Box::pin(sending);
            // Polled once, so the messages are on the way when the daemon dies.
            let outcome = tokio::time::timeout(Duration::from_micros(300 * round as u64), &mut sending).await;
            device.kill();
            if matches!(outcome, Ok(Ok(()))) {
                acknowledged.extend(numbers);
            }
            break;
        }
    }

    let hub = Arc::new(MemoryHub::default());
    for name in ["sensor", "$edgeAgent", "$edgeHub", "worker"] {
        hub.add_key(&Identity::module("edge", name), KEY);
    }
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let server = HubServer::bind(address, authority.server(), Arc::clone(&hub), ServerLimits::default()).await.unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(stop.clone()));
    device.start();
    let sensor = Identity::module("edge", "sensor");
    let received = || -> Vec<usize> {
        let telemetry = hub.telemetry().into_iter().filter(|(from, _)| *from == sensor);
        telemetry.map(|(_, message)| bag::get(&message.bag, "n").unwrap().parse().unwrap()).collect()
    };
    let last = *acknowledged.last().unwrap();
    soon(hub.wait_until(|_| received().contains(&last))).await;
    let mut seen = std::collections::BTreeSet::new();
    let firsts: Vec<_> = received().into_iter().filter(|number| seen.insert(*number)).collect();
    assert!(firsts.is_sorted(), "order is kept");
    let missing: Vec<_> = acknowledged.iter().filter(|number| !seen.contains(number)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} acknowledged messages are missing: {missing:?}",
        missing.len(),
        acknowledged.len()
    );
    drop(device);
    stop.cancel();
    soon(serving).await.unwrap();
}

#[test]
fn a_killed_daemon_leaves_no_module_behind_once_it_is_back() {
    let mut device = Device::new("exec sleep 1000", 1, &TestAuthority::default());
    device.start();
    let orphan = device.module_pid("worker");
    device.kill();
    assert!(is_running(orphan), "nobody ended it yet");
    device.start();
    assert!(!is_running(orphan));
    let current = device.module_pid("worker");
    assert!(is_running(current));
    drop(device);
    assert!(!is_running(current), "a daemon that is asked to end ends its modules");
}

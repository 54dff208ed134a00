//! What clients may not say of themselves, and how many may prove themselves at the same time.
#![allow(clippy::unwrap_used)]

use events::health::Health;
use events::last_seen::LastSeen;
use events::live::Live;
use events::metrics::EventMetrics;
use protocol::auth::judge;
use registry::ApplicationRow;
use storage::log::{Log, LogOptions};
use tokio::time::{Duration, Instant};

use super::*;
use crate::device_messages::QueueLimits;
use crate::files::{FileOptions, Files};
use crate::metrics::MessageMetrics;

const MILLISECOND: Duration = Duration::from_millis(1);

async fn gateway(folder: &std::path::Path) -> Gateway {
    let registry = Registry::open(&folder.join("registry.db")).await.unwrap();
    let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
    let applications = Applications::new(registry.clone(), "localhost", application);
    let log = Log::open(&folder.join("log"), LogOptions::default()).unwrap();
    let metrics = EventMetrics::register(&mut prometheus_client::registry::Registry::default());
    let events = Events::new(log, Live::default(), metrics, &Health::default());
    let (sessions, metrics) = (Sessions::default(), HubMetrics::default());
    let (limits, clock) = (QueueLimits::default(), Arc::new(now_ms));
    let messages = DeviceMessages::open(registry.clone(), sessions.clone(), MessageMetrics::default(), limits, clock);
    Gateway {
        messages: messages.await.unwrap().0,
        files: Files::new(registry.clone(), folder.join("files"), FileOptions::default()),
        kept_sessions: KeptSessions::new(registry.clone()).0,
        twins: Twins::new(registry.clone(), sessions.clone()).0,
        connections: EventQueue::new(events.clone()).0,
        provisioning: Provisioning::new(registry.clone(), applications.clone(), LastSeen::default(), &metrics),
        admission: Gateway::admission(),
        revocation: Revocation::new(registry.clone()).0,
        session_life_max: None,
        registry,
        applications,
        sessions,
        events,
        metrics,
    }
}

/// Somebody without a credential: to be denied without a look at the registry, when there is a turn for it.
async fn authorize(gateway: &Gateway) -> Result<Principal, AuthenticateError> {
    let identity = Identity::device("d");
    let claim =
        Claim { identity: &identity, hosts: &["localhost"], credential: judge::Credential::None, auth_chain: None };
    gateway.authorize("a", claim).await
}

#[tokio::test]
async fn as_many_may_prove_themselves_at_the_same_time_and_others_wait_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path()).await;
    tokio::time::pause();
    let at_work = gateway.admission.try_acquire_many(AUTHENTICATIONS_MAX as u32 - 1).unwrap();
    assert!(matches!(authorize(&gateway).await, Err(AuthenticateError::Denied(_))), "the last place is free");

    let last = gateway.admission.try_acquire().unwrap();
    let started = Instant::now();
    let (refused, registration) =
        tokio::join!(authorize(&gateway), gateway.attest("0ne1", "d", Credential::None, None));
    // Timers go by milliseconds.
    assert!((AUTHENTICATION_WAIT..=AUTHENTICATION_WAIT + MILLISECOND).contains(&started.elapsed()));
    assert!(matches!(refused, Err(AuthenticateError::Busy)));
    assert!(registration.is_err_and(|error| error == DpsError::throttled()));

    let soon = async {
        tokio::time::sleep(AUTHENTICATION_WAIT - 2 * MILLISECOND).await;
        drop(last);
    };
    let (served, ()) = tokio::join!(authorize(&gateway), soon);
    assert!(matches!(served, Err(AuthenticateError::Denied(_))), "a turn that comes in time is taken");
    drop(at_work);
}

#[test]
fn stamps_of_the_hub_are_dropped_and_the_rest_stays_as_it_was() {
    let cases: [(&str, &str); 5] = [
        ("", ""),
        ("%24.ct=application%2Fjson&a=1", "%24.ct=application%2Fjson&a=1"),
        ("%24.cdid=other&a=1", "a=1"),
        ("a=1&IoTHub-Connection-Device-Id=other&b", "a=1&b"),
        ("dt-dataschema=x&iothub-enqueuedtime=y", ""),
    ];
    for (bag, expected) in cases {
        let kept = without_stamps(Bytes::copy_from_slice(bag.as_bytes()));
        assert_eq!(std::str::from_utf8(&kept).unwrap(), expected, "{bag}");
    }
}

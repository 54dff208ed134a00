//! Queues and their delivery, on a registry of their own and a clock that stands still.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use events::last_seen::LastSeen;
use futures_util::future::join_all;
use protocol::limits::CLOUD_TO_DEVICE_BYTES_MAX;
use registry::{ApplicationRow, NewDevice};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use transport::server::link::{DetachedLink, LinkCommand};
use transport::server::{CloseReason, QueueNumber, SessionLink, Subscriptions};

use super::*;
use crate::limits::*;

const PATIENCE: Duration = Duration::from_secs(30);

struct Rig {
    folder: TempDir,
    registry: Registry,
    sessions: Sessions,
    messages: DeviceMessages,
    now_ms: Arc<AtomicI64>,
    stop: CancellationToken,
    writer: tokio::task::JoinHandle<()>,
}

impl Rig {
    async fn new() -> Self {
        Self::with(QueueLimits::default()).await
    }

    async fn with(limits: QueueLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
        for id in ["a", "b"] {
            let application =
                ApplicationRow { id: id.into(), name: id.into(), id_scope: format!("0ne{id}"), created_ms: 0 };
            registry.application_create(&application, &[]).await.unwrap();
            for device in ["d", "e"] {
                let device = NewDevice { id: device.into(), enabled: true, ..NewDevice::default() };
                registry.device_create(id, device).await.unwrap();
            }
        }
        Self::on(folder, registry, limits, Arc::new(AtomicI64::new(1_000_000))).await
    }

    async fn on(folder: TempDir, registry: Registry, limits: QueueLimits, now_ms: Arc<AtomicI64>) -> Self {
        let sessions = Sessions::new(LastSeen::default());
        let at = Arc::clone(&now_ms);
        let clock: Clock = Arc::new(move || at.load(Ordering::Relaxed));
        let opened = DeviceMessages::open(registry.clone(), sessions.clone(), MessageMetrics::default(), limits, clock);
        let (messages, writer) = opened.await.unwrap();
        let stop = CancellationToken::new();
        let writer = tokio::spawn(writer.run(stop.clone()));
        Self { folder, registry, sessions, messages, now_ms, stop, writer }
    }

    /// As after a kill: whatever is in memory is gone.
    async fn restarted(self) -> Self {
        let Self { folder, registry, now_ms, stop, writer, .. } = self;
        stop.cancel();
        writer.await.unwrap();
        registry.close().await;
        let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
        Self::on(folder, registry, QueueLimits::default(), now_ms).await
    }

    fn pass(&self, time: Duration) {
        self.now_ms.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// A session that takes messages.
    fn connect(&self, device: &str) -> DetachedLink {
        let (link, far) = SessionLink::detached();
        far.set_subscriptions(Subscriptions { cloud_to_device: true, ..Subscriptions::default() });
        self.sessions.register("a", &Identity::device(device), link, || ());
        self.messages.wake("a", device);
        far
    }

    async fn send(&self, device: &str, id: &str) -> Result<String, SendError> {
        self.messages.send("a", device, wanted(id)).await
    }

    /// For what the writer does now and then, at once.
    fn idle_writer(&self) -> MessageWriter {
        MessageWriter::new(self.messages.clone(), mpsc::channel(QUEUE_CHANGES_QUEUED_MAX).1)
    }

    async fn look_after(&self) {
        self.idle_writer().look_after().await;
    }

    async fn outcomes(&self) -> Vec<(String, String)> {
        let feedback = self.registry.message_feedback("a", None, 100).await.unwrap();
        feedback.into_iter().map(|record| (record.message, record.outcome)).collect()
    }

    async fn until_waiting(&self, device: &str, messages: u64) {
        let empty = async {
            while self.messages.waiting("a", device) != messages {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, empty).await.expect("the queue gets there");
    }
}

fn wanted(id: &str) -> CloudToDevice {
    CloudToDevice {
        id: Some(id.to_owned()),
        message: Message { bag: Bytes::from_static(b"k=v"), body: Bytes::from_static(b"hello") },
        ack: Ack::Full,
        life: None,
        command: None,
    }
}

/// What comes to a session: number, id, and how to acknowledge it.
async fn next(far: &mut DetachedLink) -> (u64, String, oneshot::Sender<()>) {
    let (number, id, done) = next_numbered(far).await;
    (number.number, id, done)
}

async fn next_numbered(far: &mut DetachedLink) -> (QueueNumber, String, oneshot::Sender<()>) {
    match tokio::time::timeout(PATIENCE, far.next()).await.expect("a message comes in time") {
        LinkCommand::CloudToDevice { number, message, done } => {
            (number, bag::get(&message.bag, bag::MESSAGE_ID).unwrap().into_owned(), done)
        }
        other => panic!("a message was expected: {other:?}"),
    }
}

#[tokio::test]
async fn messages_arrive_in_order_and_leave_the_queue_when_they_are_acknowledged() {
    let rig = Rig::new().await;
    rig.send("d", "m1").await.unwrap();
    let mut far = rig.connect("d");
    for n in 2..=3 {
        rig.send("d", &format!("m{n}")).await.unwrap();
    }
    let mut acks = Vec::new();
    for n in 1..=3 {
        let (number, id, done) = next(&mut far).await;
        assert_eq!((number, id), (n, format!("m{n}")));
        acks.push(done);
    }
    assert_eq!(rig.messages.waiting("a", "d"), 3, "nothing was acknowledged");
    // In another order than they came.
    acks.pop().unwrap().send(()).unwrap();
    rig.until_waiting("d", 2).await;
    assert_eq!(rig.outcomes().await, [("m3".to_owned(), "Success".to_owned())]);
    acks.into_iter().for_each(|done| done.send(()).unwrap());
    rig.until_waiting("d", 0).await;
    assert!(rig.registry.message_queues().await.unwrap().is_empty());
    // An empty queue costs no task and no row: the device is not even known.
    assert!(!rig.messages.queues().wake(&Key::new("a", "d")));
}

#[tokio::test]
async fn what_a_session_did_not_acknowledge_goes_to_the_next_under_the_same_number() {
    let rig = Rig::new().await;
    let mut far = rig.connect("d");
    for n in 1..=3 {
        rig.send("d", &format!("m{n}")).await.unwrap();
    }
    let (number, first, done) = next_numbered(&mut far).await;
    assert!(!number.again);
    let (second_number, second, _unacknowledged) = next(&mut far).await;
    assert_eq!((first.as_str(), second.as_str()), ("m1", "m2"));
    done.send(()).unwrap();
    rig.until_waiting("d", 2).await;
    drop(far);
    // The next one comes by takeover, the one after it after a restart.
    let mut far = rig.connect("d");
    let (number, id, _unacknowledged) = next_numbered(&mut far).await;
    assert_eq!((number, id.as_str()), (QueueNumber { number: second_number, again: true }, "m2"));
    drop(far);
    let rig = rig.restarted().await;
    assert_eq!(rig.messages.waiting("a", "d"), 2);
    let mut far = rig.connect("d");
    let (number, id, done) = next(&mut far).await;
    assert_eq!((number, id.as_str()), (second_number, "m2"));
    done.send(()).unwrap();
    let (number, id, done) = next(&mut far).await;
    assert_eq!((number, id.as_str()), (second_number + 1, "m3"));
    done.send(()).unwrap();
    rig.until_waiting("d", 0).await;
    // Numbers go on, whatever was there before.
    rig.send("d", "m4").await.unwrap();
    assert_eq!(next(&mut far).await.0, second_number + 2);
}

#[tokio::test]
async fn a_session_that_is_taken_over_loses_nothing() {
    let rig = Rig::new().await;
    let mut old = rig.connect("d");
    rig.send("d", "m1").await.unwrap();
    let _unacknowledged = next(&mut old).await;
    let mut new = rig.connect("d");
    assert_eq!(old.next_or_close().await.unwrap_err(), CloseReason::TakenOver);
    drop(old);
    next(&mut new).await.2.send(()).unwrap();
    rig.until_waiting("d", 0).await;
}

#[tokio::test]
async fn a_device_that_is_slow_or_away_or_takes_no_messages_holds_nobody() {
    let rig = Rig::new().await;
    let mut slow = rig.connect("d");
    let mut far = rig.connect("e");
    for n in 0..DEVICE_MESSAGES_UNDER_WAY_MAX + 4 {
        rig.send("d", &format!("d{n}")).await.unwrap();
    }
    let mut unacknowledged = Vec::new();
    for _ in 0..DEVICE_MESSAGES_UNDER_WAY_MAX {
        unacknowledged.push(next(&mut slow).await.2);
    }
    rig.send("e", "e1").await.unwrap();
    next(&mut far).await.2.send(()).unwrap();
    rig.until_waiting("e", 0).await;
    assert!(slow.try_next().is_none(), "no more are on the way than may be");
    unacknowledged.remove(0).send(()).unwrap();
    let _more = next(&mut slow).await;
    // One that unsubscribes gets nothing more.
    far.set_subscriptions(Subscriptions::default());
    rig.send("e", "e2").await.unwrap();
    rig.send("e", "e3").await.unwrap();
    assert!(far.try_next().is_none());
    assert_eq!(rig.messages.waiting("a", "e"), 2);
}

#[tokio::test]
async fn each_bound_refuses_the_message_that_would_be_too_many() {
    let rig = Rig::new().await;
    let all = join_all((0..DEVICE_MESSAGES_MAX).map(|n| rig.messages.send("a", "d", wanted(&format!("m{n}")))));
    assert!(all.await.iter().all(Result::is_ok));
    assert!(matches!(rig.send("d", "one too many").await, Err(SendError::DeviceFull)));
    rig.send("e", "another's").await.unwrap();
    assert!(matches!(rig.send("none", "m").await, Err(SendError::NoDevice)));
    assert_eq!(rig.messages.waiting("a", "none"), 0);
    assert_eq!(rig.messages.waiting_for_all(), u64::from(DEVICE_MESSAGES_MAX) + 1, "what was refused takes no room");
    assert_eq!(rig.messages.purge("a", "d").await.unwrap(), DEVICE_MESSAGES_MAX as usize);
    rig.send("d", "again").await.unwrap();

    let stamps = stamped(b"", "m", 0, Ack::Full).len();
    let of_bytes = |bytes: usize| CloudToDevice {
        message: Message { bag: Bytes::new(), body: vec![0; bytes - stamps].into() },
        ..wanted("m")
    };
    rig.messages.send("a", "d", of_bytes(CLOUD_TO_DEVICE_BYTES_MAX)).await.unwrap();
    let refused = rig.messages.send("a", "d", of_bytes(CLOUD_TO_DEVICE_BYTES_MAX + 1)).await;
    assert!(matches!(refused, Err(SendError::Undeliverable(_))), "{refused:?}");
    for (life, fits) in [
        (DEVICE_MESSAGE_LIFE_MAX, true),
        (DEVICE_MESSAGE_LIFE_MAX + Duration::from_millis(1), false),
        (Duration::ZERO, false),
    ] {
        let sent = rig.messages.send("a", "d", CloudToDevice { life: Some(life), ..wanted("m") }).await;
        assert_eq!(sent.is_ok(), fits, "{life:?}");
    }
}

#[tokio::test]
async fn applications_and_the_platform_have_so_much_room() {
    let default = QueueLimits::default();
    let of = |messages, bytes| Room { messages, bytes };
    assert_eq!(default.application, of(APPLICATION_MESSAGES_MAX, APPLICATION_MESSAGES_BYTES_MAX));
    assert_eq!(default.platform, of(PLATFORM_MESSAGES_MAX, PLATFORM_MESSAGES_BYTES_MAX));
    let bytes = (stamped(b"k=v", "m", 0, Ack::Full).len() + 5) as u64;
    let cases = [
        (QueueLimits { application: of(2, u64::MAX), ..default }, 2, 4),
        (QueueLimits { application: of(9, 2 * bytes), ..default }, 2, 4),
        (QueueLimits { platform: of(3, u64::MAX), ..default }, 3, 3),
        (QueueLimits { platform: of(9, 3 * bytes), ..default }, 3, 3),
    ];
    for (limits, of_application, of_all) in cases {
        let rig = Rig::with(limits).await;
        let mut taken = 0;
        for application in ["a", "b"] {
            let mut here = 0;
            for device in ["d", "e", "d", "e"] {
                match rig.messages.send(application, device, wanted("m")).await {
                    Ok(_) => here += 1,
                    Err(SendError::ApplicationFull | SendError::PlatformFull) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(here <= of_application);
            taken += here;
        }
        assert_eq!(taken, of_all, "{limits:?}");
        assert_eq!(rig.messages.waiting_for_all(), of_all);
    }
}

#[tokio::test]
async fn a_message_whose_time_is_over_is_not_delivered_and_its_end_is_told() {
    let rig = Rig::new().await;
    rig.send("d", "old").await.unwrap();
    rig.pass(DEVICE_MESSAGE_LIFE_DEFAULT - Duration::from_millis(1));
    rig.send("d", "new").await.unwrap();
    rig.look_after().await;
    assert_eq!(rig.messages.waiting("a", "d"), 2);
    rig.pass(Duration::from_millis(1));
    rig.look_after().await;
    assert_eq!(rig.messages.waiting("a", "d"), 1);
    assert_eq!(rig.outcomes().await, [("old".to_owned(), "Expired".to_owned())]);
    // Also when nobody looked before the device came.
    rig.send("d", "newest").await.unwrap();
    rig.pass(DEVICE_MESSAGE_LIFE_DEFAULT - Duration::from_millis(1));
    let mut far = rig.connect("d");
    assert_eq!(next(&mut far).await.1, "newest");
    assert_eq!(rig.outcomes().await.len(), 2);
}

#[tokio::test]
async fn more_messages_than_one_commit_takes_expire_together_and_old_feedback_is_forgotten() {
    let device_messages = EXPIRIES_PER_COMMIT_MAX + 1;
    let rig = Rig::with(QueueLimits { device_messages, ..QueueLimits::default() }).await;
    let all = join_all((0..device_messages).map(|n| rig.messages.send("a", "d", wanted(&format!("m{n}")))));
    assert!(all.await.iter().all(Result::is_ok));
    rig.pass(DEVICE_MESSAGE_LIFE_DEFAULT);
    rig.look_after().await;
    assert_eq!(rig.messages.waiting_for_all(), 0);
    assert!(FEEDBACK_KEPT_MAX > device_messages);
    let told = async || rig.registry.message_feedback("a", None, FEEDBACK_KEPT_MAX).await.unwrap().len();
    rig.pass(FEEDBACK_LIFE);
    rig.idle_writer().forget_feedback().await;
    assert_eq!(told().await, device_messages as usize);
    rig.pass(Duration::from_millis(1));
    rig.idle_writer().forget_feedback().await;
    assert_eq!(told().await, 0);
}

#[tokio::test]
async fn over_https_a_message_is_locked_and_settled_with_its_lock() {
    let rig = Rig::new().await;
    let fetch = async || rig.messages.fetch("a", "d").await.unwrap();
    let settle = async |lock: &str, how| rig.messages.settle_fetched("a", "d", lock, how).await.unwrap();
    assert!(fetch().await.is_none());
    for id in ["m1", "m2"] {
        rig.send("d", id).await.unwrap();
    }
    let first = fetch().await.unwrap();
    assert_eq!((first.message.id.as_str(), first.message.deliveries), ("m1", 1));
    let second = fetch().await.unwrap();
    assert_eq!(second.message.id, "m2");
    assert!(fetch().await.is_none(), "both are locked");
    assert!(settle(&first.lock, DeviceMessages::abandon()).await);
    assert!(!settle(&first.lock, Settlement::Complete).await);
    let again = fetch().await.unwrap();
    assert_eq!((again.message.id.as_str(), again.message.deliveries), ("m1", 2));
    assert!(settle(&again.lock, Settlement::Complete).await);
    rig.pass(DEVICE_MESSAGE_LOCK);
    assert!(!settle(&second.lock, Settlement::Complete).await, "its time was over");
    let second = fetch().await.unwrap();
    assert!(settle(&second.lock, Settlement::Reject).await);
    let told = rig.outcomes().await;
    assert_eq!(told, [("m1".into(), "Success".into()), ("m2".to_owned(), "Rejected".to_owned())]);
    assert_eq!(rig.messages.waiting("a", "d"), 0);

    // Given back for the last time it ends.
    rig.send("d", "m3").await.unwrap();
    for n in 1..=DEVICE_MESSAGE_DELIVERIES_MAX {
        let fetched = fetch().await.unwrap();
        assert_eq!(fetched.message.deliveries, i64::from(n));
        assert!(settle(&fetched.lock, DeviceMessages::abandon()).await);
    }
    assert!(fetch().await.is_none());
    assert!(rig.outcomes().await.contains(&("m3".to_owned(), "DeliveryCountExceeded".to_owned())));
}

#[tokio::test]
async fn a_message_is_on_one_way_at_a_time() {
    let rig = Rig::new().await;
    for id in ["m1", "m2"] {
        rig.send("d", id).await.unwrap();
    }
    let fetched = rig.messages.fetch("a", "d").await.unwrap().unwrap();
    assert_eq!(fetched.message.id, "m1");
    let mut far = rig.connect("d");
    let (_, id, done) = next(&mut far).await;
    assert_eq!(id, "m2");
    assert!(rig.messages.fetch("a", "d").await.unwrap().is_none(), "what is on the way to a session is not fetched");
    assert!(rig.messages.settle_fetched("a", "d", &fetched.lock, DeviceMessages::abandon()).await.unwrap());
    let (_, id, again) = next(&mut far).await;
    assert_eq!(id, "m1", "given back it goes to the session");
    for done in [done, again] {
        done.send(()).unwrap();
    }
    rig.until_waiting("d", 0).await;
}

#[tokio::test]
async fn a_deleted_device_leaves_room() {
    let rig = Rig::new().await;
    rig.send("d", "m").await.unwrap();
    rig.registry.device_delete("a", "d", 1).await.unwrap();
    rig.messages.forget_device("a", "d");
    assert_eq!(rig.messages.waiting_for_all(), 0);
    assert!(rig.messages.fetch("a", "d").await.unwrap().is_none());
}

#[tokio::test]
async fn what_the_hub_says_of_a_message_is_its_word_alone() {
    let properties = b"%24.mid=x&iothub-ack=maybe&%24.exp=never&ack=full&a%20b=c%2Fd&flag&%24.ct=text%2Fplain";
    let bag = stamped(properties, "m 1", 1_714_557_600_000, Ack::Negative);
    let said: Vec<_> = bag::iter(&bag).map(|(name, value)| (name.into_owned(), value.map(String::from))).collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        said,
        [
            ("$.mid".to_owned(), text("m 1")),
            ("$.exp".to_owned(), text("2024-05-01T10:00:00.0000000Z")),
            ("iothub-ack".to_owned(), text("negative")),
            ("a b".to_owned(), text("c/d")),
            ("flag".to_owned(), None),
            ("$.ct".to_owned(), text("text/plain")),
        ]
    );
}

#[tokio::test]
async fn so_many_changes_wait_for_the_writer_and_make_a_commit_together() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
    let (sessions, clock) = (Sessions::new(LastSeen::default()), Arc::new(|| 0_i64) as Clock);
    let opened = DeviceMessages::open(registry, sessions, MessageMetrics::default(), QueueLimits::default(), clock);
    let (messages, writer) = opened.await.unwrap();
    let mut asked: Vec<_> = (0..=QUEUE_CHANGES_QUEUED_MAX).map(|_| Box::pin(messages.purge("a", "d"))).collect();
    let mut done = 0;
    for purge in &mut asked {
        // Each by itself: one poll has a budget, which would not do for all of them.
        assert!(futures_util::poll!(tokio::task::unconstrained(purge)).is_pending());
        done += 1;
    }
    assert_eq!((done, messages.inner.changes.capacity()), (QUEUE_CHANGES_QUEUED_MAX + 1, 0));
    let stop = CancellationToken::new();
    let writer = tokio::spawn(writer.run(stop.clone()));
    for purge in asked {
        assert_eq!(purge.await.unwrap(), 0);
    }
    stop.cancel();
    writer.await.unwrap();
    assert!(matches!(messages.purge("a", "d").await, Err(QueueError::Stopping)));
    // Many to a commit, and not all at once.
    const { assert!(1 < QUEUE_CHANGES_PER_COMMIT_MAX && QUEUE_CHANGES_PER_COMMIT_MAX < QUEUE_CHANGES_QUEUED_MAX) };
    assert!(QUEUE_RETRY_PAUSE < EXPIRY_INTERVAL && EXPIRY_INTERVAL < DEVICE_MESSAGE_LOCK);
}

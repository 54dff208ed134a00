#![allow(clippy::unwrap_used)]
//! The queues from outside: on a faulty disk, against a model, at their limits.

mod limits;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use model::route::PRIORITY_WITHOUT_NUMBER;
use proptest::prelude::*;
use protocol::hub::bag;
use storage::limits::CHECKPOINT_NAME_BYTES_MAX;
use storage::testing::FaultyFiles;

use super::*;

pub(super) const DIR: &str = "/queues";
pub(super) const BYTES_MAX: u64 = 1 << 20;

pub(super) fn id(endpoint: Endpoint, priority: u32) -> QueueId {
    QueueId { endpoint, priority }
}

pub(super) fn module(module: &str, input: &str) -> Endpoint {
    Endpoint::Module { module: module.into(), input: input.into() }
}

pub(super) fn upstream() -> QueueId {
    id(Endpoint::Upstream, PRIORITY_WITHOUT_NUMBER)
}

fn filter() -> QueueId {
    id(module("filter", "in"), PRIORITY_WITHOUT_NUMBER)
}

pub(super) fn forever(queue: &QueueId) -> Target {
    Target { queue: queue.clone(), lifetime_secs: None }
}

/// A disk and a clock.
pub(super) struct Rig {
    pub(super) files: FaultyFiles,
    now_ms: Arc<AtomicU64>,
    bytes_max: u64,
    pub(super) accept_loss: bool,
}

impl Rig {
    pub(super) fn new() -> Self {
        let now_ms = Arc::new(AtomicU64::new(1_000_000));
        Self { files: FaultyFiles::new(1), now_ms, bytes_max: BYTES_MAX, accept_loss: false }
    }

    pub(super) fn try_open(&self) -> Result<Queues, OpenQueuesError> {
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Arc::new(move || now_ms.load(Ordering::Relaxed));
        let environment = Environment { files: Arc::new(self.files.clone()), clock };
        Queues::open_in(Path::new(DIR), self.bytes_max, environment, self.accept_loss)
    }

    pub(super) fn open(&self) -> Queues {
        self.try_open().unwrap()
    }

    /// Cuts the power under open queues and opens them again.
    pub(super) fn crash(&self, queues: Queues) -> Queues {
        self.files.crash();
        drop(queues);
        self.files.restart();
        self.open()
    }

    pub(super) fn advance(&self, secs: u64) {
        self.now_ms.fetch_add(secs * 1000, Ordering::Relaxed);
    }
}

fn numbered(queues: &Queues, number: usize, body_bytes: usize) -> StoredMessage {
    let message = Message { bag: Bytes::from(format!("n={number}")), body: Bytes::from(vec![7; body_bytes]) };
    StoredMessage { sender: Identity::device("leaf"), stored_at_ms: queues.now_ms(), message }
}

pub(super) async fn store_sized(
    queues: &Queues,
    targets: &[Target],
    numbers: std::ops::Range<usize>,
    body_bytes: usize,
) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    numbers.for_each(|number| batch.add(targets, &numbered(queues, number, body_bytes)));
    queues.store(batch).await
}

async fn store(queues: &Queues, targets: &[Target], numbers: std::ops::Range<usize>) {
    store_sized(queues, targets, numbers, 10).await.unwrap();
}

pub(super) fn number(message: &WaitingMessage) -> usize {
    bag::get(&message.stored.message.bag, "n").unwrap().parse().unwrap()
}

/// Delivers one batch.
async fn deliver_once(queues: &Queues, endpoint: &Endpoint, readers: &mut Readers) -> Option<(u32, Vec<usize>)> {
    let taken = queues.take(endpoint, readers).await.unwrap()?;
    queues.settle(&taken.queue, &taken.mark);
    Some((taken.queue.priority, taken.messages.iter().map(number).collect()))
}

/// Delivers everything.
pub(super) async fn deliver_all(queues: &Queues, endpoint: &Endpoint) -> Vec<usize> {
    let mut readers = Readers::default();
    let mut delivered = Vec::new();
    while let Some((_, numbers)) = deliver_once(queues, endpoint, &mut readers).await {
        delivered.extend(numbers);
    }
    delivered
}

fn numbers(range: std::ops::Range<usize>) -> Vec<usize> {
    range.collect()
}

#[test]
fn names_lead_back() {
    let cases = [
        (upstream(), "upstream.default"),
        (id(Endpoint::Upstream, 0), "upstream.0"),
        (id(module("filter", "in.1"), 9), "filter%2Fin%2E1.9"),
        (id(module("upstream", "x"), 1), "upstream%2Fx.1"),
    ];
    for (id, name) in cases {
        assert_eq!(id.name(), name);
        assert_eq!(QueueId::of_name(name), Some(id));
    }
    for name in ["upstream", "upstream.10", "x.default", "lost+found", ".default", LOG, POSITIONS, ".positions.tmp"] {
        assert_eq!(QueueId::of_name(name), None, "{name}");
    }
}

#[test]
fn a_position_has_a_name_however_long_the_endpoint_is() {
    let longest = "i".repeat(CHECKPOINT_NAME_BYTES_MAX - "m%2F.0".len());
    let fits = id(module("m", &longest), 0);
    assert_eq!(fits.position_name(), fits.name());
    let too_long = id(module("m", &format!("{longest}i")), 0);
    assert_eq!(too_long.position_name().len(), 64);
    assert_ne!(too_long.position_name(), id(module("m", &format!("{longest}j")), 0).position_name());
}

#[tokio::test]
async fn a_message_for_many_is_stored_once_and_delivered_to_each() {
    let rig = Rig::new();
    let queues = rig.open();
    let inputs: Vec<_> = (0..20).map(|n| id(module("m", &n.to_string()), 3)).collect();
    let targets: Vec<_> = inputs.iter().map(forever).collect();
    store_sized(&queues, &targets, 0..1, 100_000).await.unwrap();
    assert!(queues.bytes() < 102_000, "{}", queues.bytes());
    for input in &inputs {
        assert_eq!(deliver_all(&queues, &input.endpoint).await, [0]);
    }
}

#[tokio::test]
async fn a_batch_is_one_commit_whatever_its_routes() {
    let rig = Rig::new();
    let queues = rig.open();
    store(&queues, &[forever(&upstream())], 0..1).await;
    let before = rig.files.ops();
    store(&queues, &[forever(&upstream())], 1..2).await;
    let one_route = rig.files.ops() - before;
    let targets: Vec<_> = (0..9).map(|n| forever(&id(module("m", &n.to_string()), n))).collect();
    store(&queues, &targets, 2..30).await;
    assert_eq!(rig.files.ops() - before - one_route, one_route);
}

#[tokio::test]
async fn the_most_urgent_goes_first_and_each_queue_keeps_its_order() {
    let queues = Rig::new().open();
    let (urgent, normal) = (id(Endpoint::Upstream, 0), upstream());
    for number in 0..10 {
        let queue = if number % 2 == 0 { &normal } else { &urgent };
        store(&queues, &[forever(queue)], number..number + 1).await;
    }
    let mut readers = Readers::default();
    let first = deliver_once(&queues, &Endpoint::Upstream, &mut readers).await.unwrap();
    assert_eq!(first, (0, vec![1, 3, 5, 7, 9]));
    store(&queues, &[forever(&urgent)], 10..11).await;
    assert_eq!(deliver_once(&queues, &Endpoint::Upstream, &mut readers).await.unwrap(), (0, vec![10]));
    let last = deliver_once(&queues, &Endpoint::Upstream, &mut readers).await.unwrap();
    assert_eq!(last, (PRIORITY_WITHOUT_NUMBER, vec![0, 2, 4, 6, 8]));
}

#[tokio::test]
async fn what_is_taken_and_not_settled_is_taken_again() {
    let queues = Rig::new().open();
    store(&queues, &[forever(&upstream())], 0..5).await;
    let mut readers = Readers::default();
    for _ in 0..2 {
        let taken = queues.take(&Endpoint::Upstream, &mut readers).await.unwrap().unwrap();
        assert_eq!(taken.messages.iter().map(number).collect::<Vec<_>>(), numbers(0..5));
    }
}

#[tokio::test]
async fn positions_survive_and_what_was_not_noted_is_delivered_again() {
    let rig = Rig::new();
    let queues = rig.open();
    store(&queues, &[forever(&upstream()), forever(&filter())], 0..5).await;
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, numbers(0..5));
    queues.write_progress().unwrap();
    store(&queues, &[forever(&upstream())], 5..8).await;
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, numbers(5..8));
    let queues = rig.crash(queues);
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, numbers(5..8));
    assert_eq!(deliver_all(&queues, &filter().endpoint).await, numbers(0..5));
    // An orderly end notes everything.
    drop(queues);
    let queues = rig.open();
    assert_eq!(queues.endpoints(), BTreeSet::new());
}

#[tokio::test]
async fn a_killed_store_is_there_whole_or_not_at_all_and_acknowledged_ones_always() {
    for ops in 0..40 {
        let rig = Rig::new();
        let queues = rig.open();
        rig.files.crash_after(ops);
        let mut acknowledged = 0;
        for batch in 0..6 {
            let first = batch * 3;
            if store_sized(&queues, &[forever(&upstream())], first..first + 3, 10).await.is_err() {
                break;
            }
            acknowledged = first + 3;
            deliver_once(&queues, &filter().endpoint, &mut Readers::default()).await;
            let _ = queues.write_progress();
        }
        drop(queues);
        rig.files.restart();
        let delivered = deliver_all(&rig.open(), &Endpoint::Upstream).await;
        assert!(delivered.len() >= acknowledged && delivered.len() % 3 == 0, "killed at {ops}: {delivered:?}");
        assert_eq!(delivered, numbers(0..delivered.len()), "killed at {ops}");
    }
}

#[tokio::test]
async fn a_full_log_refuses_names_who_holds_it_and_takes_again_once_it_is_delivered() {
    let rig = Rig::new();
    let queues = rig.open();
    let behind = id(module("filter", "in"), 2);
    store(&queues, &[forever(&behind)], 0..1).await;
    let mut stored = 1;
    let refusal = loop {
        assert!(queues.bytes() <= BYTES_MAX, "the limit is exact");
        match store_sized(&queues, &[forever(&upstream())], stored..stored + 1, 10_000).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        deliver_all(&queues, &Endpoint::Upstream).await;
        queues.write_progress().unwrap();
    };
    assert!(queues.bytes() > BYTES_MAX - 11_000, "the limit is used: {}", queues.bytes());
    let text = refusal.to_string();
    assert!(text.contains("of 1048576 bytes, held since the oldest of 1 messages"), "{text}");
    assert!(text.ends_with("that wait for filter/in of priority 2"), "{text}");
    queues.pressed().await;
    assert_eq!(deliver_all(&queues, &behind.endpoint).await, [0]);
    queues.write_progress().unwrap();
    store_sized(&queues, &[forever(&upstream())], 0..1, 10_000).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_and_delivering_frees_it() {
    let rig = Rig::new();
    let queues = rig.open();
    // Enough for several segments, which are an eighth of the limit.
    for number in 0..40 {
        store_sized(&queues, &[forever(&upstream())], number..number + 1, 10_000).await.unwrap();
    }
    rig.files.set_capacity_bytes(Some(rig.files.used_bytes()));
    let refusal = store_sized(&queues, &[forever(&upstream())], 40..41, 10_000).await.unwrap_err();
    assert!(matches!(refusal, StoreError::Append(AppendError::DiskFull { .. })), "{refusal}");
    let mut readers = Readers::default();
    let mut delivered = Vec::new();
    while delivered.len() < 30 {
        delivered.extend(deliver_once(&queues, &Endpoint::Upstream, &mut readers).await.unwrap().1);
        // The positions cannot be written at first; space is freed all the same.
        let _ = queues.write_progress();
    }
    store_sized(&queues, &[forever(&upstream())], 40..41, 10_000).await.unwrap();
    delivered.extend(deliver_all(&queues, &Endpoint::Upstream).await);
    assert_eq!(delivered, numbers(0..41));
}

#[tokio::test]
async fn an_idle_queue_does_not_hold_the_log() {
    let rig = Rig::new();
    let queues = rig.open();
    store(&queues, &[forever(&filter())], 0..1).await;
    assert_eq!(deliver_all(&queues, &filter().endpoint).await, [0]);
    for number in 0..400 {
        store_sized(&queues, &[forever(&upstream())], number..number + 1, 10_000).await.unwrap();
        deliver_all(&queues, &Endpoint::Upstream).await;
        queues.write_progress().unwrap();
    }
    // The idle queue is forgotten once nothing of it is left in the log.
    assert_eq!(queues.waiting(), [(upstream(), Waiting::default())]);
}

#[tokio::test]
async fn expired_messages_of_a_blocked_endpoint_do_not_hold_the_log() {
    let rig = Rig::new();
    let queues = rig.open();
    let (urgent, normal) = (id(Endpoint::Upstream, 0), upstream());
    let short = |lifetime_secs| Target { queue: normal.clone(), lifetime_secs };
    store(&queues, &[short(Some(60))], 0..300).await;
    store(&queues, &[short(Some(3600))], 300..301).await;
    store(&queues, &[short(Some(60))], 301..302).await;
    store(&queues, &[forever(&urgent)], 302..303).await;
    let mut readers = Readers::default();
    let taken = queues.take(&Endpoint::Upstream, &mut readers).await.unwrap().unwrap();
    assert_eq!(taken.queue, urgent);
    let expired = async |readers: &mut Readers| {
        let expired = queues.take_expired(&Endpoint::Upstream, &urgent, queues.now_ms(), readers).await.unwrap();
        expired.iter().map(|(_, message)| number(message)).collect::<Vec<_>>()
    };
    assert_eq!(expired(&mut readers).await, numbers(0..0));
    rig.advance(60);
    assert_eq!(expired(&mut readers).await, numbers(0..300), "in as many reads as it takes, up to what still lives");
    assert_eq!(queues.waiting()[1].1.messages, 2);
    rig.advance(3600);
    assert_eq!(expired(&mut readers).await, [300, 301]);
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, [302]);
}

#[tokio::test]
async fn a_cleared_endpoint_leaves_nothing_also_after_a_restart_and_takes_new_messages() {
    let rig = Rig::new();
    let queues = rig.open();
    store(&queues, &[forever(&filter()), forever(&upstream())], 0..3).await;
    assert_eq!(queues.clear(&filter().endpoint).messages, 3);
    queues.write_progress().unwrap();
    store(&queues, &[forever(&filter())], 3..4).await;
    let queues = rig.crash(queues);
    assert_eq!(deliver_all(&queues, &filter().endpoint).await, [3]);
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, numbers(0..3));
}

#[tokio::test]
async fn a_lost_log_does_not_make_new_messages_look_delivered() {
    let rig = Rig::new();
    let queues = rig.open();
    store(&queues, &[forever(&upstream())], 0..50).await;
    deliver_all(&queues, &Endpoint::Upstream).await;
    drop(queues);
    for path in rig.files.paths() {
        if path.starts_with(Path::new(DIR).join(LOG)) {
            rig.files.take(&path);
        }
    }
    let queues = rig.open();
    store(&queues, &[forever(&upstream())], 50..53).await;
    let queues = rig.crash(queues);
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, numbers(50..53));
}

#[tokio::test]
async fn a_folder_of_a_newer_program_is_refused_untouched() {
    let rig = Rig::new();
    let queues = rig.open();
    queues.log.append(vec![Bytes::from_static(&[3, 1, 2])]).await.unwrap();
    drop(queues);
    let before: Vec<_> = rig.files.paths().iter().map(|path| rig.files.contents(path)).collect();
    let error = rig.try_open().map(drop).unwrap_err();
    assert!(matches!(error, OpenQueuesError::Record { offset: Offset(0), .. }), "{error}");
    let after: Vec<_> = rig.files.paths().iter().map(|path| rig.files.contents(path)).collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_number_of_queues_is_bounded() {
    let queues = Rig::new().open();
    let input = |n: usize| forever(&id(module("m", &n.to_string()), 0));
    for first in (0..CURSORS_MAX).step_by(100) {
        let targets: Vec<_> = (first..first + 100).map(input).collect();
        store(&queues, &targets, 0..1).await;
    }
    let refusal = store_sized(&queues, &[input(CURSORS_MAX)], 0..1, 1).await;
    assert!(matches!(refusal, Err(StoreError::TooMany)));
    store(&queues, &[input(7)], 1..2).await;
    queues.write_progress().unwrap();
}

#[tokio::test]
async fn a_store_nobody_waits_for_any_more_is_delivered_all_the_same() {
    let queues = Rig::new().open();
    let mut batch = Batch::default();
    batch.add(&[forever(&upstream())], &numbered(&queues, 0, 1));
    {
        let mut storing = Box::pin(queues.store(batch));
        // Queued by the first poll, and dropped before anybody asked what came of it.
        let _ = std::future::poll_fn(|context| std::task::Poll::Ready(storing.as_mut().poll(context))).await;
    }
    store(&queues, &[forever(&upstream())], 1..2).await;
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, [0, 1]);
}

/// What may happen to the queues.
#[derive(Debug, Clone)]
enum Act {
    /// To the queues whose bits are set.
    Store {
        queues: u8,
        messages: usize,
    },
    /// One batch of the endpoint of this queue.
    Deliver(usize),
    Clear(usize),
    WriteProgress,
    /// Takes messages of the endpoint of this queue and settles them only after something was set aside.
    DeliverBehind(usize, usize),
    /// Some of this queue.
    SetAside(usize),
    Restart,
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1..32_u8, 1..80_usize).prop_map(|(queues, messages)| Act::Store { queues, messages }),
        6 => (0..5_usize).prop_map(Act::Deliver),
        1 => (2..5_usize).prop_map(Act::Clear),
        2 => Just(Act::WriteProgress),
        3 => (0..5_usize).prop_map(Act::SetAside),
        2 => (0..5_usize, 0..5_usize).prop_map(|(taken, aside)| Act::DeliverBehind(taken, aside)),
        1 => Just(Act::Restart),
        1 => Just(Act::Crash),
    ]
}

/// Two queues of upstream, two of an input, and one of another.
fn model_queues() -> [QueueId; 5] {
    let (a, b) = (module("m", "a"), module("m", "b"));
    [upstream(), id(Endpoint::Upstream, 1), id(a.clone(), 0), id(a, 9), id(b, 5)]
}

/// A queue in the simplest way: what was stored for it, of which the last must come, and some before may come again.
#[derive(Default)]
struct Model {
    stored: Vec<usize>,
    /// What is stored before it was delivered or dropped.
    must: usize,
    /// What is stored before it never comes again. Between the two: not noted before a crash.
    may: usize,
    /// As of the last time progress was written.
    noted: usize,
}

impl Model {
    /// These came: in order, and nothing that must come is passed over.
    fn came(&mut self, got: &[usize]) {
        for number in got {
            let at = self.stored.iter().position(|stored| stored == number).unwrap();
            assert!((self.may..=self.must).contains(&at), "{number} of {got:?}");
            (self.may, self.must) = (at + 1, self.must.max(at + 1));
        }
    }

    fn check(&self, waiting: u64) {
        let (least, most) = (self.stored.len() - self.must, self.stored.len() - self.may);
        assert!((least..=most).contains(&(waiting as usize)), "{waiting} of {least} to {most}");
    }
}

async fn run_model(acts: Vec<Act>) {
    let rig = Rig { bytes_max: 16 << 20, ..Rig::new() };
    let ids = model_queues();
    let mut models: [Model; 5] = Default::default();
    let mut queues = rig.open();
    let mut readers = Readers::default();
    let mut next = 0;
    for act in acts {
        match act {
            Act::Store { queues: bits, messages } => {
                let chosen = |n: &usize| bits & (1 << n) != 0;
                let targets: Vec<_> = (0..5).filter(chosen).map(|n| forever(&ids[n])).collect();
                store(&queues, &targets, next..next + messages).await;
                (0..5).filter(chosen).for_each(|n| models[n].stored.extend(next..next + messages));
                next += messages;
            }
            Act::SetAside(n) => drop(queues.move_some(&ids[n], &mut None).unwrap()),
            Act::Deliver(n) | Act::DeliverBehind(n, _) => {
                let Some(taken) = queues.take(&ids[n].endpoint, &mut readers).await.unwrap() else {
                    assert!(
                        models
                            .iter()
                            .zip(&ids)
                            .all(|(model, id)| { id.endpoint != ids[n].endpoint || model.must == model.stored.len() })
                    );
                    continue;
                };
                let m = ids.iter().position(|id| *id == taken.queue).unwrap();
                let more_urgent = |k: &usize| ids[*k].endpoint == ids[m].endpoint && ids[*k].priority < ids[m].priority;
                assert!((0..5).filter(more_urgent).all(|k| models[k].must == models[k].stored.len()));
                models[m].came(&taken.messages.iter().map(number).collect::<Vec<_>>());
                if let Act::DeliverBehind(_, aside) = act {
                    queues.move_some(&ids[aside], &mut None).unwrap();
                }
                queues.settle(&taken.queue, &taken.mark);
            }
            Act::Clear(n) => {
                let waited = queues.waiting().into_iter().filter(|(queue, _)| queue.endpoint == ids[n].endpoint);
                let waited: u64 = waited.map(|(_, waiting)| waiting.messages).sum();
                assert_eq!(queues.clear(&ids[n].endpoint).messages, waited);
                for m in (0..5).filter(|m| ids[*m].endpoint == ids[n].endpoint) {
                    models[m].must = models[m].stored.len();
                    models[m].may = models[m].must;
                }
            }
            Act::WriteProgress => {
                queues.write_progress().unwrap();
                models.iter_mut().for_each(|model| model.noted = model.may);
            }
            Act::Restart => {
                drop(queues);
                models.iter_mut().for_each(|model| model.noted = model.may);
                (queues, readers) = (rig.open(), Readers::default());
            }
            Act::Crash => {
                models.iter_mut().for_each(|model| model.may = model.noted);
                (queues, readers) = (rig.crash(queues), Readers::default());
            }
        }
        for (id, waiting) in queues.waiting() {
            models[ids.iter().position(|known| *known == id).unwrap()].check(waiting.messages);
        }
    }
    for id in &ids {
        while let Some(taken) = queues.take(&id.endpoint, &mut readers).await.unwrap() {
            let m = ids.iter().position(|id| *id == taken.queue).unwrap();
            models[m].came(&taken.messages.iter().map(number).collect::<Vec<_>>());
            queues.settle(&taken.queue, &taken.mark);
        }
    }
    assert!(models.iter().all(|model| model.must == model.stored.len()), "all that must come came");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_queues_are_as_a_simple_model(acts in proptest::collection::vec(act(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run_model(acts));
    }
}

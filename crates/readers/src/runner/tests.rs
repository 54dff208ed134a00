//! One reader never holds back another, and each goes on from its own position with nothing lost or doubled.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use bytes::Bytes;
use events::live::Live;
use events::metrics::EventMetrics;
use registry::{Act, Registry};
use storage::log::{Log, LogOptions};
use tokio::sync::watch;

use super::*;
use crate::positions::{Begin, OpenPositionsError};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a probe does when it is handed a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Waits until its mood changes.
    Stuck,
    /// Panics at this record.
    Panics(u64),
    /// Fails at this record.
    Fails(u64),
    /// Loses the connection while it commits, which the database made or did not.
    Doubts {
        is_made: bool,
    },
}

/// A reader that keeps what it handled, and commits every batch at once.
struct Probe<const WHICH: usize> {
    registry: Registry,
    mood: watch::Receiver<Mood>,
    seen: watch::Sender<Vec<u64>>,
}

struct ProbeRun {
    name: &'static str,
    registry: Registry,
    mood: watch::Receiver<Mood>,
    seen: watch::Sender<Vec<u64>>,
    pending: Vec<u64>,
}

impl<const WHICH: usize> Reader for Probe<WHICH> {
    type Run = ProbeRun;

    const NAME: ReaderName = ReaderName {
        name: ["one", "two", "watcher", "like_one"][WHICH],
        about: "Keeps what it was handed.",
        counts: WHICH != 2,
        begin: [Begin::First, Begin::First, Begin::Next, Begin::Like("one")][WHICH],
    };

    async fn start(&self) -> Result<(ProbeRun, u64), ReaderError> {
        let name = Self::NAME.name;
        let position = self.registry.checkpoint_get(name).await?.unwrap_or(0);
        let (registry, mood, seen) = (self.registry.clone(), self.mood.clone(), self.seen.clone());
        Ok((ProbeRun { name, registry, mood, seen, pending: Vec::new() }, position))
    }
}

impl Run for ProbeRun {
    async fn handle(&mut self, batch: &[Record]) -> Result<(), ReaderError> {
        let mood = *self.mood.wait_for(|mood| *mood != Mood::Stuck).await?;
        for record in batch {
            match mood {
                Mood::Panics(at) if at == record.offset.0 => panic!("record {at} is too much"),
                Mood::Fails(at) if at == record.offset.0 => return Err("the probe fails".into()),
                _ => self.pending.push(record.offset.0),
            }
        }
        Ok(())
    }

    fn commit_at(&self) -> Option<Instant> {
        (!self.pending.is_empty()).then(Instant::now)
    }

    async fn commit(&mut self, next: u64) -> Result<(), ReaderError> {
        let mood = *self.mood.borrow();
        if mood != (Mood::Doubts { is_made: false }) {
            self.registry.checkpoint_put(self.name, next).await?;
            self.seen.send_modify(|seen| seen.append(&mut self.pending));
        }
        match mood {
            Mood::Doubts { .. } => Err(StoreError::InDoubt(Act { act: "commit", table: "checkpoints" }).into()),
            _ => Ok(()),
        }
    }
}

/// A process: a log, a registry, and the readers started in it.
struct Bench {
    registry: Registry,
    runner: Runner,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// The strings of a probe.
struct Strings {
    mood: watch::Sender<Mood>,
    seen: watch::Receiver<Vec<u64>>,
}

impl Strings {
    async fn await_record(&mut self, offset: u64) {
        let seen = self.seen.wait_for(|seen| seen.last().is_some_and(|last| *last >= offset));
        tokio::time::timeout(PATIENCE, seen).await.expect("the record comes").unwrap();
    }

    fn seen(&self) -> Vec<u64> {
        self.seen.borrow().clone()
    }
}

impl Bench {
    async fn open(folder: &Path, readers: &[ReaderName]) -> Result<Self, OpenPositionsError> {
        let registry = Registry::open(&folder.join("registry.db")).await.unwrap();
        // Small segments, so that trimming shows.
        let options = LogOptions { segment_bytes_max: 4 * 1024, ..LogOptions::default() };
        let log = Log::open(&folder.join("log"), options).unwrap();
        let health = Health::default();
        let mut metrics = prometheus_client::registry::Registry::default();
        let events = Events::new(log.clone(), Live::default(), EventMetrics::register(&mut metrics), &health);
        let positions = Positions::open(&registry, &log, readers).await;
        let positions = match positions {
            Ok(positions) => positions,
            Err(error) => {
                log.close().await;
                registry.close().await;
                return Err(error);
            }
        };
        let log_config = LogConfig { keep_records: 0, ..LogConfig::default() };
        let runner = Runner { events, positions, log_config, health, metrics: RunnerMetrics::register(&mut metrics) };
        Ok(Self { registry, runner, tasks: TaskTracker::new(), shutdown: CancellationToken::new() })
    }

    fn start<const WHICH: usize>(&self, mood: Mood) -> Strings {
        let ((mood, moods), (sender, seen)) = (watch::channel(mood), watch::channel(Vec::new()));
        let probe = Probe::<WHICH> { registry: self.registry.clone(), mood: moods, seen: sender };
        self.runner.spawn(probe, &self.tasks, self.shutdown.clone());
        Strings { mood, seen }
    }

    async fn append(&self, records: usize) {
        for _ in 0..records {
            self.runner.events.log().append(vec![Bytes::from(vec![b'x'; 1_024])]).await.unwrap();
        }
    }

    fn first(&self) -> u64 {
        self.runner.events.log().first_offset().0
    }

    fn problems(&self) -> Vec<String> {
        self.runner.health.problems().iter().map(ToString::to_string).collect()
    }

    fn have_ended(&self) -> Vec<bool> {
        self.runner.positions.standings().iter().map(|standing| standing.has_ended).collect()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.expect("readers end when they are told to");
        self.runner.events.log().clone().close().await;
        self.registry.close().await;
    }
}

const ONE: ReaderName = Probe::<0>::NAME;
const TWO: ReaderName = Probe::<1>::NAME;
const WATCHER: ReaderName = Probe::<2>::NAME;
const LIKE_ONE: ReaderName = Probe::<3>::NAME;

fn up_to(end: u64) -> Vec<u64> {
    (0..end).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_reader_holds_back_the_log_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path(), &[ONE, TWO]).await.unwrap();
    let (mut one, mut two) = (bench.start::<0>(Mood::Stuck), bench.start::<1>(Mood::Well));
    bench.append(40).await;
    two.await_record(39).await;
    assert_eq!((bench.first(), one.seen().len()), (0, 0), "what one has not read stays in the log");
    let lags: Vec<u64> = bench.runner.positions.standings().iter().map(|standing| standing.lag).collect();
    assert_eq!(lags, [40, 0]);
    one.mood.send(Mood::Well).unwrap();
    one.await_record(39).await;
    // Trimming follows the next commit.
    bench.append(1).await;
    one.await_record(40).await;
    two.await_record(40).await;
    assert_eq!((one.seen(), two.seen()), (up_to(41), up_to(41)));
    let first = bench.first();
    bench.stop().await;
    assert!(first > 0, "what both have covered is let go");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_panics_or_fails_is_named_and_started_again_from_its_position() {
    let folder = tempfile::tempdir().unwrap();
    for (round, mood) in [Mood::Panics(6), Mood::Fails(17)].into_iter().enumerate() {
        let bench = Bench::open(folder.path(), &[ONE, TWO]).await.unwrap();
        let (mut one, mut two) = (bench.start::<0>(mood), bench.start::<1>(Mood::Well));
        let begin = 11 * round as u64;
        bench.append(11).await;
        two.await_record(begin + 10).await;
        let named = async {
            while !bench.problems().iter().any(|problem| problem.starts_with("reader one: it ended")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, named).await.expect("Central is not ready, and says which reader");
        assert_eq!(bench.problems().len(), 1);
        assert_eq!(bench.have_ended(), [true, false]);
        assert!(bench.runner.positions.slowest() <= begin + 6, "what it has not committed is kept");
        one.mood.send(Mood::Well).unwrap();
        one.await_record(begin + 10).await;
        let well = async {
            while !bench.problems().is_empty() || bench.have_ended() != [false, false] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, well).await.expect("it is well again");
        assert_eq!(one.seen(), (begin..begin + 11).collect::<Vec<_>>(), "nothing is lost and nothing doubled");
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_commit_in_doubt_it_goes_on_where_the_registry_says() {
    for is_made in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench::open(folder.path(), &[ONE]).await.unwrap();
        let mut one = bench.start::<0>(Mood::Doubts { is_made });
        bench.append(7).await;
        let doubted = async {
            while !bench.problems().iter().any(|problem| problem.contains("whose outcome is not known")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, doubted).await.expect("the doubt is told");
        one.mood.send(Mood::Well).unwrap();
        bench.append(3).await;
        one.await_record(9).await;
        assert_eq!(one.seen(), up_to(10), "nothing is lost and nothing doubled, made: {is_made}");
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_goes_on_from_its_own_position_and_new_ones_where_they_belong() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path(), &[ONE]).await.unwrap();
    let mut one = bench.start::<0>(Mood::Well);
    bench.append(10).await;
    one.await_record(9).await;
    bench.append(1).await;
    one.await_record(10).await;
    bench.stop().await;

    // Written while nobody reads.
    let readers = [ONE, WATCHER, LIKE_ONE];
    let bench = Bench::open(folder.path(), &readers).await.unwrap();
    let begin: Vec<u64> =
        readers.iter().map(|reader| bench.runner.positions.of(reader.name).unwrap().durable()).collect();
    assert_eq!(begin, [11, 11, 11]);
    bench.append(5).await;
    bench.stop().await;
    let bench = Bench::open(folder.path(), &readers).await.unwrap();
    // The watcher first: the log does not wait for it once those that count have read.
    let mut watcher = bench.start::<2>(Mood::Well);
    watcher.await_record(15).await;
    let (mut one, mut like_one) = (bench.start::<0>(Mood::Well), bench.start::<3>(Mood::Well));
    for strings in [&mut one, &mut watcher, &mut like_one] {
        strings.await_record(15).await;
        assert_eq!(strings.seen(), (11..16).collect::<Vec<_>>());
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_named_with_its_reader_and_passed_over_by_those_that_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path(), &[ONE, TWO, WATCHER]).await.unwrap();
    let mut one = bench.start::<0>(Mood::Well);
    bench.append(40).await;
    one.await_record(39).await;
    assert_eq!(bench.first(), 0);
    // Somebody removed segments that reader two has not covered.
    bench.runner.events.log().trim_before(Offset(20)).unwrap();
    bench.stop().await;
    let refused = Bench::open(folder.path(), &[ONE, TWO, WATCHER]).await.err().unwrap();
    assert!(matches!(refused, OpenPositionsError::LogGap { reader: "two", stored: 0, .. }), "{refused}");
    let bench = Bench::open(folder.path(), &[ONE, WATCHER]).await.unwrap();
    let first = bench.first();
    assert_eq!(bench.runner.positions.of("watcher").unwrap().durable(), first);
    bench.stop().await;
}

/// What a reader was handed at a time: records, and bytes of them.
type Weights = Vec<(usize, usize)>;

/// A reader that keeps how much it was handed.
struct Weigher {
    batches: watch::Sender<Weights>,
}

impl Reader for Weigher {
    type Run = watch::Sender<Weights>;

    const NAME: ReaderName = ReaderName { name: "weigher", about: "weighs", counts: true, begin: Begin::First };

    async fn start(&self) -> Result<(Self::Run, u64), ReaderError> {
        Ok((self.batches.clone(), 0))
    }
}

impl Run for watch::Sender<Weights> {
    async fn handle(&mut self, batch: &[Record]) -> Result<(), ReaderError> {
        let bytes = batch.iter().map(|record| record.payload.len()).sum();
        self.send_modify(|batches| batches.push((batch.len(), bytes)));
        Ok(())
    }

    fn commit_at(&self) -> Option<Instant> {
        None
    }

    async fn commit(&mut self, _next: u64) -> Result<(), ReaderError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_handed_as_much_as_it_may_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path(), &[Weigher::NAME]).await.unwrap();
    let batches = watch::Sender::new(Vec::new());
    bench.runner.spawn(Weigher { batches: batches.clone() }, &bench.tasks, bench.shutdown.clone());
    let half = BYTES_PER_READ_MAX / 2;
    let cases: [(Vec<usize>, Weights); 4] = [
        (vec![1; RECORDS_PER_READ_MAX], vec![(RECORDS_PER_READ_MAX, RECORDS_PER_READ_MAX)]),
        (vec![1; RECORDS_PER_READ_MAX + 1], vec![(RECORDS_PER_READ_MAX, RECORDS_PER_READ_MAX), (1, 1)]),
        (vec![half, half, 1], vec![(2, BYTES_PER_READ_MAX), (1, 1)]),
        (vec![half, half + 1], vec![(1, half), (1, half + 1)]),
    ];
    for (sizes, expected) in cases {
        let records: Vec<Bytes> = sizes.iter().map(|bytes| Bytes::from(vec![b'x'; *bytes])).collect();
        // Together, so that all of them are at hand.
        bench.runner.events.log().append(records).await.unwrap();
        let all = |batches: &Weights| batches.iter().map(|batch| batch.0).sum::<usize>() == sizes.len();
        let mut handed = batches.subscribe();
        drop(tokio::time::timeout(PATIENCE, handed.wait_for(all)).await.expect("the records come"));
        assert_eq!(batches.send_replace(Vec::new()), expected);
    }
    bench.stop().await;
}

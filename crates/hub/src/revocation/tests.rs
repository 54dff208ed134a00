//! What falls is ended, what stands stays, and nothing is missed in between.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use registry::{ApiTokenRow, ApplicationRow, CountMax, Precondition};
use tokio::sync::watch;

use super::*;

/// A door whose judge says what a test wants.
struct Door {
    says: Mutex<Result<Judgement, &'static str>>,
    judged: watch::Sender<usize>,
    ended: CancellationToken,
    now: AtomicUsize,
    at_once: AtomicUsize,
    /// What was read before it was judged.
    known: Mutex<Vec<Arc<KnownDevices>>>,
}

/// What a timer may be late: it counts milliseconds.
const TICK: Duration = Duration::from_millis(1);

/// What a door says that answers nobody.
const NOTHING: &str = "nothing";

const STANDS: Judgement = Judgement::Stands { again_at_ms: None };

impl Door {
    fn new(says: Judgement) -> Arc<Self> {
        Arc::new(Self {
            says: Mutex::new(Ok(says)),
            judged: watch::Sender::new(0),
            ended: CancellationToken::new(),
            now: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            known: Mutex::default(),
        })
    }

    fn says(&self, says: Result<Judgement, &'static str>) {
        *self.says.lock().unwrap() = says;
    }

    async fn judged(&self, times: usize) {
        self.judged.subscribe().wait_for(|judged| *judged >= times).await.unwrap();
    }
}

impl Opened for Door {
    fn judge<'a>(&'a self, known: &'a Arc<KnownDevices>) -> Judging<'a> {
        Box::pin(async {
            {
                let mut all = self.known.lock().unwrap();
                if all.iter().all(|seen| !Arc::ptr_eq(seen, known)) {
                    all.push(Arc::clone(known));
                }
            }
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.at_once.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            self.judged.send_modify(|judged| *judged += 1);
            let says = *self.says.lock().unwrap();
            match says {
                Err(NOTHING) => std::future::pending().await,
                says => says.map_err(Into::into),
            }
        })
    }

    fn end(&self) {
        self.ended.cancel();
    }
}

struct Rig {
    _dir: tempfile::TempDir,
    registry: Registry,
    revocation: Revocation,
    stop: CancellationToken,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(&dir.path().join("registry.db")).await.unwrap();
        let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0ne1".into(), created_ms: 0 };
        registry.application_create(&application, &[]).await.unwrap();
        let (revocation, revoker) = Revocation::new(registry.clone());
        let stop = CancellationToken::new();
        tokio::spawn(revoker.run(stop.clone()));
        Self { _dir: dir, registry, revocation, stop }
    }

    /// Changes the ground of `token(id)`.
    async fn change(&self, id: &str) {
        let token = ApiTokenRow { id: id.into(), roles: "[]".into(), expires_ms: 0, created_ms: 0 };
        self.registry.resource_put("a", &token, &Precondition::None, CountMax(9)).await.unwrap();
    }

    async fn hold(&self, id: &str, door: &Arc<Door>) -> Held {
        let mark = Some(self.revocation.mark());
        self.revocation.hold(mark, &[token(id)], door.clone()).await.unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn token(id: &str) -> Ground {
    Ground::token("a", id)
}

#[tokio::test]
async fn what_rests_on_a_changed_ground_is_judged_again_and_ended_if_it_fell() {
    let rig = Rig::new().await;
    let (fell, stands, other) = (Door::new(STANDS), Door::new(STANDS), Door::new(STANDS));
    let _held = (rig.hold("t", &fell).await, rig.hold("t", &stands).await, rig.hold("u", &other).await);
    fell.says(Ok(Judgement::Fell));
    other.says(Ok(Judgement::Fell));
    rig.change("t").await;
    fell.ended.cancelled().await;
    stands.judged(1).await;
    assert!(!stands.ended.is_cancelled() && !other.ended.is_cancelled());
    assert_eq!(*other.judged.borrow(), 0, "nothing changed for it");
}

#[tokio::test]
async fn what_is_let_go_of_is_not_judged_and_leaves_nothing() {
    let rig = Rig::new().await;
    let (gone, there) = (Door::new(STANDS), Door::new(STANDS));
    let held = (rig.hold("t", &gone).await, rig.hold("t", &there).await);
    drop(held.0);
    rig.change("t").await;
    there.judged(1).await;
    assert_eq!(*gone.judged.borrow(), 0);
    drop(held.1);
    let table = rig.revocation.held();
    assert!(table.entries.is_empty() && table.by_ground.is_empty() && table.by_time.is_empty());
}

#[tokio::test]
async fn a_change_between_the_judgement_and_the_hold_is_not_missed() {
    let rig = Rig::new().await;
    let door = Door::new(Judgement::Fell);
    let mark = rig.revocation.mark();
    rig.change("other").await;
    rig.revocation.hold(Some(mark), &[token("t")], door.clone()).await.unwrap();
    assert_eq!(*door.judged.borrow(), 0, "what changed is nothing to it");
    rig.change("t").await;
    let refused = rig.revocation.hold(Some(mark), &[token("t")], door.clone()).await;
    assert!(matches!(refused, Err(NotHeld::Fell)));
    door.says(Err("the registry is away"));
    let unknown = rig.revocation.hold(None, &[token("t")], door.clone()).await;
    assert!(matches!(unknown, Err(NotHeld::Unknown(_))));
    assert!(rig.revocation.held().entries.is_empty());
}

#[tokio::test]
async fn a_judgement_that_cannot_be_had_is_asked_for_again() {
    testkit::complaints::record();
    let rig = Rig::new().await;
    let door = Door::new(STANDS);
    let _held = rig.hold("t", &door).await;
    door.says(Err("the registry is away"));
    rig.change("t").await;
    door.judged(1).await;
    tokio::time::pause();
    let before = Instant::now();
    door.says(Ok(Judgement::Fell));
    door.ended.cancelled().await;
    assert!(before.elapsed() <= JUDGE_RETRY_PAUSE + TICK);
    testkit::complaints::check(&["could not be judged"]);
}

#[tokio::test]
async fn what_cannot_be_judged_is_ended_in_time() {
    for answer in ["the registry is away", NOTHING] {
        testkit::complaints::record();
        let rig = Rig::new().await;
        let (door, other) = (Door::new(STANDS), Door::new(STANDS));
        let _held = (rig.hold("t", &door).await, rig.hold("t", &other).await);
        door.says(Err(answer));
        rig.change("t").await;
        // The clock stands while anything is left to do; from here on nothing is read from the registry.
        tokio::time::pause();
        let began = Instant::now();
        door.ended.cancelled().await;
        let took = began.elapsed();
        assert!(REVOKED_ENDS_WITHIN - 2 * JUDGE_RETRY_PAUSE < took && took <= REVOKED_ENDS_WITHIN + TICK, "{took:?}");
        assert!(!other.ended.is_cancelled(), "it stands");
        tokio::time::resume();
        testkit::complaints::check(&["could not be judged"]);
    }
}

#[tokio::test]
async fn a_change_in_a_doubt_is_judged_at_once_and_its_time_goes_on() {
    testkit::complaints::record();
    let rig = Rig::new().await;
    let door = Door::new(STANDS);
    let _held = rig.hold("t", &door).await;
    door.says(Err("the registry is away"));
    rig.change("t").await;
    door.judged(1).await;
    rig.change("t").await;
    door.judged(2).await;
    door.says(Ok(STANDS));
    tokio::time::pause();
    tokio::time::sleep(2 * REVOKED_ENDS_WITHIN).await;
    assert!(!door.ended.is_cancelled());
    testkit::complaints::check(&["could not be judged"]);
}

#[tokio::test]
async fn what_rests_on_one_ground_is_judged_with_few_reads() {
    let rig = Rig::new().await;
    let door = Door::new(STANDS);
    let mut held = Vec::new();
    for _ in 0..=2 * JUDGED_PER_READ_MAX {
        held.push(rig.hold("t", &door).await);
    }
    rig.change("t").await;
    door.judged(held.len()).await;
    assert_eq!(door.known.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn what_has_an_end_is_judged_when_it_comes_though_nothing_changed() {
    let rig = Rig::new().await;
    let door = Door::new(Judgement::Stands { again_at_ms: Some(now_ms() + 20) });
    let _held = rig.revocation.hold(None, &[token("t")], door.clone()).await.unwrap();
    door.judged(2).await;
    door.says(Ok(Judgement::Fell));
    door.ended.cancelled().await;
}

#[tokio::test]
async fn so_many_are_judged_at_once() {
    let rig = Rig::new().await;
    let door = Door::new(STANDS);
    let mut held = Vec::new();
    for _ in 0..=JUDGED_AT_ONCE_MAX {
        held.push(rig.hold("t", &door).await);
    }
    rig.change("t").await;
    door.judged(JUDGED_AT_ONCE_MAX + 1).await;
    assert_eq!(door.at_once.load(Ordering::SeqCst), JUDGED_AT_ONCE_MAX);
}

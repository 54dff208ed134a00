//! The clock messages grow older by: it goes on at the pace of time, whatever is done to the clock on the wall.
//!
//! ```text
//! wall     ──12:00──12:01──│ set to three days later │──12:01──12:02──
//! age      ──12:00──12:01─────────────────────────────12:01──12:02──      three days less behind the wall than before
//! ```
//! What is stored gets the time of this clock, and its time to live is counted by it. Where a time is shown to others (the stamp a
//! message gets on its way upstream), what the wall is ahead is added: a clock that is set right also sets right the stamps of what
//! was stored before, and ages nothing.
//!
//! `hub/clock.json` notes both clocks, with the boot they were read in and how long that had lasted. After a restart within the same
//! boot the time between is known exactly. After another boot it is what the wall says, and at least how long this boot has lasted: a
//! wall that was set while the device was off cannot be told from time that passed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use storage::log::Clock;
use tokio::time::Instant;

use crate::limits::{CLOCK_NOTE_INTERVAL, CLOCK_STEP_MIN};
use crate::state::{self, State, StateError, StateKind};

/// Where times come from.
#[derive(Clone)]
pub(super) struct TimeSources {
    /// Milliseconds since 1970 by the clock on the wall.
    pub(super) wall_ms: Clock,
    /// Milliseconds since this boot, which goes on while the machine sleeps.
    pub(super) since_boot_ms: Clock,
    /// Which boot that was.
    pub(super) boot_id: String,
}

impl TimeSources {
    /// The machine's.
    pub(super) fn system(wall_ms: Clock) -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let started = std::time::Instant::now();
        let at_start_ms = uptime_ms().unwrap_or_default();
        // Read anew each time a note is made; between, the process' own clock is as good and costs nothing.
        let since_boot_ms = Arc::new(move || at_start_ms + started.elapsed().as_millis() as u64);
        Self { wall_ms, since_boot_ms, boot_id: boot_id.trim().to_owned() }
    }
}

fn uptime_ms() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let secs: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some((secs * 1000.0) as u64)
}

/// What is on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    age_ms: u64,
    wall_ms: u64,
    boot_id: String,
    since_boot_ms: u64,
}

impl State for Note {
    const KIND: &'static StateKind = &state::CLOCK;
}

impl Note {
    fn of(age_ms: u64, ahead_ms: i128, sources: &TimeSources) -> Self {
        Self {
            age_ms,
            wall_ms: u64::try_from(i128::from(age_ms) + ahead_ms).unwrap_or_default(),
            boot_id: sources.boot_id.clone(),
            since_boot_ms: (sources.since_boot_ms)(),
        }
    }

    /// What the clock of age says now, going on from here.
    fn age_at(&self, wall_ms: u64, since_boot_ms: u64, boot_id: &str) -> u64 {
        let is_same_boot = !boot_id.is_empty() && boot_id == self.boot_id && since_boot_ms >= self.since_boot_ms;
        let passed_ms = match is_same_boot {
            true => since_boot_ms - self.since_boot_ms,
            false => wall_ms.saturating_sub(self.wall_ms).max(since_boot_ms),
        };
        self.age_ms + passed_ms
    }
}

/// The clock.
#[derive(Clone)]
pub(super) struct AgeClock {
    inner: Arc<Inner>,
}

struct Inner {
    path: Option<PathBuf>,
    sources: TimeSources,
    /// The clock of age minus the time since boot.
    age_at_boot_ms: i128,
    noted: Mutex<Noted>,
}

struct Noted {
    /// How far the wall is ahead. The same until the wall is set, also over a restart: measured anew each time it differs by some
    /// milliseconds, and messages would be stamped out of their order.
    ahead_ms: i128,
    at: Instant,
}

impl AgeClock {
    /// Goes on where it was noted; the first time it begins with what the wall says.
    pub(super) fn open(path: &Path, sources: TimeSources) -> Result<Self, StateError> {
        let known: Option<Note> = state::open(path)?;
        let (wall_ms, since_boot_ms) = ((sources.wall_ms)(), (sources.since_boot_ms)());
        let age_ms = known.as_ref().map_or(wall_ms, |note| note.age_at(wall_ms, since_boot_ms, &sources.boot_id));
        let ahead_ms = known.map_or(0, |note| i128::from(note.wall_ms) - i128::from(note.age_ms));
        let clock =
            Self::from(Some(path.to_owned()), sources, i128::from(age_ms) - i128::from(since_boot_ms), ahead_ms);
        clock.inner.note();
        Ok(clock)
    }

    /// One that is not kept, and whose time is that since boot.
    #[cfg(test)]
    pub(super) fn of_sources(sources: TimeSources) -> Self {
        Self::from(None, sources, 0, 0)
    }

    fn from(path: Option<PathBuf>, sources: TimeSources, age_at_boot_ms: i128, ahead_ms: i128) -> Self {
        let noted = Mutex::new(Noted { ahead_ms, at: Instant::now() });
        Self { inner: Arc::new(Inner { path, sources, age_at_boot_ms, noted }) }
    }

    /// What it says, in milliseconds, as if since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        self.inner.now_ms()
    }

    /// The same for the queues.
    pub(super) fn as_clock(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || clock.now_ms())
    }

    /// What the wall says now of a time of this clock, which is not ahead of the wall.
    pub(super) fn on_the_wall_ms(&self, age_ms: u64) -> u64 {
        let wall_ms = (self.inner.sources.wall_ms)();
        u64::try_from(i128::from(age_ms) + self.inner.ahead_ms()).unwrap_or_default().min(wall_ms)
    }

    /// Notes both clocks when the wall was set, and every now and then. Blocks. Says by how much the wall was set.
    pub(super) fn note_if_due(&self) -> Option<i128> {
        let (step_ms, is_old) = self.step();
        if step_ms.is_some() || is_old {
            self.inner.note();
        }
        step_ms
    }

    /// Whether there is something to note.
    pub(super) fn is_due(&self) -> bool {
        let (step_ms, is_old) = self.step();
        step_ms.is_some() || is_old
    }

    /// By how much the wall was set since the last note, and whether that is old.
    fn step(&self) -> (Option<i128>, bool) {
        let noted = self.inner.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let step_ms = self.inner.measure_ahead_ms() - noted.ahead_ms;
        (is_step(step_ms).then_some(step_ms), noted.at.elapsed() >= CLOCK_NOTE_INTERVAL)
    }
}

impl Inner {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.age_at_boot_ms + i128::from((self.sources.since_boot_ms)())).unwrap_or_default()
    }

    /// How far the wall is ahead: as noted, unless it was set since.
    fn ahead_ms(&self) -> i128 {
        let measured_ms = self.measure_ahead_ms();
        let noted_ms = self.noted.lock().unwrap_or_else(PoisonError::into_inner).ahead_ms;
        if is_step(measured_ms - noted_ms) { measured_ms } else { noted_ms }
    }

    fn measure_ahead_ms(&self) -> i128 {
        i128::from((self.sources.wall_ms)()) - i128::from(self.now_ms())
    }

    fn note(&self) {
        let ahead_ms = self.ahead_ms();
        *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = Noted { ahead_ms, at: Instant::now() };
        let note = Note::of(self.now_ms(), ahead_ms, &self.sources);
        if let Some(path) = &self.path
            && let Err(error) = state::write(path, &note)
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot note the time");
        }
    }
}

impl Drop for Inner {
    /// An orderly end leaves nothing to guess.
    fn drop(&mut self) {
        self.note();
    }
}

/// Whether so much is a step of the wall, and no drift or rounding of the two clocks.
fn is_step(ms: i128) -> bool {
    ms.unsigned_abs() >= CLOCK_STEP_MIN.as_millis()
}

/// How a step of the wall is told.
pub(super) fn describe_step(step_ms: i128) -> String {
    let step = Duration::from_millis(u64::try_from(step_ms.unsigned_abs()).unwrap_or(u64::MAX));
    let direction = if step_ms > 0 { "forward" } else { "back" };
    format!("{} s {direction}", step.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const DAY_MS: u64 = 86_400_000;
    const START_MS: u64 = 1_800_000_000_000;

    /// A machine whose clocks are set by hand.
    #[derive(Clone, Default)]
    struct Machine {
        wall_ms: Arc<AtomicU64>,
        since_boot_ms: Arc<AtomicU64>,
    }

    impl Machine {
        fn sources(&self, boot_id: &str) -> TimeSources {
            let clock = |time: &Arc<AtomicU64>| -> Clock {
                let time = Arc::clone(time);
                Arc::new(move || time.load(Ordering::Relaxed))
            };
            TimeSources {
                wall_ms: clock(&self.wall_ms),
                since_boot_ms: clock(&self.since_boot_ms),
                boot_id: boot_id.to_owned(),
            }
        }

        fn pass(&self, ms: u64) {
            self.wall_ms.fetch_add(ms, Ordering::Relaxed);
            self.since_boot_ms.fetch_add(ms, Ordering::Relaxed);
        }

        fn set_wall(&self, ms: u64) {
            self.wall_ms.store(ms, Ordering::Relaxed);
        }
    }

    fn started() -> (Machine, tempfile::TempDir, AgeClock) {
        let (machine, dir) = (Machine::default(), tempfile::tempdir().unwrap());
        machine.pass(50_000);
        machine.set_wall(START_MS);
        let clock = AgeClock::open(&dir.path().join("clock.json"), machine.sources("first")).unwrap();
        assert_eq!(clock.now_ms(), START_MS);
        (machine, dir, clock)
    }

    #[test]
    fn what_is_shown_keeps_its_order_however_the_clocks_are_rounded() {
        let (machine, dir, clock) = started();
        let (first, second) = (clock.now_ms(), clock.now_ms() + 1);
        machine.pass(10_000);
        let shown = clock.on_the_wall_ms(second);
        // One clock is read a moment after the other, and the time since boot comes in hundredths after a restart.
        machine.since_boot_ms.fetch_add(7, Ordering::Relaxed);
        assert_eq!((clock.on_the_wall_ms(first), clock.on_the_wall_ms(second)), (shown - 1, shown));
        drop(clock);
        machine.pass(20);
        machine.since_boot_ms.fetch_sub(9, Ordering::Relaxed);
        let clock = AgeClock::open(&dir.path().join("clock.json"), machine.sources("first")).unwrap();
        assert_eq!((clock.on_the_wall_ms(first), clock.on_the_wall_ms(second)), (shown - 1, shown));
    }

    #[test]
    fn a_step_of_the_wall_ages_nothing_and_shifts_what_is_shown() {
        let (machine, _dir, clock) = started();
        let stored_ms = clock.now_ms();
        machine.pass(1_000);
        machine.set_wall(START_MS + 3 * DAY_MS);
        assert_eq!(clock.now_ms() - stored_ms, 1_000);
        assert_eq!(clock.on_the_wall_ms(stored_ms), START_MS + 3 * DAY_MS - 1_000);
        assert_eq!(clock.note_if_due(), Some(i128::from(3 * DAY_MS) - 1_000));
        assert_eq!(clock.note_if_due(), None, "told once");
        machine.set_wall(START_MS - DAY_MS);
        assert_eq!(clock.now_ms() - stored_ms, 1_000);
        assert_eq!(clock.on_the_wall_ms(stored_ms), START_MS - DAY_MS - 1_000);
    }

    #[test]
    fn a_clock_that_was_never_set_is_set_right_afterwards() {
        let (machine, dir) = (Machine::default(), tempfile::tempdir().unwrap());
        let clock = AgeClock::open(&dir.path().join("clock.json"), machine.sources("first")).unwrap();
        let stored_ms = clock.now_ms();
        machine.pass(5_000);
        machine.set_wall(START_MS);
        assert_eq!(clock.on_the_wall_ms(stored_ms), START_MS - 5_000);
    }

    #[test]
    fn over_a_restart_time_is_counted_as_well_as_can_be_known() {
        // (boot, time passed meanwhile, how the wall is set, aged by)
        for (boot, passed_ms, wall_ms, aged_ms) in [
            ("first", 7_000, START_MS + 7_000, 7_000),
            // Set while the daemon was not running: the boot tells.
            ("first", 7_000, START_MS + 3 * DAY_MS, 7_000),
            ("first", 7_000, 1_000, 7_000),
            // Switched off for a day, with a clock that goes on.
            ("second", 0, START_MS + DAY_MS, DAY_MS),
            // Without such a clock.
            ("second", 0, 1_000, 60_000),
        ] {
            let (machine, dir, clock) = started();
            let stored_ms = clock.now_ms();
            drop(clock);
            machine.pass(passed_ms);
            machine.set_wall(wall_ms);
            if boot == "second" {
                machine.since_boot_ms.store(60_000, Ordering::Relaxed);
            }
            let clock = AgeClock::open(&dir.path().join("clock.json"), machine.sources(boot)).unwrap();
            assert_eq!(clock.now_ms() - stored_ms, aged_ms, "{boot} {passed_ms} {wall_ms}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_noted_when_the_wall_was_set_and_every_now_and_then() {
        let (machine, dir, clock) = started();
        let noted = || state::read::<Note>(&dir.path().join("clock.json")).unwrap().unwrap().wall_ms;
        let step_ms = CLOCK_STEP_MIN.as_millis() as u64;
        machine.set_wall(START_MS + step_ms - 1);
        assert_eq!(clock.note_if_due(), None);
        assert_eq!(noted(), START_MS);
        machine.set_wall(START_MS + step_ms);
        assert_eq!(clock.note_if_due(), Some(i128::from(step_ms)));
        assert_eq!(noted(), START_MS + step_ms);
        machine.pass(1);
        tokio::time::advance(CLOCK_NOTE_INTERVAL).await;
        assert_eq!(clock.note_if_due(), None);
        assert_eq!(noted(), START_MS + step_ms + 1);
        assert_eq!(describe_step(-2_000), "2 s back");
    }
}

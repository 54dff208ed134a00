//! How long modules should have run, and how long they did.
//!
//! Expected is the time in which a module was in the deployment with the desired status `running`, whatever kept it from
//! running: also the time without an identity, without an image, and between a failure and the restart. Running correctly is
//! that part of it in which it ran. A module that shall be stopped keeps what it has; one that is removed loses it. Both
//! times are of the monotonic clock: the wall clock may jump.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::manifest::agent::{AGENT_MODULE, HUB_MODULE};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

/// Parts of this daemon that are modules of the deployment: they run as long as there is somebody to ask.
pub(super) const BUILT_IN: [&str; 2] = [AGENT_MODULE, HUB_MODULE];

/// What a module does, beside what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It need not run; whether it does is of no interest.
    Unasked,
    /// It should run and does not.
    Down,
    /// It should run and does.
    Up,
}

#[derive(Debug, Clone, Copy)]
struct Time {
    doing: Doing,
    since: Instant,
    expected: Duration,
    running: Duration,
}

impl Time {
    fn new(doing: Doing, since: Instant) -> Self {
        Self { doing, since, expected: Duration::ZERO, running: Duration::ZERO }
    }

    fn at(&self, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.since);
        let if_in = |doings: &[Doing]| if doings.contains(&self.doing) { passed } else { Duration::ZERO };
        Self {
            doing: self.doing,
            since: now,
            expected: self.expected + if_in(&[Doing::Down, Doing::Up]),
            running: self.running + if_in(&[Doing::Up]),
        }
    }
}

/// The times of every module that is in the deployment, which holds at most
/// [`MANIFEST_MODULES_MAX`](model::limits::MANIFEST_MODULES_MAX), and of those that have yet to go. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Times(Arc<Mutex<BTreeMap<String, Time>>>);

impl Times {
    /// Those of the built-in modules begin.
    pub(super) fn new(now: Instant) -> Self {
        let times = BUILT_IN.map(|name| (name.to_owned(), Time::new(Doing::Up, now)));
        Self(Arc::new(Mutex::new(times.into())))
    }

    /// What these do from now on; all others are forgotten. When any was, says who is left.
    pub(super) fn set<'a>(
        &self,
        modules: impl Iterator<Item = (&'a str, Doing)>,
        now: Instant,
    ) -> Option<BTreeSet<String>> {
        let mut times = self.times();
        let mut left: BTreeSet<&str> = BUILT_IN.into();
        for (name, doing) in modules {
            left.insert(name);
            match times.get_mut(name) {
                Some(time) => *time = Time { doing, ..time.at(now) },
                None => drop(times.insert(name.to_owned(), Time::new(doing, now))),
            }
        }
        let before = times.len();
        times.retain(|name, _| left.contains(name.as_str()));
        (times.len() < before).then(|| times.keys().cloned().collect())
    }

    fn times(&self) -> MutexGuard<'_, BTreeMap<String, Time>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Times {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (times, now) = (self.times().clone(), Instant::now());
        let mut gauges = |name: &str, help: &str, value: fn(Time) -> Duration| {
            let name = format!("edgeAgent_{name}");
            let mut encoder = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            times.iter().try_for_each(|(module, time)| {
                let secs = value(time.at(now)).as_secs_f64();
                ConstGauge::new(secs).encode(encoder.encode_family(&[("module_name", module.as_str())])?)
            })
        };
        gauges("total_time_expected_running_seconds", "Time the module should have run", |time| time.expected)?;
        gauges("total_time_running_correctly_seconds", "Time of it in which the module ran", |time| time.running)
    }
}

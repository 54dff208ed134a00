//! What Central is made of, as one value: opened once, handed on whole, cheap to clone.
//!
//! Nothing in it belongs to one application. Which one a request is for is decided from its host name, and carried by the
//! [`Access`](crate::app::Access) that every read and write takes.

use std::ops::Deref;
use std::sync::Arc;

use events::Events;
use events::health::Health;
use events::last_seen::LastSeen;
use events::live::Live;
use events::queue::EventQueue;
use hub::applications::Applications;
use hub::device_messages::DeviceMessages;
use hub::files::Files;
use hub::kept_sessions::KeptSessions;
use hub::metrics::HubMetrics;
use hub::provisioning::Provisioning;
use hub::revocation::Revocation;
use hub::sessions::Sessions;
use hub::twins::Twins;
use readers::positions::Positions;
use readers::timeseries::TimeSeries;
use registry::Registry;
use storage::log::Log;

use crate::app::commands::CommandRuns;
use crate::app::signing_key::SigningKeys;
use crate::data_folder::DataFolder;
use crate::serve::{ListenerCounts, Supervisor};

/// The parts.
pub struct Parts {
    /// The data folder, locked by this process.
    pub folder: DataFolder,
    /// Everything that is neither telemetry nor log.
    pub registry: Registry,
    /// Which application a host name leads to.
    pub applications: Applications,
    /// The log.
    pub log: Log,
    /// What the log may take on the disk.
    pub log_bytes_max: u64,
    /// Where the readers of the log are.
    pub readers: Positions,
    /// The one door into the log.
    pub events: Events,
    /// Where connections tell of themselves.
    pub connections: EventQueue,
    /// Live updates.
    pub live: Live,
    /// When identities were last heard of.
    pub last_seen: LastSeen,
    /// Who is connected.
    pub sessions: Sessions,
    /// What is ended when its credential is revoked.
    pub revocation: Revocation,
    /// Twins.
    pub twins: Twins,
    /// What sessions are subscribed to, over a restart too.
    pub kept_sessions: KeptSessions,
    /// Where runs of commands are stored.
    pub command_runs: CommandRuns,
    /// What waits for devices.
    pub messages: DeviceMessages,
    /// What devices upload.
    pub files: Files,
    /// Telemetry.
    pub telemetry: TimeSeries,
    /// Provisioning.
    pub provisioning: Provisioning,
    /// What keeps Central from being ready.
    pub health: Health,
    /// What ends Central when a background task does.
    pub supervisor: Supervisor,
    /// Counters of the device plane.
    pub hub_metrics: HubMetrics,
    /// Every metric there is, to be encoded.
    pub metrics: prometheus_client::registry::Registry,
    /// What the listeners count.
    pub listeners: ListenerCounts,
    /// Keys that sign API tokens, one an application.
    pub signing_keys: SigningKeys,
}

/// A handle on the [`Parts`].
#[derive(Clone)]
pub struct Core(Arc<Parts>);

impl Core {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Core {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

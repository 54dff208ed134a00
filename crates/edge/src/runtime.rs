//! What runs modules. The lifecycle only knows the trait [`ModuleRuntime`]; behind it are plain processes today
//! ([`process`]), a container engine later.
//!
//! A runtime starts and stops what it is told to and says what it sees. It decides nothing: policies, waits and order are
//! the planner's ([`crate::lifecycle::plan`]).

pub mod log_file;
pub mod process;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::Notify;

/// What a module is started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSpec {
    /// Name in the deployment.
    pub name: String,
    /// Image, with tag.
    pub image: String,
    /// Environment, complete: the deployment's and ours.
    pub env: BTreeMap<String, String>,
}

/// What a runtime sees of one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleState {
    /// Name of the module.
    pub name: String,
    /// Whether it runs.
    pub run: RunState,
    /// When it was last started, if ever since this daemon started.
    pub started_at: Option<OffsetDateTime>,
}

/// Whether a module runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Made, never started.
    Created,
    /// Running.
    Running {
        /// Process id, where there is one.
        pid: u32,
    },
    /// It ended, by itself or because it was told to.
    Exited {
        /// Exit status; 128 + signal where a signal ended it.
        code: i32,
        /// When.
        at: OffsetDateTime,
    },
}

/// A step on a module failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Nothing here can run this image.
    #[error("no container engine; image {image} is not mapped in [tidegate.processes]")]
    NoProgram {
        /// The image.
        image: String,
    },
    /// The program named for the image is not there.
    #[error("the program {program} of image {image} is not found")]
    ProgramMissing {
        /// The image.
        image: String,
        /// What the configuration names.
        program: String,
    },
    /// The module is not known to the runtime.
    #[error("there is no module {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The operating system refused.
    #[error("cannot {act} module {name}")]
    System {
        /// What was tried.
        act: &'static str,
        /// The module.
        name: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Runs modules.
pub trait ModuleRuntime: Send + Sync + 'static {
    /// `docker` for an engine's modules and for those that stand in for them: what the report calls `type`.
    fn kind(&self) -> &'static str {
        "docker"
    }

    /// Makes the module without starting it, replacing one of the same name, which must not run.
    fn create(&self, spec: ModuleSpec) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Starts a module that was made. Fine when it runs already.
    fn start(&self, name: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Stops a module: asks, then forces. Fine when it does not run.
    fn stop(&self, name: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Stops and forgets a module. Fine when it is not known.
    fn remove(&self, name: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// All modules, by name.
    fn observe(&self) -> Vec<ModuleState>;

    /// Notified whenever [`observe`](Self::observe) may answer something new.
    fn changed(&self) -> Arc<Notify>;
}

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
pub(crate) mod fake;

//! What runs modules. The lifecycle only knows the trait [`ModuleRuntime`]; behind it are plain processes today
//! ([`process`]), a container engine later.
//!
//! A runtime makes, starts and stops what it is told to and says what it sees. It decides nothing: policies, waits and order
//! are the planner's ([`crate::lifecycle::plan`]), and so is when a step is given up for another.

pub mod counted;
pub mod log_file;
pub mod process;
mod pull;
mod spec;
pub mod users;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use model::module_name::ModuleName;
use time::OffsetDateTime;
use tokio::sync::Notify;

use log_file::{LogFilter, LogLine};
pub use pull::{PullProgress, Pulled};
#[cfg(test)]
pub(crate) use spec::named;
pub use spec::{ModuleSpec, SettingsHash};

/// What a runtime sees of one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleState {
    /// Name of the module.
    pub name: ModuleName,
    /// What it was made from. A runtime whose modules outlive this daemon keeps it with them.
    pub settings_hash: SettingsHash,
    /// The deployment's free text it was made with, kept as the hash is.
    pub version: String,
    /// Whether it runs.
    pub run: RunState,
    /// When it was last started, as far as the runtime knows.
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

/// Output of modules.
pub trait ModuleLogs: Send + Sync + 'static {
    /// Names of the modules that have any, those that left included, sorted.
    fn modules(&self) -> LogAnswer<'_, Vec<String>>;

    /// Lines of one module, oldest first, at most [`LOG_LINES_MAX`](crate::limits::LOG_LINES_MAX) and the newest of them. A
    /// module that never wrote has none.
    fn read<'a>(&'a self, module: &'a str, filter: &'a LogFilter) -> LogAnswer<'a, Vec<LogLine>>;
}

/// An answer about logs.
pub type LogAnswer<'a, T> = Pin<Box<dyn Future<Output = Result<T, RuntimeError>> + Send + 'a>>;

/// Runs modules.
///
/// Calls for different modules run side by side; for one module there is one at a time. Every future may be dropped at any
/// point: then the call has happened, or not, or the module is as [`observe`](Self::observe) says, and the next call goes on
/// from there; no process or container is left that it does not show.
pub trait ModuleRuntime: ModuleLogs {
    /// Brings the image of a module here, as its pull policy says. The module itself, if there is one of this name, goes on
    /// meanwhile. May take hours; dropping the future gives it up.
    fn pull(&self, spec: &ModuleSpec, progress: &PullProgress)
    -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Makes a module from an image that is here, without starting it. One of the same name is stopped within the grace and
    /// replaced.
    fn create(&self, spec: &ModuleSpec, grace: Duration) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Starts a module. Fine when it runs already.
    fn start(&self, name: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Ends a module: asks it to, and kills it after the grace. Fine when it does not run.
    fn stop(&self, name: &str, grace: Duration) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Stops a module within the grace and forgets it. Fine when it is not known.
    fn remove(&self, name: &str, grace: Duration) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// All modules, by name. Answers at once, from what was last seen.
    fn observe(&self) -> Vec<ModuleState>;

    /// Notified whenever [`observe`](Self::observe) may answer something new.
    fn changed(&self) -> Arc<Notify>;
}

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
pub(crate) mod fake;

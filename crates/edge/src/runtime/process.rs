//! Modules as plain supervised processes, for machines without a container engine.
//!
//! `[tidegate.processes]` maps an image to a program. Each module runs in a process group of its own; its output is captured
//! line by line into [`log_file`](super::log_file). Before a process counts as started its id and start time are on disk, so
//! that a daemon that was killed leaves no orphans: the next one finds the group by that record and ends it first
//! ([`leftover`]).
//!
//! What steps mean here: there is nothing to pull, so a pull finds out whether the image is mapped to a program. Of the create
//! options only `Env` has an effect. Output of modules that left stays until it is rotated away.

mod leftover;
mod output;
mod program;

use std::collections::BTreeMap;
use std::future::ready;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::module_name::ModuleName;
use rustix::process::{Pid, Signal, kill_process_group};
use time::OffsetDateTime;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};

use super::log_file::{self, LogFilter, LogLine};
use super::users::{self, ModuleUsers};
use super::{
    LogAnswer, ModuleLogs, ModuleRuntime, ModuleSpec, ModuleState, PullProgress, Pulled, RunState, RuntimeError,
};
use crate::config::Processes;

pub use program::resolve;

/// Runs modules as processes. Cheap to clone.
#[derive(Clone)]
pub struct ProcessRuntime {
    shared: Arc<Shared>,
}

struct Shared {
    processes: Processes,
    logs_dir: PathBuf,
    records_dir: PathBuf,
    /// Where each module has a user of its own.
    users: Option<Arc<ModuleUsers>>,
    modules: Mutex<BTreeMap<ModuleName, Module>>,
    changed: Arc<Notify>,
}

struct Module {
    spec: ModuleSpec,
    run: RunState,
    started_at: Option<OffsetDateTime>,
    /// Turns true when the current process has ended and its state is recorded.
    ended: watch::Receiver<bool>,
}

impl ProcessRuntime {
    /// Opens the runtime and ends whatever an earlier daemon left running.
    pub async fn open(
        processes: Processes,
        logs_dir: &Path,
        records_dir: &Path,
        users: Option<Arc<ModuleUsers>>,
    ) -> std::io::Result<Self> {
        std::fs::create_dir_all(logs_dir)?;
        std::fs::create_dir_all(records_dir)?;
        leftover::end_all(records_dir).await?;
        Ok(Self {
            shared: Arc::new(Shared {
                processes,
                logs_dir: logs_dir.to_owned(),
                records_dir: records_dir.to_owned(),
                users,
                modules: Mutex::new(BTreeMap::new()),
                changed: Arc::new(Notify::new()),
            }),
        })
    }

    fn log_dir(&self, name: &ModuleName) -> PathBuf {
        self.shared.logs_dir.join(name.as_str())
    }

    fn log_dirs(&self) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.shared.logs_dir)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

impl Shared {
    fn with_modules<T>(&self, act: impl FnOnce(&mut BTreeMap<ModuleName, Module>) -> T) -> T {
        act(&mut self.modules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn spawn(&self, spec: &ModuleSpec) -> Result<Child, RuntimeError> {
        let process =
            self.processes.find(&spec.image).ok_or_else(|| RuntimeError::NoProgram { image: spec.image.clone() })?;
        let program = resolve(&process.program).ok_or_else(|| RuntimeError::ProgramMissing {
            image: spec.image.clone(),
            program: process.program.clone(),
        })?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let failed = |source| RuntimeError::System { act: "start", name: spec.name.to_string(), source };
        let mut command = Command::new(program);
        command
            .args(&process.args)
            .env_clear()
            .env("PATH", path)
            .envs(&spec.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let Some(users) = &self.users else { return command.spawn().map_err(failed) };
        users.prepare(&spec.name, &mut command).map_err(failed)?;
        let _lowered = users::Lowered::now().map_err(failed)?;
        command.spawn().map_err(failed)
    }
}

impl ModuleLogs for ProcessRuntime {
    fn modules(&self) -> LogAnswer<'_, Vec<String>> {
        let failed = |source| RuntimeError::System { act: "list the logs of", name: "(any)".to_owned(), source };
        Box::pin(ready(self.log_dirs().map_err(failed)))
    }

    fn read<'a>(&'a self, module: &'a str, filter: &'a LogFilter) -> LogAnswer<'a, Vec<LogLine>> {
        // What can be no module never wrote.
        let Ok(module) = ModuleName::parse(module) else { return Box::pin(ready(Ok(Vec::new()))) };
        let lines = log_file::read(&self.log_dir(&module), filter);
        let failed = |source| RuntimeError::System { act: "read the log of", name: module.to_string(), source };
        Box::pin(ready(lines.map_err(failed)))
    }
}

impl ModuleRuntime for ProcessRuntime {
    async fn pull(&self, spec: &ModuleSpec, progress: &PullProgress) -> Result<(), RuntimeError> {
        let Some(program) = self.shared.processes.find(&spec.image) else {
            return Err(RuntimeError::NoProgram { image: spec.image.clone() });
        };
        // One that is missing is said when it is started.
        if let Ok(file) = std::fs::metadata(&program.program) {
            progress.set(Pulled { bytes: file.len(), bytes_total: Some(file.len()) });
        }
        Ok(())
    }

    async fn create(&self, spec: &ModuleSpec, grace: Duration) -> Result<(), RuntimeError> {
        match self.stop(&spec.name, grace).await {
            Ok(()) | Err(RuntimeError::Unknown { .. }) => {}
            Err(error) => return Err(error),
        }
        let module =
            Module { spec: spec.clone(), run: RunState::Created, started_at: None, ended: watch::channel(true).1 };
        self.shared.with_modules(|modules| modules.insert(module.spec.name.clone(), module));
        self.shared.changed.notify_one();
        Ok(())
    }

    async fn start(&self, name: &str) -> Result<(), RuntimeError> {
        let unknown = || RuntimeError::Unknown { name: name.to_owned() };
        let shared = &self.shared;
        let (spec, run) = shared
            .with_modules(|modules| modules.get(name).map(|module| (module.spec.clone(), module.run.clone())))
            .ok_or_else(unknown)?;
        if matches!(run, RunState::Running { .. }) {
            return Ok(());
        }
        let failed = |source| RuntimeError::System { act: "start", name: name.to_owned(), source };
        let mut child = shared.spawn(&spec)?;
        let pid = child.id().expect("a child that was not awaited has its id");
        if shared.users.is_some() {
            users::fix_limits(pid);
        }
        if let Err(error) = leftover::record(&shared.records_dir, &spec.name, pid) {
            signal_group(pid, Signal::KILL);
            let _ = child.wait().await;
            return Err(failed(error));
        }
        let (ended_tx, ended) = watch::channel(false);
        output::capture(&mut child, &self.log_dir(&spec.name)).map_err(failed)?;
        shared.with_modules(|modules| {
            if let Some(module) = modules.get_mut(name) {
                module.run = RunState::Running { pid };
                module.started_at = Some(OffsetDateTime::now_utc());
                module.ended = ended;
            }
        });
        tracing::info!(module = name, pid, "module started");
        tokio::spawn(watch_exit(Arc::clone(shared), spec.name, pid, child, ended_tx));
        shared.changed.notify_one();
        Ok(())
    }

    async fn stop(&self, name: &str, grace: Duration) -> Result<(), RuntimeError> {
        let found = self
            .shared
            .with_modules(|modules| modules.get(name).map(|module| (module.run.clone(), module.ended.clone())));
        let (run, mut ended) = found.ok_or_else(|| RuntimeError::Unknown { name: name.to_owned() })?;
        let RunState::Running { pid } = run else { return Ok(()) };
        signal_group(pid, Signal::TERM);
        if tokio::time::timeout(grace, ended.wait_for(|ended| *ended)).await.is_err() {
            tracing::warn!(module = name, pid, "module did not end when asked, killing it");
            signal_group(pid, Signal::KILL);
            // A killed process ends; the sender lives as long as its watcher, so an error means the same.
            let _ = ended.wait_for(|ended| *ended).await;
        }
        Ok(())
    }

    async fn remove(&self, name: &str, grace: Duration) -> Result<(), RuntimeError> {
        match self.stop(name, grace).await {
            Ok(()) | Err(RuntimeError::Unknown { .. }) => {}
            Err(error) => return Err(error),
        }
        self.shared.with_modules(|modules| modules.remove(name));
        self.shared.changed.notify_one();
        Ok(())
    }

    fn observe(&self) -> Vec<ModuleState> {
        self.shared.with_modules(|modules| {
            let state = |module: &Module| ModuleState {
                name: module.spec.name.clone(),
                settings_hash: module.spec.settings_hash(),
                version: module.spec.version.clone(),
                run: module.run.clone(),
                started_at: module.started_at,
            };
            modules.values().map(state).collect()
        })
    }

    fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.changed)
    }
}

/// Waits for the end of one process and notes it. Children it left in its group end with it.
async fn watch_exit(shared: Arc<Shared>, name: ModuleName, pid: u32, mut child: Child, ended: watch::Sender<bool>) {
    let code = match child.wait().await {
        Ok(status) => exit_code(status),
        Err(error) => {
            tracing::error!(
                module = %name,
                error = &error as &dyn std::error::Error,
                "cannot await the module's process"
            );
            -1
        }
    };
    signal_group(pid, Signal::KILL);
    leftover::forget(&shared.records_dir, &name);
    shared.with_modules(|modules| {
        if let Some(module) = modules.get_mut(&name) {
            module.run = RunState::Exited { code, at: OffsetDateTime::now_utc() };
        }
    });
    tracing::info!(module = %name, pid, code, "module ended");
    ended.send_replace(true);
    shared.changed.notify_one();
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// Signals a whole group. That it is gone already is as good.
fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

#[cfg(test)]
mod tests;

//! Keeps a child process running: started again when it dies, stopped with the demo.
//!
//! A child holds the read end of a pipe whose write end only the demo has. However the demo ends, also by SIGKILL, the pipe
//! ends with it, and the child stops in order: no process is left behind.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{Run, STOP_TIMEOUT, rest_for, say};

/// Pause between the death of a child and its next start.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// A child that lived shorter than this at its very first start is not started again: something must be mended.
const FIRST_LIFE_MIN: Duration = Duration::from_secs(3);
/// How much of a log is shown when a child could not start, in bytes.
const LAST_WORDS_BYTES: u64 = 2_000;

/// The flag of our programs that makes them stop when standard input ends.
const STOP_WITH_STDIN: &str = "--stop-with-stdin";

/// A program of ours and how it is started. Clones are handles of the same child.
#[derive(Debug, Clone)]
pub struct Child {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// For the second start and later ones, once known.
    later_arguments: Arc<OnceLock<Vec<String>>>,
    log: PathBuf,
    /// Where in the log the words of the current process begin.
    said_from: Arc<AtomicU64>,
}

impl Child {
    /// A child by the name a person calls it. Its output is appended to `log`.
    pub fn new(name: &'static str, program: PathBuf, arguments: Vec<String>, log: PathBuf) -> Self {
        let said_from = Arc::new(AtomicU64::new(0));
        Self { name, program, arguments, later_arguments: Arc::default(), log, said_from }
    }

    /// From now on it is started with these arguments: what it chose itself at first has to stay.
    pub fn start_later_with(&self, arguments: Vec<String>) {
        // Only the first call counts, and there is only one.
        let _ = self.later_arguments.set(arguments);
    }

    /// Runs until the demo ends; ends the demo when the child cannot even start.
    pub async fn keep_running(self, run: Run) {
        let stop = &run.stop;
        let mut first = true;
        while !stop.is_cancelled() {
            let born = tokio::time::Instant::now();
            let ended = self.run_once(stop).await;
            if stop.is_cancelled() {
                return;
            }
            let what = match ended {
                Err(error) => format!("cannot be started: {error}"),
                Ok(status) => format!("ended with {status}"),
            };
            if first && born.elapsed() < FIRST_LIFE_MIN {
                run.fail(format!("{} {what}\n{}", self.name, self.last_words()));
                return;
            }
            first = false;
            say(&format!("{} {what}", self.name));
            if !rest_for(RESTART_PAUSE, stop).await {
                return;
            }
            say(&format!("starting {} again", self.name));
        }
    }

    async fn run_once(&self, stop: &CancellationToken) -> std::io::Result<String> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        self.said_from.store(log.metadata()?.len(), Ordering::Relaxed);
        let mut process = Command::new(&self.program)
            .args(self.later_arguments.get().unwrap_or(&self.arguments))
            .arg(STOP_WITH_STDIN)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C reaches the demo, which then stops its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        // Waiting for a child closes its standard input, which would stop it.
        let _held_open = process.stdin.take();
        tokio::select! {
            status = process.wait() => Ok(status?.to_string()),
            () = stop.cancelled() => {
                terminate(&process);
                if tokio::time::timeout(STOP_TIMEOUT, process.wait()).await.is_err() {
                    process.kill().await?;
                }
                Ok("stop".to_owned())
            }
        }
    }

    /// What it said last since it was started, for an error message.
    pub fn last_words(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            let from = self.said_from.load(Ordering::Relaxed).max(length.saturating_sub(LAST_WORDS_BYTES));
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        read().unwrap_or_default()
    }
}

fn terminate(process: &tokio::process::Child) {
    let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may be gone already, which is what is wanted.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

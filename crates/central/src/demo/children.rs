//! Keeps a child process running: started again when it dies, stopped with the demo.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{STOP_TIMEOUT, rest_for, say};

/// Pause between the death of a child and its next start.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// A child that lived shorter than this at its very first start is not started again: something must be mended.
const FIRST_LIFE_MIN: Duration = Duration::from_secs(3);
/// How much of a log is shown when a child could not start, in bytes.
const LAST_WORDS_BYTES: u64 = 2_000;

/// A program of ours and how it is started.
#[derive(Debug, Clone)]
pub struct Child {
    /// What a person calls it.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its output goes, appended.
    pub log: PathBuf,
}

impl Child {
    /// Runs until `stop`; cancels `stop` when the child cannot even start.
    pub async fn keep_running(self, stop: CancellationToken) {
        let mut first = true;
        while !stop.is_cancelled() {
            let born = tokio::time::Instant::now();
            let ended = self.run_once(&stop).await;
            if stop.is_cancelled() {
                return;
            }
            match ended {
                Err(error) => say(&format!("{} cannot be started: {error}", self.name)),
                Ok(status) => say(&format!("{} ended with {status}", self.name)),
            }
            if first && born.elapsed() < FIRST_LIFE_MIN {
                say(&format!("{} said:\n{}", self.name, self.last_words()));
                stop.cancel();
                return;
            }
            first = false;
            if !rest_for(RESTART_PAUSE, &stop).await {
                return;
            }
            say(&format!("starting {} again", self.name));
        }
    }

    async fn run_once(&self, stop: &CancellationToken) -> std::io::Result<String> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut process = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C reaches the demo, which then stops its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
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

    /// The end of its log, for an error message.
    pub fn last_words(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
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

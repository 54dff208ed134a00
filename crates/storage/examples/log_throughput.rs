//! How many durable 200-byte messages a second the log takes, and how fast they can be read back.
//!
//! ```text
//! cargo run --release -p tidegate-storage --example log_throughput -- [FOLDER]
//! ```
//!
//! One appender that waits for each group: group size 1 shows the disk's `fdatasync`, 2048 shows the log. The folder
//! defaults to one under the current directory, because a temporary folder is often in memory, where syncs cost nothing.
#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::log::{Log, LogOptions, Offset};

const MESSAGE_BYTES: usize = 200;
const MEASURE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::current_dir, |folder| Ok(PathBuf::from(folder)))?;
    let folder = tempfile::Builder::new().prefix("log-throughput-").tempdir_in(parent)?;
    println!(
        "{:>6} {:>8} {:>12} {:>10} {:>12} {:>12}",
        "group", "writers", "messages/s", "groups/s", "p99 ms", "read back/s"
    );
    for (group, appenders) in [(1, 1), (1, 64), (256, 1), (256, 4), (2048, 1)] {
        measure(folder.path().join(format!("{group}-{appenders}")), group, appenders).await?;
    }
    Ok(())
}

async fn measure(folder: PathBuf, group: usize, appenders: usize) -> Result<(), Box<dyn std::error::Error>> {
    let log = Log::open(&folder, LogOptions::default())?;
    let message = Bytes::from(vec![b'm'; MESSAGE_BYTES]);
    let start = Instant::now();
    let running: Vec<_> = (0..appenders)
        .map(|_| {
            let (log, message) = (log.clone(), message.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while start.elapsed() < MEASURE {
                    let begun = Instant::now();
                    log.append(vec![message.clone(); group]).await?;
                    latencies.push(begun.elapsed());
                }
                Ok::<_, storage::log::AppendError>(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for appender in running {
        latencies.extend(appender.await??);
    }
    let elapsed = start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let p99 = latencies[latencies.len() * 99 / 100].as_secs_f64() * 1000.0;
    let messages = log.next_offset().0;

    let start = Instant::now();
    let mut reader = log.reader(Offset(0));
    while reader.position().0 < messages {
        reader.next_batch(4096, 1 << 20).await?;
    }
    let read_rate = messages as f64 / start.elapsed().as_secs_f64();
    let (rate, groups) = (messages as f64 / elapsed, latencies.len() as f64 / elapsed);
    println!("{group:>6} {appenders:>8} {rate:>12.0} {groups:>10.0} {p99:>12.2} {read_rate:>12.0}");
    log.close().await;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

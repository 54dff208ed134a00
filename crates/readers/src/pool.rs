//! The threads readers run on: beside those of the connections, which must not wait behind the work of readers.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::limits::READER_THREADS;

#[cfg(test)]
mod tests;

/// Name of the pool's threads, which makes its share of the processor visible.
pub const THREAD_NAME: &str = "readers";

/// The pool. Dropping it does not wait for what still runs.
#[derive(Debug)]
pub struct ReaderPool {
    runtime: Option<Runtime>,
}

impl ReaderPool {
    /// Starts the threads.
    pub fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(READER_THREADS).thread_name(THREAD_NAME).enable_all().build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Where tasks are started.
    pub fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("it is taken when dropped").handle()
    }
}

impl Drop for ReaderPool {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

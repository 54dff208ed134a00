//! Reads what a module writes and puts it, line by line, into its log.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

use crate::limits::MODULE_LOG_LINE_BYTES_MAX;
use crate::runtime::log_file::{LogLine, LogWriter, Stream};

/// Starts reading both outputs of a child, until it closes them.
pub(super) fn capture(child: &mut Child, log_dir: &Path) -> io::Result<()> {
    let log = Arc::new(Mutex::new(LogWriter::open(log_dir)?));
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(copy(stdout, Stream::Stdout, Arc::clone(&log)));
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(copy(stderr, Stream::Stderr, log));
    }
    Ok(())
}

/// A log that cannot be written must not stop the module: the output is read and dropped, and the reason said once.
async fn copy(mut from: impl AsyncRead + Unpin, stream: Stream, log: Arc<Mutex<LogWriter>>) {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 4096];
    let mut complained = false;
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let texts = if read == 0 { lines.finish() } else { lines.push(&buffer[..read]) };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        for text in texts {
            let written = log.write(&LogLine { at: OffsetDateTime::now_utc(), stream, text });
            if let (Err(error), false) = (written, complained) {
                complained = true;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot write a module's log, dropping its output"
                );
            }
        }
        drop(log);
        if read == 0 {
            return;
        }
    }
}

/// Cuts bytes into lines; a line without end is given out when it has [`MODULE_LOG_LINE_BYTES_MAX`].
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte == b'\n' || self.rest.len() == MODULE_LOG_LINE_BYTES_MAX {
                lines.extend(self.take());
            }
            if *byte != b'\n' {
                self.rest.push(*byte);
            }
        }
        lines
    }

    fn finish(&mut self) -> Vec<String> {
        if self.rest.is_empty() { Vec::new() } else { self.take().into_iter().collect() }
    }

    fn take(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.rest);
        Some(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"on"), Vec::<String>::new());
        assert_eq!(lines.push(b"e\r\n\ntwo\nthr"), ["one", "", "two"]);
        assert_eq!(lines.finish(), ["thr"]);
        assert_eq!(lines.finish(), Vec::<String>::new());
    }

    #[test]
    fn an_endless_line_is_cut_at_the_limit() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(&vec![b'x'; MODULE_LOG_LINE_BYTES_MAX]).len(), 0);
        let cut = lines.push(b"y");
        assert_eq!(cut.len(), 1);
        assert_eq!(cut[0].len(), MODULE_LOG_LINE_BYTES_MAX);
        assert_eq!(lines.finish(), ["y"]);
    }
}

//! The captured output of one module: lines with time and stream, in a few files that rotate.
//!
//! ```text
//! logs/<module>/0.log      newest, appended to until it has MODULE_LOG_FILE_BYTES_MAX
//! logs/<module>/1.log …    older; the oldest is deleted when the newest is full
//! line: 2026-11-21T12:00:00.123Z stdout <text>
//! ```
//! Nobody waits for a disk sync here: after a crash of the machine the last lines may be missing, nothing else.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::limits::{MODULE_LOG_FILE_BYTES_MAX, MODULE_LOG_FILES};

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One line of a module's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read.
    pub at: OffsetDateTime,
    /// Where from.
    pub stream: Stream,
    /// Without line end.
    pub text: String,
}

/// Writes the log of one module.
#[derive(Debug)]
pub struct LogWriter {
    dir: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl LogWriter {
    /// Opens the log in `dir`, which is made if needed; earlier lines stay.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::open_with_limit(dir, MODULE_LOG_FILE_BYTES_MAX)
    }

    fn open_with_limit(dir: &Path, bytes_max: u64) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let file = open_for_append(dir)?;
        let bytes = file.metadata()?.len();
        Ok(Self { dir: dir.to_owned(), file, bytes, bytes_max })
    }

    /// Appends a line.
    pub fn write(&mut self, line: &LogLine) -> io::Result<()> {
        let time = line.at.format(&Rfc3339).map_err(io::Error::other)?;
        let text = format!("{time} {} {}\n", line.stream.as_str(), line.text);
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.bytes_max {
            self.rotate()?;
        }
        self.file.write_all(text.as_bytes())?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (0..MODULE_LOG_FILES - 1).rev() {
            match std::fs::rename(path_of(&self.dir, number), path_of(&self.dir, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open_for_append(&self.dir)?;
        self.bytes = 0;
        Ok(())
    }
}

fn open_for_append(dir: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path_of(dir, 0))
}

fn path_of(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("{number}.log"))
}

/// Which lines to read.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// Only the last so many.
    pub tail: Option<usize>,
    /// Not before this.
    pub since: Option<OffsetDateTime>,
    /// Not after this.
    pub until: Option<OffsetDateTime>,
}

/// Reads lines of a module's log, oldest first, at most [`LOG_LINES_MAX`](crate::limits::LOG_LINES_MAX) and the newest of
/// them. A module that never wrote has an empty log.
pub fn read(dir: &Path, filter: &LogFilter) -> io::Result<Vec<LogLine>> {
    let keep = filter.tail.unwrap_or(usize::MAX).min(crate::limits::LOG_LINES_MAX);
    let mut lines = VecDeque::new();
    for number in (0..MODULE_LOG_FILES).rev() {
        let file = match File::open(path_of(dir, number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file).split(b'\n') {
            let Some(line) = parse(&String::from_utf8_lossy(&line?)) else { continue };
            let in_time =
                filter.since.is_none_or(|since| line.at >= since) && filter.until.is_none_or(|until| line.at <= until);
            if in_time {
                lines.push_back(line);
            }
            if lines.len() > keep {
                lines.pop_front();
            }
        }
    }
    Ok(lines.into())
}

/// A torn or foreign line is nobody's output: `None`.
fn parse(line: &str) -> Option<LogLine> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, text) = rest.split_once(' ')?;
    let stream = match stream {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    Some(LogLine { at: OffsetDateTime::parse(time, &Rfc3339).ok()?, stream, text: text.to_owned() })
}

#[cfg(test)]
mod tests;

#![allow(clippy::unwrap_used)]
use super::*;

fn line(second: i64, text: &str) -> LogLine {
    LogLine {
        at: OffsetDateTime::from_unix_timestamp(1_700_000_000 + second).unwrap(),
        stream: if second % 2 == 0 { Stream::Stdout } else { Stream::Stderr },
        text: text.to_owned(),
    }
}

#[test]
fn lines_come_back_in_order_and_filtered() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogWriter::open(dir.path()).unwrap();
    let lines: Vec<_> = (0..10).map(|n| line(n, &format!("line {n}"))).collect();
    for line in &lines {
        log.write(line).unwrap();
    }
    assert_eq!(read(dir.path(), &LogFilter::default()).unwrap(), lines);
    let tail = LogFilter { tail: Some(3), ..LogFilter::default() };
    assert_eq!(read(dir.path(), &tail).unwrap(), lines[7..]);
    let middle = LogFilter { since: Some(lines[2].at), until: Some(lines[4].at), ..LogFilter::default() };
    assert_eq!(read(dir.path(), &middle).unwrap(), lines[2..5]);
    let none = LogFilter { tail: Some(0), ..LogFilter::default() };
    assert_eq!(read(dir.path(), &none).unwrap(), []);
}

#[test]
fn a_full_log_forgets_its_oldest_lines_and_never_outgrows_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogWriter::open_with_limit(dir.path(), 200).unwrap();
    for n in 0..100 {
        log.write(&line(n, &format!("line {n}"))).unwrap();
    }
    let bytes: u64 = std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= 200 * MODULE_LOG_FILES as u64, "{bytes} bytes");
    let lines = read(dir.path(), &LogFilter::default()).unwrap();
    assert_eq!(lines.last().unwrap().text, "line 99");
    let numbers: Vec<i64> = lines.iter().map(|l| l.text[5..].parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "no gap: {numbers:?}");
}

#[test]
fn a_torn_line_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("0.log"), "garbage\n2023-11-14T22:13:20Z stdout kept\n2023-11-").unwrap();
    let texts: Vec<_> = read(dir.path(), &LogFilter::default()).unwrap().into_iter().map(|l| l.text).collect();
    assert_eq!(texts, ["kept"]);
}

#[test]
fn a_module_that_never_wrote_has_an_empty_log() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read(&dir.path().join("absent"), &LogFilter::default()).unwrap(), []);
}

#![allow(clippy::unwrap_used)]
use super::*;
use crate::limits::LOG_LINES_MAX;

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

#[test]
fn a_file_is_filled_to_its_last_byte_and_a_line_that_does_not_fit_begins_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let bytes_of = |number| std::fs::metadata(path_of(dir.path(), number)).map(|file| file.len()).ok();
    let frame = "2023-11-14T22:13:20Z stdout \n".len();
    let mut log = LogWriter::open(dir.path()).unwrap();
    log.write(&line(0, &"x".repeat(1000))).unwrap();
    // The daemon was started anew in between.
    let mut log = LogWriter::open(dir.path()).unwrap();
    let room = MODULE_LOG_FILE_BYTES_MAX as usize - 2 * frame - 1000;
    log.write(&line(0, &"x".repeat(room))).unwrap();
    assert_eq!((bytes_of(0), bytes_of(1)), (Some(MODULE_LOG_FILE_BYTES_MAX), None));
    log.write(&line(0, "")).unwrap();
    assert_eq!((bytes_of(0), bytes_of(1)), (Some(frame as u64), Some(MODULE_LOG_FILE_BYTES_MAX)));
    // One byte too many for the rest of the file.
    log.write(&line(0, &"x".repeat(room + 1001))).unwrap();
    assert_eq!((bytes_of(0), bytes_of(1)), (Some(MODULE_LOG_FILE_BYTES_MAX - frame as u64 + 1), Some(frame as u64)));
    assert_eq!(bytes_of(2), Some(MODULE_LOG_FILE_BYTES_MAX));
}

#[test]
fn so_many_lines_are_read_at_once_and_the_newest_win() {
    let dir = tempfile::tempdir().unwrap();
    let write = |number: usize, lines: std::ops::Range<usize>| {
        let text: String = lines.map(|n| format!("2023-11-14T22:13:20Z stdout {n}\n")).collect();
        std::fs::write(path_of(dir.path(), number), text).unwrap();
    };
    let ends = |filter: &LogFilter| {
        let lines = read(dir.path(), filter).unwrap();
        (lines.len(), lines[0].text.clone(), lines[lines.len() - 1].text.clone())
    };
    write(1, 0..50_000);
    for (end, first) in [(LOG_LINES_MAX, 0), (LOG_LINES_MAX + 1, 1)] {
        write(0, 50_000..end);
        let expected = (LOG_LINES_MAX, first.to_string(), (end - 1).to_string());
        for tail in [None, Some(usize::MAX)] {
            assert_eq!(ends(&LogFilter { tail, ..LogFilter::default() }), expected);
        }
    }
}

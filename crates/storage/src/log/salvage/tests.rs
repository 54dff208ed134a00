#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use super::*;
use crate::log::segment::GROUP_HEADER_BYTES;
use crate::log::{Environment, Log, LogOptions};
use crate::testing::FaultyFiles;

const DIR: &str = "/log";

fn payload(number: u64) -> Bytes {
    Bytes::from(format!("record {number:>90}"))
}

/// A log of forty groups of one record in several segments.
fn written() -> FaultyFiles {
    let files = FaultyFiles::new(1);
    let environment = Environment { files: Arc::new(files.clone()), ..Environment::default() };
    let options = LogOptions { segment_bytes_max: 2_000, ..LogOptions::default() };
    let log = Log::open_in(Path::new(DIR), options, environment).unwrap();
    for number in 0..40 {
        log.append_blocking(vec![payload(number)]).unwrap();
    }
    drop(log);
    files
}

fn read(files: &FaultyFiles) -> (Vec<u64>, Vec<MissingPart>) {
    let mut read = Vec::new();
    let lost = salvage(files, Path::new(DIR), |record| {
        assert_eq!(record.payload, payload(record.offset.0));
        read.push(record.offset.0);
        Ok::<_, OpenLogError>(())
    });
    (read, lost.unwrap())
}

fn segments(files: &FaultyFiles) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        files.paths().into_iter().filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    paths.sort();
    paths
}

fn flip(files: &FaultyFiles, segment: &Path, at: usize) {
    let mut contents = files.contents(segment).unwrap();
    contents[at] ^= 4;
    files.put(segment, contents);
}

#[test]
fn an_intact_log_is_read_whole() {
    assert_eq!(read(&written()), ((0..40).collect(), vec![]));
}

#[test]
fn exactly_the_broken_group_is_lost_wherever_the_bit_is() {
    let whole = written();
    let second = &segments(&whole)[1];
    let contents = whole.contents(second).unwrap();
    let base = parse_segment_name(second.file_name().unwrap().to_str().unwrap()).unwrap().0;
    let group_bytes = GROUP_HEADER_BYTES + 4 + payload(0).len();
    let in_segment = (contents.len() - SEGMENT_HEADER_BYTES as usize) / group_bytes;
    for at in (SEGMENT_HEADER_BYTES as usize..contents.len()).step_by(7) {
        let files = written();
        let second = &segments(&files)[1];
        flip(&files, second, at);
        let group = (at - SEGMENT_HEADER_BYTES as usize) / group_bytes;
        let (found, lost) = read(&files);
        let broken = base + group as u64;
        assert_eq!(found, (0..40).filter(|number| *number != broken).collect::<Vec<_>>(), "{at}");
        // Of the last group of a segment the next segment's name tells.
        assert!(group < in_segment);
        let records: u64 = lost.iter().map(|lost| lost.records.end - lost.records.start).sum();
        assert_eq!(records, 1, "{at}: {lost:?}");
    }
}

#[test]
fn a_missing_file_a_damaged_header_and_a_cut_end_lose_no_more_than_that() {
    let files = written();
    let all = segments(&files);
    let bases: Vec<_> =
        all.iter().map(|path| parse_segment_name(path.file_name().unwrap().to_str().unwrap()).unwrap().0).collect();
    files.take(&all[1]).unwrap();
    // Of its creation time, which nobody needs; of its salt, which the first group tells.
    flip(&files, &all[2], 25);
    flip(&files, &all[2], 13);
    let (found, lost) = read(&files);
    assert_eq!(found, (0..bases[1]).chain(bases[2]..40).collect::<Vec<_>>());
    assert_eq!(lost, [MissingPart { segment: all[1].clone(), bytes: 0..0, records: bases[1]..bases[2] }]);
    assert!(
        lost[0].to_string().ends_with(&format!("{} records from {}", bases[2] - bases[1], bases[1])),
        "{}",
        lost[0]
    );
    let mut last = files.contents(all.last().unwrap()).unwrap();
    last.truncate(last.len() - 1);
    files.put(all.last().unwrap(), last);
    let (found, lost) = read(&files);
    assert_eq!(found.last(), Some(&38));
    assert!(lost.last().unwrap().to_string().ends_with("records 39 and later, if there were any"), "{lost:?}");
}

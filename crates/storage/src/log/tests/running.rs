//! A log at work: order, limits, readers, trimming, closing.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::rig::{DIR, Rig, append, read_all, read_from, segment};
use crate::limits;
use crate::log::segment::{GROUP_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use crate::log::{
    AppendError, AppendedRange, Environment, Log, LogEnds, LogOptions, Offset, OpenLogError, ReadError, Retention,
};
use crate::testing::FaultyFiles;

#[test]
fn records_come_back_in_order_after_reopening() {
    let rig = Rig::small(1);
    let log = rig.open().unwrap();
    assert!(log.recovery().created);
    let range = append(&log, &["a", "b"]).unwrap();
    assert_eq!(range, AppendedRange { first: Offset(0), last: Offset(1) });
    append(&log, &[""]).unwrap();
    drop(log);
    let log = rig.open().unwrap();
    assert!(!log.recovery().created);
    assert_eq!(append(&log, &["d"]).unwrap().first, Offset(3));
    assert_eq!(read_all(&log), ["a", "b", "", "d"]);
    assert_eq!(read_from(&log, Offset(2)).unwrap(), ["", "d"]);
    drop(log);
    assert_eq!(rig.verify().unwrap().unwrap().ends, LogEnds { first: Offset(0), next: Offset(4) });
}

#[test]
fn a_second_opening_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), LogOptions::default()).unwrap();
    let error = Log::open(folder.path(), LogOptions::default()).unwrap_err();
    assert!(matches!(error, OpenLogError::InUse { .. }), "{error}");
    append(&log, &["x"]).unwrap();
    drop(log);
    let log = Log::open(folder.path(), LogOptions::default()).unwrap();
    assert_eq!(read_all(&log), ["x"]);
}

#[test]
fn appends_at_their_limits() {
    let options = LogOptions { group_bytes_max: 100, ..LogOptions::default() };
    let log = Rig::new(1, options).open().unwrap();
    assert!(matches!(append(&log, &[]), Err(AppendError::Empty)));
    append(&log, &["x".repeat(96).as_str()]).unwrap();
    let error = append(&log, &["x".repeat(97).as_str()]).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { bytes: 101, limit_bytes: 100 }), "{error}");
    assert_eq!(log.next_offset(), Offset(1));
}

#[test]
fn options_are_held_within_the_limits() {
    let greedy = LogOptions { group_bytes_max: usize::MAX, total_bytes_max: Some(400), ..LogOptions::default() };
    let bounded = greedy.bounded();
    assert_eq!(bounded.group_bytes_max, limits::QUEUE_BYTES_MAX);
    assert_eq!(bounded.segment_bytes_max, 100);
}

#[test]
fn the_hard_limit_is_reached_exactly_and_trimming_makes_room() {
    // Room for exactly this: a segment, one more segment's header, and one group of 1000 bytes.
    let limit_bytes = 2 * SEGMENT_HEADER_BYTES + GROUP_HEADER_BYTES as u64 + 1000;
    let options = LogOptions { total_bytes_max: Some(limit_bytes), ..LogOptions::default() };
    for (payload_bytes, fits) in [(996, true), (997, false)] {
        let log = Rig::new(1, options.clone()).open().unwrap();
        let appended = append(&log, &["x".repeat(payload_bytes).as_str()]);
        assert_eq!(appended.is_ok(), fits, "{appended:?}");
    }

    let rig = Rig::new(1, LogOptions { total_bytes_max: Some(4000), ..LogOptions::default() });
    let log = rig.open().unwrap();
    let full = loop {
        match append(&log, &["x".repeat(100).as_str()]) {
            Ok(_) => assert!(log.bytes() <= 4000),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, AppendError::Full { limit_bytes: 4000 }), "{full}");
    let on_disk: usize = rig.segments().iter().map(|path| rig.files.contents(path).unwrap().len()).sum();
    assert_eq!(on_disk as u64, log.bytes());
    let trimmed = log.trim_before(log.next_offset()).unwrap();
    assert!(trimmed.bytes >= 2000, "acknowledging everything frees most of the space: {trimmed:?}");
    append(&log, &["x".repeat(100).as_str()]).unwrap();
}

#[test]
fn a_lowered_limit_holds_from_the_next_append_on() {
    let log = Rig::new(1, LogOptions { total_bytes_max: Some(4000), ..LogOptions::default() }).open().unwrap();
    append(&log, &["x".repeat(1000).as_str()]).unwrap();
    let taken = log.bytes();
    assert_eq!(log.set_total_bytes_max(taken), taken, "nothing is being written");
    assert!(matches!(append(&log, &["x"]), Err(AppendError::Full { limit_bytes }) if limit_bytes == taken));
    let next: crate::log::Records = ["x"].into_iter().collect();
    assert_eq!(log.set_total_bytes_max(taken + next.disk_bytes_max()), taken);
    log.append_blocking(next).unwrap();
    // What is there stays.
    assert_eq!(log.set_total_bytes_max(0), log.bytes());
    assert_eq!(read_all(&log).len(), 2);
}

#[test]
fn retention_by_size_keeps_a_full_log_going() {
    let retention = Retention { age: None, bytes: Some(1000) };
    let log = Rig::new(1, LogOptions { segment_bytes_max: 300, retention, ..LogOptions::default() }).open().unwrap();
    for n in 0..100 {
        append(&log, &[&format!("{n:0100}")]).unwrap();
        assert!(log.bytes() <= 1000 + 300);
    }
    let kept = read_all(&log);
    assert_eq!(kept.last().unwrap(), &format!("{:0100}", 99));
    assert_eq!(log.first_offset().0, 100 - kept.len() as u64);
    assert!(log.first_offset() > Offset(0));
}

#[test]
fn retention_by_age_forgets_whole_old_segments() {
    let retention = Retention { age: Some(Duration::from_secs(60)), bytes: None };
    let rig = Rig::new(1, LogOptions { segment_bytes_max: 300, retention, ..LogOptions::default() });
    let log = rig.open().unwrap();
    for _ in 0..3 {
        append(&log, &["x".repeat(200).as_str()]).unwrap();
        rig.now_ms.fetch_add(30_000, Ordering::Relaxed);
    }
    // Segments begin at 0, 30 and 60 seconds; now it is 90: only the first is older than a minute in all its records.
    assert_eq!(log.retain().unwrap().first, Offset(1));
    rig.now_ms.fetch_add(1_000_000, Ordering::Relaxed);
    assert_eq!(log.retain().unwrap().first, Offset(2), "the newest segment stays");
    assert_eq!(read_all(&log).len(), 1);
}

#[test]
fn trimming_deletes_only_what_lies_wholly_before() {
    let rig = Rig::small(1);
    let log = rig.open().unwrap();
    for n in 0..6 {
        append(&log, &[&format!("{n:0100}"), "y"]).unwrap();
    }
    // A group takes 36 + 104 + 5 bytes, so a segment takes one: bases 0, 2, 4, …
    assert_eq!(rig.segments().len(), 6);
    assert_eq!(log.trim_before(Offset(0)).unwrap().segments, 0);
    assert_eq!(log.trim_before(Offset(1)).unwrap().segments, 0);
    let trimmed = log.trim_before(Offset(5)).unwrap();
    assert_eq!((trimmed.first, trimmed.segments), (Offset(4), 2));
    assert_eq!(rig.segments()[0], segment(4));
    assert!(matches!(read_from(&log, Offset(3)), Err(ReadError::Trimmed { first: Offset(4) })));
    assert_eq!(log.trim_before(Offset(u64::MAX)).unwrap().first, Offset(10));
    assert_eq!(log.next_offset(), Offset(12));
    drop(log);
    let log = rig.open().unwrap();
    assert_eq!((log.first_offset(), log.next_offset()), (Offset(10), Offset(12)));
}

#[test]
fn batches_are_bounded_but_never_empty() {
    let log = Rig::small(1).open().unwrap();
    append(&log, &["aaaa", "bb", "cc", "d"]).unwrap();
    append(&log, &["e"]).unwrap();
    let mut reader = log.reader(Offset(0));
    let mut next = |records_max, bytes_max| {
        let batch = reader.try_next_batch(records_max, bytes_max).unwrap();
        batch.iter().map(|record| String::from_utf8(record.payload.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(next(10, 1), ["aaaa"], "one record even if it is too large");
    assert_eq!(next(10, 4), ["bb", "cc"]);
    assert_eq!(next(0, 0), ["d"]);
    assert_eq!(next(10, 10), ["e"]);
    assert_eq!(next(10, 10), [""; 0]);
    reader.seek(Offset(2));
    assert_eq!(reader.try_next_batch(1, 10).unwrap()[0].payload, "cc");
    assert_eq!(reader.position(), Offset(3));
}

#[test]
fn a_position_after_the_end_is_an_error_not_a_wait() {
    let log = Rig::small(1).open().unwrap();
    append(&log, &["a"]).unwrap();
    assert!(matches!(read_from(&log, Offset(2)), Err(ReadError::BeyondEnd { next: Offset(1) })));
}

#[test]
fn a_reader_that_keeps_up_reads_nothing_from_the_disk() {
    let rig = Rig::new(1, LogOptions { tail_bytes_max: 4000, ..LogOptions::default() });
    let log = rig.open().unwrap();
    let mut reader = log.reader(Offset(0));
    let reads_at_start = rig.files.reads();
    for n in 0..100 {
        append(&log, &[&format!("{n:0100}")]).unwrap();
        assert_eq!(reader.try_next_batch(10, 1000).unwrap().len(), 1);
    }
    assert_eq!(rig.files.reads(), reads_at_start);

    // One that begins at the start reads the disk, a buffer at a time, and then the memory.
    assert_eq!(read_all(&log).len(), 100);
    let reads = rig.files.reads() - reads_at_start;
    assert!((1..=2).contains(&reads), "{reads} reads for {} bytes", log.bytes());
}

#[test]
fn a_reader_that_falls_behind_goes_on_from_the_disk() {
    let rig = Rig::new(1, LogOptions { segment_bytes_max: 2000, tail_bytes_max: 1000, ..LogOptions::default() });
    let log = rig.open().unwrap();
    let mut reader = log.reader(Offset(0));
    let mut expected = 0;
    for burst in [1, 30, 2, 60, 1, 1, 25] {
        for n in 0..burst {
            append(&log, &[&format!("{n:090}")]).unwrap();
        }
        expected += burst;
        while reader.position() < Offset(expected) {
            let before = reader.position();
            let batch = reader.try_next_batch(7, usize::MAX).unwrap();
            assert_eq!(batch[0].offset, before);
            assert_eq!(reader.position().0, before.0 + batch.len() as u64);
        }
    }
}

#[tokio::test]
async fn readers_wait_for_records_and_are_told_when_none_will_come() {
    let log = Rig::small(1).open().unwrap();
    let mut reader = log.reader(Offset(0));
    let waiting = tokio::spawn(async move {
        let batch = reader.next_batch(10, 1000).await.unwrap();
        assert_eq!(batch[0].payload, "a");
        reader.next_batch(10, 1000).await
    });
    log.append(vec![Bytes::from_static(b"a")]).await.unwrap();
    let late = log.clone();
    log.close().await;
    assert!(matches!(waiting.await.unwrap(), Err(ReadError::Closed)));
    assert!(matches!(late.append(vec![Bytes::new()]).await, Err(AppendError::Closed)));
    // What was durable can still be read.
    assert_eq!(late.reader(Offset(0)).next_batch(1, 1).await.unwrap()[0].payload, "a");
}

#[tokio::test]
async fn a_read_that_is_dropped_half_way_loses_nothing() {
    let log = Rig::small(1).open().unwrap();
    for n in 0..20 {
        log.append(vec![Bytes::from(format!("{n}"))]).await.unwrap();
    }
    let mut reader = log.reader(Offset(0));
    for n in 0..20 {
        // Polled once and dropped, possibly with a disk read under way.
        {
            let mut abandoned = std::pin::pin!(reader.next_batch(1, 1));
            let polled = std::future::poll_fn(|context| Poll::Ready(abandoned.as_mut().poll(context))).await;
            if let Poll::Ready(batch) = polled {
                assert_eq!(batch.unwrap()[0].offset, Offset(n));
                continue;
            }
        }
        assert_eq!(reader.next_batch(1, 1).await.unwrap()[0].offset, Offset(n));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_appenders_share_groups_and_keep_their_own_order() {
    let rig = Rig::new(1, LogOptions { segment_bytes_max: 20_000, tail_bytes_max: 5000, ..LogOptions::default() });
    let log = rig.open().unwrap();
    let appenders: Vec<_> = (0..16)
        .map(|appender| {
            let log = log.clone();
            tokio::spawn(async move {
                for n in 0..50 {
                    let records = vec![
                        Bytes::from(format!("{appender} {n} first")),
                        Bytes::from(format!("{appender} {n} second")),
                    ];
                    let range = log.append(records).await.unwrap();
                    assert_eq!(range.last.0, range.first.0 + 1);
                }
            })
        })
        .collect();
    let mut reader = log.reader(Offset(0));
    let mut seen = vec![0; 16];
    while reader.position() < Offset(16 * 50 * 2) {
        for record in reader.next_batch(100, 10_000).await.unwrap() {
            let text = String::from_utf8(record.payload.to_vec()).unwrap();
            let mut words = text.split(' ');
            let appender: usize = words.next().unwrap().parse().unwrap();
            assert_eq!(words.next().unwrap().parse(), Ok(seen[appender] / 2));
            assert_eq!(words.next().unwrap(), if seen[appender] % 2 == 0 { "first" } else { "second" });
            seen[appender] += 1;
        }
    }
    for appender in appenders {
        appender.await.unwrap();
    }
    assert_eq!(seen, [100; 16]);
}

/// A log whose writer stands still while the test holds the gate, and whose clock differs for each group.
fn gated_log(options: LogOptions) -> (Log, Arc<Mutex<()>>) {
    let gate = Arc::new(Mutex::new(()));
    let (waited_for, ticks) = (Arc::clone(&gate), AtomicU64::new(0));
    let clock = Arc::new(move || {
        drop(waited_for.lock().unwrap());
        ticks.fetch_add(1, Ordering::Relaxed)
    });
    let environment = Environment { files: Arc::new(FaultyFiles::new(1)), clock };
    (Log::open_in(Path::new(DIR), options, environment).unwrap(), gate)
}

type Appending<'a> = Pin<Box<dyn Future<Output = Result<AppendedRange, AppendError>> + 'a>>;

/// Begins appends of one record each, as far as they get without the writer.
async fn begin_appends(log: &Log, count: usize, record: Bytes) -> Vec<Appending<'_>> {
    let mut appends: Vec<Appending<'_>> = Vec::new();
    for _ in 0..count {
        let mut append: Appending<'_> = Box::pin(log.append(vec![record.clone()]));
        let polled = std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
        assert!(polled.is_pending(), "nothing is acknowledged while the writer stands still");
        appends.push(append);
    }
    appends
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "holding the writer up is the point")]
async fn waiting_appends_share_a_group_up_to_its_limit() {
    let (log, gate) = gated_log(LogOptions { group_bytes_max: 100, ..LogOptions::default() });
    let held = gate.lock().unwrap();
    let appends = begin_appends(&log, 10, Bytes::from(vec![0; 46])).await;
    drop(held);
    for append in appends {
        append.await.unwrap();
    }
    let mut groups = BTreeMap::new();
    for record in log.reader(Offset(0)).try_next_batch(100, usize::MAX).unwrap() {
        *groups.entry(record.appended_at_ms).or_insert(0) += 4 + record.payload.len();
    }
    assert!(groups.values().all(|&bytes| bytes <= 100), "{groups:?}");
    // The first may have been taken alone; the others waited, so they go two by two.
    assert!(groups.len() <= 6, "{groups:?}");
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "holding the writer up is the point")]
async fn a_full_queue_makes_callers_wait_and_loses_nothing() {
    let (log, gate) = gated_log(LogOptions::default());
    let held = gate.lock().unwrap();
    let largest = Bytes::from(vec![0; limits::GROUP_BYTES_MAX_DEFAULT - 4]);
    let fitting = limits::QUEUE_BYTES_MAX / limits::GROUP_BYTES_MAX_DEFAULT;
    let appends = begin_appends(&log, fitting + 1, largest).await;
    assert_eq!(log.inner.queue_bytes.available_permits(), 0, "the last one waits outside the queue");
    drop(held);
    for (offset, append) in appends.into_iter().enumerate() {
        assert_eq!(append.await.unwrap().first, Offset(offset as u64));
    }
    assert_eq!(log.inner.queue_bytes.available_permits(), limits::QUEUE_BYTES_MAX);
}

#[test]
fn a_new_log_begins_where_it_is_told_and_an_existing_one_does_not_move() {
    let options = |first| LogOptions { first_offset: Offset(first), ..LogOptions::default() };
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), options(1_000)).unwrap();
    assert_eq!((log.first_offset(), log.next_offset()), (Offset(1_000), Offset(1_000)));
    assert_eq!(append(&log, &["a"]).unwrap().first, Offset(1_000));
    drop(log);
    let log = Log::open(folder.path(), options(5)).unwrap();
    assert_eq!(log.first_offset(), Offset(1_000));
    assert_eq!(append(&log, &["b"]).unwrap().first, Offset(1_001));
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "holding the writer up is the point")]
async fn who_asked_hears_of_durable_records_in_their_order_and_before_readers_see_them() {
    let (log, gate) = gated_log(LogOptions::default());
    let heard: Arc<Mutex<Vec<AppendedRange>>> = Arc::default();
    let mut appends: Vec<Appending<'_>> = Vec::new();
    let held = gate.lock().unwrap();
    for count in 1..=5_usize {
        let (records, seen, handle) = (vec![Bytes::from_static(b"x"); count], Arc::clone(&heard), log.clone());
        appends.push(Box::pin(log.append_then(records, move |range| {
            assert!(handle.next_offset() <= range.first, "nobody else knows of them yet");
            seen.lock().unwrap().push(range);
        })));
    }
    for append in &mut appends {
        let polled = std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
        assert!(polled.is_pending());
    }
    // Nobody waits for the last one any more; it is in the log all the same.
    drop(appends.pop());
    drop(held);
    for append in appends {
        let range = append.await.unwrap();
        assert!(heard.lock().unwrap().contains(&range));
    }
    log.append(vec![Bytes::from_static(b"last")]).await.unwrap();
    let heard: Vec<_> = heard.lock().unwrap().iter().map(|range| (range.first.0, range.last.0)).collect();
    assert_eq!(heard, [(0, 0), (1, 2), (3, 5), (6, 9), (10, 14)]);
}

#[test]
fn nobody_hears_of_records_that_were_refused() {
    let rig = Rig::new(1, LogOptions { total_bytes_max: Some(400), ..LogOptions::default() });
    let log = rig.open().unwrap();
    let heard = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut accepted = 0;
    let refusal = loop {
        let heard = Arc::clone(&heard);
        let hear = move |_| {
            heard.fetch_add(1, Ordering::Relaxed);
        };
        match runtime.block_on(log.append_then(vec![Bytes::from_static(b"a record")], hear)) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, AppendError::Full { limit_bytes: 400 }), "{refusal}");
    assert_eq!(heard.load(Ordering::Relaxed), accepted);
}

#[tokio::test]
async fn records_that_come_close_together_share_a_commit_and_a_lone_caller_is_not_held_up() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { commit_interval: Duration::from_millis(300), ..LogOptions::default() };
    let log = Log::open(folder.path(), options).unwrap();
    let started = std::time::Instant::now();
    for _ in 0..60 {
        log.append(vec![Bytes::from_static(b"alone")]).await.unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(9), "each wait would have made it 18 seconds");

    let log = {
        log.close().await;
        let options = LogOptions { commit_interval: Duration::from_millis(300), ..LogOptions::default() };
        Log::open(folder.path(), options).unwrap()
    };
    let first = log.next_offset();
    log.append(vec![Bytes::from_static(b"first")]).await.unwrap();
    let together = (0..20).map(|_| log.append(vec![Bytes::from_static(b"together")]));
    let mut together: Vec<Appending<'_>> = together.map(|append| Box::pin(append) as Appending<'_>).collect();
    for append in &mut together {
        let polled = std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
        assert!(polled.is_pending());
    }
    for append in together {
        append.await.unwrap();
    }
    let records = log.reader(first).try_next_batch(100, usize::MAX).unwrap();
    let waited = records[1].appended_at_ms - records[0].appended_at_ms;
    assert!((290..).contains(&waited), "what came soon after the first was collected: {waited} ms");
    assert_eq!(records.len(), 21);
}

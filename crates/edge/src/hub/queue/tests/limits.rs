//! The queues at their named limits.

use std::time::Instant;

use super::*;
use crate::config::Config;
use crate::limits::QUEUES_DISK_BYTES_DEFAULT;

/// A message for upstream whose record has so many bytes. One digit numbers only.
fn of_bytes(queues: &Queues, number: usize, record_bytes: usize) -> StoredMessage {
    let mut empty = Batch::default();
    empty.add(&[forever(&upstream())], &numbered(queues, number, 0));
    numbered(queues, number, record_bytes - empty.records.bytes())
}

async fn store_of_bytes(queues: &Queues, sizes: &[usize]) {
    let mut batch = Batch::default();
    for (number, record_bytes) in sizes.iter().enumerate() {
        batch.add(&[forever(&upstream())], &of_bytes(queues, number, *record_bytes));
    }
    queues.store(batch).await.unwrap();
}

#[tokio::test]
async fn a_pump_takes_so_many_messages_at_once() {
    let queues = Rig::new().open();
    store(&queues, &[forever(&upstream())], 0..PUMP_BATCH_MESSAGES + 1).await;
    let mut readers = Readers::default();
    let mut take = async || deliver_once(&queues, &Endpoint::Upstream, &mut readers).await.map(|(_, taken)| taken);
    assert_eq!(take().await, Some(numbers(0..PUMP_BATCH_MESSAGES)));
    assert_eq!(take().await, Some(vec![PUMP_BATCH_MESSAGES]));
    assert_eq!(take().await, None);
}

#[tokio::test]
async fn a_pump_takes_so_many_bytes_at_once_and_at_least_one_message() {
    let quarter = PUMP_BATCH_BYTES / 4;
    for (sizes, taken) in [
        ([quarter; 5], [4, 1].as_slice()),
        ([quarter, quarter, quarter, quarter + 1, 100], &[3, 2]),
        ([PUMP_BATCH_BYTES + 1, 100, 100, 100, 100], &[1, 4]),
    ] {
        let queues = Rig { bytes_max: 16 << 20, ..Rig::new() }.open();
        store_of_bytes(&queues, &sizes).await;
        let mut readers = Readers::default();
        let mut found = Vec::new();
        while let Some((_, numbers)) = deliver_once(&queues, &Endpoint::Upstream, &mut readers).await {
            found.push(numbers.len());
        }
        assert_eq!(found, taken, "{sizes:?}");
    }
}

/// The sizes of the log's segments, oldest first.
fn segments(rig: &Rig) -> Vec<u64> {
    let paths = rig.files.paths().into_iter().filter(|path| path.extension().is_some_and(|it| it == "log"));
    paths.map(|path| rig.files.contents(&path).unwrap().len() as u64).collect()
}

#[tokio::test]
async fn what_was_sent_is_freed_a_segment_at_a_time() {
    let rig = Rig { bytes_max: QUEUES_DISK_BYTES_DEFAULT, ..Rig::new() };
    let queues = rig.open();
    let bytes = 200_000;
    let mut stored = 0;
    while segments(&rig).len() < 2 {
        store_sized(&queues, &[forever(&upstream())], stored..stored + 1, bytes).await.unwrap();
        stored += 1;
    }
    let full = segments(&rig)[0];
    assert!((QUEUE_SEGMENT_BYTES - 2 * bytes as u64..=QUEUE_SEGMENT_BYTES).contains(&full), "{full}");
    let mut readers = Readers::default();
    let mut sent = 0;
    while sent < stored {
        queues.write_progress().unwrap();
        assert_eq!(segments(&rig).len(), if sent < stored - 1 { 2 } else { 1 }, "{sent} of {stored} were sent");
        sent += deliver_once(&queues, &Endpoint::Upstream, &mut readers).await.unwrap().1.len();
    }
    queues.write_progress().unwrap();
    assert!(queues.bytes() < 2 * bytes as u64, "{}", queues.bytes());
}

/// A small disk is freed in steps too.
#[tokio::test]
async fn a_small_store_has_small_segments() {
    let rig = Rig { bytes_max: QUEUE_SEGMENT_BYTES, ..Rig::new() };
    let queues = rig.open();
    while store_sized(&queues, &[forever(&upstream())], 0..1, 100_000).await.is_ok() {}
    assert!(segments(&rig).iter().all(|bytes| *bytes <= QUEUE_SEGMENT_BYTES / 8), "{:?}", segments(&rig));
    assert!(queues.bytes() <= QUEUE_SEGMENT_BYTES);
}

#[tokio::test]
async fn the_newest_part_of_the_log_is_read_from_memory() {
    let rig = Rig { bytes_max: 16 << 20, ..Rig::new() };
    let queues = rig.open();
    let eighth = QUEUE_TAIL_BYTES / 8;
    let reads = async |queues: &Queues| {
        let before = rig.files.reads();
        let taken = queues.take(&Endpoint::Upstream, &mut Readers::default()).await.unwrap().unwrap();
        assert_eq!(number(&taken.messages[0]), 0);
        rig.files.reads() - before
    };
    // With what it takes to remember where each is, eight of an eighth are more than fits.
    for _ in 0..7 {
        store_of_bytes(&queues, &[eighth]).await;
    }
    assert_eq!(reads(&queues).await, 0);
    store_of_bytes(&queues, &[eighth]).await;
    assert!(reads(&queues).await > 0, "the oldest went from memory, not from the disk");
}

#[tokio::test]
async fn messages_that_come_at_the_same_time_are_made_durable_once_in_an_interval() {
    let rig = Rig::new();
    let queues = rig.open();
    let (before, began) = (rig.files.ops(), Instant::now());
    let targets = [forever(&upstream())];
    store(&queues, &targets, 0..1).await;
    let ops_of_a_commit = rig.files.ops() - before;
    let together = (1..3).map(|number| store_sized(&queues, &targets, number..number + 1, 10));
    for stored in crate::join_all(together).await {
        stored.unwrap();
    }
    let intervals = began.elapsed().as_nanos() / QUEUE_COMMIT_INTERVAL.as_nanos();
    let commits = (rig.files.ops() - before) / ops_of_a_commit;
    // However slow this machine is: those after the first come an interval after the one before.
    assert!(commits >= 2 && u128::from(commits) <= 1 + intervals, "{commits} commits in {intervals} intervals");
}

#[tokio::test]
async fn without_a_setting_the_queues_take_their_share_of_the_disk_and_no_more() {
    let text = |tidegate: &str| {
        let provisioning = "[provisioning]\nsource = \"manual\"\n\
            connection_string = \"HostName=hub.example.com;DeviceId=edge-1;SharedAccessKey=c2VjcmV0\"\n";
        format!("hostname = \"gateway\"\n{provisioning}{tidegate}")
    };
    let bytes_max =
        |tidegate: &str| Config::parse(Path::new("config.toml"), &text(tidegate)).unwrap().queues_disk_bytes_max;
    assert_eq!(bytes_max(""), QUEUES_DISK_BYTES_DEFAULT);
    assert_eq!(bytes_max("[tidegate]\n"), QUEUES_DISK_BYTES_DEFAULT);
    // What is configured is what holds; a smaller amount stands for the whole, which would take minutes to fill.
    let rig = Rig { bytes_max: bytes_max("[tidegate]\nmax_disk = \"2 MiB\"\n"), ..Rig::new() };
    let queues = rig.open();
    let refusal = loop {
        if let Err(refusal) = store_sized(&queues, &[forever(&upstream())], 0..1, 5_000).await {
            break refusal;
        }
    };
    let StoreError::Full { bytes, bytes_max, .. } = refusal else { panic!("{refusal}") };
    assert_eq!(bytes_max, 2 << 20);
    assert!((bytes_max - 5_200..=bytes_max).contains(&bytes), "{bytes}");
}

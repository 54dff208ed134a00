//! A queue nobody takes from holds nobody else's messages, and loses none of its own.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use model::route::{Endpoint, PRIORITY_WITHOUT_NUMBER};

use super::super::tests::{BYTES_MAX, DIR, Rig, deliver_all, forever, id, module, number, store_sized, upstream};
use super::super::{LOG, Readers, StoreError, Target};
use super::*;

fn away() -> QueueId {
    id(module("away", "in"), PRIORITY_WITHOUT_NUMBER)
}

/// What whoever follows the progress does.
fn follow(queues: &Queues) {
    queues.write_progress().unwrap();
    queues.set_aside().unwrap();
    assert!(queues.bytes() <= queues.bytes_max, "the limit holds over all of it");
}

/// Messages for both, of which those for `upstream` are delivered; one in ten is for `away` too.
async fn flow(queues: &Queues, numbers: std::ops::Range<usize>) -> Vec<usize> {
    let mut for_away = Vec::new();
    for number in numbers {
        let (both, one) = ([forever(&upstream()), forever(&away())], [forever(&upstream())]);
        let targets = if number % 10 == 0 { &both[..] } else { &one[..] };
        store_sized(queues, targets, number..number + 1, 5_000).await.unwrap();
        assert_eq!(deliver_all(queues, &Endpoint::Upstream).await, [number]);
        for_away.extend((number % 10 == 0).then_some(number));
        follow(queues);
    }
    for_away
}

fn aside_folders(rig: &Rig) -> usize {
    let folder = Path::new(DIR).join(ASIDE);
    rig.files.list(&folder).map_or(0, |names| names.len())
}

#[tokio::test]
async fn a_module_that_is_away_does_not_stop_the_others_and_gets_all_in_order() {
    let rig = Rig::new();
    let mut queues = rig.open();
    let mut expected = flow(&queues, 0..400).await;
    assert!(queues.log.bytes() < BYTES_MAX * 3 / 4, "{}", queues.log.bytes());
    assert_eq!(queues.waiting()[1].1.messages, 40);
    queues = rig.crash(queues);
    expected.extend(flow(&queues, 400..800).await);
    drop(queues);
    queues = rig.open();
    assert_eq!(aside_folders(&rig), 1);
    assert_eq!(queues.waiting()[1].1.messages, 80);
    assert_eq!(deliver_all(&queues, &away().endpoint).await, expected);
    follow(&queues);
    assert_eq!(aside_folders(&rig), 0, "what was delivered is removed");
    // And begun again.
    let expected = flow(&queues, 800..1200).await;
    assert_eq!(deliver_all(&queues, &away().endpoint).await, expected);
}

#[tokio::test]
async fn killed_at_any_step_nothing_is_lost_or_out_of_order() {
    let mut killed = 0;
    for ops in 0.. {
        let rig = Rig::new();
        let queues = rig.open();
        store_sized(&queues, &[forever(&away())], 0..30, 300).await.unwrap();
        for number in 30..130 {
            store_sized(&queues, &[forever(&upstream())], number..number + 1, 6_000).await.unwrap();
            deliver_all(&queues, &Endpoint::Upstream).await;
        }
        store_sized(&queues, &[forever(&away())], 130..140, 300).await.unwrap();
        rig.files.crash_after(ops);
        let done = queues.write_progress().is_ok() && queues.set_aside().is_ok();
        drop(queues);
        rig.files.restart();
        let queues = rig.open();
        let expected: Vec<usize> = (0..30).chain(130..140).collect();
        assert_eq!(queues.waiting().iter().find(|(queue, _)| *queue == away()).unwrap().1.messages, 40, "at {ops}");
        assert_eq!(deliver_all(&queues, &away().endpoint).await, expected, "killed at {ops}");
        // Delivered, its folder goes: killed there as well, nothing comes twice but what was not noted.
        rig.files.crash_after(ops);
        let noted = queues.write_progress().is_ok();
        drop(queues);
        rig.files.restart();
        let again = deliver_all(&rig.open(), &away().endpoint).await;
        assert!(again.is_empty() || !noted && expected.ends_with(&again), "killed at {ops}: {again:?}");
        killed += 1;
        if done {
            break;
        }
    }
    assert!(killed > 10, "the steps were met: {killed}");
}

#[tokio::test]
async fn messages_are_set_aside_above_half_of_the_room_and_not_before() {
    let rig = Rig::new();
    let queues = rig.open();
    store_sized(&queues, &[forever(&away())], 0..1, 10).await.unwrap();
    let mut number = 1;
    while queues.log.bytes() <= BYTES_MAX / ASIDE_LOG_SHARE {
        follow(&queues);
        assert_eq!(aside_folders(&rig), 0, "at {} bytes", queues.log.bytes());
        store_sized(&queues, &[forever(&upstream())], number..number + 1, 1_000).await.unwrap();
        deliver_all(&queues, &Endpoint::Upstream).await;
        number += 1;
    }
    follow(&queues);
    assert_eq!(aside_folders(&rig), 1);
    assert!(queues.log.bytes() < BYTES_MAX / ASIDE_LOG_SHARE, "and what they held is free");
}

#[tokio::test]
async fn a_backlog_that_is_most_of_the_log_stays_and_is_named() {
    let rig = Rig::new();
    let queues = rig.open();
    let mut number = 0;
    let refusal = loop {
        match store_sized(&queues, &[forever(&away())], number..number + 1, 10_000).await {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
        follow(&queues);
    };
    assert!(matches!(&refusal, StoreError::Full { behind: Some(behind), .. } if behind.queue == away()), "{refusal}");
    assert_eq!(aside_folders(&rig), 0);
    // A quarter of the log is the most that is moved.
    let bytes = queues.log.bytes();
    let mut readers = Readers::default();
    while queues.waiting()[0].1.bytes > bytes / ASIDE_GAIN_MIN {
        let taken = queues.take(&away().endpoint, &mut readers).await.unwrap().unwrap();
        let first = Mark::of(&taken.messages[..1]);
        queues.settle(&away(), &first);
        assert_eq!(queues.to_set_aside().is_some(), queues.waiting()[0].1.bytes <= bytes / ASIDE_GAIN_MIN);
    }
}

#[tokio::test]
async fn so_many_queues_are_set_aside_and_one_more_holds_the_log() {
    let rig = Rig::new();
    let queues = rig.open();
    let input = |n: usize| id(module("away", &n.to_string()), 0);
    for n in 0..=ASIDES_MAX {
        store_sized(&queues, &[forever(&input(n))], n..n + 1, 10).await.unwrap();
    }
    let mut number = 100;
    let refusal = loop {
        match store_sized(&queues, &[forever(&upstream())], number..number + 1, 10_000).await {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
        deliver_all(&queues, &Endpoint::Upstream).await;
        follow(&queues);
    };
    assert_eq!(aside_folders(&rig), ASIDES_MAX);
    let last = input(ASIDES_MAX);
    assert!(matches!(&refusal, StoreError::Full { behind: Some(behind), .. } if behind.queue == last), "{refusal}");
    for n in 0..=ASIDES_MAX {
        assert_eq!(deliver_all(&queues, &input(n).endpoint).await, [n]);
    }
    follow(&queues);
    store_sized(&queues, &[forever(&upstream())], number..number + 1, 10_000).await.unwrap();
}

#[tokio::test]
async fn what_is_set_aside_is_freed_in_steps() {
    let rig = Rig::new();
    let queues = rig.open();
    store_sized(&queues, &[forever(&away())], 0..100, 1_000).await.unwrap();
    while lock(&queues.state).cursors[&away()].waiting().messages > 0 {
        assert!(queues.move_some(&away(), &mut None).unwrap());
    }
    let bytes = || lock(&queues.state).asides[&away()].bytes();
    let full = bytes();
    let mut readers = Readers::default();
    while queues.waiting()[0].1.messages > 50 {
        let taken = queues.take(&away().endpoint, &mut readers).await.unwrap().unwrap();
        queues.settle(&away(), &Mark::of(&taken.messages[..1]));
    }
    queues.write_progress().unwrap();
    let step = BYTES_MAX / ASIDE_SEGMENTS_IN_TOTAL;
    assert!(bytes() < full / 2 + 2 * step, "{} of {full}", bytes());
}

#[tokio::test]
async fn what_is_left_of_it_after_a_restart_goes_on_where_it_was_delivered() {
    let rig = Rig::new();
    let mut queues = rig.open();
    store_sized(&queues, &[forever(&away())], 0..100, 1_000).await.unwrap();
    while lock(&queues.state).cursors[&away()].waiting().messages > 0 {
        assert!(queues.move_some(&away(), &mut None).unwrap());
    }
    for expected in 0..100 {
        let taken = queues.take(&away().endpoint, &mut Readers::default()).await.unwrap().unwrap();
        assert_eq!(number(&taken.messages[0]), expected);
        queues.settle(&away(), &Mark::of(&taken.messages[..1]));
        queues.write_progress().unwrap();
        queues = rig.crash(queues);
    }
    assert_eq!(queues.endpoints(), std::collections::BTreeSet::new());
    assert_eq!(aside_folders(&rig), 0);
}

#[tokio::test]
async fn a_lost_log_gives_no_number_of_what_is_set_aside_anew() {
    let rig = Rig::new();
    let queues = rig.open();
    store_sized(&queues, &[forever(&away())], 0..20, 10).await.unwrap();
    queues.move_some(&away(), &mut None).unwrap();
    drop(queues);
    for path in rig.files.paths() {
        if path.starts_with(Path::new(DIR).join(LOG)) {
            rig.files.take(&path);
        }
    }
    let queues = rig.open();
    store_sized(&queues, &[forever(&away())], 20..23, 10).await.unwrap();
    let queues = rig.crash(queues);
    assert_eq!(deliver_all(&queues, &away().endpoint).await, (0..23).collect::<Vec<_>>());
}

#[tokio::test]
async fn expired_messages_go_where_they_are() {
    let rig = Rig::new();
    let queues = rig.open();
    let short = Target { queue: away(), lifetime_secs: Some(60) };
    store_sized(&queues, &[short], 0..5, 10).await.unwrap();
    store_sized(&queues, &[forever(&away())], 5..8, 10).await.unwrap();
    queues.move_some(&away(), &mut None).unwrap();
    rig.advance(60);
    let mut readers = Readers::default();
    let expired = queues.take_expired(&away().endpoint, &upstream(), queues.now_ms(), &mut readers).await.unwrap();
    assert_eq!(expired.len(), 5);
    assert_eq!(deliver_all(&queues, &away().endpoint).await, [5, 6, 7]);
}

#[tokio::test]
async fn a_record_of_a_later_version_is_refused() {
    let rig = Rig::new();
    let queues = rig.open();
    store_sized(&queues, &[forever(&away())], 0..1, 10).await.unwrap();
    queues.move_some(&away(), &mut None).unwrap();
    let log = lock(&queues.state).asides[&away()].log.clone();
    log.append(vec![Bytes::from_static(&[record::VERSION + 1, 0, 0])]).await.unwrap();
    drop((log, queues));
    let refused = rig.try_open().map(drop).unwrap_err();
    assert!(matches!(refused, OpenQueuesError::Record { offset: Offset(1), .. }), "{refused}");
}

//! Messages that wait for devices, what became of them, and the commands they run.

use registry::{
    Ack, CommandTarget, EndOfMessage, EndedMessage, MessageTransaction, NewDeviceMessage, PutMessage, QueuedCommandRow,
    QueuedCommandState, Settlement, TakeMessages, TakenMessages, WhichMessage,
};

use crate::rig::{APP, OTHER, Rig, on_both_engines};
use registry::limits::{QUEUED_COMMAND_RUNS_KEPT, QUEUED_COMMANDS_LISTED_MAX};

on_both_engines!(
    a_message_is_taken_in_order_counted_and_gone_when_it_is_settled,
    a_full_queue_takes_no_more_and_its_numbers_are_never_used_again,
    what_is_locked_or_under_way_is_taken_by_nobody_else,
    a_message_that_is_given_back_too_often_ends,
    what_expires_or_is_purged_is_told_to_those_who_asked,
    feedback_is_bounded_by_number_and_age,
    a_command_stands_where_its_message_does,
    so_many_runs_of_a_device_are_listed_the_newest_first,
    a_deleted_device_takes_its_queue_along,
);

const MINUTE: i64 = 60_000;
const MOST: u32 = 50;
const DELIVERIES_MAX: i64 = 3;
const FEEDBACK_MAX: u32 = 4;

fn message(id: &str, ack: Ack) -> NewDeviceMessage {
    NewDeviceMessage {
        id: id.to_owned(),
        bag: format!("%24.mid={id}"),
        body: vec![0, 255, b'x'],
        ack,
        enqueued_ms: 1_000,
        expires_ms: 1_000 + 5 * MINUTE,
        command: None,
    }
}

async fn begin(rig: &Rig) -> MessageTransaction {
    rig.registry.message_transaction([(APP, "d"), (APP, "e"), (OTHER, "d")], FEEDBACK_MAX).await.unwrap()
}

async fn put(rig: &Rig, message: &NewDeviceMessage, most: u32) -> PutMessage {
    let mut group = begin(rig).await;
    let put = group.put(APP, "d", message, most).await.unwrap();
    group.commit().await.unwrap();
    put
}

fn of_queue(now_ms: i64) -> TakeMessages<'static> {
    TakeMessages {
        application: APP,
        device: "d",
        lock: None,
        under_way: &[],
        most: 10,
        deliveries_max: DELIVERIES_MAX,
        now_ms,
        until_ms: now_ms + MINUTE,
    }
}

async fn take(rig: &Rig, wanted: TakeMessages<'_>) -> TakenMessages {
    let mut group = begin(rig).await;
    let taken = group.take(&wanted).await.unwrap();
    assert_eq!(taken.have_ended, !group.commit().await.unwrap().is_empty());
    taken
}

fn ids(taken: &TakenMessages) -> Vec<&str> {
    taken.messages.iter().map(|message| message.id.as_str()).collect()
}

async fn settle(rig: &Rig, which: WhichMessage<'_>, settlement: Settlement, now_ms: i64) -> (bool, Vec<EndedMessage>) {
    let mut group = begin(rig).await;
    let settled = group.settle(APP, "d", which, settlement, now_ms).await.unwrap();
    (settled, group.commit().await.unwrap())
}

async fn lengths(rig: &Rig) -> Vec<(String, String, i64, i64)> {
    let queues = rig.registry.message_queues().await.unwrap();
    let lengths = queues.into_iter().map(|queue| (queue.application, queue.device, queue.messages, queue.bytes));
    let mut lengths: Vec<_> = lengths.collect();
    lengths.sort();
    lengths
}

async fn outcomes(rig: &Rig) -> Vec<(String, String)> {
    let feedback = rig.registry.message_feedback(APP, None, 100).await.unwrap();
    feedback.into_iter().map(|record| (record.message, record.outcome)).collect()
}

async fn a_message_is_taken_in_order_counted_and_gone_when_it_is_settled(rig: Rig) {
    rig.device("d").await;
    for id in ["m1", "m2"] {
        assert!(matches!(put(&rig, &message(id, Ack::Full), MOST).await, PutMessage::Put { .. }));
    }
    assert_eq!(lengths(&rig).await, [(APP.to_owned(), "d".to_owned(), 2, 2 * 13)]);
    let rig = rig.restarted().await;
    let taken = take(&rig, of_queue(2_000)).await;
    assert_eq!(ids(&taken), ["m1", "m2"]);
    let first = &taken.messages[0];
    assert_eq!((first.sequence, first.deliveries, first.body.as_slice()), (1, 1, [0, 255, b'x'].as_slice()));
    assert_eq!((first.bag.as_str(), first.ack.as_str()), ("%24.mid=m1", "full"));
    let (settled, ended) = settle(&rig, WhichMessage::Sequence(1), Settlement::Complete, 3_000).await;
    assert!(settled);
    assert_eq!((ended[0].end, ended[0].bytes, ended[0].id.as_str()), (EndOfMessage::Completed, 13, "m1"));
    let again = settle(&rig, WhichMessage::Sequence(1), Settlement::Complete, 3_000).await;
    assert_eq!(again, (false, Vec::new()), "it is gone");
    // The session ended: the other one is taken again, and counted.
    let taken = take(&rig, of_queue(4_000)).await;
    assert_eq!((ids(&taken), taken.messages[0].deliveries), (vec!["m2"], 2));
    let feedback = rig.registry.message_feedback(APP, Some("d"), 10).await.unwrap();
    let [record] = feedback.as_slice() else { panic!("one record: {feedback:?}") };
    assert_eq!((record.message.as_str(), record.outcome.as_str(), record.device.as_str()), ("m1", "Success", "d"));
    assert_eq!((record.enqueued_ms, record.at_ms), (1_000, 3_000));
    assert!(!record.generation.is_empty());
    assert!(rig.registry.message_feedback(APP, Some("e"), 10).await.unwrap().is_empty());
    assert!(rig.registry.message_feedback(OTHER, None, 10).await.unwrap().is_empty());
}

async fn a_full_queue_takes_no_more_and_its_numbers_are_never_used_again(rig: Rig) {
    rig.device("d").await;
    for n in 1..=3 {
        assert_eq!(put(&rig, &message("m", Ack::None), 3).await, PutMessage::Put { sequence: n });
    }
    assert_eq!(put(&rig, &message("m", Ack::None), 3).await, PutMessage::Full);
    for n in 1..=3 {
        assert!(settle(&rig, WhichMessage::Sequence(n), Settlement::Complete, 2_000).await.0);
    }
    assert!(lengths(&rig).await.is_empty());
    assert_eq!(put(&rig, &message("m", Ack::None), 3).await, PutMessage::Put { sequence: 4 });
    // One whose time is over makes room.
    let late = NewDeviceMessage { enqueued_ms: 1_000 + 5 * MINUTE, ..message("late", Ack::None) };
    let mut group = begin(&rig).await;
    assert_eq!(group.put(APP, "d", &late, 1).await.unwrap(), PutMessage::Put { sequence: 5 });
    assert_eq!(group.put(APP, "none", &late, 1).await.unwrap(), PutMessage::NoDevice);
    assert_eq!(group.put(OTHER, "d", &late, 1).await.unwrap(), PutMessage::NoDevice);
    let ended = group.commit().await.unwrap();
    assert_eq!(
        ended.iter().map(|message| (message.sequence, message.end)).collect::<Vec<_>>(),
        [(4, EndOfMessage::Expired)]
    );
}

async fn what_is_locked_or_under_way_is_taken_by_nobody_else(rig: Rig) {
    rig.device("d").await;
    for id in ["m1", "m2", "m3"] {
        put(&rig, &message(id, Ack::None), MOST).await;
    }
    let locked = take(&rig, TakeMessages { lock: Some("l1"), most: 1, ..of_queue(2_000) }).await;
    assert_eq!(ids(&locked), ["m1"]);
    let to_session = take(&rig, TakeMessages { most: 1, ..of_queue(2_000) }).await;
    assert_eq!(ids(&to_session), ["m2"]);
    let under_way = [2];
    let next = take(&rig, TakeMessages { lock: Some("l2"), most: 1, under_way: &under_way, ..of_queue(2_000) }).await;
    assert_eq!(ids(&next), ["m3"]);
    let none = take(&rig, TakeMessages { under_way: &under_way, ..of_queue(2_000) }).await;
    assert_eq!((ids(&none), none.free_at_ms), (vec![], Some(2_000 + MINUTE)));
    for wrong in ["l1x", "", "m1"] {
        assert!(!settle(&rig, WhichMessage::Lock(wrong), Settlement::Complete, 2_000).await.0, "{wrong}");
    }
    let abandon = Settlement::Abandon { deliveries_max: DELIVERIES_MAX };
    assert_eq!(settle(&rig, WhichMessage::Lock("l1"), abandon, 2_000).await, (true, vec![]));
    assert!(!settle(&rig, WhichMessage::Lock("l1"), Settlement::Complete, 2_000).await.0, "given back is given back");
    assert_eq!(ids(&take(&rig, TakeMessages { under_way: &under_way, ..of_queue(2_000) }).await), ["m1"]);
    let over = 2_000 + MINUTE;
    assert!(!settle(&rig, WhichMessage::Lock("l2"), Settlement::Complete, over).await.0, "the lock's time is over");
    assert_eq!(ids(&take(&rig, of_queue(over)).await), ["m1", "m2", "m3"]);
}

async fn a_message_that_is_given_back_too_often_ends(rig: Rig) {
    rig.device("d").await;
    put(&rig, &message("returned", Ack::Negative), MOST).await;
    put(&rig, &message("swallowed", Ack::Negative), MOST).await;
    put(&rig, &message("behind", Ack::Negative), MOST).await;
    let abandon = Settlement::Abandon { deliveries_max: DELIVERIES_MAX };
    for n in 1..=DELIVERIES_MAX {
        let taken = take(&rig, TakeMessages { lock: Some("l"), most: 1, ..of_queue(2_000) }).await;
        assert_eq!((ids(&taken), taken.messages[0].deliveries), (vec!["returned"], n));
        let (settled, ended) = settle(&rig, WhichMessage::Lock("l"), abandon, 2_000).await;
        assert!(settled);
        assert_eq!(ended.len(), usize::from(n == DELIVERIES_MAX));
    }
    for _ in 0..DELIVERIES_MAX {
        let taken = take(&rig, TakeMessages { most: 1, ..of_queue(2_000) }).await;
        assert_eq!(ids(&taken), ["swallowed"]);
    }
    let taken = take(&rig, of_queue(2_000)).await;
    assert_eq!(ids(&taken), ["behind"]);
    assert!(taken.have_ended);
    let told = outcomes(&rig).await;
    assert!(told.iter().all(|(_, outcome)| outcome == "DeliveryCountExceeded"), "{told:?}");
    assert_eq!(told.len(), 2);
}

async fn what_expires_or_is_purged_is_told_to_those_who_asked(rig: Rig) {
    for device in ["d", "e"] {
        rig.device(device).await;
    }
    let asked = [("n", Ack::None), ("p", Ack::Positive), ("g", Ack::Negative), ("f", Ack::Full)];
    for (id, ack) in asked {
        put(&rig, &message(id, ack), MOST).await;
    }
    let over = 1_000 + 5 * MINUTE;
    // What was sent a moment before its time is over may still be taken.
    take(&rig, TakeMessages { most: 1, ..of_queue(over - 1) }).await;
    let mut group = begin(&rig).await;
    assert_eq!(group.expire(over - 1, 10).await.unwrap(), 0);
    assert_eq!(group.expire(over, 2).await.unwrap(), 2);
    let expired = group.commit().await.unwrap();
    assert_eq!(expired.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ["p", "g"]);
    assert_eq!(outcomes(&rig).await, [("g".to_owned(), "Expired".to_owned())]);
    let mut group = begin(&rig).await;
    assert_eq!(group.purge(APP, "d", over).await.unwrap(), 2);
    assert_eq!(group.purge(APP, "e", over).await.unwrap(), 0);
    let purged = group.commit().await.unwrap();
    assert_eq!(
        purged.iter().map(|message| (message.id.as_str(), message.end)).collect::<Vec<_>>(),
        [("n", EndOfMessage::Purged), ("f", EndOfMessage::Purged)]
    );
    assert!(outcomes(&rig).await.contains(&("f".to_owned(), "Purged".to_owned())));
    assert!(lengths(&rig).await.is_empty());
}

async fn feedback_is_bounded_by_number_and_age(rig: Rig) {
    rig.device("d").await;
    for n in 0..=i64::from(FEEDBACK_MAX) {
        put(&rig, &message(&format!("m{n}"), Ack::Positive), MOST).await;
        settle(&rig, WhichMessage::Sequence(n + 1), Settlement::Complete, 2_000 + n).await;
    }
    let told: Vec<_> = outcomes(&rig).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(told, ["m1", "m2", "m3", "m4"], "the oldest went");
    assert_eq!(rig.registry.message_feedback_forget(2_003).await.unwrap(), 2);
    assert_eq!(outcomes(&rig).await.len(), 2);
}

fn command(id: &str, requested_ms: i64) -> QueuedCommandRow {
    QueuedCommandRow {
        id: id.to_owned(),
        component: "motor".to_owned(),
        name: "stop".to_owned(),
        request: Some("{\"n\":1}".to_owned()),
        connection_timeout_secs: None,
        response_timeout_secs: Some(5),
        state: QueuedCommandState::Queued,
        requested_ms,
        changed_ms: requested_ms,
    }
}

fn running(id: &str, requested_ms: i64) -> NewDeviceMessage {
    NewDeviceMessage { command: Some(command(id, requested_ms)), ..message(id, Ack::None) }
}

async fn a_command_stands_where_its_message_does(rig: Rig) {
    rig.device("d").await;
    let target = CommandTarget {
        device: "d".to_owned(),
        module: String::new(),
        component: "motor".to_owned(),
        name: "stop".to_owned(),
    };
    let runs = async || rig.registry.queued_command_runs(APP, &target).await.unwrap();
    put(&rig, &running("r1", 1_000), MOST).await;
    assert_eq!(runs().await, [command("r1", 1_000)]);
    assert_eq!(put(&rig, &running("r2", 1_001), 1).await, PutMessage::Full);
    assert_eq!(runs().await.len(), 1, "what was refused is no run");
    take(&rig, of_queue(2_000)).await;
    let sent = runs().await.remove(0);
    assert_eq!((sent.state, sent.changed_ms), (QueuedCommandState::Sent, 2_000));
    take(&rig, of_queue(2_500)).await;
    assert_eq!(runs().await.remove(0).changed_ms, 2_000, "sent again is sent");
    let ends = [
        (Some(Settlement::Complete), QueuedCommandState::Answered),
        (Some(Settlement::Reject), QueuedCommandState::Refused),
        (Some(Settlement::Abandon { deliveries_max: 0 }), QueuedCommandState::Refused),
        (None, QueuedCommandState::Purged),
    ];
    for (n, (settlement, state)) in (1..).zip(ends) {
        if n > 1 {
            put(&rig, &running(&format!("r{n}"), 1_000 + n), MOST).await;
        }
        match settlement {
            Some(settlement) => drop(settle(&rig, WhichMessage::Sequence(n), settlement, 3_000).await),
            None => {
                let mut group = begin(&rig).await;
                group.purge(APP, "d", 3_000).await.unwrap();
                group.commit().await.unwrap();
            }
        }
        let newest = runs().await.remove(0);
        assert_eq!((newest.state, newest.changed_ms), (state, 3_000), "{n}");
    }
    // Of those that ended the newest are kept, and all that have not.
    for n in 10..10 + i64::from(QUEUED_COMMAND_RUNS_KEPT) + 2 {
        put(&rig, &running(&format!("r{n}"), 1_000 + n), MOST).await;
        if n == 10 {
            take(&rig, of_queue(2_000)).await;
            continue;
        }
        let newest = take(&rig, TakeMessages { under_way: &[5], ..of_queue(2_000) }).await.messages.remove(0);
        settle(&rig, WhichMessage::Sequence(newest.sequence), Settlement::Complete, 3_000).await;
    }
    let kept = runs().await;
    assert_eq!(kept.len(), 2 + QUEUED_COMMAND_RUNS_KEPT as usize, "one that waits, one that ended last");
    assert_eq!(kept.last().map(|run| (run.id.as_str(), run.state)), Some(("r10", QueuedCommandState::Sent)));
    assert_eq!(rig.registry.queued_commands(APP, "d").await.unwrap().len(), kept.len());
}

async fn so_many_runs_of_a_device_are_listed_the_newest_first(rig: Rig) {
    rig.device("d").await;
    let mut group = begin(&rig).await;
    for n in 0..=QUEUED_COMMANDS_LISTED_MAX {
        let run = command(&format!("r{n}"), 1_000 + i64::from(n));
        let run = QueuedCommandRow { name: format!("c{n}"), ..run };
        let message = NewDeviceMessage { command: Some(run), ..message("m", Ack::None) };
        group.put(APP, "d", &message, QUEUED_COMMANDS_LISTED_MAX + 1).await.unwrap();
    }
    group.commit().await.unwrap();
    let listed = rig.registry.queued_commands(APP, "d").await.unwrap();
    assert_eq!(listed.len(), QUEUED_COMMANDS_LISTED_MAX as usize);
    assert_eq!(listed.last().unwrap().id, "r1");
}

async fn a_deleted_device_takes_its_queue_along(rig: Rig) {
    rig.device("d").await;
    put(&rig, &running("r", 1_000), MOST).await;
    assert!(rig.registry.device_delete(APP, "d", 2_000).await.unwrap());
    assert!(lengths(&rig).await.is_empty());
    assert!(rig.registry.queued_commands(APP, "d").await.unwrap().is_empty());
    rig.device("d").await;
    assert!(take(&rig, of_queue(2_000)).await.messages.is_empty());
}

//! A message in the edge's log, of any bytes, is read or refused. What is read is written as the same bytes, has no more parts
//! than its bytes have room for, and is for the queues it names and no other. One of the first version is written anew with
//! nothing of it changed.

use bytes::{Bytes, BytesMut};
use edge::testing::{QueueId, StoredMessage, StoredRecord, Target, decode_first_version, encode, expires_at_ms};
use model::route::Endpoint;

/// A target without the names of an endpoint.
const TARGET_BYTES_MIN: usize = 6;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(record) = StoredRecord::parse(bytes.clone()) {
        let (targets, message): (Vec<_>, _) = (record.targets().collect(), record.message());
        assert!(!targets.is_empty() && targets.len() * TARGET_BYTES_MIN <= bytes.len());
        assert!(message_bytes(&message) <= bytes.len());
        assert_eq!(written(&targets, &message), bytes, "written again it is the same");
        check_targets(&record, &targets);
    }
    let stored_at_ms = 1_800_000_000_000;
    if let Some((lifetime_secs, message)) = decode_first_version(&bytes, stored_at_ms) {
        assert!(message_bytes(&message) <= bytes.len());
        // The first version knew the queue from its folder: one is as good as any.
        let queue = QueueId { endpoint: Endpoint::Upstream, priority: 0 };
        let target = Target { queue, lifetime_secs };
        let record = StoredRecord::parse(written(std::slice::from_ref(&target), &message)).expect("we wrote it");
        assert_eq!((record.targets().collect::<Vec<_>>(), record.message()), (vec![target], message));
    }
}

fn check_targets(record: &StoredRecord, targets: &[Target]) {
    for Target { queue, .. } in targets {
        let first = targets.iter().find(|target| target.queue == *queue).expect("it is one of them");
        let expected = expires_at_ms(record.stored_at_ms(), first.lifetime_secs);
        assert_eq!(record.expires_at_ms(queue), Some(expected), "{queue}");
        let mut other = queue.clone();
        other.priority = if other.priority == 0 { 1 } else { 0 };
        let goes_there = targets.iter().any(|target| target.queue == other);
        assert_eq!(record.expires_at_ms(&other).is_some(), goes_there, "{other}");
    }
}

fn message_bytes(message: &StoredMessage) -> usize {
    message.sender.to_string().len() + message.message.bag.len() + message.message.body.len()
}

fn written(targets: &[Target], message: &StoredMessage) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out, targets, message);
    out.freeze()
}

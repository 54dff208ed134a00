#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

/// A record as the first version wrote it.
pub fn encode_first_version(lifetime_secs: Option<u32>, sender: &str, message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(FIRST_VERSION);
    out.put_u32(lifetime_secs.unwrap_or(FOREVER));
    out.put_u16(sender.len() as u16);
    out.put_u32(message.bag.len() as u32);
    out.put_slice(sender.as_bytes());
    out.put_slice(&message.bag);
    out.put_slice(&message.body);
    out.freeze()
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    prop_oneof![
        Just(Endpoint::Upstream),
        ("[a-zé]{1,5}", "[a-z.]{1,5}").prop_map(|(module, input)| Endpoint::Module { module, input }),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    let priority = prop_oneof![0..10_u32, Just(PRIORITY_WITHOUT_NUMBER)];
    (endpoint(), priority, proptest::option::of(0..FOREVER))
        .prop_map(|(endpoint, priority, lifetime_secs)| Target { queue: QueueId { endpoint, priority }, lifetime_secs })
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        sender in "[a-z$]{1,20}(/[a-z$]{1,20})?",
        stored_at_ms in 0..u64::from(u32::MAX) * 1000,
        targets in proptest::collection::vec(target(), 1..20),
        bag in proptest::collection::vec(any::<u8>(), 0..200),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let message = Message { bag: bag.into(), body: body.into() };
        let stored = StoredMessage { sender: Identity::from_client_id(&sender), stored_at_ms, message };
        let mut bytes = BytesMut::new();
        encode(&mut bytes, &targets, &stored);
        let record = StoredRecord::parse(bytes.freeze()).unwrap();
        prop_assert_eq!(record.targets().collect::<Vec<_>>(), targets.clone());
        prop_assert_eq!(record.message(), stored);
        for target in &targets {
            let first = targets.iter().find(|other| other.queue == target.queue).unwrap();
            let expected = expires_at_ms(stored_at_ms, first.lifetime_secs);
            prop_assert_eq!(record.expires_at_ms(&target.queue), Some(expected));
        }
    }

    #[test]
    fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), version in 0..4_u8) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        let bytes = Bytes::from(bytes);
        let _ = decode_first_version(&bytes, 0);
        if let Ok(record) = StoredRecord::parse(bytes) {
            let _ = (record.targets().count(), record.message());
        }
    }
}

#[test]
fn a_record_that_ends_early_is_refused_at_every_byte() {
    let target = Target {
        queue: QueueId { endpoint: Endpoint::Module { module: "m".into(), input: "i".into() }, priority: 3 },
        lifetime_secs: Some(7),
    };
    let message = Message { bag: Bytes::from_static(b"a=1"), body: Bytes::new() };
    let stored = StoredMessage { sender: Identity::device("d"), stored_at_ms: 5, message };
    let mut bytes = BytesMut::new();
    encode(&mut bytes, &[target], &stored);
    let bytes = bytes.freeze();
    for end in 0..bytes.len() {
        assert!(StoredRecord::parse(bytes.slice(..end)).is_err(), "cut at {end}");
    }
    let other = QueueId { endpoint: Endpoint::Upstream, priority: 3 };
    assert_eq!(StoredRecord::parse(bytes).unwrap().expires_at_ms(&other), None);
}

#[test]
fn a_record_for_nobody_or_of_a_priority_there_is_not_is_refused() {
    let to = |targets: &[u8]| {
        let bytes = [&[VERSION, 0, 0, 0, 0, 0, 0, 0, 5], targets, &[0, 1, 0, 0, 0, 0, b'd']].concat();
        StoredRecord::parse(bytes.into()).map(|record| record.targets().map(|target| target.queue.priority).collect())
    };
    let upstream = |priority: u8| to(&[1, UPSTREAM, priority, 0, 0, 0, 9]);
    assert_eq!(upstream(9), Ok(vec![9]));
    assert_eq!(upstream(NO_PRIORITY), Ok(vec![PRIORITY_WITHOUT_NUMBER]));
    for refused in [upstream(10), to(&[0])] {
        assert_eq!(refused, Err(UnknownRecord { version: VERSION, known: VERSION }));
    }
}

#[test]
fn a_record_of_a_newer_program_is_named() {
    let error = StoredRecord::parse(Bytes::from_static(&[3, 0, 0])).unwrap_err();
    assert_eq!(error.to_string(), "a stored message has version 3, or is damaged; this program knows version 2");
}

#[test]
fn the_first_version_is_read() {
    let message = Message { bag: Bytes::from_static(b"a=1"), body: Bytes::from_static(b"{}") };
    let record = encode_first_version(Some(60), "edge/m", &message);
    let (lifetime, stored) = decode_first_version(&record, 1234).unwrap();
    assert_eq!((lifetime, stored.stored_at_ms), (Some(60), 1234));
    assert_eq!((stored.sender, stored.message), (Identity::module("edge", "m"), message));
    assert_eq!(decode_first_version(&Bytes::from_static(b"\x02"), 0), None);
}

#[test]
fn lifetimes() {
    assert_eq!(expires_at_ms(5, None), u64::MAX);
    assert_eq!(expires_at_ms(5, Some(0)), 5);
    assert_eq!(expires_at_ms(1000, Some(1)), 2000);
    assert_eq!(expires_at_ms(u64::MAX - 1, Some(1)), u64::MAX);
}

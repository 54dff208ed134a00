//! Both bounds, and the order of answers.
#![allow(clippy::unwrap_used)]

use model::identity::Identity;

use super::*;

fn message(device: &str, module: Option<&str>, offset: u64, body_bytes: usize) -> RawMessage {
    RawMessage {
        offset,
        enqueued_ms: 0,
        source: Arc::new(Source {
            application: "a".into(),
            identity: module.map_or_else(|| Identity::device(device), |module| Identity::module(device, module)),
            generation: "g".into(),
            model: None,
            organization: None,
        }),
        component: None,
        bag: Bytes::new(),
        body: Bytes::from(vec![0; body_bytes]),
    }
}

fn key(device: &str) -> Key {
    (Arc::from("a"), Arc::from(device))
}

fn offsets(messages: &[Arc<RawMessage>]) -> Vec<u64> {
    messages.iter().map(|message| message.offset).collect()
}

#[test]
fn newest_first_filtered_by_module_and_offset() {
    let raw = RawMessages::default();
    let (app, device): (Arc<str>, Arc<str>) = ("a".into(), "d".into());
    for (offset, module) in [(1, None), (2, Some("m")), (3, None), (4, Some("m"))] {
        raw.push(&app, &device, message("d", module, offset, 1));
    }
    assert_eq!(offsets(&raw.newest("a", "d", None, None, 10)), [4, 3, 2, 1]);
    assert_eq!(offsets(&raw.newest("a", "d", Some("m"), None, 10)), [4, 2]);
    assert_eq!(offsets(&raw.newest("a", "d", None, Some(3), 1)), [2]);
    assert!(raw.newest("b", "d", None, None, 10).is_empty());
}

#[test]
fn a_device_keeps_its_newest() {
    let raw = RawMessages::default();
    for offset in 0..=RAW_MESSAGES_PER_DEVICE_MAX as u64 {
        raw.push(&"a".into(), &"d".into(), message("d", None, offset, 1));
    }
    let kept = offsets(&raw.newest("a", "d", None, None, usize::MAX));
    assert_eq!((kept.len(), kept.last().copied()), (RAW_MESSAGES_PER_DEVICE_MAX, Some(1)));
}

#[test]
fn over_the_bytes_the_oldest_of_all_devices_go_first() {
    let mut held = Held::default();
    let size = message("d1", None, 0, 1_000).bytes();
    for (offset, device) in [(0, "d1"), (1, "d2"), (2, "d2")] {
        held.push(key(device), message(device, None, offset, 1_000), 2 * size);
    }
    assert!(!held.devices.contains_key(&key("d1")));
    assert_eq!(held.devices[&key("d2")].len(), 2);
    assert_eq!(held.bytes, 2 * size);
}

#[test]
fn the_order_does_not_outgrow_what_it_orders() {
    let mut held = Held::default();
    for offset in 0..10 * RAW_MESSAGES_PER_DEVICE_MAX as u64 {
        held.push(key("d"), message("d", None, offset, 1), usize::MAX);
    }
    assert!(held.order.len() <= 2 * RAW_MESSAGES_PER_DEVICE_MAX);
}

#[test]
fn all_devices_together_keep_as_many_bytes_as_they_may() {
    const MESSAGES: usize = 128;
    let raw = RawMessages::default();
    let head = message("d0", None, 0, 0).bytes();
    let devices: Vec<Arc<str>> = (0..4).map(|n| format!("d{n}").into()).collect();
    let push = |offset: usize, body_bytes: usize| {
        let device = &devices[offset % devices.len()];
        raw.push(&"a".into(), device, message(device, None, offset as u64, body_bytes));
    };
    let held = || devices.iter().map(|device| raw.newest("a", device, None, None, usize::MAX).len()).sum::<usize>();
    for offset in 0..MESSAGES {
        push(offset, RAW_MESSAGES_BYTES_MAX / MESSAGES - head);
    }
    assert_eq!(held(), MESSAGES, "just at the limit");
    push(MESSAGES, 0);
    assert_eq!(held(), MESSAGES, "the new one for the oldest");
    assert_eq!(offsets(&raw.newest("a", "d0", None, None, usize::MAX)).last(), Some(&4));
    assert_eq!(offsets(&raw.newest("a", "d0", None, None, 1)), [MESSAGES as u64]);
}

#[test]
fn one_busy_device_among_quiet_ones_does_not_grow_the_order() {
    const QUIET: usize = 1_000;
    let mut held = Held::default();
    for n in 0..QUIET {
        let device = format!("quiet{n}");
        held.push(key(&device), message(&device, None, n as u64, 1), usize::MAX);
    }
    for offset in 0..10 * QUIET {
        held.push(key("busy"), message("busy", None, (QUIET + offset) as u64, 1), usize::MAX);
    }
    assert_eq!(held.messages, QUIET + RAW_MESSAGES_PER_DEVICE_MAX);
    assert!(held.order.len() <= 2 * held.messages, "{}", held.order.len());
}

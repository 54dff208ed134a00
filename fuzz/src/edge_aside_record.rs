//! A message set aside from the edge's log, of any bytes, is read or refused. What is read is written as the same bytes and is for
//! one queue.

use bytes::{Bytes, BytesMut};
use edge::testing::AsideRecord;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Ok(record) = AsideRecord::parse(Bytes::copy_from_slice(bytes)) else { return };
    let AsideRecord { number, bytes: log_bytes, target, stored } = record;
    assert!(stored.expires_at_ms(&target.queue).is_some(), "it is for its queue");
    let mut written = BytesMut::new();
    AsideRecord::encode(&mut written, number, log_bytes, &target, &stored.message());
    assert_eq!(written, bytes, "written again it is the same");
}

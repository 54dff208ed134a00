//! Any bytes are packets or refused; a packet that was decoded encodes to bytes that decode to it.

use bytes::BytesMut;
use protocol::mqtt::{decode, encode::encode};

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(packet)) = decode(&mut buffer) {
        let mut again = BytesMut::new();
        encode(&packet, &mut again).expect("what was decoded can be encoded");
        assert_eq!(decode(&mut again), Ok(Some(packet)));
    }
}

//! Any bytes are packets or refused; a packet that was decoded encodes to bytes that decode to it.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use protocol::mqtt::{decode, encode::encode};

fuzz_target!(|bytes: &[u8]| {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(packet)) = decode(&mut buffer) {
        let mut again = BytesMut::new();
        encode(&packet, &mut again).expect("what was decoded can be encoded");
        assert_eq!(decode(&mut again), Ok(Some(packet)));
    }
});

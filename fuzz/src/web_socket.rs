//! Frames of a WebSocket, in pieces of any size: never more payload than bytes came, and the same whether they came at once or
//! in pieces. The first byte picks the role and the size of the pieces.

use bytes::{Bytes, BytesMut};
use protocol::web_socket::{Decoder, Role, Sent, Violation, encode};

const FRAME_BYTES_MAX: u64 = 1 << 16;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some((pick, bytes)) = bytes.split_first() else { return };
    let (role, mask) = if pick % 2 == 0 { (Role::Server, Some([1, 2, 3, 4])) } else { (Role::Client, None) };
    let size = 1 + usize::from(pick / 2);
    let (whole, pieces) = (decode(role, bytes, bytes.len().max(1)), decode(role, bytes, size));
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
        (Err(whole), Err(pieces)) => assert_eq!(whole, pieces),
        _ => panic!("{whole:?} at once, {pieces:?} in pieces"),
    }
    let mut wire = BytesMut::new();
    encode(Sent::Bytes(bytes), mask, &mut wire);
    if bytes.len() as u64 <= FRAME_BYTES_MAX {
        let (payload, ..) = decode(role, &wire, size).expect("what was encoded can be decoded");
        assert_eq!(payload, bytes);
    }
}

type Decoded = (Vec<u8>, Option<Bytes>, Option<Option<u16>>);

fn decode(role: Role, bytes: &[u8], size: usize) -> Result<Decoded, Violation> {
    let mut decoder = Decoder::new(role, FRAME_BYTES_MAX);
    let mut payload = Vec::new();
    for piece in bytes.chunks(size) {
        let mut piece = piece.to_vec();
        let count = decoder.decode(&mut piece)?;
        payload.extend_from_slice(&piece[..count]);
    }
    Ok((payload, decoder.take_ping(), decoder.closed()))
}

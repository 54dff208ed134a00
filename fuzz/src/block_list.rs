//! Anything is a list of blocks or refused; what was read is read the same when it is written again.

use protocol::hub::block_list;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some(blocks) = block_list::read(bytes) else { return };
    let latest: String = blocks.iter().map(|block| format!("<Latest>{block}</Latest>")).collect();
    assert_eq!(block_list::read(format!("<BlockList>{latest}</BlockList>").as_bytes()), Some(blocks));
}

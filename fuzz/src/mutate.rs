//! Mutations of a seed, always the same ones for the same number.

/// Longest input made, in bytes: long enough for every length prefix of one and two bytes to be wrong.
pub const INPUT_BYTES_MAX: usize = 128 * 1024;

/// Bytes that programs treat in a special way, for text and for binary formats.
const SPECIAL: &[u8] = b"\0\x01\x7f\x80\xff /?#&=%$+;:.,\"'\\{}[]()<>-_0919azAZ\n\r\t";

/// A small generator of numbers (SplitMix64): the same seed gives the same numbers with every compiler.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A mutation of `seed`; `other` is spliced in at times.
pub fn mutate(dice: &mut Dice, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.below(4) {
        step(dice, &mut bytes, other);
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn step(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = dice.below(bytes.len() + 1);
    let end = at + dice.below((bytes.len() - at).min(32) + 1);
    let special = SPECIAL[dice.below(SPECIAL.len())];
    match dice.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        1 if at < bytes.len() => bytes[at] = special,
        2 => bytes.insert(at, special),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let repeated = bytes[at..end].repeat(1 + dice.below(8));
            bytes.splice(at..at, repeated);
        }
        5 => bytes.truncate(at),
        6 if !other.is_empty() => {
            let from = dice.below(other.len());
            let to = (from + 1 + dice.below(64)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        7 => {
            // A number of 32 bits, for lengths and offsets: at an edge, or any.
            let edge = [0, 1, u32::MAX, i32::MAX as u32, dice.next() as u32][dice.below(5)];
            for (byte, new) in bytes[at..].iter_mut().zip(edge.to_le_bytes()) {
                *byte = new;
            }
        }
        _ => bytes.splice(at..at, special_run(dice, special)).for_each(drop),
    }
}

fn special_run(dice: &mut Dice, special: u8) -> Vec<u8> {
    vec![special; 1 + dice.below(300)]
}

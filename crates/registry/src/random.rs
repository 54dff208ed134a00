//! Values nobody can guess: keys, ids, tags.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SymmetricKeys;

/// Bytes of a generated symmetric key, as the service generates them (64, the block of HMAC-SHA256).
const KEY_BYTES: usize = 64;

/// `N` random bytes from the operating system.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random source answers once the system has booted");
    bytes
}

/// A new opaque tag, with quotes inside, as clients know them.
pub fn new_etag() -> String {
    format!("\"{:016x}\"", u64::from_be_bytes(random_bytes()))
}

/// A new generation id: tells a device that was deleted and made again from the one before.
pub fn new_generation_id() -> String {
    format!("{:018}", u64::from_be_bytes(random_bytes()) % 1_000_000_000_000_000_000)
}

/// A new random id in the form of a UUID version 4.
pub fn new_id() -> String {
    let value = u128::from_be_bytes(random_bytes());
    let value = (value & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{value:032x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// A new pair of symmetric keys.
pub fn new_symmetric_keys() -> SymmetricKeys {
    SymmetricKeys {
        primary: STANDARD.encode(random_bytes::<KEY_BYTES>()),
        secondary: STANDARD.encode(random_bytes::<KEY_BYTES>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_a_uuid() {
        let id = new_id();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(matches!(id.as_bytes()[19], b'8'..=b'b'));
    }
}

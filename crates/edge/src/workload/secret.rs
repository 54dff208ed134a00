//! Secrets a module gives us to keep unreadable: AES-256-GCM under a key derived from the master key.
//!
//! ```text
//! sealed = version 1 (1 byte) | nonce (12 random bytes) | ciphertext and tag
//! extra authenticated data = module 0x00 generation 0x00 caller's initialization vector
//! ```
//! The caller's vector is not used as the nonce: callers repeat theirs, and one repetition would break the cipher.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::identity::master_key::MasterKey;

const VERSION: u8 = 1;
const KEY_NAME: &str = "workload-secrets";

/// The secret cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SecretError {
    /// It was changed, or sealed for another module, generation or vector.
    #[error("the ciphertext was not made here for this module, generation and initialization vector")]
    Foreign,
    /// The system has no randomness, or the text is too long.
    #[error("the plaintext cannot be encrypted")]
    Seal,
}

/// Encrypts.
pub(super) fn seal(
    key: &MasterKey,
    module: &str,
    generation: &str,
    vector: &[u8],
    mut text: Vec<u8>,
) -> Result<Vec<u8>, SecretError> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| SecretError::Seal)?;
    let aad = Aad::from(authenticated(module, generation, vector));
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
        .map_err(|_| SecretError::Seal)?;
    let mut sealed = vec![VERSION];
    sealed.extend_from_slice(&nonce);
    sealed.append(&mut text);
    Ok(sealed)
}

/// Decrypts.
pub(super) fn open(
    key: &MasterKey,
    module: &str,
    generation: &str,
    vector: &[u8],
    sealed: Vec<u8>,
) -> Result<Vec<u8>, SecretError> {
    let (version, rest) = sealed.split_first().ok_or(SecretError::Foreign)?;
    let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SecretError::Foreign)?;
    if *version != VERSION {
        return Err(SecretError::Foreign);
    }
    let mut text = text.to_vec();
    let aad = Aad::from(authenticated(module, generation, vector));
    let plain = cipher(key)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut text)
        .map_err(|_| SecretError::Foreign)?;
    Ok(plain.to_vec())
}

fn cipher(key: &MasterKey) -> Result<LessSafeKey, SecretError> {
    let key = UnboundKey::new(&AES_256_GCM, &key.derive_bytes(KEY_NAME)).map_err(|_| SecretError::Seal)?;
    Ok(LessSafeKey::new(key))
}

fn authenticated(module: &str, generation: &str, vector: &[u8]) -> Vec<u8> {
    [module.as_bytes(), &[0], generation.as_bytes(), &[0], vector].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_same_module_life_and_vector_open_it() {
        let key = MasterKey::from_bytes([1; 32]);
        let sealed = seal(&key, "m", "1", b"iv", b"secret".to_vec()).unwrap();
        assert_eq!(open(&key, "m", "1", b"iv", sealed.clone()).unwrap(), b"secret");
        let others = [("n", "1", b"iv".as_slice()), ("m", "2", b"iv"), ("m", "1", b"xx")];
        for (module, generation, vector) in others {
            assert_eq!(open(&key, module, generation, vector, sealed.clone()), Err(SecretError::Foreign));
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&key, "m", "1", b"iv", changed), Err(SecretError::Foreign), "byte {at}");
        }
        assert_eq!(open(&key, "m", "1", b"iv", vec![]), Err(SecretError::Foreign));
    }

    #[test]
    fn the_same_text_is_never_sealed_the_same() {
        let key = MasterKey::from_bytes([1; 32]);
        let seal = || seal(&key, "m", "1", b"iv", vec![]).unwrap();
        assert_ne!(seal(), seal());
    }
}

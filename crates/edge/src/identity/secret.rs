//! Secrets a module gives us to keep unreadable: AES-256-GCM under a key derived from the master key.
//!
//! ```text
//! sealed = version 1 (1 byte) | nonce (12 random bytes) | ciphertext and tag
//! extra authenticated data = module 0x00 generation 0x00 caller's initialization vector
//! ```
//! The caller's vector is not used as the nonce: callers repeat theirs, and one repetition would break the cipher.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::master_key::MasterKey;
use super::signer::{SecretOf, SignError};

const VERSION: u8 = 1;
const KEY_NAME: &str = "workload-secrets";

/// Encrypts.
pub(super) fn seal(key: &MasterKey, secret: SecretOf<'_>, mut text: Vec<u8>) -> Result<Vec<u8>, SignError> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| SignError::Encrypt)?;
    let aad = Aad::from(authenticated(secret));
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
        .map_err(|_| SignError::Encrypt)?;
    let mut sealed = vec![VERSION];
    sealed.extend_from_slice(&nonce);
    sealed.append(&mut text);
    Ok(sealed)
}

/// Decrypts.
pub(super) fn open(key: &MasterKey, secret: SecretOf<'_>, sealed: &[u8]) -> Result<Vec<u8>, SignError> {
    let (version, rest) = sealed.split_first().ok_or(SignError::ForeignSecret)?;
    let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SignError::ForeignSecret)?;
    if *version != VERSION {
        return Err(SignError::ForeignSecret);
    }
    let mut text = text.to_vec();
    let aad = Aad::from(authenticated(secret));
    let plain = cipher(key)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut text)
        .map_err(|_| SignError::ForeignSecret)?;
    Ok(plain.to_vec())
}

fn cipher(key: &MasterKey) -> Result<LessSafeKey, SignError> {
    let key = UnboundKey::new(&AES_256_GCM, &key.derive_bytes(KEY_NAME)).map_err(|_| SignError::Encrypt)?;
    Ok(LessSafeKey::new(key))
}

fn authenticated(secret: SecretOf<'_>) -> Vec<u8> {
    [secret.module.as_bytes(), &[0], secret.generation.as_bytes(), &[0], secret.vector].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const OWN: SecretOf<'_> = SecretOf { module: "m", generation: "1", vector: b"iv" };

    #[test]
    fn only_the_same_module_life_and_vector_open_it() {
        let key = MasterKey::from_bytes([1; 32]);
        let sealed = seal(&key, OWN, b"secret".to_vec()).unwrap();
        assert_eq!(open(&key, OWN, &sealed).unwrap(), b"secret");
        let others =
            [SecretOf { module: "n", ..OWN }, SecretOf { generation: "2", ..OWN }, SecretOf { vector: b"xx", ..OWN }];
        for other in others {
            assert!(matches!(open(&key, other, &sealed), Err(SignError::ForeignSecret)), "{other:?}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(matches!(open(&key, OWN, &changed), Err(SignError::ForeignSecret)), "byte {at}");
        }
        assert!(matches!(open(&key, OWN, &[]), Err(SignError::ForeignSecret)));
    }

    #[test]
    fn the_same_text_is_never_sealed_the_same() {
        let key = MasterKey::from_bytes([1; 32]);
        let seal = || seal(&key, OWN, vec![]).unwrap();
        assert_ne!(seal(), seal());
    }
}

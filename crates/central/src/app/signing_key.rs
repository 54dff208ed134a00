//! The key that signs an application's API tokens.
//!
//! ```text
//! SharedAccessSignature sr={application}&sig={signature}&skn={token id}&se={expiry, epoch milliseconds}
//! ```
//!
//! The signature is HMAC-SHA256 over application, token id, expiry and the time the token was made, a line each; URL-encoded
//! base64. The time is in the registry only, so that a token made again under the same id does not revive the old text.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use registry::{ApiTokenRow, random_bytes};
use sha2::Sha256;
use storage::file_layer::Access;

use crate::data_folder::{DataFolder, DataFolderError};

const KEY_BYTES: usize = 32;
const SCHEME: &str = "SharedAccessSignature ";

/// Signs and verifies the API tokens of an application.
#[derive(Clone)]
pub struct SigningKey([u8; KEY_BYTES]);

/// The signing keys of the applications, read from the data folder when they are first asked for. Cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    folder: DataFolder,
    known: Arc<Mutex<HashMap<String, SigningKey>>>,
}

/// A signing key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// Its file cannot be read or written.
    #[error("the key of an application's API tokens cannot be read or written")]
    Folder(#[from] DataFolderError),
    /// Its file holds something else.
    #[error("{} holds no key", .0.display())]
    Damaged(PathBuf),
}

impl SigningKeys {
    /// The keys in a data folder.
    pub fn new(folder: DataFolder) -> Self {
        Self { folder, known: Arc::default() }
    }

    /// The key of an application that exists; made on first use. Blocks for the file then.
    pub fn of(&self, application: &str) -> Result<SigningKey, SigningKeyError> {
        // Held while a key is made, so that two callers get the same one.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(application) {
            return Ok(key.clone());
        }
        let path = self.folder.token_key(application);
        let key = match self.folder.read(&path)? {
            Some(text) => SigningKey::from_base64(&text).ok_or(SigningKeyError::Damaged(path))?,
            None => {
                let (key, text) = SigningKey::generate();
                self.folder.write(&path, format!("{text}\n").as_bytes(), Access::Private)?;
                key
            }
        };
        known.insert(application.to_owned(), key.clone());
        Ok(key)
    }
}

/// The parts of a token's text; nothing about them is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenText {
    /// `sr`.
    pub application: String,
    /// `skn`.
    pub id: String,
    /// `se`.
    pub expires_ms: i64,
    signature: Vec<u8>,
}

impl SigningKey {
    /// A new key and its text form, to be kept secret.
    pub fn generate() -> (Self, String) {
        let bytes = random_bytes();
        (Self(bytes), STANDARD.encode(bytes))
    }

    /// Reads the text form.
    pub fn from_base64(text: &str) -> Option<Self> {
        Some(Self(STANDARD.decode(text.trim()).ok()?.try_into().ok()?))
    }

    fn mac(&self, application: &str, id: &str, expires_ms: i64, created_ms: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("{application}\n{id}\n{expires_ms}\n{created_ms}").as_bytes());
        mac
    }

    /// The text of a token.
    pub fn sign(&self, application: &str, token: &ApiTokenRow) -> String {
        let signature = self.mac(application, &token.id, token.expires_ms, token.created_ms).finalize().into_bytes();
        let signature = STANDARD.encode(signature);
        format!(
            "{SCHEME}sr={application}&sig={}&skn={}&se={}",
            utf8_percent_encode(&signature, NON_ALPHANUMERIC),
            utf8_percent_encode(&token.id, NON_ALPHANUMERIC),
            token.expires_ms
        )
    }

    /// Whether a text is the one signed for a stored token. Takes the same time whatever differs in the signature.
    pub fn verify(&self, text: &TokenText, token: &ApiTokenRow) -> bool {
        text.id == token.id
            && text.expires_ms == token.expires_ms
            && self
                .mac(&text.application, &token.id, token.expires_ms, token.created_ms)
                .verify_slice(&text.signature)
                .is_ok()
    }
}

impl TokenText {
    /// Reads the header `Authorization`.
    pub fn parse(header: &str) -> Option<Self> {
        let (mut application, mut signature, mut id, mut expires_ms) = (None, None, None, None);
        for pair in header.strip_prefix(SCHEME)?.split('&') {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value).decode_utf8().ok()?.into_owned();
            match name {
                "sr" => application = Some(value),
                "sig" => signature = Some(STANDARD.decode(value).ok()?),
                "skn" => id = Some(value),
                "se" => expires_ms = Some(value.parse().ok()?),
                _ => return None,
            }
        }
        Some(Self { application: application?, id: id?, expires_ms: expires_ms?, signature: signature? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn token() -> ApiTokenRow {
        ApiTokenRow { id: "night-job".to_owned(), roles: "[]".to_owned(), expires_ms: 1_700_000_000_000, created_ms: 7 }
    }

    #[test]
    fn a_token_verifies_as_signed_and_not_otherwise() {
        let (key, text) = SigningKey::generate();
        let signed = key.sign("app", &token());
        let parsed = TokenText::parse(&signed).unwrap();
        assert!(SigningKey::from_base64(&text).unwrap().verify(&parsed, &token()));
        assert!(!SigningKey::generate().0.verify(&parsed, &token()));
        let forged = TokenText { application: "other".to_owned(), ..parsed.clone() };
        assert!(!key.verify(&forged, &token()));
        let remade = ApiTokenRow { created_ms: 8, ..token() };
        assert!(!key.verify(&parsed, &remade));
        let longer = ApiTokenRow { expires_ms: 1_800_000_000_000, ..token() };
        assert!(!key.verify(&parsed, &longer));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in [
            "",
            "Bearer x",
            "SharedAccessSignature ",
            "SharedAccessSignature sr=a&sig=!&skn=b&se=1",
            "SharedAccessSignature sr=a&sig=AA%3D%3D&skn=b",
            "SharedAccessSignature sr=a&sig=AA%3D%3D&skn=b&se=tomorrow",
        ] {
            assert_eq!(TokenText::parse(text), None, "{text}");
        }
    }
}

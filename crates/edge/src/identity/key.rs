//! A symmetric key: signs and verifies, and shows itself to nobody outside this room.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::auth::sas::{self, SasToken};

use super::master_key::hmac_sha256;
use super::signer::SignError;

/// A shared access key, base64. It has no `Debug`, no `Display` and no serialization of its own: where it must be written
/// down or told to the hub, [`SharedAccessKey::text`] says so in the code.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SharedAccessKey(String);

impl SharedAccessKey {
    /// Kept as it is written elsewhere, with its `=`; what is no base64 is told when it is used.
    pub(super) fn new(base64: impl Into<String>) -> Self {
        let base64 = base64.into();
        Self(sas::decode_base64(&base64).map_or(base64, |key| STANDARD.encode(key)))
    }

    /// The key itself: for the state file, the hub's registry and the provisioning service, which share it.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// A token for an audience (unescaped) that ends at this Unix second.
    pub(super) fn token(&self, audience: &str, expiry_secs: u64) -> Result<String, SignError> {
        sas::sign(audience, &self.0, expiry_secs, None).map_err(|_| SignError::NotBase64)
    }

    /// Whether this key signed the token.
    pub(super) fn verifies(&self, token: &SasToken) -> bool {
        token.verify(&self.0)
    }

    /// HMAC-SHA256 of the data.
    pub(super) fn hmac(&self, data: &[u8]) -> Result<[u8; 32], SignError> {
        let key = sas::decode_base64(&self.0).map_err(|_| SignError::NotBase64)?;
        Ok(hmac_sha256(&key, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_its_padding_is_the_same_key() {
        for (written, known) in
            [("a2V5MQ", "a2V5MQ=="), ("a2V5MQ==", "a2V5MQ=="), ("a2V5MTI", "a2V5MTI="), ("a2V5", "a2V5")]
        {
            assert_eq!(SharedAccessKey::new(written).text(), known);
        }
        assert!(SharedAccessKey::new("not base64!").token("hub", 1).is_err());
    }
}

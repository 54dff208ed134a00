//! Shared access signatures: `SharedAccessSignature sr={sr}&sig={sig}&se={se}[&skn={policy}]`.
//!
//! The signature is HMAC-SHA256, under the base64-decoded key, over `{sr}\n{se}` with both texts *exactly as they stand in
//! the token*. Clients escape `sr` in upper case, lower case, partly or not at all, and one lower-cases it whole; so the
//! literal text is what is verified, and it is decoded only to check the scope.
//!
//! ```text
//! SharedAccessSignature sr=hub.example.test%2Fdevices%2Fdev1&sig=B44A…%3D&se=1700003600
//!                          |                                     |            +-- Unix seconds
//!                          +-- resource                          +-- percent-encoded base64; `+` means `+`
//! ```

use std::borrow::Cow;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{DecodeError, alphabet};
use hmac::{Hmac, Mac};
use model::identity::Identity;
use sha2::Sha256;

use crate::hub::bag;
use crate::limits::CLOCK_SKEW;

type HmacSha256 = Hmac<Sha256>;

/// The word a token begins with; compared exactly.
pub const SCHEME: &str = "SharedAccessSignature";

/// Reads base64 with or without its closing `=`: keys are copied without them, and some clients leave them out of signatures.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a key or signature in base64; a closing `=` may be left out.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, DecodeError> {
    LENIENT.decode(text.trim())
}

/// A token that is well formed. Whether it is genuine is for [`SasToken::verify`] to say.
#[derive(Clone, PartialEq, Eq)]
pub struct SasToken {
    resource: String,
    expiry: String,
    expiry_secs: u64,
    signature: Vec<u8>,
    policy: Option<String>,
}

/// Signatures stay out of logs.
impl std::fmt::Debug for SasToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SasToken")
            .field("resource", &self.resource)
            .field("expiry", &self.expiry)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseTokenError {
    /// The scheme word is missing.
    #[error("the token does not begin with SharedAccessSignature")]
    Scheme,
    /// A field is missing.
    #[error("the token lacks the field {0}")]
    Missing(&'static str),
    /// A field stands twice.
    #[error("the token has the field {0} twice")]
    Twice(&'static str),
    /// `se` is not a number of seconds.
    #[error("the expiry is not a number of seconds")]
    Expiry,
    /// `sig` is not base64.
    #[error("the signature is not base64")]
    Signature,
}

/// Why a text cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is not base64")]
pub struct KeyError;

impl SasToken {
    /// Takes a token apart: fields in any order, names without regard to case, unknown ones ignored.
    pub fn parse(text: &str) -> Result<Self, ParseTokenError> {
        let fields =
            text.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix(' ')).ok_or(ParseTokenError::Scheme)?;
        let (mut resource, mut signature, mut expiry, mut policy) = (None, None, None, None);
        for field in fields.trim().split('&') {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let (slot, name) = match name.to_ascii_lowercase().as_str() {
                "sr" => (&mut resource, "sr"),
                "sig" => (&mut signature, "sig"),
                "se" => (&mut expiry, "se"),
                "skn" => (&mut policy, "skn"),
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(ParseTokenError::Twice(name));
            }
        }
        let present = |value: Option<&str>, name| {
            value.filter(|text| !text.is_empty()).map(str::to_owned).ok_or(ParseTokenError::Missing(name))
        };
        let (resource, signature, expiry) =
            (present(resource, "sr")?, present(signature, "sig")?, present(expiry, "se")?);
        if !expiry.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseTokenError::Expiry);
        }
        Ok(Self {
            resource,
            expiry_secs: expiry.parse().map_err(|_| ParseTokenError::Expiry)?,
            expiry,
            signature: decode_base64(&bag::decode(signature.as_bytes())).map_err(|_| ParseTokenError::Signature)?,
            policy: policy.map(|text| bag::decode(text.as_bytes()).into_owned()).filter(|name| !is_blank(name)),
        })
    }

    /// Whether the signature was made with this (base64) key over the literal `sr` and `se`. Takes the same time for a
    /// nearly right signature as for a wrong one. An unusable key verifies nothing.
    pub fn verify(&self, key_base64: &str) -> bool {
        let Some(mut mac) = keyed(key_base64) else { return false };
        mac.update(string_to_sign(&self.resource, &self.expiry).as_bytes());
        mac.verify_slice(&self.signature).is_ok()
    }

    /// When the token ends, in Unix seconds.
    pub fn expiry_secs(&self) -> u64 {
        self.expiry_secs
    }

    /// Whether the token is past its expiry, clock skew allowed for.
    pub fn is_expired(&self, now_secs: u64) -> bool {
        now_secs > self.expiry_secs.saturating_add(CLOCK_SKEW.as_secs())
    }

    /// The policy that signed, if a policy's key and not the identity's own did.
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// The `sr` field as it stands in the token.
    pub fn literal_resource(&self) -> &str {
        &self.resource
    }

    /// Whether the token's scope covers a resource such as `hub.example.test/devices/dev1/modules/m`: it is the resource
    /// itself or a prefix of it by whole segments, case ignored. A last segment `api-version=…` (old samples) is overlooked.
    pub fn covers(&self, resource: &str) -> bool {
        let covers = |scope: &str| match resource.get(..scope.len()) {
            Some(front) if front.eq_ignore_ascii_case(scope) => {
                !scope.is_empty() && matches!(resource.as_bytes().get(scope.len()), None | Some(b'/'))
            }
            _ => false,
        };
        self.is_any_scope(covers)
    }

    /// Whether the token's scope is just this resource, read as by [`covers`](Self::covers).
    pub fn is_for(&self, resource: &str) -> bool {
        self.is_any_scope(|scope| scope.eq_ignore_ascii_case(resource))
    }

    /// Whether one of the readings of the scope is right: as it stands, since not everybody escapes and ids may hold `%`;
    /// decoded; and decoded twice, since the C# SDK escapes the id and then the whole. Whatever it is read as, only who has the
    /// key can have signed it.
    fn is_any_scope(&self, right: impl Fn(&str) -> bool) -> bool {
        let mut scope = Cow::Borrowed(self.resource.as_str());
        for _ in 0..=RESOURCE_ESCAPES_MAX {
            if right(bare(&scope)) {
                return true;
            }
            match bag::decode(scope.as_bytes()) {
                decoded if decoded == scope => return false,
                decoded => scope = Cow::Owned(decoded.into_owned()),
            }
        }
        false
    }
}

/// How often a token's resource may be escaped.
const RESOURCE_ESCAPES_MAX: usize = 2;

/// A scope without a trailing slash or `api-version`.
fn bare(scope: &str) -> &str {
    match scope.rsplit_once('/') {
        Some((front, last)) if last.is_empty() || last.starts_with("api-version=") => front,
        _ => scope,
    }
}

/// No policy: some clients name none in so many words.
fn is_blank(policy: &str) -> bool {
    policy.is_empty() || policy.eq_ignore_ascii_case("null")
}

fn keyed(key_base64: &str) -> Option<HmacSha256> {
    let key = decode_base64(key_base64).ok()?;
    // An empty key would let everybody sign.
    if key.is_empty() { None } else { HmacSha256::new_from_slice(&key).ok() }
}

/// The text a token's signature is made over.
pub fn string_to_sign(audience: &str, expiry: impl std::fmt::Display) -> String {
    format!("{audience}\n{expiry}")
}

/// A whole token for an audience (unescaped, e.g. `hub/devices/d`), signed with a base64 key.
pub fn sign(audience: &str, key_base64: &str, expiry_secs: u64, policy: Option<&str>) -> Result<String, KeyError> {
    let resource = bag::encode(audience);
    let mut mac = keyed(key_base64).ok_or(KeyError)?;
    mac.update(string_to_sign(&resource, expiry_secs).as_bytes());
    Ok(assemble(&resource, &STANDARD.encode(mac.finalize().into_bytes()), expiry_secs, policy))
}

/// A whole token from a signature made elsewhere, e.g. by the workload API, over [`string_to_sign`] of the *escaped*
/// audience, which [`escape_audience`] gives.
pub fn assemble(escaped_audience: &str, signature_base64: &str, expiry_secs: u64, policy: Option<&str>) -> String {
    let signature = bag::encode(signature_base64);
    let policy = policy.map(|name| format!("&skn={}", bag::encode(name))).unwrap_or_default();
    format!("{SCHEME} sr={escaped_audience}&sig={signature}&se={expiry_secs}{policy}")
}

/// The `sr` form of an audience.
pub fn escape_audience(audience: &str) -> String {
    bag::encode(audience).into_owned()
}

/// The audience of an identity's own token: `{hub}/devices/{d}[/modules/{m}]`, unescaped.
pub fn audience(hub_host: &str, identity: &Identity) -> String {
    match identity.module_id() {
        Some(module) => format!("{hub_host}/devices/{}/modules/{module}", identity.device_id()),
        None => format!("{hub_host}/devices/{}", identity.device_id()),
    }
}

/// A key of an enrollment group, decoded once for many devices.
#[derive(Clone)]
pub struct GroupKey(HmacSha256);

/// Keys stay out of logs.
impl std::fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupKey")
    }
}

impl GroupKey {
    /// Reads a base64 key.
    pub fn new(key_base64: &str) -> Result<Self, KeyError> {
        keyed(key_base64).map(Self).ok_or(KeyError)
    }

    /// Whether the token was made with the key that is derived for this registration id.
    pub fn signed(&self, token: &SasToken, registration_id: &str) -> bool {
        let mut derived = self.0.clone();
        derived.update(registration_id.as_bytes());
        let Ok(mut mac) = HmacSha256::new_from_slice(&derived.finalize().into_bytes()) else { return false };
        mac.update(string_to_sign(&token.resource, &token.expiry).as_bytes());
        mac.verify_slice(&token.signature).is_ok()
    }
}

/// A device's own key under an enrollment group: base64( HMAC-SHA256( group key, registration id ) ), the id as written.
pub fn derive_device_key(group_key_base64: &str, registration_id: &str) -> Result<String, KeyError> {
    let mut mac = keyed(group_key_base64).ok_or(KeyError)?;
    mac.update(registration_id.as_bytes());
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests;

//! The envelope of a state file: what it is, in which version, and whether it is whole.
//!
//! ```text
//! {"kind":"edge.hub.scope","version":2,"crc32":"1c291ca3","body":{…}}
//! crc32 = CRC-32 (IEEE, eight hexadecimal digits) of kind 0x00 version 0x00 body, the body's bytes as they stand in the file
//! ```
//! The envelope itself never changes; what changes with the version is the body. So a program can tell a file of a later
//! version, which it must leave alone, from a damaged one, whatever is in the body.
//!
//! A JSON document without an envelope is what was written before there were envelopes: its version is
//! [`VERSION_BARE`], and nothing vouches for it but its own shape.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Version of a body without an envelope. Envelopes begin with the next.
pub const VERSION_BARE: u32 = 1;

/// What a state file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its name, which never changes: `edge.hub.scope`.
    pub name: &'static str,
    /// The version this program writes, above [`VERSION_BARE`]. It reads all before it, and no later one.
    pub version: u32,
}

/// The contents of a state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body<'a> {
    /// The version it was written in: that of the [`Kind`], or an earlier one.
    pub version: u32,
    /// JSON.
    pub json: &'a str,
}

/// The contents cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenEnvelopeError {
    /// It is not what was written. What to do without it is the caller's to decide.
    #[error("{0}")]
    Damaged(String),
    /// A later version of the program wrote it: it must be left as it is.
    #[error("it has version {found}, this program knows versions up to {known}")]
    Newer {
        /// Its version.
        found: u32,
        /// The latest that can be read.
        known: u32,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    version: u32,
    #[serde(borrow)]
    crc32: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// Puts a body into the envelope of its kind.
///
/// # Errors
/// When the body does not serialize to JSON.
pub fn seal(kind: Kind, body: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let body = serde_json::value::to_raw_value(body)?;
    let crc32 = Cow::Owned(checksum(kind.name, kind.version, body.get()));
    let envelope = Envelope { kind: Cow::Borrowed(kind.name), version: kind.version, crc32, body: &body };
    let mut bytes = serde_json::to_vec(&envelope)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads the body of a file of which this version alone was ever written: a bare body, or one of another version, is damage.
pub fn unseal<T: DeserializeOwned>(kind: Kind, contents: &[u8]) -> Result<T, OpenEnvelopeError> {
    let damaged = |what: String| OpenEnvelopeError::Damaged(what);
    let body = open(kind, contents)?;
    if body.version != kind.version {
        return Err(damaged("it has no checksum".to_owned()));
    }
    serde_json::from_str(body.json).map_err(|error| damaged(error.to_string()))
}

/// Takes the body out of its envelope, or a bare body as it is.
///
/// # Errors
/// When the contents are damaged, of another kind, or of a later version.
pub fn open(kind: Kind, contents: &[u8]) -> Result<Body<'_>, OpenEnvelopeError> {
    let damaged = |what: String| OpenEnvelopeError::Damaged(what);
    let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(contents) else {
        let bare: &RawValue = serde_json::from_slice(contents).map_err(|error| damaged(error.to_string()))?;
        return Ok(Body { version: VERSION_BARE, json: bare.get() });
    };
    if envelope.crc32 != checksum(&envelope.kind, envelope.version, envelope.body.get()) {
        return Err(damaged("its checksum does not fit".to_owned()));
    }
    if envelope.kind != kind.name {
        return Err(damaged(format!("it is of kind {:?} instead of {:?}", envelope.kind, kind.name)));
    }
    if envelope.version <= VERSION_BARE {
        return Err(damaged(format!(
            "an envelope has version {} or later, not {}",
            VERSION_BARE + 1,
            envelope.version
        )));
    }
    if envelope.version > kind.version {
        return Err(OpenEnvelopeError::Newer { found: envelope.version, known: kind.version });
    }
    Ok(Body { version: envelope.version, json: envelope.body.get() })
}

fn checksum(kind: &str, version: u32, body: &str) -> String {
    let mut hasher = crc32fast::Hasher::new();
    for part in [kind.as_bytes(), &[0], version.to_string().as_bytes(), &[0], body.as_bytes()] {
        hasher.update(part);
    }
    format!("{:08x}", hasher.finalize())
}

#[cfg(test)]
mod tests;

//! What one log record holds: a message or event of one identity, as it arrived.
//!
//! # Format, version 2
//!
//! All integers little endian. A `text` is a `u16` byte count and UTF-8; an `option` is a text whose count `0xFFFF` means
//! absent; `bytes` is a `u32` count and octets.
//!
//! ```text
//!   offset  size  field
//!        0     1  version = 2
//!        1     1  kind: 1 telemetry, 2 reported properties, 3 connection, 4 lifecycle, 5 desired properties
//!        2     8  enqueued_ms  i64, Unix milliseconds of arrival
//!       10     …  application  text
//!        …     …  device       text
//!        …     …  module       option
//!        …     …  generation   text    generation id of the identity that sent it
//!        …     …  model        option  model id announced by the connection
//!        …     …  organization option  the device's at arrival
//!        …     …  bag          bytes   telemetry: encoded properties; an event from the registry: its sequence number, u64;
//!                                      else empty
//!        …     …  body         bytes   telemetry: as sent; other kinds: a JSON document, see below
//! ```
//!
//! Nothing follows the body. Checksums and lengths of whole records are the log's business. A reader refuses versions and
//! kinds it does not know instead of guessing.
//!
//! Bodies of the other kinds: reported and desired properties `{"version":n,"patch":{…}}`; connection
//! `{"connected":true|false}`; lifecycle `{"event":"created" …}`, whose members are the registry's.
//!
//! # Version history
//!
//! - 1: without organization and sequence number; kinds 1 to 4; lifecycle events `deviceRegistered` and `deviceProvisioned`
//!   only. Still read.
//! - 2: this one.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::identity::Identity;

#[cfg(test)]
mod tests;

/// Version written.
const VERSION: u8 = 2;
/// The older version that is still read.
const VERSION_WITHOUT_ORGANIZATION: u8 = 1;
/// Version, kind and time.
const HEAD_BYTES: usize = 10;
/// Byte count of an absent text.
const ABSENT: u16 = u16::MAX;
/// The texts that make a record's source, in their order. Version 1 ends with the model.
const SOURCE_FIELDS: [&str; 6] = ["application", "device", "module", "generation", "model", "organization"];

/// What kind of event a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A device-to-cloud message.
    Telemetry,
    /// A reported patch was merged into a twin.
    ReportedProperties,
    /// A session began or ended.
    Connection,
    /// A device or module appeared, changed or went.
    Lifecycle,
    /// A desired patch was merged into a twin.
    DesiredProperties,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Telemetry => 1,
            Self::ReportedProperties => 2,
            Self::Connection => 3,
            Self::Lifecycle => 4,
            Self::DesiredProperties => 5,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Telemetry),
            2 => Some(Self::ReportedProperties),
            3 => Some(Self::Connection),
            4 => Some(Self::Lifecycle),
            5 => Some(Self::DesiredProperties),
            _ => None,
        }
    }

    /// As metrics and people's tools name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::ReportedProperties => "reported_properties",
            Self::Connection => "connection",
            Self::Lifecycle => "lifecycle",
            Self::DesiredProperties => "desired_properties",
        }
    }
}

/// One record, owning its parts; bag and body are slices of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Kind of event.
    pub kind: Kind,
    /// When it arrived, Unix milliseconds.
    pub enqueued_ms: i64,
    /// Application it belongs to.
    pub application: String,
    /// Who sent it.
    pub identity: Identity,
    /// Generation id of that identity.
    pub generation: String,
    /// Model id the connection had announced.
    pub model: Option<String>,
    /// The device's organization when it arrived; `None` for the root, and in records of version 1.
    pub organization: Option<String>,
    /// Encoded properties.
    pub bag: Bytes,
    /// Body.
    pub body: Bytes,
}

/// Who sent a record, as its connection was let in: the same for every record of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Application it belongs to.
    pub application: Arc<str>,
    /// Who sent it.
    pub identity: Identity,
    /// Generation id of that identity.
    pub generation: Arc<str>,
    /// Model id the connection had announced.
    pub model: Option<Arc<str>>,
    /// The device's organization when it arrived; `None` for the root, and in records of version 1.
    pub organization: Option<Arc<str>>,
}

/// A record whose source is not taken apart: whoever reads many looks a known one up by its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordParts {
    /// Kind of event.
    pub kind: Kind,
    /// When it arrived, Unix milliseconds.
    pub enqueued_ms: i64,
    /// The fields from application to organization; see [`Source::decode`].
    pub source: Bytes,
    /// Encoded properties.
    pub bag: Bytes,
    /// Body.
    pub body: Bytes,
}

/// A record this program cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeRecordError {
    /// Written by a newer program.
    #[error("record version {0} is not known")]
    Version(u8),
    /// Written by a newer program.
    #[error("record kind {0} is not known")]
    Kind(u8),
    /// A field ends past the record, or is no UTF-8.
    #[error("record is malformed at its {0}")]
    Malformed(&'static str),
}

/// An id or text that does not fit its field. Ids are checked where they enter, so this names a bug or a hostile client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {0} is too long for a log record")]
pub struct EncodeRecordError(&'static str);

/// The part of a record that is the same for every message of a session, encoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    encoded: Bytes,
}

impl Origin {
    /// Application, identity, its generation id, the model id its connection announced, and the device's organization.
    pub fn new(
        application: &str,
        identity: &Identity,
        generation: &str,
        model: Option<&str>,
        organization: Option<&str>,
    ) -> Result<Self, EncodeRecordError> {
        let mut out = BytesMut::with_capacity(128);
        put_text(&mut out, "application", Some(application))?;
        put_text(&mut out, "device", Some(identity.device_id()))?;
        put_text(&mut out, "module", identity.module_id())?;
        put_text(&mut out, "generation", Some(generation))?;
        put_text(&mut out, "model", model)?;
        put_text(&mut out, "organization", organization)?;
        Ok(Self { encoded: out.freeze() })
    }

    /// Bytes for the log.
    pub fn encode(&self, kind: Kind, enqueued_ms: i64, bag: &[u8], body: &[u8]) -> Result<Bytes, EncodeRecordError> {
        let mut out = BytesMut::with_capacity(self.encoded_bytes(bag, body));
        self.encode_into(&mut out, kind, enqueued_ms, bag, body)?;
        Ok(out.freeze())
    }

    /// Appends a record to the buffer.
    pub fn encode_into(
        &self,
        out: &mut BytesMut,
        kind: Kind,
        enqueued_ms: i64,
        bag: &[u8],
        body: &[u8],
    ) -> Result<(), EncodeRecordError> {
        out.put_u8(VERSION);
        out.put_u8(kind.code());
        out.put_i64_le(enqueued_ms);
        out.put_slice(&self.encoded);
        put_bytes(out, "bag", bag)?;
        put_bytes(out, "body", body)
    }

    /// How long the record of a message is.
    pub fn encoded_bytes(&self, bag: &[u8], body: &[u8]) -> usize {
        18 + self.encoded.len() + bag.len() + body.len()
    }
}

impl Record {
    /// Bytes for the log.
    pub fn encode(&self) -> Result<Bytes, EncodeRecordError> {
        let Self { application, identity, generation, model, organization, .. } = self;
        let origin = Origin::new(application, identity, generation, model.as_deref(), organization.as_deref())?;
        origin.encode(self.kind, self.enqueued_ms, &self.bag, &self.body)
    }

    /// Reads what [`Record::encode`] wrote.
    pub fn decode(input: Bytes) -> Result<Self, DecodeRecordError> {
        let RecordParts { kind, enqueued_ms, source, bag, body } = RecordParts::decode(input)?;
        let Source { application, identity, generation, model, organization } = Source::decode(source)?;
        let (application, generation) = (application.to_string(), generation.to_string());
        let (model, organization) = (model.map(|text| text.to_string()), organization.map(|text| text.to_string()));
        Ok(Self { kind, enqueued_ms, application, identity, generation, model, organization, bag, body })
    }
}

/// What most readers look at first, without taking hold of the record's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead<'a> {
    /// Kind of event.
    pub kind: Kind,
    /// When it arrived, Unix milliseconds.
    pub enqueued_ms: i64,
    /// The fields from application to organization; see [`Source::decode`].
    pub source: &'a [u8],
}

impl<'a> RecordHead<'a> {
    /// Reads a record up to its source, and no further.
    pub fn decode(input: &'a [u8]) -> Result<Self, DecodeRecordError> {
        let Some((head, fields)) = input.split_first_chunk::<HEAD_BYTES>() else {
            return Err(DecodeRecordError::Malformed("head"));
        };
        let [version, kind, enqueued_ms @ ..] = *head;
        let source_fields = match version {
            VERSION => &SOURCE_FIELDS[..],
            VERSION_WITHOUT_ORGANIZATION => &SOURCE_FIELDS[..SOURCE_FIELDS.len() - 1],
            _ => return Err(DecodeRecordError::Version(version)),
        };
        let kind = Kind::from_code(kind).ok_or(DecodeRecordError::Kind(kind))?;
        let mut rest = fields;
        for field in source_fields {
            skip_text(&mut rest, field)?;
        }
        let source = &fields[..fields.len() - rest.len()];
        Ok(Self { kind, enqueued_ms: i64::from_le_bytes(enqueued_ms), source })
    }
}

impl RecordParts {
    /// Reads a record but for its source.
    pub fn decode(mut input: Bytes) -> Result<Self, DecodeRecordError> {
        let RecordHead { kind, enqueued_ms, source } = RecordHead::decode(&input)?;
        let source_bytes = source.len();
        input.advance(HEAD_BYTES);
        let source = input.split_to(source_bytes);
        let bag = take_bytes(&mut input, "bag")?;
        let body = take_bytes(&mut input, "body")?;
        if input.has_remaining() {
            return Err(DecodeRecordError::Malformed("end"));
        }
        Ok(Self { kind, enqueued_ms, source, bag, body })
    }

    /// The number of an event that was committed in the registry: a reader that sees one it has seen passes over it.
    pub fn sequence(&self) -> Option<u64> {
        let number = self.bag[..].try_into().ok().map(u64::from_le_bytes);
        number.filter(|_| self.kind != Kind::Telemetry)
    }
}

impl Source {
    /// Encoded, for every record of a session.
    pub fn origin(&self) -> Result<Origin, EncodeRecordError> {
        let Self { application, identity, generation, model, organization } = self;
        Origin::new(application, identity, generation, model.as_deref(), organization.as_deref())
    }

    /// Reads the fields from application to organization, or to model as version 1 has them.
    pub fn decode(mut input: Bytes) -> Result<Self, DecodeRecordError> {
        let [application, device, module, generation, model, organization] = SOURCE_FIELDS;
        let application = take_text(&mut input, application)?.into();
        let device = take_text(&mut input, device)?;
        let module = take_option(&mut input, module)?;
        let generation = take_text(&mut input, generation)?.into();
        let model = take_option(&mut input, model)?.map(Arc::from);
        let organization = match input.has_remaining() {
            true => take_option(&mut input, organization)?.map(Arc::from),
            false => None,
        };
        let identity = match module {
            Some(module) => Identity::module(&device, &module),
            None => Identity::device(&device),
        };
        Ok(Self { application, identity, generation, model, organization })
    }
}

fn put_text(out: &mut BytesMut, field: &'static str, text: Option<&str>) -> Result<(), EncodeRecordError> {
    let Some(text) = text else {
        out.put_u16_le(ABSENT);
        return Ok(());
    };
    let count = u16::try_from(text.len()).ok().filter(|&count| count != ABSENT).ok_or(EncodeRecordError(field))?;
    out.put_u16_le(count);
    out.put_slice(text.as_bytes());
    Ok(())
}

fn put_bytes(out: &mut BytesMut, field: &'static str, bytes: &[u8]) -> Result<(), EncodeRecordError> {
    out.put_u32_le(u32::try_from(bytes.len()).map_err(|_| EncodeRecordError(field))?);
    out.put_slice(bytes);
    Ok(())
}

fn take_option(input: &mut Bytes, field: &'static str) -> Result<Option<String>, DecodeRecordError> {
    let malformed = DecodeRecordError::Malformed(field);
    if input.remaining() < 2 {
        return Err(malformed);
    }
    let count = input.get_u16_le();
    if count == ABSENT {
        return Ok(None);
    }
    if input.remaining() < usize::from(count) {
        return Err(malformed);
    }
    let text = input.split_to(usize::from(count));
    std::str::from_utf8(&text).map(|text| Some(text.to_owned())).map_err(|_| malformed)
}

fn skip_text(input: &mut &[u8], field: &&'static str) -> Result<(), DecodeRecordError> {
    let malformed = DecodeRecordError::Malformed(field);
    let (count, rest) = input.split_first_chunk().ok_or(malformed.clone())?;
    let count = match u16::from_le_bytes(*count) {
        ABSENT => 0,
        count => usize::from(count),
    };
    *input = rest.get(count..).ok_or(malformed)?;
    Ok(())
}

fn take_text(input: &mut Bytes, field: &'static str) -> Result<String, DecodeRecordError> {
    take_option(input, field)?.ok_or(DecodeRecordError::Malformed(field))
}

fn take_bytes(input: &mut Bytes, field: &'static str) -> Result<Bytes, DecodeRecordError> {
    if input.remaining() < 4 {
        return Err(DecodeRecordError::Malformed(field));
    }
    let count = usize::try_from(input.get_u32_le()).unwrap_or(usize::MAX);
    if input.remaining() < count {
        return Err(DecodeRecordError::Malformed(field));
    }
    Ok(input.split_to(count))
}

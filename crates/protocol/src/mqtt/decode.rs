//! Bytes to packets.

use bytes::{Buf, Bytes, BytesMut};

use super::packet::{Connect, ConnectReturnCode, Packet, Publish, QoS, Text, Will};
use crate::limits::{CONNECT_BYTES_MAX, FILTERS_MAX, PACKET_BYTES_MAX};

/// Why bytes are no packet. None of these can be recovered from: the connection has to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The remaining length has more than four bytes.
    #[error("the packet's length is malformed")]
    Length,
    /// The packet is larger than `limits::PACKET_BYTES_MAX`, or a CONNECT than `limits::CONNECT_BYTES_MAX`.
    #[error("the packet of {0} bytes is too large")]
    TooLarge(usize),
    /// Kind 0 or 15.
    #[error("packet kind {0} does not exist")]
    Kind(u8),
    /// Flags the kind does not have.
    #[error("the flags {flags:#06b} do not fit packet kind {kind}")]
    Flags {
        /// Kind.
        kind: u8,
        /// Flags.
        flags: u8,
    },
    /// The packet ends before its fields do.
    #[error("the packet ends too early")]
    Short,
    /// The packet goes on after its last field.
    #[error("the packet has bytes left over")]
    LeftOver,
    /// A string is not UTF-8 or holds U+0000.
    #[error("a string is not valid text")]
    Text,
    /// Packet id 0.
    #[error("packet id 0 is not allowed")]
    PacketId,
    /// Quality of service 3.
    #[error("quality of service 3 does not exist")]
    QoS,
    /// The protocol's name or level is not MQTT 3.1.1. The one error that has an answer: CONNACK 1.
    #[error("only MQTT 3.1.1 is spoken here")]
    ProtocolVersion,
    /// Flags of a CONNECT that exclude each other.
    #[error("the flags of CONNECT contradict each other")]
    ConnectFlags,
    /// No filter, or more than `limits::FILTERS_MAX`.
    #[error("a subscription has no filter or too many")]
    Filters,
    /// An answer code that does not exist.
    #[error("return code {0} does not exist")]
    ReturnCode(u8),
}

/// Takes the first packet off the buffer; `None` when it is not complete yet (the buffer then stays as it is).
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
    let Some((header, remaining)) = frame(buffer)? else { return Ok(None) };
    if buffer.len() < header + remaining {
        return Ok(None);
    }
    let first = buffer[0];
    let mut body = buffer.split_to(header + remaining).freeze();
    body.advance(header);
    packet(first >> 4, first & 0x0f, Fields { rest: body }).map(Some)
}

/// Length of the fixed header and the remaining length, once they are there. Kinds, flags and sizes that can never be right
/// fail here, before the packet is buffered.
fn frame(buffer: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let Some(first) = buffer.first() else { return Ok(None) };
    let (kind, flags) = (first >> 4, first & 0x0f);
    let fixed = if matches!(kind, 6 | 8 | 10) { 0b0010 } else { 0 };
    match kind {
        0 | 15 => return Err(DecodeError::Kind(kind)),
        kind if kind != 3 && flags != fixed => return Err(DecodeError::Flags { kind, flags }),
        _ => {}
    }
    let mut remaining = 0;
    for at in 0..4 {
        let Some(byte) = buffer.get(1 + at) else { return Ok(None) };
        remaining |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let most = if kind == 1 { CONNECT_BYTES_MAX } else { PACKET_BYTES_MAX };
            return if remaining > most {
                Err(DecodeError::TooLarge(remaining))
            } else {
                Ok(Some((2 + at, remaining)))
            };
        }
    }
    Err(DecodeError::Length)
}

fn packet(kind: u8, flags: u8, mut fields: Fields) -> Result<Packet, DecodeError> {
    let packet = match kind {
        1 => Packet::Connect(Box::new(connect(&mut fields)?)),
        2 => connack(&mut fields)?,
        3 => Packet::Publish(publish(flags, &mut fields)?),
        4 => Packet::PubAck(fields.packet_id()?),
        5 => Packet::PubRec(fields.packet_id()?),
        6 => Packet::PubRel(fields.packet_id()?),
        7 => Packet::PubComp(fields.packet_id()?),
        8 => Packet::Subscribe {
            packet_id: fields.packet_id()?,
            filters: fields.filters(|fields| Ok((fields.text()?, fields.qos()?)))?,
        },
        9 => Packet::SubAck { packet_id: fields.packet_id()?, granted: fields.filters(granted)? },
        10 => Packet::Unsubscribe { packet_id: fields.packet_id()?, filters: fields.filters(Fields::text)? },
        11 => Packet::UnsubAck(fields.packet_id()?),
        12 => Packet::PingReq,
        13 => Packet::PingResp,
        14 => Packet::Disconnect,
        other => return Err(DecodeError::Kind(other)),
    };
    if fields.rest.is_empty() { Ok(packet) } else { Err(DecodeError::LeftOver) }
}

fn connect(fields: &mut Fields) -> Result<Connect, DecodeError> {
    let name = fields.bytes()?;
    if &name[..] != b"MQTT" || fields.byte()? != 4 {
        return Err(DecodeError::ProtocolVersion);
    }
    let flags = fields.byte()?;
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let (has_will, will_qos, has_user, has_password) = (flag(2), (flags >> 3) & 3, flag(7), flag(6));
    let contradiction = flag(0) || (!has_will && (will_qos != 0 || flag(5))) || (has_password && !has_user);
    if contradiction {
        return Err(DecodeError::ConnectFlags);
    }
    let keep_alive_secs = fields.u16()?;
    let client_id = fields.text()?;
    let will = if has_will {
        Some(Will {
            topic: fields.text()?,
            payload: fields.bytes()?,
            qos: QoS::from_bits(will_qos).ok_or(DecodeError::QoS)?,
            retain: flag(5),
        })
    } else {
        None
    };
    Ok(Connect {
        clean_session: flag(1),
        keep_alive_secs,
        client_id,
        will,
        user_name: has_user.then(|| fields.text()).transpose()?,
        password: has_password.then(|| fields.bytes()).transpose()?,
    })
}

fn connack(fields: &mut Fields) -> Result<Packet, DecodeError> {
    let session_present = match fields.byte()? {
        flags @ 0..=1 => flags == 1,
        flags => return Err(DecodeError::Flags { kind: 2, flags }),
    };
    let byte = fields.byte()?;
    let code = ConnectReturnCode::from_byte(byte).ok_or(DecodeError::ReturnCode(byte))?;
    Ok(Packet::ConnAck { session_present, code })
}

fn publish(flags: u8, fields: &mut Fields) -> Result<Publish, DecodeError> {
    let qos = QoS::from_bits((flags >> 1) & 3).ok_or(DecodeError::QoS)?;
    let dup = flags & 0b1000 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(DecodeError::Flags { kind: 3, flags });
    }
    Ok(Publish {
        dup,
        qos,
        retain: flags & 1 != 0,
        topic: fields.text()?,
        packet_id: if qos == QoS::AtMostOnce { None } else { Some(fields.packet_id()?) },
        payload: std::mem::take(&mut fields.rest),
    })
}

fn granted(fields: &mut Fields) -> Result<Option<QoS>, DecodeError> {
    match fields.byte()? {
        0x80 => Ok(None),
        byte => QoS::from_bits(byte).map(Some).ok_or(DecodeError::ReturnCode(byte)),
    }
}

/// What is left of a packet.
struct Fields {
    rest: Bytes,
}

impl Fields {
    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.rest.try_get_u8().map_err(|_| DecodeError::Short)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.rest.try_get_u16().map_err(|_| DecodeError::Short)
    }

    fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.u16()? {
            0 => Err(DecodeError::PacketId),
            id => Ok(id),
        }
    }

    fn qos(&mut self) -> Result<QoS, DecodeError> {
        QoS::from_bits(self.byte()?).ok_or(DecodeError::QoS)
    }

    fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let length = usize::from(self.u16()?);
        if length > self.rest.len() { Err(DecodeError::Short) } else { Ok(self.rest.split_to(length)) }
    }

    fn text(&mut self) -> Result<Text, DecodeError> {
        let bytes = self.bytes()?;
        if memchr::memchr(0, &bytes).is_some() {
            return Err(DecodeError::Text);
        }
        Text::from_utf8(bytes).ok_or(DecodeError::Text)
    }

    /// Entries up to the end of the packet: at least one, at most `FILTERS_MAX`.
    fn filters<T>(
        &mut self,
        mut entry: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut entries = Vec::new();
        while !self.rest.is_empty() {
            if entries.len() == FILTERS_MAX {
                return Err(DecodeError::Filters);
            }
            entries.push(entry(self)?);
        }
        if entries.is_empty() { Err(DecodeError::Filters) } else { Ok(entries) }
    }
}

#[cfg(test)]
mod tests;

//! Packets to bytes. Every function appends to a buffer, so that many packets leave with one write.

use bytes::{BufMut, BytesMut};

use super::packet::{Connect, ConnectReturnCode, Packet, Publish, QoS};
use crate::limits::{REMAINING_LENGTH_MAX, TEXT_BYTES_MAX};

/// Why a packet cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string or the password has more than 65,535 bytes.
    #[error("a field of {0} bytes is too long")]
    FieldTooLong(usize),
    /// The packet does not fit MQTT's length.
    #[error("a packet of {0} bytes is too large")]
    PacketTooLarge(usize),
    /// A publish above QoS 0 has no packet id, or one at QoS 0 has.
    #[error("the packet id does not fit the quality of service")]
    PacketId,
}

/// Appends any packet.
pub fn encode(packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(packet) => return connect(packet, out),
        Packet::ConnAck { session_present, code } => connack(*session_present, *code, out),
        Packet::Publish(packet) => return publish(packet, out),
        Packet::PubAck(id) => puback(*id, out),
        Packet::PubRec(id) => with_id(0x50, *id, out),
        Packet::PubRel(id) => with_id(0x62, *id, out),
        Packet::PubComp(id) => with_id(0x70, *id, out),
        Packet::Subscribe { packet_id, filters } => {
            let fields: usize = filters.iter().map(|(filter, _)| 3 + filter.as_bytes().len()).sum();
            header(0x82, 2 + fields, out)?;
            out.put_u16(*packet_id);
            for (filter, qos) in filters {
                field(filter.as_bytes(), out)?;
                out.put_u8(*qos as u8);
            }
        }
        Packet::SubAck { packet_id, granted } => suback(*packet_id, granted, out)?,
        Packet::Unsubscribe { packet_id, filters } => {
            let fields: usize = filters.iter().map(|filter| 2 + filter.as_bytes().len()).sum();
            header(0xa2, 2 + fields, out)?;
            out.put_u16(*packet_id);
            for filter in filters {
                field(filter.as_bytes(), out)?;
            }
        }
        Packet::UnsubAck(id) => with_id(0xb0, *id, out),
        Packet::PingReq => out.put_slice(&[0xc0, 0]),
        Packet::PingResp => out.put_slice(&[0xd0, 0]),
        Packet::Disconnect => out.put_slice(&[0xe0, 0]),
    }
    Ok(())
}

/// Appends CONNACK.
pub fn connack(session_present: bool, code: ConnectReturnCode, out: &mut BytesMut) {
    out.put_slice(&[0x20, 2, u8::from(session_present), code as u8]);
}

/// Appends PUBACK.
pub fn puback(packet_id: u16, out: &mut BytesMut) {
    with_id(0x40, packet_id, out);
}

/// Appends SUBACK.
pub fn suback(packet_id: u16, granted: &[Option<QoS>], out: &mut BytesMut) -> Result<(), EncodeError> {
    header(0x90, 2 + granted.len(), out)?;
    out.put_u16(packet_id);
    for qos in granted {
        out.put_u8(qos.map_or(0x80, |qos| qos as u8));
    }
    Ok(())
}

/// Appends PUBLISH.
pub fn publish(packet: &Publish, out: &mut BytesMut) -> Result<(), EncodeError> {
    if packet.packet_id.is_some() != (packet.qos != QoS::AtMostOnce) {
        return Err(EncodeError::PacketId);
    }
    let flags = (u8::from(packet.dup) << 3) | ((packet.qos as u8) << 1) | u8::from(packet.retain);
    publish_parts(flags, &[packet.topic.as_bytes()], packet.packet_id, &packet.payload, out)
}

/// Appends PUBLISH whose topic is given in parts: at QoS 1 with a packet id, at QoS 0 without.
pub fn publish_topic(
    topic: &[&[u8]],
    packet_id: Option<u16>,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    publish_parts(u8::from(packet_id.is_some()) << 1, topic, packet_id, payload, out)
}

/// The same at QoS 1, of a packet that the client may have got before.
pub fn publish_again(topic: &[&[u8]], packet_id: u16, payload: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    const DUP: u8 = 0b1000;
    publish_parts(DUP | 1 << 1, topic, Some(packet_id), payload, out)
}

fn publish_parts(
    flags: u8,
    topic: &[&[u8]],
    packet_id: Option<u16>,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let topic_bytes = topic.iter().map(|part| part.len()).sum();
    let length = length_prefix(topic_bytes)?;
    let id_bytes = if packet_id.is_some() { 2 } else { 0 };
    header(0x30 | flags, 2 + topic_bytes + id_bytes + payload.len(), out)?;
    out.put_u16(length);
    for part in topic {
        out.put_slice(part);
    }
    if let Some(id) = packet_id {
        out.put_u16(id);
    }
    out.put_slice(payload);
    Ok(())
}

/// Appends CONNECT.
pub fn connect(packet: &Connect, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut flags = u8::from(packet.clean_session) << 1;
    let mut fields: Vec<&[u8]> = vec![packet.client_id.as_bytes()];
    if let Some(will) = &packet.will {
        flags |= 0b100 | ((will.qos as u8) << 3) | (u8::from(will.retain) << 5);
        fields.extend([will.topic.as_bytes() as &[u8], &will.payload]);
    }
    if let Some(user_name) = &packet.user_name {
        flags |= 0b1000_0000;
        fields.push(user_name.as_bytes());
    }
    if let Some(password) = &packet.password {
        flags |= 0b0100_0000;
        fields.push(password);
    }
    for field in &fields {
        length_prefix(field.len())?;
    }
    header(0x10, 10 + fields.iter().map(|field| 2 + field.len()).sum::<usize>(), out)?;
    out.put_slice(b"\x00\x04MQTT\x04");
    out.put_u8(flags);
    out.put_u16(packet.keep_alive_secs);
    fields.into_iter().try_for_each(|bytes| field(bytes, out))
}

fn with_id(first: u8, packet_id: u16, out: &mut BytesMut) {
    let [high, low] = packet_id.to_be_bytes();
    out.put_slice(&[first, 2, high, low]);
}

fn field(bytes: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    out.put_u16(length_prefix(bytes.len())?);
    out.put_slice(bytes);
    Ok(())
}

fn length_prefix(length: usize) -> Result<u16, EncodeError> {
    debug_assert_eq!(TEXT_BYTES_MAX, usize::from(u16::MAX));
    u16::try_from(length).map_err(|_| EncodeError::FieldTooLong(length))
}

fn header(first: u8, mut remaining: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
    if remaining > REMAINING_LENGTH_MAX {
        return Err(EncodeError::PacketTooLarge(remaining));
    }
    out.reserve(5 + remaining);
    out.put_u8(first);
    loop {
        let low = (remaining & 0x7f) as u8;
        remaining >>= 7;
        out.put_u8(if remaining > 0 { low | 0x80 } else { low });
        if remaining == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;

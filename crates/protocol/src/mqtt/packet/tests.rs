//! Any packet, for the property tests of both directions.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = Text> {
    "[^\\x00]{0,20}".prop_map(Text::from)
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn qos() -> impl Strategy<Value = QoS> {
    (0u8..3).prop_map(|bits| QoS::from_bits(bits).unwrap())
}

fn connect() -> impl Strategy<Value = Packet> {
    let will = (text(), payload(), qos(), any::<bool>()).prop_map(|(topic, payload, qos, retain)| Will {
        topic,
        payload,
        qos,
        retain,
    });
    let user = prop::option::of((text(), prop::option::of(payload())));
    (any::<bool>(), any::<u16>(), text(), prop::option::of(will), user).prop_map(
        |(clean_session, keep_alive_secs, client_id, will, user)| {
            let (user_name, password) = user.map_or((None, None), |(name, password)| (Some(name), password));
            Packet::Connect(Box::new(Connect { clean_session, keep_alive_secs, client_id, will, user_name, password }))
        },
    )
}

fn publish() -> impl Strategy<Value = Packet> {
    (any::<bool>(), qos(), any::<bool>(), text(), 1u16.., payload()).prop_map(
        |(dup, qos, retain, topic, id, payload)| {
            let acknowledged = qos != QoS::AtMostOnce;
            let packet_id = acknowledged.then_some(id);
            Packet::Publish(Publish { dup: dup && acknowledged, qos, retain, topic, packet_id, payload })
        },
    )
}

/// Any packet.
pub(in crate::mqtt) fn packets() -> impl Strategy<Value = Packet> {
    let filters = || prop::collection::vec((text(), qos()), 1..5);
    prop_oneof![
        connect(),
        publish(),
        (any::<bool>(), 0u8..6).prop_map(|(session_present, code)| Packet::ConnAck {
            session_present,
            code: ConnectReturnCode::from_byte(code).unwrap()
        }),
        (1u16..).prop_map(Packet::PubAck),
        (1u16..).prop_map(Packet::PubRec),
        (1u16..).prop_map(Packet::PubRel),
        (1u16..).prop_map(Packet::PubComp),
        (1u16.., filters()).prop_map(|(packet_id, filters)| Packet::Subscribe { packet_id, filters }),
        (1u16.., prop::collection::vec(prop::option::of(qos()), 1..5))
            .prop_map(|(packet_id, granted)| Packet::SubAck { packet_id, granted }),
        (1u16.., filters()).prop_map(|(packet_id, filters)| Packet::Unsubscribe {
            packet_id,
            filters: filters.into_iter().map(|(filter, _)| filter).collect()
        }),
        (1u16..).prop_map(Packet::UnsubAck),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        Just(Packet::Disconnect),
    ]
}

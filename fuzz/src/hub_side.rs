//! The hub's role takes any bytes, in pieces of any size, whoever is connected: it yields events or closes, and does not
//! panic. The first byte picks the kind of client and the size of the pieces.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use model::message::Message;
use protocol::event::{Face, HubEvent, Subscriptions};
use protocol::mqtt::HubConnection;
use protocol::mqtt::{Connect, Packet, encode::encode};

const CLIENTS: [(&str, &str); 3] = [
    ("dev1", "hub.example.test/dev1/?api-version=1"),
    ("dev1/mod1", "hub.example.test/dev1/mod1/?api-version=1"),
    ("reg1", "0ne1/registrations/reg1/api-version=1"),
];

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some((pick, bytes)) = bytes.split_first() else { return };
    let mut now = Instant::now();
    let mut hub = HubConnection::open(now);
    let mut input = BytesMut::new();
    if let Some((client_id, user_name)) = CLIENTS.get(usize::from(pick % 4)) {
        let connect = Connect {
            clean_session: true,
            keep_alive_secs: 60,
            client_id: (*client_id).into(),
            will: None,
            user_name: Some((*user_name).into()),
            password: None,
        };
        encode(&Packet::Connect(Box::new(connect)), &mut input).expect("a small packet can be encoded");
    }
    for piece in bytes.chunks(1 + usize::from(pick / 4)) {
        input.extend_from_slice(piece);
        loop {
            match hub.poll(now, &mut input) {
                Ok(Some(event)) => answer(&mut hub, now, event),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let _ = hub.invoke_method("m", b"{}");
        let _ = hub.desired_patch(1, b"{}");
        let _ = hub.deliver_input("in1", &Message::default());
        let _ = hub.take_output();
        now += Duration::from_secs(1);
        if hub.handle_timeout(now).is_err() {
            return;
        }
    }
}

fn answer(hub: &mut HubConnection, now: Instant, event: HubEvent) {
    match event {
        HubEvent::Connect(_) | HubEvent::DpsConnect(_) => hub.accept(now, false, Subscriptions::default(), None),
        HubEvent::SubscriptionsChanged(_) => hub.confirm_subscriptions(),
        HubEvent::Telemetry { receipt: Some(id), .. } => hub.acknowledge(id),
        HubEvent::TwinGet(request) => hub.reply_twin(request, b"{}"),
        HubEvent::TwinPatch(request, _) => hub.reply_patch(request, 2),
        HubEvent::DpsRegister(request, _) | HubEvent::DpsStatus(request, _) => hub.reply_dps(request, 200, None, b"{}"),
        _ => {}
    }
}

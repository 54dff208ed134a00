//! Topics, filters, bags and user names: anything is read or refused, and a bag can always be changed.

use bytes::Bytes;
use model::identity::Identity;
use protocol::hub::topic::{parse_client_topic, parse_dps_reply, parse_dps_topic, parse_filter, parse_hub_topic};
use protocol::hub::{bag, username::UserName};

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let topic = Bytes::copy_from_slice(text.as_bytes());
    for identity in [Identity::device("dev1"), Identity::module("dev1", "mod1")] {
        let _ = parse_client_topic(&topic, &identity);
        let _ = parse_hub_topic(&topic, &identity);
        let _ = parse_filter(text, &identity);
    }
    let _ = parse_dps_topic(&topic);
    let _ = parse_dps_reply(&topic);
    let _ = bag::Properties::decode(&topic);
    assert_eq!(bag::get(&bag::set(&topic, "k", text), "k").as_deref(), Some(text));
    if let Some((client_id, user_name)) = text.split_once('\n') {
        let _ = UserName::parse(user_name, client_id);
    }
}

//! Property bags: any text is a bag; what is read from it and written again reads the same.

use bytes::Bytes;
use protocol::hub::bag::{self, Properties};

/// Runs the target.
pub fn run(bytes: &[u8]) {
    // Bags are part of a topic, and topics are texts.
    if std::str::from_utf8(bytes).is_err() {
        return;
    }
    let once = Properties::decode(bytes).encode();
    assert_eq!(Properties::decode(&once).encode(), once, "written once, it does not change again");
    let whole = Bytes::copy_from_slice(bytes);
    for (name, value) in bag::iter(bytes) {
        let found = bag::get(bytes, &name).expect("a name that was listed is found");
        assert!(bag::iter(bytes).any(|(other, value)| other == name && value.unwrap_or_default() == found), "{name}");
        let without = bag::remove(&whole, &name);
        assert_eq!(bag::get(&without, &name), None, "{name}");
        let changed = bag::set(bytes, &name, value.as_deref().unwrap_or_default());
        assert_eq!(bag::get(&changed, &name), Some(value.unwrap_or_default()), "{name}");
    }
}

//! A state file of any bytes is read or refused. What is read is a part of the file, and sealed again reads the same. Any body
//! that is sealed comes back, is damaged for another kind, and too new for an earlier program.

use serde_json::value::RawValue;
use storage::envelope::{Body, Kind, OpenEnvelopeError, VERSION_BARE, open, seal};

const KIND: Kind = Kind { name: "fuzz.kind", version: 3 };

/// Runs the target.
pub fn run(bytes: &[u8]) {
    if let Ok(Body { version, json }) = open(KIND, bytes) {
        assert!((VERSION_BARE..=KIND.version).contains(&version));
        assert!(json.len() <= bytes.len());
        let at = json.as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(&bytes[at..at + json.len()], json.as_bytes(), "nothing was copied");
        seal_and_open(serde_json::from_str(json).expect("a body is JSON"));
    }
    // Hardly a change of a file keeps its checksum: what is inside is reached from the inside.
    if let Ok(body) = serde_json::from_slice(bytes) {
        seal_and_open(body);
    }
}

fn seal_and_open(body: &RawValue) {
    let sealed = seal(KIND, &body).expect("JSON is JSON");
    assert_eq!(open(KIND, &sealed).expect("we sealed it"), Body { version: KIND.version, json: body.get() });
    let other = open(Kind { name: "fuzz.other", ..KIND }, &sealed);
    assert!(matches!(other, Err(OpenEnvelopeError::Damaged(_))), "{other:?}");
    let earlier = open(Kind { version: KIND.version - 1, ..KIND }, &sealed);
    assert!(matches!(earlier, Err(OpenEnvelopeError::Newer { found: 3, known: 2 })), "{earlier:?}");
    let later = open(Kind { version: KIND.version + 1, ..KIND }, &sealed);
    assert!(matches!(later, Ok(Body { version: 3, .. })), "{later:?}");
}

#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::{Value, json};

const KIND: Kind = Kind { name: "test.counts", version: 3 };

fn sealed() -> Vec<u8> {
    seal(KIND, &json!({ "a": [1, 2.5, "ü"], "b": null })).unwrap()
}

fn is_damaged(contents: &[u8]) -> bool {
    matches!(open(KIND, contents), Err(OpenEnvelopeError::Damaged(_)))
}

#[test]
fn a_body_comes_back_and_the_form_is_the_documented_one() {
    let sealed = sealed();
    let body = open(KIND, &sealed).unwrap();
    assert_eq!(body.version, 3);
    assert_eq!(serde_json::from_str::<Value>(body.json).unwrap(), json!({ "a": [1, 2.5, "ü"], "b": null }));
    // zlib.crc32(b"test.counts\0" b"3\0" b"[]")
    let empty = String::from_utf8(seal(KIND, &json!([])).unwrap()).unwrap();
    assert_eq!(empty, "{\"kind\":\"test.counts\",\"version\":3,\"crc32\":\"260329d0\",\"body\":[]}\n");
}

/// Any changed bit is found, or turns the file into a bare document, which its reader then refuses by its shape.
#[test]
fn a_changed_bit_never_gives_another_body() {
    let sealed = sealed();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            match open(KIND, &changed) {
                Ok(Body { version: VERSION_BARE, json }) => {
                    assert!(json.contains("\"body\"") || json.contains("crc32"))
                }
                Ok(body) => assert_eq!(body, open(KIND, &sealed).unwrap(), "byte {at} bit {bit}: only blanks changed"),
                Err(OpenEnvelopeError::Damaged(_)) => {}
                Err(error) => panic!("byte {at} bit {bit}: {error}"),
            }
        }
        assert!(is_damaged(&sealed[..at]) || at == sealed.len() - 1, "cut at {at}");
    }
}

#[test]
fn another_kind_is_damage_and_a_later_version_is_not() {
    let other = seal(Kind { name: "test.other", ..KIND }, &json!({})).unwrap();
    assert!(is_damaged(&other));
    let newer = seal(Kind { version: 4, ..KIND }, &json!({ "anything": 1 })).unwrap();
    assert!(matches!(open(KIND, &newer), Err(OpenEnvelopeError::Newer { found: 4, known: 3 })));
    let older = seal(Kind { version: 2, ..KIND }, &json!({})).unwrap();
    assert_eq!(open(KIND, &older).unwrap(), Body { version: 2, json: "{}" });
}

#[test]
fn an_envelope_of_a_version_that_had_none_is_damage() {
    for version in 0..=VERSION_BARE {
        let sealed = seal(Kind { version, ..KIND }, &json!({})).unwrap();
        assert!(is_damaged(&sealed), "{version}");
    }
}

#[test]
fn what_was_written_before_there_were_envelopes_is_read() {
    for bare in ["{\"version\":7,\"section\":{\"kind\":\"x\"}}", "[1,2]", "{\"kind\":{\"keys\":[]},\"body\":{}}"] {
        assert_eq!(open(KIND, bare.as_bytes()).unwrap(), Body { version: VERSION_BARE, json: bare });
    }
    for damaged in ["", "{", "\0\0\0", "{\"a\":1}}"] {
        assert!(is_damaged(damaged.as_bytes()), "{damaged:?}");
    }
}

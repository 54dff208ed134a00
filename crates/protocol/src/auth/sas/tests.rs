#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
const DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const EXPIRY: u64 = 1_700_003_600;

/// Literal resource and its signature under `KEY`, computed by other implementations.
const VECTORS: &[(&str, &str)] = &[
    (
        "hub.example.test%2Fdevices%2Fsn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
        "B44AerOihAnPdgVVrB8wt60384yOMJWdzQ/wYyoN9UY=",
    ),
    (
        "hub.example.test%2fdevices%2fsn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
        "mrNnF6fhozG0qol9bIeunJFnjeQ3IrlgCJOry9ERiVM=",
    ),
    ("0ne00000001/registrations/sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6", "5J1fDSGOgnCk3jyo4l+pvxiaIGZ8pN5uSDjcAW6sgQo="),
    (
        "0ne00000001%2Fregistrations%2Fsn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
        "kNmXVJwnCUPrcXWflZIHfXvmSRlLPi9boCsTUsEaKjc=",
    ),
];

#[test]
fn the_literal_resource_is_what_is_verified() {
    for (resource, signature) in VECTORS {
        for escaped in [bag::encode(signature).into_owned(), signature.replace('=', "%3D"), (*signature).to_owned()] {
            let token = SasToken::parse(&format!("{SCHEME} sr={resource}&sig={escaped}&se={EXPIRY}")).unwrap();
            assert!(token.verify(KEY), "{resource} {escaped}");
            assert!(!token.verify("AAAA"));
            assert_eq!(token.expiry_secs(), EXPIRY);
        }
        let other_case = resource.to_uppercase();
        let token = SasToken::parse(&format!("{SCHEME} sr={other_case}&sig={signature}&se={EXPIRY}")).unwrap();
        assert!(!token.verify(KEY), "{other_case}");
        let later = SasToken::parse(&format!("{SCHEME} sr={resource}&sig={signature}&se={}", EXPIRY + 1)).unwrap();
        assert!(!later.verify(KEY));
    }
}

#[test]
fn our_own_tokens_match_the_vector() {
    let audience = audience("hub.example.test", &Identity::device(DEVICE));
    let text = sign(&audience, KEY, EXPIRY, None).unwrap();
    let (resource, signature) = VECTORS[0];
    assert_eq!(text, format!("{SCHEME} sr={resource}&sig={}&se={EXPIRY}", bag::encode(signature)));
    let text = sign(&dps_audience(), KEY, EXPIRY, Some("registration")).unwrap();
    assert!(text.ends_with("&skn=registration"));
    assert_eq!(SasToken::parse(&text).unwrap().policy(), Some("registration"));
}

fn dps_audience() -> String {
    crate::dps::audience("0ne00000001", DEVICE)
}

#[test]
fn a_group_key_gives_the_device_key() {
    let group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
    assert_eq!(derive_device_key(group, DEVICE).unwrap(), KEY);
    assert_eq!(derive_device_key("not base64!", DEVICE), Err(KeyError));
    assert_eq!(derive_device_key("", DEVICE), Err(KeyError));
}

#[test]
fn fields_come_in_any_order_and_case() {
    for text in [
        "SharedAccessSignature sr=a&sig=AAAA&se=1",
        "SharedAccessSignature sig=AAAA&se=1&sr=a&skn=",
        "SharedAccessSignature SE=1&SKN=device&Sig=AAAA&SR=a&x=y",
    ] {
        let token = SasToken::parse(text).unwrap();
        assert_eq!((token.literal_resource(), token.expiry_secs()), ("a", 1));
    }
    assert_eq!(SasToken::parse("SharedAccessSignature sr=a&sig=AAAA&se=1&skn=").unwrap().policy(), None);
}

#[test]
fn a_plus_in_a_signature_is_a_plus() {
    let (resource, signature) = VECTORS[2];
    assert!(signature.contains('+'));
    let token = SasToken::parse(&format!("{SCHEME} sr={resource}&sig={signature}&se={EXPIRY}")).unwrap();
    assert!(token.verify(KEY));
}

#[test]
fn what_is_no_token_is_refused() {
    use ParseTokenError::{Expiry, Missing, Scheme, Signature, Twice};
    let table = [
        ("", Scheme),
        ("SharedAccessSignature", Scheme),
        ("sharedaccesssignature sr=a&sig=AAAA&se=1", Scheme),
        ("SharedAccessSignature sig=AAAA&se=1", Missing("sr")),
        ("SharedAccessSignature sr=a&se=1", Missing("sig")),
        ("SharedAccessSignature sr=a&sig=AAAA", Missing("se")),
        ("SharedAccessSignature sr=a&sig=AAAA&se=", Missing("se")),
        ("SharedAccessSignature sr=a&sr=b&sig=AAAA&se=1", Twice("sr")),
        ("SharedAccessSignature sr=a&sig=AAAA&se=-1", Expiry),
        ("SharedAccessSignature sr=a&sig=AAAA&se=99999999999999999999", Expiry),
        ("SharedAccessSignature sr=a&sig=!&se=1", Signature),
    ];
    for (text, error) in table {
        assert_eq!(SasToken::parse(text), Err(error), "{text}");
    }
}

#[test]
fn a_scope_covers_itself_and_what_is_below() {
    let module = "hub.t/devices/Dev1/modules/m";
    let table = [
        ("hub.t", module, true),
        ("HUB.T%2Fdevices", module, true),
        ("hub.t%2fdevices%2fdev1", module, true),
        ("hub.t/devices/dev1/modules/m", module, true),
        ("hub.t%2Fdevices%2FDev1%2Fapi-version=2016-11-14", module, true),
        ("hub.t/devices/Dev1/", module, true),
        ("hub.t/devices/De", module, false),
        ("hub.t/devices/Dev1/modules/m2", module, false),
        ("hub.t/devices/Dev1/modules/m", "hub.t/devices/Dev1", false),
        ("other.t", module, false),
        ("/", module, false),
        ("hub.t/devices/50%25", "hub.t/devices/50%25", true),
        ("hub.t/devices/50%25", "hub.t/devices/50%", true),
        // As the C# SDK writes it: the id is escaped, then the whole.
        ("hub.t%2Fdevices%2FAA%253ABB", "hub.t/devices/AA:BB", true),
        ("hub.t%2Fdevices%2Fa%2525b", "hub.t/devices/a%b", true),
        // Three times is nobody's way.
        ("hub.t%2Fdevices%2FAA%25253ABB", "hub.t/devices/AA:BB", false),
        ("hub.t%2Fdevices%2FAA%253ABB", "hub.t/devices/AA:B", false),
    ];
    for (scope, resource, covered) in table {
        let token = SasToken::parse(&format!("{SCHEME} sr={scope}&sig=AAAA&se=1")).unwrap();
        assert_eq!(token.covers(resource), covered, "{scope} over {resource}");
    }
}

#[test]
fn expiry_allows_for_skew() {
    let token = SasToken::parse("SharedAccessSignature sr=a&sig=AAAA&se=1000").unwrap();
    assert!(!token.is_expired(1000 + CLOCK_SKEW.as_secs()));
    assert!(token.is_expired(1001 + CLOCK_SKEW.as_secs()));
}

/// A token for a resource as it stands, signed.
fn signed(resource: &str) -> SasToken {
    let mut mac = keyed(KEY).unwrap();
    mac.update(string_to_sign(resource, EXPIRY).as_bytes());
    SasToken::parse(&assemble(resource, &STANDARD.encode(mac.finalize().into_bytes()), EXPIRY, None)).unwrap()
}

/// One device or module id, of all the characters there may be in one.
const ID: &str = "[A-Za-z0-9._:!#$%()*+,;=?@'~-]{1,40}";

#[test]
fn keys_and_signatures_may_come_without_their_closing_signs() {
    for bytes in 1..48_usize {
        let key = STANDARD.encode(vec![7; bytes]);
        let text = sign("hub.t", &key, EXPIRY, None).unwrap();
        assert!(SasToken::parse(&text).unwrap().verify(key.trim_end_matches('=')), "a key of {bytes} bytes");
        assert_eq!(sign("hub.t", key.trim_end_matches('='), EXPIRY, None), Ok(text));
    }
    let (resource, signature) = VECTORS[1];
    for signature in [signature.trim_end_matches('=').to_owned(), signature.replace('=', "%3d")] {
        let token = SasToken::parse(&format!("{SCHEME} sr={resource}&sig={signature}&se={EXPIRY}")).unwrap();
        assert!(token.verify(KEY.trim_end_matches('=')), "{signature}");
    }
    assert_eq!(derive_device_key(KEY.trim_end_matches('='), DEVICE), derive_device_key(KEY, DEVICE));
    // Without the `=`, not with anything else instead of it.
    for text in ["AAAA!", "A", "AAA*", "AA=A"] {
        assert!(decode_base64(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn a_token_is_for_its_identity_however_often_it_was_escaped(
        device in ID,
        module in proptest::option::of(ID),
        ids in 0..2_usize,
        whole in 0..2_usize,
    ) {
        let identity = match &module {
            Some(module) => Identity::module(&device, module),
            None => Identity::device(&device),
        };
        let escaped = |text: &str, times: usize| (0..times).fold(text.to_owned(), |text, _| bag::encode(&text).into_owned());
        let id = |text: &str| escaped(text, ids);
        let resource = match &module {
            Some(module) => format!("hub.t/devices/{}/modules/{}", id(&device), id(module)),
            None => format!("hub.t/devices/{}", id(&device)),
        };
        let token = signed(&escaped(&resource, whole));
        prop_assert!(token.verify(KEY));
        prop_assert!(token.is_for(&audience("hub.t", &identity)), "{}", token.literal_resource());
        prop_assert!(token.covers(&audience("hub.t", &identity)));
        prop_assert!(!token.is_for("hub.t/devices/another"));
    }

    #[test]
    fn what_is_signed_verifies(audience in "[ -~]{1,40}", expiry in any::<u32>()) {
        let token = SasToken::parse(&sign(&audience, KEY, expiry.into(), None).unwrap()).unwrap();
        prop_assert!(token.verify(KEY));
        prop_assert_eq!(token.expiry_secs(), u64::from(expiry));
    }

    #[test]
    fn any_text_is_a_token_or_not(text in any::<String>()) {
        let _ = SasToken::parse(&text);
        let _ = SasToken::parse(&format!("{SCHEME} {text}"));
    }
}

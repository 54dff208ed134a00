//! Pure parts; the exchange is tested over both transports in `tests/it/provisioning.rs`.
#![allow(clippy::unwrap_used)]

use registry::new_symmetric_keys;

use super::*;

fn enrollee(registration_id: &str) -> Enrollee {
    Enrollee {
        app: "a".into(),
        hub_host: "localhost".into(),
        registration_id: registration_id.into(),
        device_id: registration_id.into(),
        keys: Some(new_symmetric_keys()),
        group: None,
        known: None,
        proof: Arc::new(Proof {
            id_scope: "0ne1".into(),
            credential: Credential::None,
            ends_at_secs: u64::MAX,
            at_secs: 0,
        }),
    }
}

#[test]
fn a_connection_ends_when_its_enrollment_is_another_or_closed_meanwhile() {
    let known = |generation: &str, is_blocked| Some(Known { generation: generation.into(), is_blocked });
    let new = enrollee("d");
    let there = Enrollee { known: known("1", false), ..new.clone() };
    assert!(there.stands_as(&new), "it made the device itself");
    assert!(!new.stands_as(&there), "the device was deleted");
    assert!(!Enrollee { known: known("2", false), ..new.clone() }.stands_as(&there), "and made again");
    let blocked = Enrollee { known: known("1", true), ..new.clone() };
    assert!(!blocked.stands_as(&there) && blocked.stands_as(&blocked) && there.stands_as(&blocked));
    assert!(!Enrollee { keys: Some(new_symmetric_keys()), ..new.clone() }.stands_as(&new));
    let endless = sas::sign("a", "a2V5", u64::MAX, None).unwrap();
    assert_eq!(end_of(&SasToken::parse(&endless).unwrap()), u64::MAX, "a token without an end");
}

#[test]
fn a_poll_from_another_connection_names_the_same_operation() {
    let operation = operation_id(&enrollee("Dev-1"));
    assert_eq!(operation, operation_id(&enrollee("dev-1")), "registration ids ignore case");
    assert_ne!(operation, operation_id(&enrollee("dev-2")));
    assert!(operation.starts_with("4.") && operation.len() == 34, "{operation}");
}

#[test]
fn a_devices_keys_come_from_both_keys_of_the_group() {
    let group = EnrollmentGroupRow {
        id: "g".into(),
        etag: String::new(),
        display_name: "g".into(),
        enabled: true,
        is_edge: false,
        auto_approve: true,
        keys: SymmetricKeys {
            primary: "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==".into(),
            secondary: "no base64!".into(),
        },
        certificates: None,
        created_ms: 0,
        updated_ms: 0,
    };
    assert_eq!(derived(&group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"), None);
    let group =
        EnrollmentGroupRow { keys: SymmetricKeys { secondary: group.keys.primary.clone(), ..group.keys }, ..group };
    let keys = derived(&group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6").unwrap();
    assert_eq!(keys.primary, "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
}

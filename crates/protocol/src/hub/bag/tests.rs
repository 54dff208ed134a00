#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

type Pairs<'a> = &'a [(&'a str, Option<&'a str>)];

#[test]
fn bags_decode_pair_by_pair() {
    let table: &[(&str, Pairs<'_>)] = &[
        ("", &[]),
        ("&&", &[]),
        ("%24.ct=application%2Fjson&%24.ce=utf-8", &[("$.ct", Some("application/json")), ("$.ce", Some("utf-8"))]),
        ("$.ct=text/plain", &[("$.ct", Some("text/plain"))]),
        ("a%20b=c%2Fd&flag&empty=", &[("a b", Some("c/d")), ("flag", None), ("empty", Some(""))]),
        ("a=1+1&b=x=y", &[("a", Some("1+1")), ("b", Some("x=y"))]),
        ("=v", &[("", Some("v"))]),
        ("bad=%zz%4&half=%2", &[("bad", Some("%zz%4")), ("half", Some("%2"))]),
        ("k=%ff", &[("k", Some("\u{fffd}"))]),
        ("%24.exp=2030-05-01T10%3A00%3A00.0000000Z", &[("$.exp", Some("2030-05-01T10:00:00.0000000Z"))]),
    ];
    for (bag, expected) in table {
        let pairs: Vec<_> = iter(bag.as_bytes()).collect();
        let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).into(), value.map(Into::into))).collect();
        assert_eq!(pairs, expected, "{bag}");
    }
}

#[test]
fn the_first_of_two_equal_names_counts() {
    assert_eq!(get(b"a=1&a=2", "a").unwrap(), "1");
    assert_eq!(get(b"%24.on=out1&$.on=out2", OUTPUT_NAME).unwrap(), "out1");
    assert_eq!(get(b"A=1", "a"), None);
    assert_eq!(get_ignore_case(b"A=1", "a").unwrap(), "1");
    assert_eq!(get(b"flag", "flag").unwrap(), "");
}

#[test]
fn set_replaces_append_adds_remove_takes_away() {
    let bag = Bytes::from_static(b"x=1&%24.cdid=evil&$.cdid=evil2&flag");
    assert_eq!(set(&bag, CONNECTION_DEVICE_ID, "dev 1"), "x=1&flag&%24.cdid=dev%201");
    assert_eq!(append(b"", "k", "v"), "k=v");
    assert_eq!(append(b"a=1", "k", "v"), "a=1&k=v");
    assert_eq!(remove(&bag, CONNECTION_DEVICE_ID), "x=1&flag");
    assert_eq!(remove(&bag, "absent"), bag);
}

#[test]
fn properties_use_the_long_system_names() {
    let properties = Properties::decode(b"%24.ct=application%2Fjson&%24.sub=thermo&k=v&%24.unknown=1&flag&K=other&k=2");
    assert_eq!(properties.system.get("contentType").unwrap(), "application/json");
    assert_eq!(properties.system.get("dt-subject").unwrap(), "thermo");
    assert_eq!(properties.system.len(), 2);
    let application: Vec<_> = properties.application.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(application, [("K", "other"), ("flag", ""), ("k", "v")]);
    assert_eq!(properties.encode(), "%24.ct=application%2Fjson&%24.sub=thermo&K=other&flag=&k=v");
}

#[test]
fn long_names_and_wire_names_lead_to_each_other() {
    for (long, wire) in [
        ("contentType", CONTENT_TYPE),
        ("CONTENTTYPE", CONTENT_TYPE),
        ("cid", CORRELATION_ID),
        ("correlationId", CORRELATION_ID),
        ("connectionModuleId", CONNECTION_MODULE_ID),
        ("absolute-expiry-time", EXPIRY),
        ("dt-subject", COMPONENT),
    ] {
        assert_eq!(wire_name(long), Some(wire), "{long}");
    }
    assert_eq!(wire_name("nonsense"), None);
    assert_eq!(system_name(CORRELATION_ID), Some("correlationId"));
    assert_eq!(system_name("contentType"), None);
}

#[test]
fn routes_see_application_names_without_case_and_system_names_by_their_long_form() {
    let view = BagView { bag: b"Building=7&%24.ct=text&flag&iothub-ack=full", body: b"b" };
    assert_eq!(view.application("bUILDING").unwrap().unwrap(), "7");
    assert_eq!(view.application("flag"), Some(None));
    assert_eq!(view.application("absent"), None);
    assert_eq!(view.application("$.ct"), None);
    assert_eq!(view.system("contenttype").unwrap(), "text");
    assert_eq!(view.system("ack").unwrap(), "full");
    assert_eq!(view.system("building"), None);
    assert_eq!(view.body(), b"b");
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(pairs in prop::collection::vec((any::<String>(), prop::option::of(any::<String>())), 0..8)) {
        // A pair that is written as nothing at all cannot be read back: names are not empty.
        let pairs: Vec<_> = pairs.into_iter().filter(|(name, _)| !name.is_empty()).collect();
        let mut builder = BagBuilder::new();
        for (name, value) in &pairs {
            match value {
                Some(value) => builder.push(name, value),
                None => builder.push_null(name),
            };
        }
        let bag = builder.build();
        prop_assert!(bag.iter().all(u8::is_ascii));
        prop_assert!(!bag.contains(&b'/'));
        let decoded: Vec<_> = iter(&bag).map(|(name, value)| (name.into_owned(), value.map(Cow::into_owned))).collect();
        prop_assert_eq!(decoded, pairs);
    }

    #[test]
    fn any_bytes_can_be_looked_into(bag in any::<Vec<u8>>(), name in any::<String>()) {
        let _ = Properties::decode(&bag);
        let _ = get(&bag, &name);
        let with = set(&bag, "k", "v");
        prop_assert_eq!(get(&with, "k").unwrap(), "v");
        let without = remove(&with, "k");
        prop_assert_eq!(get(&without, "k"), None);
    }
}

#[test]
fn names_are_found_however_they_are_written() {
    let cases: [(&str, bool); 9] = [
        ("", false),
        ("a=1", false),
        ("$.cdid=x", true),
        ("%24.CDID=x", true),
        ("%24.cdid", true),
        ("a=1&%24.%63did=x", true),
        ("%24.cdid2=x", false),
        ("Stamp=x", true),
        ("%24tamp=x", false),
    ];
    for (bag, expected) in cases {
        assert_eq!(has_any_ignore_case(bag.as_bytes(), &["$.cdid", "stamp"]), expected, "{bag}");
    }
}

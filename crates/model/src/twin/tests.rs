//! Merge, difference, versions, metadata, and every rule of twin documents at its limit.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use time::macros::datetime;

use super::*;
use crate::limits::{
    TWIN_DEPTH_MAX, TWIN_ELEMENTS_MAX, TWIN_INTEGER_MAX, TWIN_INTEGER_MIN, TWIN_KEY_BYTES_MAX, TWIN_SECTION_BYTES_MAX,
    TWIN_SECTION_TEXT_BYTES_MAX, TWIN_STRING_BYTES_MAX, TWIN_TAGS_BYTES_MAX,
};

const NOON: OffsetDateTime = datetime!(2024-03-05 12:00:00.01 UTC);
const LATER: OffsetDateTime = datetime!(2024-03-05 14:00:01 +1);

fn merged(mut target: Value, patch: Value) -> Value {
    merge_patch(&mut target, &patch);
    target
}

#[test]
fn merge_follows_rfc_7396() {
    // The cases of the RFC's appendix.
    assert_eq!(merged(json!({"a": "b"}), json!({"a": "c"})), json!({"a": "c"}));
    assert_eq!(merged(json!({"a": "b"}), json!({"b": "c"})), json!({"a": "b", "b": "c"}));
    assert_eq!(merged(json!({"a": "b"}), json!({"a": null})), json!({}));
    assert_eq!(merged(json!({"a": "b", "b": "c"}), json!({"a": null})), json!({"b": "c"}));
    assert_eq!(merged(json!({"a": ["b"]}), json!({"a": "c"})), json!({"a": "c"}));
    assert_eq!(merged(json!({"a": "c"}), json!({"a": ["b"]})), json!({"a": ["b"]}));
    assert_eq!(merged(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}})), json!({"a": {"b": "d"}}));
    assert_eq!(merged(json!({"a": [{"b": "c"}]}), json!({"a": [1]})), json!({"a": [1]}));
    assert_eq!(merged(json!(["a", "b"]), json!(["c", "d"])), json!(["c", "d"]));
    assert_eq!(merged(json!({"a": "b"}), json!(["c"])), json!(["c"]));
    assert_eq!(merged(json!({"a": "foo"}), json!(null)), json!(null));
    assert_eq!(merged(json!({"e": null}), json!({"a": 1})), json!({"e": null, "a": 1}));
    assert_eq!(merged(json!([1, 2]), json!({"a": "b", "c": null})), json!({"a": "b"}));
    assert_eq!(merged(json!({}), json!({"a": {"bb": {"ccc": null}}})), json!({"a": {"bb": {}}}));
}

#[test]
fn what_the_count_of_bytes_leaves_out_is_bounded_too() {
    let kind = |patch: &Value| validate_patch(patch).map_err(|error| error.kind);
    let fillers = [json!([]), json!({}), json!("")];
    for filler in fillers {
        let items = |count: usize| json!({ "a": vec![filler.clone(); count] });
        assert_eq!(document_bytes(&items(TWIN_ELEMENTS_MAX)), 1, "counted, it is nothing");
        assert_eq!(kind(&items(TWIN_ELEMENTS_MAX - 1)), Ok(()), "{filler}");
        let elements = TWIN_ELEMENTS_MAX + 1;
        assert_eq!(kind(&items(TWIN_ELEMENTS_MAX)), Err(TwinErrorKind::TooManyElements { elements }), "{filler}");
    }
    // Patches that are each fine do not add up to more.
    let mut section = TwinSection::default();
    let half = |name: &str| json!({ name: vec![json!([]); TWIN_ELEMENTS_MAX / 2] });
    section.patch(Section::Reported, &half("a"), NOON).unwrap();
    let error = section.patch(Section::Reported, &half("b"), NOON).unwrap_err();
    assert!(matches!(error.kind, TwinErrorKind::TooManyElements { .. }), "{error}");
    assert_eq!(section.version, 2);
}

#[test]
fn a_full_section_can_be_replaced_by_another_full_one() {
    const MEMBERS: usize = TWIN_ELEMENTS_MAX / 4 * 3;
    let full =
        |name: char| -> Value { Value::Object((0..MEMBERS).map(|n| (format!("{name}{n:03x}"), json!(""))).collect()) };
    let mut section = TwinSection::default();
    section.replace(Section::Desired, &full('a'), NOON).unwrap();
    let patch = section.replace(Section::Desired, &full('b'), NOON).unwrap();
    assert_eq!(Value::Object(section.properties.clone()), full('b'));
    assert_eq!(patch.as_object().unwrap().len(), 2 * MEMBERS);
}

#[test]
fn the_text_of_a_section_is_counted_as_it_is_written() {
    let written = json!({
        "a\"\\": ["\u{1}\n\t\r\u{8}\u{c}/ü", -1.5, 12, true, false, null, {}, []], "b": { "c": "" }, "d": {}
    });
    let bytes = document::text_bytes(&written);
    let text = written.to_string().len();
    // Each object and array is counted with a comma more than it has.
    assert!((text..text + 8).contains(&bytes), "{bytes} of {text}");
    // All text escaped fits; the structure around many short strings may take more.
    let escaped = |count: usize| json!({ "a": vec!["\u{1}".repeat(4_000); count] });
    assert_eq!(validate_patch(&escaped(8)), Ok(()));
    let mut structured = escaped(8);
    structured["b"] = json!(vec![json!({}); 2_000]);
    let error = validate_patch(&structured).unwrap_err();
    assert!(
        matches!(error.kind, TwinErrorKind::TooMuchText { bytes } if bytes > TWIN_SECTION_TEXT_BYTES_MAX),
        "{error}"
    );
}

#[test]
fn diff_is_the_smallest_patch() {
    let check = |old: Value, new: Value, expected: Value| assert_eq!(diff(&old, &new), expected, "{old} to {new}");
    check(json!({"a": 1}), json!({"a": 1}), json!({}));
    check(json!({"a": 1}), json!({}), json!({"a": null}));
    check(json!({}), json!({"a": {}}), json!({"a": {}}));
    check(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1, "c": 3}}), json!({"a": {"c": 3}}));
    check(json!({"a": {"b": 1}}), json!({"a": {}}), json!({"a": {"b": null}}));
    check(json!({"a": {"b": 1}}), json!({"a": 5}), json!({"a": 5}));
    check(json!({"a": 5}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}}));
    check(json!({"a": [1, 2]}), json!({"a": [1]}), json!({"a": [1]}));
}

/// Documents as a twin stores them: no null outside arrays.
fn stored_document() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-5i64..5).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    let value = scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    proptest::collection::btree_map("[a-d]", value, 0..5)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

/// Every leaf and object of a section has a level in its metadata, and nothing else has.
fn assert_mirrors(metadata: &Map<String, Value>, section: &Map<String, Value>) {
    let levels: Vec<_> = metadata.keys().filter(|name| !name.starts_with('$')).collect();
    assert_eq!(levels, section.keys().collect::<Vec<_>>());
    for (name, value) in section {
        let level = metadata[name].as_object().unwrap();
        assert!(level.contains_key("$lastUpdated"));
        assert_mirrors(level, value.as_object().unwrap_or(&Map::new()));
    }
}

proptest! {
    #[test]
    fn merging_the_difference_gives_the_new_document(old in stored_document(), new in stored_document()) {
        let mut merged = old.clone();
        merge_patch(&mut merged, &diff(&old, &new));
        prop_assert_eq!(merged, new);
    }

    #[test]
    fn merging_twice_changes_nothing_more(target in stored_document(), patch in stored_document()) {
        let mut once = target;
        merge_patch(&mut once, &patch);
        let mut twice = once.clone();
        merge_patch(&mut twice, &patch);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn metadata_mirrors_the_section(documents in proptest::collection::vec(stored_document(), 1..5)) {
        let mut section = TwinSection::default();
        for (index, document) in documents.iter().enumerate() {
            section.replace(Section::Desired, document, NOON).unwrap();
            prop_assert_eq!(&Value::Object(section.properties.clone()), document);
            prop_assert_eq!(section.version, index as u64 + 2);
            assert_mirrors(&section.metadata, &section.properties);
        }
    }

    #[test]
    fn a_follower_ends_where_the_leader_is(documents in proptest::collection::vec(stored_document(), 1..5)) {
        let mut leader = TwinSection::default();
        let mut follower = TwinSection::default();
        for document in &documents {
            let patch = leader.replace(Section::Desired, document, NOON).unwrap();
            prop_assert_eq!(follower.follow(&desired_notification(&patch, leader.version)), Followed::Merged);
        }
        prop_assert_eq!(follower.to_device_json(), leader.to_device_json());
    }
}

fn check_patch(patch: Value, expected: Result<(), (&str, TwinErrorKind)>) {
    let found = validate_patch(&patch).map_err(|error| (error.path, error.kind));
    assert_eq!(found, expected.map_err(|(path, kind)| (path.to_owned(), kind)));
}

#[test]
fn keys() {
    use TwinErrorKind::{BadKey, KeyTooLong};
    let keyed = |key: &str| json!({"outer": {key: 1}});
    let longest = "k".repeat(TWIN_KEY_BYTES_MAX);
    check_patch(keyed(&longest), Ok(()));
    let longer = "k".repeat(TWIN_KEY_BYTES_MAX + 1);
    check_patch(keyed(&longer), Err((&format!("/outer/{longer}"), KeyTooLong)));
    // Bytes count, not characters.
    let wide = "ä".repeat(TWIN_KEY_BYTES_MAX / 2 + 1);
    check_patch(keyed(&wide), Err((&format!("/outer/{wide}"), KeyTooLong)));
    check_patch(keyed("ok-_~ä"), Ok(()));
    check_patch(keyed(""), Err(("/outer/", BadKey)));
    check_patch(keyed("a.b"), Err(("/outer/a.b", BadKey)));
    check_patch(keyed("a b"), Err(("/outer/a b", BadKey)));
    check_patch(keyed("$a"), Err(("/outer/$a", BadKey)));
    check_patch(keyed("a\u{7}"), Err(("/outer/a\u{7}", BadKey)));
    for forbidden in ['#', '\t', '\n', '\u{a0}', '\u{2003}', '\u{3000}', '\u{7f}', '\u{85}'] {
        let key = format!("a{forbidden}b");
        check_patch(keyed(&key), Err((&format!("/outer/{key}"), BadKey)));
    }
    check_patch(keyed("a/b:c-d_e~f!%&'()*+,;=?@[]{}|\"\\"), Ok(()));
    check_patch(keyed("$version"), Err(("/outer/$version", BadKey)));
    check_patch(json!({"$version": 7, "$metadata": {"a.b": 1}, "a": 1}), Ok(()));
    check_patch(json!({"in": [{"a.b": 1}]}), Err(("/in/0/a.b", BadKey)));
}

#[test]
fn a_null_deletes_and_is_nothing_an_array_can_hold() {
    use TwinErrorKind::NullInArray;
    check_patch(json!({"a": null, "b": {"c": null}}), Ok(()));
    check_patch(json!({"a": [], "b": [[], {}], "c": [{"d": [1]}]}), Ok(()));
    check_patch(json!({"a": [1, null]}), Err(("/a/1", NullInArray)));
    check_patch(json!({"o": {"a": [[1], [2, null]]}}), Err(("/o/a/1/1", NullInArray)));
    check_patch(json!({"a": [{"b": null}]}), Err(("/a/0/b", NullInArray)));
    check_patch(json!({"a": [{"b": {"c": [{"d": null}]}}]}), Err(("/a/0/b/c/0/d", NullInArray)));
}

#[test]
fn what_earlier_rules_let_in_does_not_close_the_twin() {
    let old = json!({"a": [null], "b#c": 1});
    let mut section = TwinSection { properties: old.as_object().cloned().unwrap(), ..TwinSection::default() };
    assert_eq!(section.patch(Section::Reported, &json!({"d": 2}), NOON), Ok(2));
    assert_eq!(Value::Object(section.properties), json!({"a": [null], "b#c": 1, "d": 2}));
}

#[test]
fn strings_and_integers() {
    use TwinErrorKind::{IntegerOutOfRange, StringTooLong};
    check_patch(json!({"a": "s".repeat(TWIN_STRING_BYTES_MAX)}), Ok(()));
    check_patch(json!({"a": "s".repeat(TWIN_STRING_BYTES_MAX + 1)}), Err(("/a", StringTooLong)));
    check_patch(json!({"a": TWIN_INTEGER_MAX, "b": TWIN_INTEGER_MIN}), Ok(()));
    check_patch(json!({"a": TWIN_INTEGER_MAX + 1}), Err(("/a", IntegerOutOfRange)));
    check_patch(json!({"a": TWIN_INTEGER_MIN - 1}), Err(("/a", IntegerOutOfRange)));
    check_patch(json!({"a": u64::MAX}), Err(("/a", IntegerOutOfRange)));
    check_patch(json!({"a": 1e300, "b": -0.5}), Ok(()));
}

/// `levels` objects inside one another.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "n": inner }))
}

#[test]
fn depth() {
    // The section itself does not count, so it is one object more.
    check_patch(nested(TWIN_DEPTH_MAX + 1), Ok(()));
    let path = "/n".repeat(TWIN_DEPTH_MAX + 1);
    check_patch(nested(TWIN_DEPTH_MAX + 2), Err((&path, TwinErrorKind::TooDeep)));
    let array = (0..TWIN_DEPTH_MAX).fold(json!([]), |inner, _| json!([inner]));
    check_patch(json!({ "n": array }), Err((&format!("/n{}", "/0".repeat(TWIN_DEPTH_MAX)), TwinErrorKind::TooDeep)));
}

/// A document of exactly `bytes`: keys of two bytes, texts that fill up.
fn sized(bytes: usize) -> Value {
    let (mut members, mut left) = (Map::new(), bytes);
    while left > 0 {
        let text = left.min(4000) - 3;
        members.insert(format!("k{:02}", members.len()), "s".repeat(text).into());
        left -= text + 3;
    }
    Value::Object(members)
}

#[test]
fn size() {
    let too_large = |bytes, limit| Err(("", TwinErrorKind::TooLarge { bytes, limit }));
    check_patch(sized(TWIN_SECTION_BYTES_MAX), Ok(()));
    check_patch(sized(TWIN_SECTION_BYTES_MAX + 1), too_large(TWIN_SECTION_BYTES_MAX + 1, TWIN_SECTION_BYTES_MAX));
    assert_eq!(validate_tags(&sized(TWIN_TAGS_BYTES_MAX)), Ok(()));
    assert!(validate_tags(&sized(TWIN_TAGS_BYTES_MAX + 1)).is_err());
    assert_eq!(document_bytes(&json!({"ab": 1, "c": true, "d": "äö", "e": [1, null], "f": {"g": 1.5}})), 39);
}

#[test]
fn not_an_object() {
    for patch in [json!(null), json!(1), json!([]), json!("a")] {
        check_patch(patch, Err(("", TwinErrorKind::NotAnObject)));
    }
}

#[test]
fn a_patch_that_overfills_the_section_leaves_it_alone() {
    let mut section = TwinSection::default();
    section.patch(Section::Reported, &sized(TWIN_SECTION_BYTES_MAX), NOON).unwrap();
    let before = section.clone();
    let error = section.patch(Section::Reported, &json!({"x": 1}), LATER).unwrap_err();
    assert!(matches!(error.kind, TwinErrorKind::TooLarge { .. }));
    assert_eq!(section, before);
    // Deleting makes room again.
    assert_eq!(section.patch(Section::Reported, &json!({"k00": null, "x": 1}), LATER).unwrap(), 3);
}

#[test]
fn device_and_service_views() {
    let mut twin = Twin::default();
    assert_eq!(twin.to_device_json(), json!({"desired": {"$version": 1}, "reported": {"$version": 1}}));
    twin.desired.patch(Section::Desired, &json!({"target": {"low": 1, "high": 2}, "gone": 1}), NOON).unwrap();
    twin.desired.patch(Section::Desired, &json!({"target": {"high": 3}, "gone": null, "$version": 99}), LATER).unwrap();
    twin.reported.patch(Section::Reported, &json!({"serial": "x"}), NOON).unwrap();
    assert_eq!(
        twin.to_device_json(),
        json!({"desired": {"target": {"low": 1, "high": 3}, "$version": 3}, "reported": {"serial": "x", "$version": 2}})
    );
    let noon = "2024-03-05T12:00:00.0100000Z";
    let later = "2024-03-05T13:00:01.0000000Z";
    assert_eq!(
        twin.to_service_json(),
        json!({
            "desired": {
                "target": {"low": 1, "high": 3},
                "$metadata": {
                    "$lastUpdated": later, "$lastUpdatedVersion": 3,
                    "target": {
                        "$lastUpdated": later, "$lastUpdatedVersion": 3,
                        "low": {"$lastUpdated": noon, "$lastUpdatedVersion": 2},
                        "high": {"$lastUpdated": later, "$lastUpdatedVersion": 3},
                    },
                },
                "$version": 3,
            },
            "reported": {
                "serial": "x",
                "$metadata": {"$lastUpdated": noon, "serial": {"$lastUpdated": noon}},
                "$version": 2,
            },
        })
    );
    assert_eq!(Twin::from_device_json(&twin.to_device_json()).unwrap().to_device_json(), twin.to_device_json());
    assert_eq!(Twin::from_device_json(&json!({"desired": {}})), None);
}

#[test]
fn followers_notice_gaps_and_repeats() {
    let mut section = TwinSection::from_device_json(&json!({"a": 1, "$version": 4})).unwrap();
    assert_eq!(section.follow(&json!({"a": 2, "$version": 4})), Followed::Stale);
    assert_eq!(section.follow(&json!({"a": 2, "$version": 6})), Followed::Gap);
    assert_eq!(section.follow(&json!({"a": 2})), Followed::Gap);
    assert_eq!(section.to_device_json(), json!({"a": 1, "$version": 4}));
    assert_eq!(section.follow(&json!({"a": null, "b": [1], "$version": 5})), Followed::Merged);
    assert_eq!(section.to_device_json(), json!({"b": [1], "$version": 5}));
}

#[test]
fn replacing_yields_the_patch_devices_are_told() {
    let mut section = TwinSection::default();
    section.patch(Section::Desired, &json!({"a": 1, "b": {"c": 1}}), NOON).unwrap();
    let patch = section.replace(Section::Desired, &json!({"b": {"c": 2}, "d": null, "$version": 1}), LATER).unwrap();
    assert_eq!(patch, json!({"a": null, "b": {"c": 2}}));
    assert_eq!(section.to_device_json(), json!({"b": {"c": 2}, "$version": 3}));
    assert_eq!(desired_notification(&patch, 3), json!({"a": null, "b": {"c": 2}, "$version": 3}));
}

#[test]
fn acknowledgements_are_told_from_values() {
    let full = json!({"value": 22, "ac": 200, "av": 4, "ad": "ok"});
    let read = Acknowledgement::recognize(&full).unwrap();
    assert_eq!((read.value.clone(), read.ac, read.av, read.ad.as_deref()), (json!(22), 200, 4, Some("ok")));
    assert_eq!(read.to_json(), full);
    let short = json!({"value": {"x": 1}, "ac": 203, "av": 0});
    assert_eq!(Acknowledgement::recognize(&short).unwrap().to_json(), short);
    // A null that was acknowledged is not stored.
    assert_eq!(Acknowledgement::recognize(&json!({"ac": 200, "av": 2})).unwrap().value, Value::Null);
    // Some serializers write every number with a fraction, some devices more than there is to say.
    let verbose = json!({"value": 22, "ac": 200.0, "av": 4.0, "ad": {"text": "no text"}, "more": 1});
    let read = Acknowledgement::recognize(&verbose).unwrap();
    assert_eq!((read.value, read.ac, read.av, read.ad), (json!(22), 200, 4, None));
    for other in [
        json!(22),
        json!({"value": 22}),
        json!({"value": 22, "ac": "200", "av": 4}),
        json!({"value": 22, "ac": 200}),
        json!({"value": 22, "ac": 200.5, "av": 4}),
        json!({"ac": 200, "av": 4, "more": 1}),
        json!([200]),
    ] {
        assert_eq!(Acknowledgement::recognize(&other), None, "{other}");
    }
}

#[test]
fn components_carry_a_marker() {
    assert!(is_component(&json!({"__t": "c", "serial": "x"})));
    assert!(!is_component(&json!({"serial": "x"})));
    assert!(!is_component(&json!({"__t": "d"})));
    assert!(!is_component(&json!("__t")));
    let mut members = Map::new();
    mark_component(&mut members);
    assert!(is_component(&Value::Object(members)));
}

//! Which texts are ids.

use super::{is_user_dtmi, is_user_dtmi_syntax, segments, version};

fn check(text: &str, expected: bool) {
    assert_eq!(is_user_dtmi(text), expected, "{text:?}");
}

#[test]
fn user_ids() {
    check("dtmi:com:example:Thermostat;1", true);
    check("dtmi:a;1", true);
    check("dtmi:foo_bar:baz33:qux;12", true);
    check("dtmi:a__b:c;999999999", true);
    check("dtmi:a;1000000000", false);
    check("dtmi:a;0", false);
    check("dtmi:a;01", false);
    check("dtmi:a;1.2", false);
    check("dtmi:a", false);
    check("dtmi:a;", false);
    check("dtmi:;1", false);
    check("dtmi:a::b;1", false);
    check("dtmi:1a;1", false);
    check("dtmi:a_;1", false);
    check("dtmi:a:_sys;1", false);
    check("dtmi:a-b;1", false);
    check("dtmi:a b;1", false);
    check("dtmi:ä;1", false);
    check("DTMI:a;1", false);
    check("urn:a;1", false);
    check("dtmi:a;1;2", false);
    check("", false);
}

#[test]
fn the_language_keeps_two_prefixes() {
    check("dtmi:dtdl:instance:Schema:double;2", false);
    check("dtmi:standard:schema:geospatial:point;2", false);
    assert!(is_user_dtmi_syntax("dtmi:standard:schema:geospatial:point;2"));
    check("dtmi:dtdlish:x;1", true);
}

#[test]
fn parts() {
    assert_eq!(segments("dtmi:a:b;3").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(version("dtmi:a:b;3"), Some("3"));
}

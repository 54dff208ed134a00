//! Which texts are ids.

use super::{is_template_element_id, is_template_id, is_user_dtmi, is_user_dtmi_syntax, segments, version};

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
fn ids_of_templates_need_no_version() {
    for id in [
        "dtmi:modelDefinition:abcde1fg:hijk2lmn",
        "dtmi:abc1defgh:ijk2lmnop",
        "dtmi:abc1defgh:PumpTemplate;2",
        "dtmi:modelDefinition:1bcde1fg:2ijk;1",
        "dtmi:a",
        "dtmi:a_:_b;12",
    ] {
        assert!(is_template_id(id), "{id}");
    }
    let bad = [
        "",
        "dtmi:",
        "dtmi:a:",
        "dtmi::a",
        "dtmi:a;",
        "dtmi:a;0",
        "dtmi:a;1;2",
        "dtmi:a b",
        "dtmi:a/b",
        "a;1",
        "urn:a:b",
    ];
    for id in bad.into_iter().chain(["dtmi:dtdl:a", "dtmi:standard:b;1", "dtmi:ä"]) {
        assert!(!is_template_id(id), "{id}");
    }
}

#[test]
fn an_id_inside_a_template_is_any_text_without_gaps() {
    for id in ["dtmi:a:_b:__c;1", "urn:plant:pump:1", "dtmi:a:1b", "temperature", "{guid}", "dtmi:a-b;v2", "ä"] {
        assert!(is_template_element_id(id), "{id}");
    }
    for id in ["", " ", "a b", "a\nb", "dtmi:dtdl:a;2", "dtmi:standard:b"] {
        assert!(!is_template_element_id(id), "{id}");
    }
}

#[test]
fn parts() {
    assert_eq!(segments("dtmi:a:b;3").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(version("dtmi:a:b;3"), Some("3"));
}

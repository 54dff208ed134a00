//! Generated ids are legal, short enough and unique.

use super::*;
use crate::dtdl::dtmi::is_user_dtmi;

#[test]
fn the_root_differs_from_the_template() {
    let root = |template: &str| InterfaceIds::new(template, "Press line 4").root().to_owned();
    assert_eq!(root("dtmi:modelDefinition:factory:press;3"), "dtmi:factory:press;3");
    assert_eq!(root("dtmi:factory:press;1"), "dtmi:factory:press:model;1");
    assert_eq!(root("dtmi:modelDefinition;1"), "dtmi:modelDefinition:model;1");
    assert_eq!(root("dtmi:modelDefinition:abcde1fg:hijk2lmn"), "dtmi:abcde1fg:hijk2lmn;1");
    assert_eq!(root("dtmi:modelDefinition:1bcde:2ijk"), "dtmi:tidegate:Press_line_4;1");
    assert_eq!(root("press"), "dtmi:tidegate:Press_line_4;1");
    assert_eq!(InterfaceIds::new("press", "_4_").root(), "dtmi:tidegate:m4;1");
}

#[test]
fn names_that_become_the_same_segment_stay_apart() {
    let mut ids = InterfaceIds::new("dtmi:modelDefinition:a;1", "A");
    assert_eq!(ids.module("my-module"), "dtmi:a:my_module;1");
    assert_eq!(ids.module("my_module"), "dtmi:a:my_module2;1");
    assert_eq!(ids.management("my-module"), "dtmi:a:my_module:management;1");
    assert_eq!(ids.management("my_module"), "dtmi:a:my_module:management2;1");
}

#[test]
fn long_names_are_cut() {
    let template = format!("dtmi:modelDefinition:{}:{}:{};999999999", "a".repeat(60), "b".repeat(60), "c".repeat(200));
    let mut ids = InterfaceIds::new(&template, "A");
    let made = [ids.root().to_owned(), ids.module(&"m".repeat(128)), ids.management(&"m".repeat(128))];
    for id in &made {
        assert!(is_user_dtmi(id) && id.len() <= DTDL_INTERFACE_ID_CHARS_MAX, "{id}");
    }
}

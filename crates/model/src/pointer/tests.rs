//! Pointer text is what `serde_json::Value::pointer` understands.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::Pointer;

#[test]
fn text_leads_back_to_the_place() {
    let document = json!({ "a/b": [0, { "~": "here" }] });
    let root = Pointer::root("");
    let list = root.key("a/b");
    let item = list.index(1);
    let text = item.key("~").to_string();
    assert_eq!(text, "/a~1b/1/~0");
    assert_eq!(document.pointer(&text).unwrap(), "here");
}

#[test]
fn root_is_empty_and_a_prefix_is_kept() {
    assert_eq!(Pointer::root("").to_string(), "");
    assert_eq!(Pointer::root("/capabilityModel").key("contents").to_string(), "/capabilityModel/contents");
}

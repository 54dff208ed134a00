//! What clients may not say of themselves.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn stamps_of_the_hub_are_dropped_and_the_rest_stays_as_it_was() {
    let cases: [(&str, &str); 5] = [
        ("", ""),
        ("%24.ct=application%2Fjson&a=1", "%24.ct=application%2Fjson&a=1"),
        ("%24.cdid=other&a=1", "a=1"),
        ("a=1&IoTHub-Connection-Device-Id=other&b", "a=1&b"),
        ("dt-dataschema=x&iothub-enqueuedtime=y", ""),
    ];
    for (bag, expected) in cases {
        let kept = without_stamps(Bytes::copy_from_slice(bag.as_bytes()));
        assert_eq!(std::str::from_utf8(&kept).unwrap(), expected, "{bag}");
    }
}

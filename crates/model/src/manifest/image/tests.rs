//! Which image names pass, what they become, and which credential fits.
#![allow(clippy::unwrap_used)]

use super::*;

fn check(text: &str, expected: Result<&str, ParseImageNameError>) {
    assert_eq!(ImageName::parse(text).as_ref().map(ImageName::as_str), expected.as_ref().copied(), "{text:?}");
}

#[test]
fn names() {
    use ParseImageNameError::{Blank, EmptyPart, TwoTags, UpstreamPort};
    check(" sensor ", Ok("sensor:latest"));
    check("sensor:1.0", Ok("sensor:1.0"));
    check("mcr.microsoft.com/a/b:1.5", Ok("mcr.microsoft.com/a/b:1.5"));
    check("localhost:5000/a", Ok("localhost:5000/a:latest"));
    check("a@sha256:00ff", Ok("a@sha256:00ff"));
    check("r.io:5000/a:1@sha256:00ff", Ok("r.io:5000/a:1@sha256:00ff"));
    check("", Err(Blank));
    check("  ", Err(Blank));
    check("a:1:2", Err(TwoTags));
    check("r.io:5000/a:1:2", Err(TwoTags));
    check("a:", Err(EmptyPart));
    check("a/", Err(EmptyPart));
    check(":1", Err(EmptyPart));
    check("a b", Err(EmptyPart));
    check("a@sha256", Err(EmptyPart));
    check("a@sha256:", Err(EmptyPart));
    check("$upstream:8000/a:1", Ok("$upstream:8000/a:1"));
    check("$upstream:8000/a", Ok("$upstream:8000/a:latest"));
    check("$upstream/a", Err(UpstreamPort));
    check("$upstream:/a", Err(UpstreamPort));
    check("$upstream:0800/a", Err(UpstreamPort));
    check("$upstream:80x/a", Err(UpstreamPort));
    check("$upstream:8000/", Err(UpstreamPort));
    check("$upstream:8000", Err(UpstreamPort));
}

#[test]
fn parts() {
    let name = |text: &str| ImageName::parse(text).unwrap();
    assert_eq!(name("r.io:5000/a/b:1").without_tag(), "r.io:5000/a/b");
    assert_eq!(name("r.io:5000/a:1@sha256:00").without_tag(), "r.io:5000/a");
    assert_eq!(name("a").without_tag(), "a");
    assert_eq!(name("r.io/a").registry(), Some("r.io"));
    assert_eq!(name("box:5000/a").registry(), Some("box:5000"));
    assert_eq!(name("library/a").registry(), None);
    assert_eq!(name("a").registry(), None);
}

#[test]
fn credentials() {
    let credentials = ["R.io:5000", "docker.io", "$upstream:8000"].map(|address| RegistryCredential {
        address: address.to_owned(),
        username: String::new(),
        password: String::new(),
    });
    let check = |image: &str, expected: Option<&str>| {
        let found = ImageName::parse(image).unwrap().credential(&credentials).map(|found| found.address.clone());
        assert_eq!(found.as_deref(), expected, "{image}");
    };
    check("r.IO:5000/a:1", Some("R.io:5000"));
    check("r.io/a:1", None);
    check("library/a", Some("docker.io"));
    check("a", None);
    check("$upstream:8000/a", Some("$upstream:8000"));
}

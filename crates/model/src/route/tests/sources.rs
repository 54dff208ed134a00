//! 4.1 and 4.2: sources, endpoints, whole routes.
use super::*;
use crate::route::{Endpoint, Route};

fn module(module: &str, input: &str) -> Endpoint {
    Endpoint::Module { module: module.to_owned(), input: input.to_owned() }
}

#[test]
fn routes_have_a_source_a_condition_and_an_endpoint() {
    let brokered = |name: &str| format!("FROM /messages INTO BrokeredEndpoint({name})");
    let rows: Vec<(String, &str, &str, Endpoint)> = vec![
        ("FROM /* INTO $upstream".into(), "/", "true", Endpoint::Upstream),
        ("FROM/* INTO $upstream".into(), "/", "true", Endpoint::Upstream),
        ("from /messages/* into $UPSTREAM".into(), "/messages", "true", Endpoint::Upstream),
        ("SELECT * FROM /messages INTO $upstream".into(), "/messages", "true", Endpoint::Upstream),
        ("select\n*\r\nfrom\t/messages\ninto\n$upstream".into(), "/messages", "true", Endpoint::Upstream),
        (
            "FROM /messages/modules/filter/outputs/out INTO $upstream".into(),
            "/messages/modules/filter/outputs/out",
            "true",
            Endpoint::Upstream,
        ),
        (
            "FROM /messages/modules/*/outputs/* INTO $upstream".into(),
            "/messages/modules/*/outputs",
            "true",
            Endpoint::Upstream,
        ),
        (
            "FROM /messages/modules/m/outputs/fr* INTO $upstream".into(),
            "/messages/modules/m/outputs/fr",
            "true",
            Endpoint::Upstream,
        ),
        ("FROM /messages/** INTO $upstream".into(), "/messages", "true", Endpoint::Upstream),
        ("FROM / messages / * INTO $upstream".into(), "/messages", "true", Endpoint::Upstream),
        ("FROM /*/* INTO $upstream".into(), "/*", "true", Endpoint::Upstream),
        ("FROM /TRUE/Null INTO $upstream".into(), "/TRUE/Null", "true", Endpoint::Upstream),
        ("FROM /a-b/1a INTO $upstream".into(), "/a-b/1a", "true", Endpoint::Upstream),
        ("FROM /twinChangeNotifications INTO $upstream".into(), "/twinChangeNotifications", "true", Endpoint::Upstream),
        ("FROM /messages WHERE a = 'x' INTO $upstream".into(), "/messages", "a = 'x'", Endpoint::Upstream),
        (
            "FROM /messages WHERE  ( a  = 'into' )  INTO $upstream".into(),
            "/messages",
            "( a  = 'into' )",
            Endpoint::Upstream,
        ),
        (
            "FROM /messages WHERE /* c */ a = /* d */ 'x' /* e */ INTO $upstream".into(),
            "/messages",
            "a = /* d */ 'x'",
            Endpoint::Upstream,
        ),
        ("FROM /messages WHERE true INTO $upstream".into(), "/messages", "true", Endpoint::Upstream),
        ("/* a */ FROM /messages /* b */ INTO $upstream".into(), "/messages", "true", Endpoint::Upstream),
        // Behind the endpoint anything goes.
        ("FROM /messages INTO $upstream and more".into(), "/messages", "true", Endpoint::Upstream),
        (
            "FROM /messages INTO $upstream INTO BrokeredEndpoint('/a/b/c/d')".into(),
            "/messages",
            "true",
            Endpoint::Upstream,
        ),
        ("FROM /messages INTO $upstream; \\ @ 'open".into(), "/messages", "true", Endpoint::Upstream),
        ("FROM /messages INTO $upstream/x".into(), "/messages", "true", Endpoint::Upstream),
        (brokered(r#""/modules/m/inputs/i""#), "/messages", "true", module("m", "i")),
        (brokered(r#"'/modules/m/inputs/i'"#), "/messages", "true", module("m", "i")),
        (brokered(r#" "modules/m/inputs/i" "#), "/messages", "true", module("m", "i")),
        (brokered(r#""/modules/m/inputs/i/""#), "/messages", "true", module("m", "i")),
        (brokered(r#""  /modules/m/inputs/i/  ""#), "/messages", "true", module("m", "i")),
        (brokered(r#""/x/M/y/I""#), "/messages", "true", module("M", "I")),
        (brokered(r#""/ /m/ /i""#), "/messages", "true", module("m", "i")),
        (
            "FROM /messages INTO brokeredendpoint ( '/modules/m/inputs/i' ) tail".into(),
            "/messages",
            "true",
            module("m", "i"),
        ),
    ];
    for (text, source, condition, endpoint) in rows {
        let route = Route::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            (route.source.as_str(), route.condition.text(), &route.endpoint),
            (source, condition, &endpoint),
            "{text}"
        );
    }
}

#[test]
fn a_star_of_the_source_opens_a_comment_that_is_closed_later() {
    // The condition is swallowed, and the source with it: `/messages` `INTO`.
    let swallowed = Route::parse("FROM /messages/* WHERE a = 'x' /* why */ INTO $upstream").unwrap();
    assert_eq!((swallowed.source.as_str(), swallowed.condition.text()), ("/messages", "true"));
    let kept = Route::parse("FROM /messages/* WHERE a = 'x' INTO $upstream").unwrap();
    assert_eq!(kept.condition.text(), "a = 'x'");
    assert!(Route::parse("FROM /a/* WHERE a = 'x' */b INTO $upstream").is_err());
    assert!(Route::parse("FROM /* WHERE a = 'x' */ INTO $upstream").is_err());
}

#[test]
fn what_is_no_route_is_refused() {
    let rows = [
        ("", 1),
        ("   ", 4),
        ("/* c */", 8),
        ("FROM", 5),
        ("FROM INTO $upstream", 6),
        ("FROM messages INTO $upstream", 6),
        ("FROM / INTO $upstream", 8),
        ("FROM /messages/ INTO $upstream", 17),
        ("FROM /*INTO $upstream", 13),
        ("FROM /messages $upstream", 16),
        ("FROM /messages INTO", 20),
        ("FROM /messages WHERE INTO $upstream", 22),
        ("FROM /messages WHERE a = 'x'", 29),
        ("FROM /messages WHERE a = INTO $upstream", 26),
        ("FROM /messages WHERE a = 'x' b INTO $upstream", 30),
        ("FROM /messages WHERE a = 'x INTO $upstream", 26),
        ("FROM /messages WHERE (a = 'x' INTO $upstream", 31),
        ("FROM /messages WHERE a = 'x') INTO $upstream", 29),
        ("FROM /messages WHERE ; INTO $upstream", 22),
        ("SELECT FROM /messages INTO $upstream", 8),
        ("SELECT*FROM /messages INTO $upstream", 1),
        ("SELECT a FROM /messages INTO $upstream", 8),
        ("WHERE true", 1),
        ("FROM /messages/modules/1/outputs/2 INTO $upstream", 24),
        ("FROM /messages/1.5 INTO $upstream", 16),
        ("FROM /messages/e5 INTO $upstream", 16),
        ("FROM /messages/0x1F INTO $upstream", 16),
        ("FROM /messages/-7 INTO $upstream", 16),
        ("FROM /messages/where INTO $upstream", 16),
        ("FROM /messages/Select INTO $upstream", 16),
        ("FROM /messages/and INTO $upstream", 16),
        ("FROM /messages/NOT INTO $upstream", 16),
        ("FROM /messages/true INTO $upstream", 16),
        ("FROM /messages/undefined INTO $upstream", 16),
        ("FROM /messages/$x INTO $upstream", 16),
        ("FROM /messages/'a' INTO $upstream", 16),
        ("FROM /messages/a[0] INTO $upstream", 16),
        ("FROM //messages INTO $upstream", 7),
        ("FROM /messages * INTO $upstream", 16),
        ("FROM /messages INTO upstream", 29),
        ("FROM /messages INTO $up", 21),
        ("FROM /messages INTO $upstream[0]", 21),
        ("FROM /messages INTO $upstreamx", 21),
        ("FROM /messages INTO 'x'", 21),
        ("FROM /messages INTO BrokeredEndpoint", 37),
        ("FROM /messages INTO BrokeredEndpoint()", 38),
        ("FROM /messages INTO BrokeredEndpoint(a)", 38),
        ("FROM /messages INTO BrokeredEndpoint('/modules/m/inputs/i'", 59),
        ("FROM /messages INTO BrokeredEndpoint('/modules/m/inputs/i)", 38),
        ("FROM /messages INTO BrokeredEndpoint('')", 38),
        ("FROM /messages INTO BrokeredEndpoint('  ')", 38),
        ("FROM /messages INTO BrokeredEndpoint('/modules/m/inputs')", 38),
        ("FROM /messages INTO BrokeredEndpoint('/modules/m/inputs/')", 38),
        ("FROM /messages INTO BrokeredEndpoint('/modules//inputs/i')", 38),
        ("FROM /messages INTO BrokeredEndpoint('/modules/m/inputs/i/x')", 38),
        ("FROM /messages INTO BrokeredEndpoint('//modules/m/inputs/i')", 38),
        ("FROM /messages INTO OtherEndpoint('/modules/m/inputs/i')", 21),
    ];
    for (text, column) in rows {
        let error = Route::parse(text).map(|route| panic!("{text} is a route: {route:?}")).unwrap_err();
        assert_eq!((error.column, error.kind), (column, RouteErrorKind::Syntax), "{text}: {error}");
    }
}

#[test]
fn a_condition_that_does_not_compile_is_told_from_a_bad_route() {
    let error = Route::parse("FROM /messages/* WHERE temp > 30 INTO $upstream").unwrap_err();
    assert_eq!((error.kind, error.column), (RouteErrorKind::Compile, 29));
    let error = Route::parse("FROM /messages\nWHERE temp > 30\nINTO $upstream").unwrap_err();
    assert_eq!((error.kind, error.line, error.column), (RouteErrorKind::Compile, 2, 12));
    assert!(Route::parse("FROM /messages/* WHERE $body.temp > 30 INTO $upstream").is_ok());
}

#[test]
fn a_source_covers_whole_segments_in_any_case() {
    const DEVICE: &str = "/messages";
    const MODULE: &str = "/messages/modules/Filter";
    const OUTPUT: &str = "/messages/modules/Filter/outputs/out1";
    const OTHER: &str = "/messages/modules/filter2/outputs/fr";
    const TWIN: &str = "/twinChangeNotifications";
    let rows: [(&str, &[&str]); 17] = [
        ("/*", &[DEVICE, MODULE, OUTPUT, OTHER, TWIN]),
        ("/messages/*", &[DEVICE, MODULE, OUTPUT, OTHER]),
        ("/messages", &[DEVICE, MODULE, OUTPUT, OTHER]),
        ("/MESSAGES", &[DEVICE, MODULE, OUTPUT, OTHER]),
        ("/messages/modules/*", &[MODULE, OUTPUT, OTHER]),
        ("/messages/modules/filter/*", &[MODULE, OUTPUT]),
        ("/messages/modules/filter", &[MODULE, OUTPUT]),
        ("/messages/modules/filter/outputs/*", &[OUTPUT]),
        ("/messages/modules/Filter/outputs/OUT1", &[OUTPUT]),
        ("/messages/modules/filter/outputs/out*", &[]),
        ("/messages/modules/filter2/outputs/fr*", &[OTHER]),
        ("/messages/modules/*/outputs/*", &[]),
        ("/mess*", &[]),
        ("/twinchangenotifications/*", &[TWIN]),
        ("/moduleLifecycleEvents/*", &[]),
        ("/devices/d/messages", &[]),
        ("/*/*", &[]),
    ];
    for (written, taken) in rows {
        let route = Route::parse(&format!("FROM {written} INTO $upstream")).unwrap();
        for source in [DEVICE, MODULE, OUTPUT, OTHER, TWIN] {
            assert_eq!(route.matches(source, &message(&[])), taken.contains(&source), "{written} of {source}");
        }
    }
    let route = Route::parse("FROM /messages/modules/m INTO $upstream").unwrap();
    assert!(route.matches("/messages/modules/m/", &message(&[])));
    assert!(!route.matches("/messages/modules/mm", &message(&[])));
    assert!(!route.matches("", &message(&[])));
}

#[test]
fn only_a_true_condition_takes_a_message() {
    for (condition, taken) in [
        ("true", true),
        ("false", false),
        ("null", false),
        ("undefined", false),
        ("level = 'x'", false),
        ("'a'", false),
    ] {
        let route = Route::parse(&format!("FROM /* WHERE {condition} INTO $upstream")).unwrap();
        assert_eq!(route.matches("/messages", &message(&[])), taken, "{condition}");
    }
}

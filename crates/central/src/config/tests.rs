//! Strict reading: unknown keys, wrong values, defaults.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
    Config::default().check().unwrap();
}

#[test]
fn wrong_files_are_refused_with_key_and_line() {
    let cases = [
        ("hostnme = \"x\"", "line 1", "hostnme"),
        ("hostname = \"x\"\n\n[listen]\nhtps = \"127.0.0.1:1\"", "line 4", "htps"),
        ("[log]\nmax_bytes = \"much\"", "line 2", "invalid type"),
        ("[telemetry", "line 1", ""),
    ];
    for (text, line, part) in cases {
        let problem = Config::parse(text).unwrap_err();
        assert!(problem.contains(line) && problem.contains(part), "{text:?} gave {problem:?}");
    }
}

#[test]
fn values_that_cannot_work_are_refused() {
    let cases = [
        ("hostname = \"host:8443\"", "hostname"),
        ("hostname = \"\"", "hostname"),
        ("[listen]\nhttp = \"0.0.0.0:80\"", "http"),
        ("[log]\nsegment_bytes = 10", "log.segment_bytes"),
        ("[log]\nmax_bytes = 67108864", "log.max_bytes"),
        ("[telemetry]\nflush_secs = 0", "telemetry.flush"),
    ];
    for (text, part) in cases {
        let error = Config::parse(text).unwrap().check().unwrap_err().to_string();
        assert!(error.starts_with(part), "{text:?} gave {error:?}");
    }
}

#[test]
fn a_full_file_is_read() {
    let text = "hostname = \"iot.example.test\"\n[listen]\nhttps = \"127.0.0.1:0\"\nmqtts = \"[::1]:0\"\n\
                http = \"127.0.0.1:8080\"\n[log]\nmax_bytes = 1000000000\n[telemetry]\nflush_secs = 5\n[limits]\n\
                http_connections_max = 7";
    let config = Config::parse(text).unwrap();
    config.check().unwrap();
    assert_eq!(config.listen.https, "127.0.0.1:0".parse().unwrap());
    assert_eq!((config.telemetry.flush_secs, config.limits.http_connections_max), (5, 7));
}

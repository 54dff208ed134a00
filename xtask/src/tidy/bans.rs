//! Text that may not stand in some part of the tree. Most of the invariants in ARCHITECTURE.md are held here.

use super::source::Source;

/// Text that may not stand in shipped code below `folder`, unless the path starts with one of `except`, and what to do
/// instead.
struct Ban {
    folder: &'static str,
    texts: &'static [&'static str],
    except: &'static [&'static str],
    instead: &'static str,
}

/// What reads a clock, draws a random number, or reaches outside the process.
const IMPURE: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "OffsetDateTime::now",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os::unix::net",
    "getrandom",
    "rand::",
    "tokio",
];

const BANS: &[Ban] = &[
    // Invariant 2.
    Ban { folder: "crates/model/src", texts: IMPURE, except: &[], instead: "the caller passes what the model needs" },
    Ban {
        folder: "crates/protocol/src",
        texts: IMPURE,
        except: &[],
        instead: "the caller passes `now`, bytes, random numbers",
    },
    // Invariant 3.
    Ban {
        folder: "crates",
        texts: &[
            "\"$iothub/",
            "messages/events/",
            "messages/devicebound/",
            "\"$dps/",
            "/registrations/res",
            "%24.",
            "\"$.",
            "?api-version=",
            "\"iothub-",
        ],
        except: &["crates/protocol/src/hub"],
        instead: "topics, user names and property names are spelled in `protocol::hub`",
    },
    // Invariant 6.
    Ban { folder: "crates", texts: &["sqlx"], except: &["crates/registry/src"], instead: "SQL belongs to `registry`" },
    Ban {
        folder: "crates/central/src/http",
        texts: &["registry::Registry", "storage::", "telemetry::", "readers::"],
        except: &[],
        instead: "`http` translates; `app` decides and asks",
    },
    // Invariant 7.
    Ban {
        folder: "crates/edge/src/lifecycle/plan",
        texts: &["async ", "tokio", "::now(", "std::fs", "Mutex", "state_file"],
        except: &[],
        instead: "the planner is a pure function; pass what it needs",
    },
    // Invariant 8.
    Ban {
        folder: "crates/edge/src",
        texts: &[
            "MasterKey",
            "SharedKey",
            "primary_key",
            "secondary_key",
            ".key.reveal(",
            "sas::sign(",
            "tls::authority",
        ],
        except: &["crates/edge/src/identity"],
        instead: "keys stay in `edge/src/identity`: ask the `Signer`",
    },
    // Invariant 11.
    Ban {
        folder: "crates/edge/src",
        texts: &["state_file::replace"],
        except: &["crates/edge/src/state", "crates/edge/src/identity"],
        instead: "what is kept goes through `state`, which writes the version in front",
    },
    Ban { folder: "crates", texts: &["todo!(", "unimplemented!("], except: &[], instead: "finish it, or leave it out" },
];

/// Breaches that stand for now: where, what, why. One that is no longer needed is a breach itself, so the list only shrinks.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("crates/hub/src/", "\"iothub-", "until `protocol::hub` has the names"),
    ("crates/transport/src/client/dps.rs", "?api-version=", "until `protocol::dps` has it"),
    ("crates/edge/src/identity/hub_api.rs", "?api-version=", "until `protocol::hub` has it"),
    (
        "crates/modules/src/workload.rs",
        "?api-version=",
        "the workload API is no hub, and modules use the public contract",
    ),
    ("crates/edge/src/daemon.rs", "state_file::replace", "addresses for whoever looks, no state"),
];

/// Checks one file; marks the exceptions it needed.
fn check(source: &Source, needed: &mut [bool], breaches: &mut Vec<String>) {
    for ban in BANS {
        if !source.path.starts_with(ban.folder) || ban.except.iter().any(|path| source.path.starts_with(path)) {
            continue;
        }
        for (number, line) in source.shipped_code() {
            let Some(text) = ban.texts.iter().find(|text| line.contains(*text)) else { continue };
            let excused =
                EXCEPTIONS.iter().position(|(path, excused, _)| source.path.starts_with(path) && excused == text);
            match excused {
                Some(index) => needed[index] = true,
                None => breaches.push(format!("{}:{number}: `{text}`: {}", source.path, ban.instead)),
            }
        }
    }
    // Tests included, so that none is switched off.
    for (number, _) in source.text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("#[ignore")) {
        breaches.push(format!("{}:{}: `#[ignore]`: fix the test, or delete it", source.path, number + 1));
    }
}

/// Checks all files.
pub fn check_all(sources: &[Source], breaches: &mut Vec<String>) {
    let mut needed = vec![false; EXCEPTIONS.len()];
    for source in sources {
        check(source, &mut needed, breaches);
    }
    for ((path, text, _), _) in EXCEPTIONS.iter().zip(&needed).filter(|(_, needed)| !**needed) {
        breaches.push(format!("xtask/src/tidy/bans.rs: the exception for `{text}` in {path} is no longer needed"));
    }
}

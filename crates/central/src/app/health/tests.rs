//! What a reader's standing means.

use readers::positions::{Begin, ReaderName};

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;
const READER: ReaderName = ReaderName { name: "probe", about: "Probes.", counts: true, begin: Begin::First };

fn standing(lag: u64, unread_for: Option<Duration>) -> Standing {
    Standing {
        reader: READER,
        lag,
        uncommitted: lag,
        moved_ms: None,
        unread_since_ms: unread_for.map(|waited| NOW_MS - waited.as_millis() as i64),
        has_ended: false,
    }
}

#[test]
fn a_reader_is_behind_when_a_record_has_waited() {
    let short = BEHIND_AFTER - Duration::from_millis(1);
    for (what, standing, expected) in [
        ("nothing waits", standing(0, None), ReaderState::Following),
        ("many came just now", standing(100_000, Some(short)), ReaderState::Following),
        ("one waits", standing(1, Some(BEHIND_AFTER)), ReaderState::Behind),
        ("they were there before the start", standing(1, None), ReaderState::Behind),
        ("the clock was set back", standing(1, Some(Duration::ZERO)), ReaderState::Following),
    ] {
        assert_eq!(state(&standing, false, NOW_MS), expected, "{what}");
    }
}

#[test]
fn a_problem_is_the_readers_own_and_comes_before_its_lag() {
    let waiting = standing(7, Some(BEHIND_AFTER));
    let problem = |condition: &str| Problem { condition: condition.to_owned(), text: "no room".to_owned() };
    let other = reader(&waiting, &[problem("log"), problem("reader other")], NOW_MS);
    assert_eq!((other.state, other.problem), (ReaderState::Behind, None));
    let own = [problem("reader probe")];
    let failing = reader(&waiting, &own, NOW_MS);
    assert_eq!((failing.state, failing.problem.as_deref()), (ReaderState::NotStoring, Some("no room")));
    let ended = reader(&Standing { has_ended: true, ..waiting }, &own, NOW_MS);
    assert_eq!(ended.state, ReaderState::Stopped);
}

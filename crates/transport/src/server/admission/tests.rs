//! Who goes when there is no place left, on a clock that stands while anything is left to do.
#![allow(clippy::unwrap_used)]

use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn admissions(connections_max: usize, strangers_max: usize) -> Arc<Admissions> {
    Arc::new(Admissions::new(ServerLimits { connections_max, strangers_max, ..ServerLimits::default() }))
}

/// Who gave way, by reason, but for the reasons nobody had.
fn gave_way(admissions: &Admissions) -> Vec<(Reason, u64)> {
    admissions.shared.gave_way.counts().filter(|(_, count)| *count > 0).collect()
}

/// A stranger as a connection task serves him: he leaves when he must, and says when.
fn serve(admission: Admission) -> JoinHandle<(Leave, Instant)> {
    tokio::spawn(async move { (admission.must_leave().await, Instant::now()) })
}

#[test]
fn the_bounds_are_those_of_the_limits() {
    let ServerLimits { connections_max, strangers_max, arrival_timeout } = ServerLimits::default();
    assert_eq!((connections_max, strangers_max, arrival_timeout), (CONNECTIONS_MAX, STRANGERS_MAX, ARRIVAL_TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_the_address_that_has_most_makes_room() {
    let admissions = admissions(10, 4);
    let start = Instant::now();
    let alone = serve(admissions.try_enter(address(1)).unwrap());
    let crowd: Vec<_> = (0..3).map(|_| serve(admissions.try_enter(address(2)).unwrap())).collect();
    assert!(admissions.try_enter(address(3)).is_none());
    let _new = admissions.enter(address(3)).await;
    assert_eq!(start.elapsed(), STRANGER_SILENCE_MAX, "nobody is thrown out at once");
    let left: Vec<bool> = crowd.iter().map(JoinHandle::is_finished).collect();
    assert_eq!((left, alone.is_finished()), (vec![true, false, false], false));
    assert_eq!(gave_way(&admissions), [(Reason::AddressShare, 1)]);
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_silent_strangers_keep_nobody_out_for_long() {
    let admissions = admissions(CONNECTIONS_MAX, STRANGERS_MAX);
    let silent: Vec<_> = (0..STRANGERS_MAX).map(|_| serve(admissions.try_enter(address(1)).unwrap())).collect();
    tokio::time::sleep(STRANGER_SILENCE_MAX).await;
    let start = Instant::now();
    for _ in 0..100 {
        // The same address, and others.
        drop((admissions.enter(address(1)).await, admissions.enter(address(2)).await));
    }
    assert!(start.elapsed() <= STRANGER_SILENCE_MAX, "{:?}", start.elapsed());
    assert!(silent.iter().filter(|stranger| stranger.is_finished()).count() <= 200);
}

#[tokio::test(start_paused = true)]
async fn who_gets_on_stays_and_the_next_one_goes() {
    let admissions = admissions(10, 2);
    let (first, second) = (admissions.try_enter(address(1)).unwrap(), admissions.try_enter(address(1)).unwrap());
    let (near, _far) = tokio::io::duplex(64);
    let mut stream = first.watch(near);
    let (first, second) = (serve(first), serve(second));
    let start = Instant::now();
    let waiting = tokio::spawn({
        let admissions = Arc::clone(&admissions);
        async move { admissions.enter(address(2)).await }
    });
    tokio::time::sleep(STRANGER_SILENCE_MAX - MILLISECOND).await;
    stream.write_all(b"hello").await.unwrap();
    let _new = waiting.await.unwrap();
    assert_eq!((first.is_finished(), second.await.unwrap().0), (false, Leave::NoRoom));
    assert_eq!(start.elapsed(), STRANGER_SILENCE_MAX, "the second one was silent all the while");
    // He does not get on any more.
    drop(stream);
    let spoken = start + STRANGER_SILENCE_MAX - MILLISECOND;
    let _another = admissions.enter(address(3)).await;
    assert_eq!(first.await.unwrap().1, spoken + STRANGER_PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn who_is_known_or_waits_for_us_keeps_his_place() {
    let admissions = admissions(2, 2);
    let (known, heard) = (admissions.try_enter(address(1)).unwrap(), admissions.try_enter(address(1)).unwrap());
    known.known();
    known.known();
    heard.heard();
    assert!(tokio::time::timeout(ARRIVAL_TIMEOUT / 2, admissions.enter(address(2))).await.is_err());
    assert!(tokio::time::timeout(ARRIVAL_TIMEOUT / 3, known.must_leave()).await.is_err());
    drop(heard);
    assert!(admissions.try_enter(address(2)).is_some());
    drop(known);
    assert!(admissions.try_enter(address(2)).is_some());
}

#[tokio::test(start_paused = true)]
async fn why_somebody_gave_way_is_counted_once() {
    let admissions = admissions(3, 2);
    let (first, second) = (admissions.try_enter(address(1)).unwrap(), admissions.try_enter(address(2)).unwrap());
    let (first, second) = (serve(first), serve(second));
    let third = admissions.enter(address(3)).await;
    assert_eq!((first.is_finished(), second.is_finished()), (true, false));
    assert_eq!(gave_way(&admissions), [(Reason::Oldest, 1)], "each address held one");
    third.known();
    let fourth = admissions.enter(address(4)).await;
    fourth.known();
    assert_eq!(gave_way(&admissions), [(Reason::Oldest, 1)], "a place of those nobody knows was free");
    // Known ones have two of three places, and the third is asked for: whoever waits for it is counted, however often he looks.
    let waiting = tokio::spawn({
        let admissions = Arc::clone(&admissions);
        async move { admissions.enter(address(5)).await }
    });
    waiting.await.unwrap();
    assert_eq!(second.await.unwrap().0, Leave::NoRoom);
    assert_eq!(gave_way(&admissions), [(Reason::Oldest, 2), (Reason::Full, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_says_in_time_what_he_wants() {
    let admissions = admissions(10, 10);
    let start = Instant::now();
    let (late, in_time) = (admissions.try_enter(address(1)).unwrap(), admissions.try_enter(address(1)).unwrap());
    in_time.arrived();
    let in_time = serve(in_time);
    assert_eq!((late.must_leave().await, start.elapsed()), (Leave::TooLate, ARRIVAL_TIMEOUT));
    assert_eq!(gave_way(&admissions), [(Reason::Late, 1)]);
    tokio::time::sleep(ARRIVAL_TIMEOUT).await;
    assert!(!in_time.is_finished());
}

#[tokio::test(start_paused = true)]
async fn who_begins_anew_has_his_time_anew() {
    let admissions = admissions(10, 10);
    let start = Instant::now();
    let (first, later) = (admissions.try_enter(address(1)).unwrap(), admissions.try_enter(address(1)).unwrap());
    // He has said nothing that could be answered: his time goes on.
    first.expected();
    later.arrived();
    tokio::time::sleep(ARRIVAL_TIMEOUT / 2).await;
    later.expected();
    assert_eq!((first.must_leave().await, start.elapsed()), (Leave::TooLate, ARRIVAL_TIMEOUT));
    assert_eq!((later.must_leave().await, start.elapsed()), (Leave::TooLate, ARRIVAL_TIMEOUT * 3 / 2));
}

#[tokio::test(start_paused = true)]
async fn who_was_asked_in_one_part_of_his_coming_leaves_in_the_next() {
    let admissions = admissions(10, 1);
    let stranger = admissions.try_enter(address(1)).unwrap();
    assert!(admissions.try_enter(address(2)).is_none());
    let start = Instant::now();
    assert!(tokio::time::timeout(MILLISECOND, stranger.must_leave()).await.is_err(), "he has a moment");
    assert_eq!((stranger.must_leave().await, start.elapsed()), (Leave::NoRoom, STRANGER_SILENCE_MAX));
}

#[test]
fn a_network_shares_a_place() {
    let of = |text: &str| network(text.parse().unwrap());
    assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::"));
    assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
    assert_eq!(of("::ffff:192.0.2.1"), address(1));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
}

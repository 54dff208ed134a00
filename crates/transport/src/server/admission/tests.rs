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
async fn a_stranger_says_in_time_what_he_wants() {
    let admissions = admissions(10, 10);
    let start = Instant::now();
    let (late, in_time) = (admissions.try_enter(address(1)).unwrap(), admissions.try_enter(address(1)).unwrap());
    in_time.arrived();
    let in_time = serve(in_time);
    assert_eq!((late.must_leave().await, start.elapsed()), (Leave::TooLate, ARRIVAL_TIMEOUT));
    tokio::time::sleep(ARRIVAL_TIMEOUT).await;
    assert!(!in_time.is_finished());
}

#[test]
fn a_network_shares_a_place() {
    let of = |text: &str| network(text.parse().unwrap());
    assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::"));
    assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
    assert_eq!(of("::ffff:192.0.2.1"), address(1));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
}
